/* Measures shapes and settings for a journal of steps in SQLite: what a row costs, what reaches the disk and
 * how long a commit takes. One thread, no network: 64 interleaved runs, each a start and three steps. */
#include "measure.h"

#include <getopt.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LIVE = 64 };

typedef struct {
    const char *shape, *file, *sync, *checkpoint;
    int page, cache_kib, autocheckpoint, mmap_mib, exclusive, group, payload;
    long rows, prefill, size_limit;
    int random_ids;
} options;

typedef struct {
    int64_t id;
    int done;
} live_run;

static sqlite3 *db;
static options opt = {.shape = "step", .file = "probe.db", .sync = "FULL", .checkpoint = "auto", .page = 4096,
    .cache_kib = 0, .autocheckpoint = 1000, .group = 30, .payload = 120, .rows = 300000, .size_limit = -2};
static sqlite3_stmt *insert_step, *insert_run, *finish_run;
static uint64_t seed = 88172645463325252ULL;
static int64_t next_id = 1;

static uint64_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void run_sql(const char *format, ...) {
    va_list list;
    va_start(list, format);
    char *sql = sqlite3_vmprintf(format, list);
    va_end(list);
    char *problem = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, problem);
        exit(2);
    }
    sqlite3_free(sql);
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
        exit(2);
    }
    return statement;
}

static void step(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) {
        fprintf(stderr, "step: %s\n", sqlite3_errmsg(db));
        exit(2);
    }
    sqlite3_reset(statement);
}

static int is(const char *shape) { return strcmp(opt.shape, shape) == 0; }

static int keeps_runs(void) { return !is("append") && !is("step") && !is("unique"); }

static void create_tables(void) {
    if (is("append"))
        run_sql("CREATE TABLE step(seq INTEGER PRIMARY KEY, run_id INTEGER, key TEXT, outcome BLOB)");
    else if (is("unique")) {
        run_sql("CREATE TABLE step(seq INTEGER PRIMARY KEY, run_id INTEGER, key TEXT, outcome BLOB)");
        run_sql("CREATE UNIQUE INDEX step_key ON step(run_id, key)");
    } else
        run_sql("CREATE TABLE step(run_id INTEGER, key TEXT, outcome BLOB, PRIMARY KEY(run_id, key)) WITHOUT ROWID");
    insert_step = prepare("INSERT INTO step(run_id, key, outcome) VALUES(?1, ?2, ?3)");
    if (!keeps_runs()) return;
    run_sql("CREATE TABLE run(id INTEGER PRIMARY KEY, tenant INTEGER, workflow TEXT, state INTEGER, started INTEGER, input BLOB)");
    if (is("runs") || is("indexed")) run_sql("CREATE INDEX run_open ON run(id) WHERE state = 0");
    if (is("indexed")) run_sql("CREATE INDEX run_by ON run(tenant, workflow, id)");
    insert_run = prepare("INSERT INTO run VALUES(?1, ?2, ?3, 0, ?4, ?5)");
    if (is("runs") || is("indexed") || is("noindex")) finish_run = prepare("UPDATE run SET state = 1 WHERE id = ?1");
    if (is("ended")) {
        run_sql("CREATE TABLE ended(id INTEGER PRIMARY KEY, state INTEGER)");
        finish_run = prepare("INSERT INTO ended VALUES(?1, 1)");
    }
}

static void open_database(void) {
    char side[512];
    remove(opt.file);
    snprintf(side, sizeof side, "%s-wal", opt.file);
    remove(side);
    snprintf(side, sizeof side, "%s-shm", opt.file);
    remove(side);
    if (sqlite3_open_v2(opt.file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)) exit(2);
    run_sql("PRAGMA page_size=%d", opt.page);
    if (opt.exclusive) run_sql("PRAGMA locking_mode=EXCLUSIVE");
    run_sql("PRAGMA journal_mode=WAL");
    run_sql("PRAGMA synchronous=%s", opt.sync);
    run_sql("PRAGMA wal_autocheckpoint=%d", strcmp(opt.checkpoint, "auto") ? 0 : opt.autocheckpoint);
    if (opt.cache_kib) run_sql("PRAGMA cache_size=-%d", opt.cache_kib);
    if (opt.mmap_mib) run_sql("PRAGMA mmap_size=%d", opt.mmap_mib << 20);
    if (opt.size_limit > -2) run_sql("PRAGMA journal_size_limit=%ld", opt.size_limit);
    create_tables();
}

static void start(live_run *run, const char *payload) {
    run->done = 0;
    run->id = opt.random_ids ? (int64_t)(next_random() >> 1) : next_id++;
    if (!keeps_runs()) {
        sqlite3_bind_int64(insert_step, 1, run->id);
        sqlite3_bind_text(insert_step, 2, "", 0, SQLITE_STATIC);
        sqlite3_bind_blob(insert_step, 3, payload, opt.payload, SQLITE_STATIC);
        step(insert_step);
        return;
    }
    sqlite3_bind_int64(insert_run, 1, run->id);
    sqlite3_bind_int64(insert_run, 2, (int64_t)(next_random() % 10));
    sqlite3_bind_text(insert_run, 3, next_random() & 1 ? "process-order" : "notify", -1, SQLITE_STATIC);
    sqlite3_bind_int64(insert_run, 4, now_ns());
    sqlite3_bind_blob(insert_run, 5, payload, opt.payload, SQLITE_STATIC);
    step(insert_run);
}

/* One event of one random live run: its start, or one of its three steps; the last also ends the run. */
static void advance(live_run *run, const char *payload) {
    static const char *keys[] = {"validate", "charge", "update_order"};
    if (run->id == 0) {
        start(run, payload);
        return;
    }
    sqlite3_bind_int64(insert_step, 1, run->id);
    sqlite3_bind_text(insert_step, 2, keys[run->done], -1, SQLITE_STATIC);
    sqlite3_bind_blob(insert_step, 3, payload, opt.payload, SQLITE_STATIC);
    step(insert_step);
    if (++run->done < 3) return;
    if (finish_run) {
        sqlite3_bind_int64(finish_run, 1, run->id);
        step(finish_run);
    }
    run->id = 0;
}

static void fill(long rows, int group, samples *commits, samples *checkpoints, live_run *live, const char *payload) {
    sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT");
    int pages = 0, busy = 0;
    for (long done = 0; done < rows;) {
        step(begin);
        for (int i = 0; i < group && done < rows; i++, done++) advance(&live[next_random() % LIVE], payload);
        int64_t before = now_ns();
        step(commit);
        if (commits) samples_add(commits, now_ns() - before);
        if (strcmp(opt.checkpoint, "auto") == 0 || ++busy % opt.autocheckpoint) continue;
        before = now_ns();
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, NULL);
        if (checkpoints) samples_add(checkpoints, now_ns() - before);
    }
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
}

static void report(double seconds, double cpu, long synced, long long written, samples *c, samples *k) {
    struct stat s = {0}, w = {0};
    char wal[512];
    snprintf(wal, sizeof wal, "%s-wal", opt.file);
    stat(opt.file, &s);
    stat(wal, &w);
    printf("%-8s page %5d group %3d ckpt %s/%-5d: %6.2f us/row %6.2f cpu-us/row %5.0f B/row flushes %6ld"
           " commit ms p50 %.3f p99 %.3f p99.9 %.3f max %.2f", opt.shape, opt.page, opt.group, opt.checkpoint,
        opt.autocheckpoint, seconds * 1e6 / (double)opt.rows, cpu * 1e6 / (double)opt.rows,
        (double)written / (double)opt.rows, synced, samples_percentile_ms(c, 50), samples_percentile_ms(c, 99),
        samples_percentile_ms(c, 99.9), samples_percentile_ms(c, 100));
    if (k->count)
        printf(" checkpoint ms p50 %.2f max %.2f n %zu", samples_percentile_ms(k, 50), samples_percentile_ms(k, 100), k->count);
    printf(" db %.1f MB wal %.1f MB rss %ld KiB\n", (double)s.st_size / 1e6, (double)w.st_size / 1e6, max_rss_kib());
}

static void parse(int argc, char **argv) {
    static const struct option known[] = {{"shape", 1, 0, 's'}, {"db", 1, 0, 'f'}, {"sync", 1, 0, 'y'},
        {"checkpoint", 1, 0, 'k'}, {"page", 1, 0, 'p'}, {"cache-kib", 1, 0, 'c'}, {"every", 1, 0, 'e'},
        {"mmap-mib", 1, 0, 'm'}, {"exclusive", 0, 0, 'x'}, {"group", 1, 0, 'g'}, {"payload", 1, 0, 'l'},
        {"rows", 1, 0, 'n'}, {"prefill", 1, 0, 'P'}, {"size-limit", 1, 0, 'L'}, {"random-ids", 0, 0, 'r'}, {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 's') opt.shape = optarg;
        else if (c == 'f') opt.file = optarg;
        else if (c == 'y') opt.sync = optarg;
        else if (c == 'k') opt.checkpoint = optarg;
        else if (c == 'p') opt.page = atoi(optarg);
        else if (c == 'c') opt.cache_kib = atoi(optarg);
        else if (c == 'e') opt.autocheckpoint = atoi(optarg);
        else if (c == 'm') opt.mmap_mib = atoi(optarg);
        else if (c == 'x') opt.exclusive = 1;
        else if (c == 'g') opt.group = atoi(optarg);
        else if (c == 'l') opt.payload = atoi(optarg);
        else if (c == 'n') opt.rows = atol(optarg);
        else if (c == 'P') opt.prefill = atol(optarg);
        else if (c == 'L') opt.size_limit = atol(optarg);
        else if (c == 'r') opt.random_ids = 1;
        else exit(2);
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    char payload[65536];
    memset(payload, 'x', sizeof payload);
    if (opt.payload > (int)sizeof payload || opt.group < 1 || opt.autocheckpoint < 1) return 2;
    live_run live[LIVE] = {{0}};
    samples commits = {0}, checkpoints = {0};
    open_database();
    if (opt.prefill) fill(opt.prefill, 5000, NULL, NULL, live, payload);
    long synced = flushes();
    long long written = bytes_written();
    double cpu = cpu_seconds();
    int64_t began = now_ns();
    fill(opt.rows, opt.group, &commits, &checkpoints, live, payload);
    double seconds = (double)(now_ns() - began) / 1e9;
    report(seconds, cpu_seconds() - cpu, flushes() - synced, bytes_written() - written, &commits, &checkpoints);
    return 0;
}
