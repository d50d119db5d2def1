#define _GNU_SOURCE
#include "measure.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static atomic_long flush_count;
static atomic_llong byte_count;

/* These three take the place of libc's for the whole process, so what SQLite does is counted where it happens. */
int fdatasync(int fd) {
    atomic_fetch_add_explicit(&flush_count, 1, memory_order_relaxed);
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    atomic_fetch_add_explicit(&flush_count, 1, memory_order_relaxed);
    return (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, count, offset);
    if (written > 0) atomic_fetch_add_explicit(&byte_count, written, memory_order_relaxed);
    return written;
}

long flushes(void) { return atomic_load(&flush_count); }

long long bytes_written(void) { return atomic_load(&byte_count); }

int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec)
        + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* From the kernel's own high-water mark: getrusage would include what the parent used before exec. */
long max_rss_kib(void) {
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    if (!status) return 0;
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %ld kB", &kib) == 1) break;
    fclose(status);
    return kib;
}

void samples_add(samples *s, int64_t ns) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->values = realloc(s->values, s->room * sizeof *s->values);
        if (!s->values) {
            fputs("out of memory for samples\n", stderr);
            exit(2);
        }
    }
    s->values[s->count++] = ns;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double samples_percentile_ms(samples *s, double p) {
    if (s->count == 0) return 0;
    qsort(s->values, s->count, sizeof *s->values, by_value);
    size_t at = (size_t)((double)s->count * p / 100.0);
    if (at >= s->count) at = s->count - 1;
    return (double)s->values[at] / 1e6;
}
