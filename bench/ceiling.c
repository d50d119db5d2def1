/* The ceiling: the least work that durable three-step workflows require. A row when a run starts, one row per
 * step, every row flushed to disk before the next request leaves; libcurl on one thread, a writer thread that
 * commits whatever is waiting as one group. No language, no tenants, no recovery, no limits. */
#define _GNU_SOURCE
#include "measure.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* 100...4000 make no steady difference to throughput here; 250 had the lowest p99. */
#ifndef CHECKPOINT_PAGES
#define CHECKPOINT_PAGES 250
#endif

enum { STEPS = 3, REPLY_ROOM = 512, EVENTS = 256 };

/* One place for a run in flight; used again by the next run when this one is over. */
typedef struct slot {
    struct slot *next;
    CURL *easy;
    struct curl_slist *headers;
    char *key;           /* inside headers: the part that changes, "0000000001/1" */
    int64_t run;
    int step;            /* 0: the start row is being written; 1...3: that step */
    int64_t started_ns;  /* when the start row was handed over */
    int64_t ready_ns;    /* when the previous row became durable */
    int64_t durable_ns;  /* when the row handed over last became durable */
    size_t length;
    char reply[REPLY_ROOM];
} slot;

typedef struct {
    slot *first, *last;
} chain;

static struct {
    long runs, in_flight;
    const char *url, *file;
    int json;
} opt = {.runs = 1000, .in_flight = 64, .file = "ceiling.db"};

static sqlite3 *db;
static sqlite3_stmt *begin, *commit, *insert_run, *insert_step;
static int wal_pages;

static CURLM *multi;
static int poller, wakeup;
static int64_t timer_at = -1;  /* monotonic ns, -1: none */

static long launched, finished, requests_failed, groups;
static samples step_latency, run_latency;
static chain handed_over;  /* collected in one turn of the loop, given to the writer at its end */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  /* guards the four below */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static chain waiting, durable;
static int writer_sleeps, stopping;

static const char body[] = "{\"order\":\"ord_1001\",\"amount\":4200,\"currency\":\"EUR\"}";

static void fail(const char *what, const char *why) {
    fprintf(stderr, "ceiling: %s: %s\n", what, why);
    exit(2);
}

/* -- chains ------------------------------------------------------------------------------------------------ */

static void append(chain *to, slot *s) {
    s->next = NULL;
    if (to->last) to->last->next = s;
    else to->first = s;
    to->last = s;
}

static void append_all(chain *to, chain from) {
    if (!from.first) return;
    if (to->last) to->last->next = from.first;
    else to->first = from.first;
    to->last = from.last;
}

/* -- the journal ------------------------------------------------------------------------------------------- */

static void run_sql(const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail(sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        fail(sql, sqlite3_errmsg(db));
    return statement;
}

static void execute(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) fail("write", sqlite3_errmsg(db));
    sqlite3_reset(statement);
}

static int count_pages(void *unused, sqlite3 *database, const char *name, int pages) {
    (void)unused, (void)database, (void)name;
    wal_pages = pages;
    return SQLITE_OK;
}

static void open_journal(void) {
    if (sqlite3_open_v2(opt.file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
        fail(opt.file, sqlite3_errmsg(db));
    run_sql("PRAGMA journal_mode=WAL");
    run_sql("PRAGMA synchronous=FULL");
    run_sql("CREATE TABLE run(id INTEGER PRIMARY KEY, workflow TEXT, input BLOB)");
    run_sql("CREATE TABLE step(seq INTEGER PRIMARY KEY, run_id INTEGER, step INTEGER, status INTEGER, reply BLOB)");
    sqlite3_wal_hook(db, count_pages, NULL);
    begin = prepare("BEGIN IMMEDIATE");
    commit = prepare("COMMIT");
    insert_run = prepare("INSERT INTO run(id, workflow, input) VALUES(?1, 'process-order', ?2)");
    insert_step = prepare("INSERT INTO step(run_id, step, status, reply) VALUES(?1, ?2, 200, ?3)");
}

static void write_row(slot *s) {
    sqlite3_stmt *statement = s->step == 0 ? insert_run : insert_step;
    sqlite3_bind_int64(statement, 1, s->run);
    if (s->step == 0) {
        sqlite3_bind_blob(statement, 2, body, sizeof body - 1, SQLITE_STATIC);
    } else {
        sqlite3_bind_int(statement, 2, s->step);
        sqlite3_bind_blob(statement, 3, s->reply, (int)s->length, SQLITE_STATIC);
    }
    execute(statement);
}

static void commit_group(chain group) {
    execute(begin);
    for (slot *s = group.first; s; s = s->next) write_row(s);
    execute(commit);
    groups++;
    int64_t now = now_ns();
    for (slot *s = group.first; s; s = s->next) s->durable_ns = now;
}

/* Between groups, after their waiters were released, so that no commit waits for a checkpoint it started. */
static void checkpoint_when_due(void) {
    if (wal_pages < CHECKPOINT_PAGES) return;
    sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    wal_pages = 0;
}

static void *write_groups(void *unused) {
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!waiting.first && !stopping) {
            writer_sleeps = 1;
            pthread_cond_wait(&work, &lock);
            writer_sleeps = 0;
        }
        chain group = waiting;
        waiting = (chain){0};
        pthread_mutex_unlock(&lock);
        if (!group.first) return NULL;
        commit_group(group);
        pthread_mutex_lock(&lock);
        int first = durable.first == NULL;
        append_all(&durable, group);
        pthread_mutex_unlock(&lock);
        if (first) eventfd_write(wakeup, 1);
        checkpoint_when_due();
    }
}

/* -- requests ---------------------------------------------------------------------------------------------- */

static size_t keep_reply(char *bytes, size_t size, size_t count, void *context) {
    slot *s = context;
    size_t length = size * count;
    if (length > REPLY_ROOM - s->length) return 0;
    memcpy(s->reply + s->length, bytes, length);
    s->length += length;
    return length;
}

static void set_up(slot *s) {
    s->headers = curl_slist_append(NULL, "Idempotency-Key: 0000000000/0");
    s->key = s->headers->data + strlen("Idempotency-Key: ");
    curl_slist_append(s->headers, "Content-Type: application/json");
    s->easy = curl_easy_init();
    curl_easy_setopt(s->easy, CURLOPT_URL, opt.url);
    curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->easy, CURLOPT_TIMEOUT_MS, 30000L);
    curl_easy_setopt(s->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE, (long)sizeof body - 1);
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, keep_reply);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
}

static void send_step(slot *s) {
    int64_t rest = s->run;
    for (char *digit = s->key + 9; digit >= s->key; digit--, rest /= 10) *digit = (char)('0' + rest % 10);
    s->key[11] = (char)('0' + s->step);
    s->length = 0;
    curl_multi_add_handle(multi, s->easy);
}

static void start_run(slot *s) {
    s->run = ++launched;
    s->step = 0;
    s->started_ns = now_ns();
    append(&handed_over, s);
}

/* What follows once the row handed over last is durable. */
static void go_on(slot *s) {
    if (s->step > 0) samples_add(&step_latency, s->durable_ns - s->ready_ns);
    s->ready_ns = s->durable_ns;
    if (s->step < STEPS) {
        s->step++;
        send_step(s);
        return;
    }
    samples_add(&run_latency, s->durable_ns - s->started_ns);
    finished++;
    if (launched < opt.runs) start_run(s);
}

/* -- the loop ---------------------------------------------------------------------------------------------- */

/* A kept-alive socket stays in the poller between two requests: curl's remove and add would cost two system
 * calls each time. The mask in effect is kept in curl's per-socket pointer while curl has one. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *context, void *seen) {
    (void)easy, (void)context, (void)seen;
    static unsigned char *masks;
    static size_t room;
    if ((size_t)fd >= room) {
        size_t wider = (size_t)fd * 2 + 64;
        masks = realloc(masks, wider);
        if (!masks) fail("poll", "out of memory");
        memset(masks + room, 0, wider - room);
        room = wider;
    }
    if (what == CURL_POLL_REMOVE) what = CURL_POLL_IN;
    if (masks[fd] == what && what == CURL_POLL_IN) return 0;
    struct epoll_event event = {.data.fd = fd,
        .events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u)};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) && errno == ENOENT) epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    masks[fd] = (unsigned char)what;
    return 0;
}

static int set_timer(CURLM *handle, long ms, void *context) {
    (void)handle, (void)context;
    timer_at = ms < 0 ? -1 : now_ns() + ms * 1000000;
    return 0;
}

static int until_timer_ms(void) {
    if (timer_at < 0) return 1000;
    int64_t left = (timer_at - now_ns() + 999999) / 1000000;
    return left < 0 ? 0 : left > 1000 ? 1000 : (int)left;
}

static void run_timer(void) {
    if (timer_at < 0 || timer_at > now_ns()) return;
    int running;
    timer_at = -1;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static void collect_replies(void) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        slot *s;
        long status = 0;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&s);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        if (message->data.result != CURLE_OK || status != 200) requests_failed++;
        curl_multi_remove_handle(multi, s->easy);
        append(&handed_over, s);
    }
}

static void poll_once(void) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poller, events, EVENTS, until_timer_ms());
    for (int i = 0; i < count; i++) {
        int running, mask = 0;
        if (events[i].data.fd == wakeup) {
            eventfd_t ignored;
            eventfd_read(wakeup, &ignored);
            continue;
        }
        if (events[i].events & EPOLLIN) mask |= CURL_CSELECT_IN;
        if (events[i].events & EPOLLOUT) mask |= CURL_CSELECT_OUT;
        if (events[i].events & (EPOLLERR | EPOLLHUP)) mask |= CURL_CSELECT_ERR;
        curl_multi_socket_action(multi, events[i].data.fd, mask, &running);
    }
    run_timer();
    collect_replies();
}

static chain take_durable(void) {
    pthread_mutex_lock(&lock);
    chain done = durable;
    durable = (chain){0};
    pthread_mutex_unlock(&lock);
    return done;
}

static void go_on_with(chain done) {
    for (slot *s = done.first; s;) {
        slot *next = s->next;
        go_on(s);
        s = next;
    }
    run_timer();
    collect_replies();  /* a reply may be there already: the stand-in is quick */
}

/* One run in flight: the row is committed on this thread, since a writer that sleeps costs more to wake. */
static void commit_in_place(void) {
    while (handed_over.first) {
        chain group = handed_over;
        handed_over = (chain){0};
        commit_group(group);
        go_on_with(group);
    }
    checkpoint_when_due();
}

static void hand_over(void) {
    if (!handed_over.first) return;
    pthread_mutex_lock(&lock);
    append_all(&waiting, handed_over);
    int wake = writer_sleeps;
    pthread_mutex_unlock(&lock);
    if (wake) pthread_cond_signal(&work);
    handed_over = (chain){0};
}

static void run_all(slot *slots) {
    int in_place = opt.in_flight == 1;
    for (long i = 0; i < opt.in_flight && launched < opt.runs; i++) start_run(&slots[i]);
    while (finished < opt.runs) {
        if (in_place) commit_in_place();
        else hand_over();
        if (finished == opt.runs) break;
        poll_once();
        if (!in_place) go_on_with(take_durable());
    }
}

/* -- the program ------------------------------------------------------------------------------------------- */

static void parse(int argc, char **argv) {
    static const struct option known[] = {{"runs", 1, 0, 'r'}, {"in-flight", 1, 0, 'k'}, {"url", 1, 0, 'u'},
        {"db", 1, 0, 'd'}, {"json", 0, 0, 'j'}, {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'r') opt.runs = atol(optarg);
        else if (c == 'k') opt.in_flight = atol(optarg);
        else if (c == 'u') opt.url = optarg;
        else if (c == 'd') opt.file = optarg;
        else if (c == 'j') opt.json = 1;
        else exit(2);
    }
    if (!opt.url || opt.runs < 1 || opt.in_flight < 1 || opt.in_flight > 100000)
        fail("usage", "ceiling --url URL [--runs N] [--in-flight K] [--db FILE] [--json]");
}

static void report(double seconds, double cpu, long flushed) {
    long steps = (long)step_latency.count;
    const char *format = opt.json
        ? "{\"runs\":%ld,\"steps\":%ld,\"seconds\":%.4f,\"steps_per_s\":%.1f,\"cpu_s_per_1000_steps\":%.5f,"
          "\"flushes\":%ld,\"groups\":%ld,\"failed\":%ld,\"step_p50_ms\":%.4f,\"step_p99_ms\":%.4f,"
          "\"run_p50_ms\":%.4f,\"run_p99_ms\":%.4f,\"max_rss_kib\":%ld}\n"
        : "runs %ld, steps %ld, seconds %.4f, steps/s %.1f, CPU s/1000 steps %.5f, flushes %ld, groups %ld, failed %ld\n"
          "step ms p50 %.4f p99 %.4f, run ms p50 %.4f p99 %.4f, max RSS KiB %ld\n";
    printf(format, finished, steps, seconds, (double)steps / seconds, cpu * 1000 / (double)steps, flushed, groups,
        requests_failed, samples_percentile_ms(&step_latency, 50), samples_percentile_ms(&step_latency, 99),
        samples_percentile_ms(&run_latency, 50), samples_percentile_ms(&run_latency, 99), max_rss_kib());
}

int main(int argc, char **argv) {
    parse(argc, argv);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    open_journal();
    multi = curl_multi_init();
    poller = epoll_create1(EPOLL_CLOEXEC);
    wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = wakeup};
    epoll_ctl(poller, EPOLL_CTL_ADD, wakeup, &event);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, opt.in_flight + 8);
    slot *slots = calloc((size_t)opt.in_flight, sizeof *slots);
    if (!slots) fail("slots", "out of memory");
    for (long i = 0; i < opt.in_flight; i++) set_up(&slots[i]);

    pthread_t writer;
    if (opt.in_flight > 1 && pthread_create(&writer, NULL, write_groups, NULL)) fail("writer", "no thread");
    double cpu = cpu_seconds();
    long flushed = flushes();
    int64_t began = now_ns();
    run_all(slots);
    double seconds = (double)(now_ns() - began) / 1e9;
    report(seconds, cpu_seconds() - cpu, flushes() - flushed);
    if (opt.in_flight > 1) {
        pthread_mutex_lock(&lock);
        stopping = 1;
        pthread_mutex_unlock(&lock);
        pthread_cond_signal(&work);
        pthread_join(writer, NULL);
    }
    return requests_failed ? 1 : 0;
}
