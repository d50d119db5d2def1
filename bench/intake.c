/* The reference for webhook intake: the C server library with nothing behind it but one durable row a request.
 * A request is suspended, the writer thread commits what is waiting as one group, each answer is 202. */
#define _GNU_SOURCE
#include "measure.h"

#include <getopt.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <arpa/inet.h>

enum { BODY_ROOM = 4096, CHECKPOINT_PAGES = 1000, CONNECTIONS = 1024 };

/* One request from its first callback to its answer. */
typedef struct call {
    struct call *next;
    struct MHD_Connection *connection;
    int64_t run;  /* 0 until its row is durable */
    size_t length;
    char body[BODY_ROOM];
} call;

static sqlite3 *db;
static sqlite3_stmt *begin, *commit, *insert;
static int wal_pages;
static long rows, groups;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  /* guards the four below */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static call *waiting;
static int writer_sleeps, stopping;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "intake: %s: %s\n", what, why);
    exit(2);
}

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

static void open_journal(const char *file) {
    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
        fail(file, sqlite3_errmsg(db));
    run_sql("PRAGMA journal_mode=WAL");
    run_sql("PRAGMA synchronous=FULL");
    run_sql("CREATE TABLE run(id INTEGER PRIMARY KEY, workflow TEXT, input BLOB)");
    sqlite3_wal_hook(db, count_pages, NULL);
    begin = prepare("BEGIN IMMEDIATE");
    commit = prepare("COMMIT");
    insert = prepare("INSERT INTO run(workflow, input) VALUES('hook', ?1)");
}

static void commit_group(call *group) {
    execute(begin);
    for (call *c = group; c; c = c->next) {
        sqlite3_bind_blob(insert, 1, c->body, (int)c->length, SQLITE_STATIC);
        execute(insert);
        c->run = sqlite3_last_insert_rowid(db);
        rows++;
    }
    execute(commit);
    groups++;
}

static void *write_groups(void *unused) {
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!waiting && !stopping) {
            writer_sleeps = 1;
            pthread_cond_wait(&work, &lock);
            writer_sleeps = 0;
        }
        call *group = waiting;
        waiting = NULL;
        pthread_mutex_unlock(&lock);
        if (!group) return NULL;
        commit_group(group);
        for (call *next; group; group = next) {
            next = group->next;
            MHD_resume_connection(group->connection);
        }
        if (wal_pages >= CHECKPOINT_PAGES) {
            sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
            wal_pages = 0;
        }
    }
}

static void hand_over(call *c) {
    pthread_mutex_lock(&lock);
    c->next = waiting;
    waiting = c;
    int wake = writer_sleeps;
    pthread_mutex_unlock(&lock);
    if (wake) pthread_cond_signal(&work);
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *unused, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **context) {
    (void)unused, (void)url, (void)version;
    call *c = *context;
    if (!c) {
        c = malloc(sizeof *c);
        if (!c) return MHD_NO;
        c->connection = connection;
        c->run = 0;
        c->length = 0;
        *context = c;
        return MHD_YES;
    }
    if (*upload_size) {
        if (*upload_size > BODY_ROOM - c->length) return MHD_NO;
        memcpy(c->body + c->length, upload, *upload_size);
        c->length += *upload_size;
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, "POST")) return answer(connection, 405, "{\"error\":\"POST only\"}");
    if (!c->run) {
        MHD_suspend_connection(connection);
        hand_over(c);
        return MHD_YES;
    }
    char text[80];
    snprintf(text, sizeof text, "{\"run_id\":\"run_%012lld\",\"duplicate\":false}", (long long)c->run);
    return answer(connection, 202, text);
}

static void over(void *unused, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code) {
    (void)unused, (void)connection, (void)code;
    free(*context);
    *context = NULL;
}

static struct MHD_Daemon *listen_on(int port, int threads) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct MHD_OptionItem options[] = {{MHD_OPTION_SOCK_ADDR, 0, &address},
        {MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, NULL}, {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)over, NULL},
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL}, {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)port, NULL, NULL,
        handle, NULL, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

int main(int argc, char **argv) {
    static const struct option known[] = {{"port", 1, 0, 'p'}, {"db", 1, 0, 'd'}, {"threads", 1, 0, 't'}, {0, 0, 0, 0}};
    const char *file = "intake.db";
    int port = 0, threads = 1;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'p') port = atoi(optarg);
        else if (c == 'd') file = optarg;
        else if (c == 't') threads = atoi(optarg);
        else return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    open_journal(file);
    pthread_t writer;
    if (pthread_create(&writer, NULL, write_groups, NULL)) fail("writer", "no thread");
    struct MHD_Daemon *daemon = listen_on(port, threads);
    if (!daemon) fail("listen", "the port is taken or the library refused its options");
    const union MHD_DaemonInfo *bound = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    printf("http://127.0.0.1:%d/hook\n", bound && bound->port ? bound->port : port);
    fflush(stdout);
    int signal_number;
    sigwait(&stop, &signal_number);
    pthread_mutex_lock(&lock);
    stopping = 1;
    pthread_mutex_unlock(&lock);
    pthread_cond_signal(&work);
    pthread_join(writer, NULL);
    printf("{\"rows\":%ld,\"groups\":%ld,\"flushes\":%ld,\"cpu_s\":%.4f,\"max_rss_kib\":%ld}\n", rows, groups, flushes(),
        cpu_seconds(), max_rss_kib());
    fflush(stdout);
    _Exit(0);  /* clients may still be connected; every row is durable */
}
