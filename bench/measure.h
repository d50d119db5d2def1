/* Clocks, percentiles and disk flush counts shared by the reference programs. */
#ifndef MILLRACE_BENCH_MEASURE_H
#define MILLRACE_BENCH_MEASURE_H

#include <stdint.h>
#include <stddef.h>

/* Monotonic time in nanoseconds. */
int64_t now_ns(void);

/* User and system CPU time of this process so far, in seconds. */
double cpu_seconds(void);

/* Largest resident set of this process so far, in KiB. */
long max_rss_kib(void);

/* How often this process, its libraries included, called fsync or fdatasync. Exact: the linker resolves
 * the calls inside libsqlite3 to the counting versions defined in measure.c. */
long flushes(void);

/* Bytes written through pwrite64 so far: in these programs, what SQLite wrote to its files. */
long long bytes_written(void);

/* Durations in nanoseconds, kept whole so that percentiles are exact. */
typedef struct {
    int64_t *values;
    size_t count;
    size_t room;
} samples;

/* Adds one duration; the process stops with a message when memory is out. */
void samples_add(samples *s, int64_t ns);

/* The p-th percentile (0 < p <= 100) in milliseconds; 0 without samples. Sorts the samples. */
double samples_percentile_ms(samples *s, double p);

#endif
