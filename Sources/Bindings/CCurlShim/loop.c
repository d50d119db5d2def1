#include "loop.h"
#include "loop_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

// The epoll registration of a file descriptor. Between two requests on a kept connection, libcurl withdraws its
// interest and registers it again. A socket whose closing we observe (`is_ours`) stays registered meanwhile, which saves
// two system calls per request.
typedef struct {
    millrace_pool *pool;
    uint32_t registered;
    uint32_t wanted;
    bool is_ours;
} watched;

enum { event_count_max = 256 };

struct millrace_loop {
    int epoll;
    int wake;
    watched *sockets;
    size_t socket_capacity;
    millrace_pool *pools;
    // Pools whose timer is due at once.
    millrace_pool *due;
    // Pools in which a transfer may have finished.
    millrace_pool *touched;
    // A lower bound of all pools' timers; INT64_MAX for none.
    int64_t earliest_ms;
};

struct millrace_pool {
    millrace_loop *loop;
    CURLM *multi;
    millrace_pool *next, *previous;
    millrace_pool *next_due, *next_touched;
    bool is_due, is_touched;
    // The number of exchanges that were added and not removed.
    int held_count;
    int64_t deadline_ms;
};

int64_t millrace_monotonic_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// MARK: - Sockets

static watched *watched_at(millrace_loop *loop, int socket) {
    if (socket < 0) return NULL;
    if ((size_t)socket >= loop->socket_capacity) {
        size_t capacity = loop->socket_capacity ? loop->socket_capacity : 256;
        while (capacity <= (size_t)socket) capacity *= 2;
        watched *moved = realloc(loop->sockets, capacity * sizeof *moved);
        if (!moved) return NULL;
        memset(moved + loop->socket_capacity, 0, (capacity - loop->socket_capacity) * sizeof *moved);
        loop->sockets = moved;
        loop->socket_capacity = capacity;
    }
    return &loop->sockets[socket];
}

curl_socket_t millrace_loop_open_socket(millrace_loop *loop, const struct curl_sockaddr *address) {
    int opened = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    watched *entry = watched_at(loop, opened);
    if (entry) *entry = (watched){.is_ours = true};
    return opened;
}

int millrace_loop_on_close_socket(void *context, curl_socket_t socket) {
    millrace_loop *loop = context;
    // Closing a socket removes it from epoll.
    if (socket >= 0 && (size_t)socket < loop->socket_capacity) loop->sockets[socket] = (watched){0};
    return close(socket);
}

static bool register_socket(millrace_loop *loop, int socket, watched *entry, uint32_t mask) {
    struct epoll_event event = {.events = mask, .data.fd = socket};
    int operation = entry->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(loop->epoll, operation, socket, &event) != 0) {
        int other = errno == ENOENT ? EPOLL_CTL_ADD : errno == EEXIST ? EPOLL_CTL_MOD : 0;
        if (!other || epoll_ctl(loop->epoll, other, socket, &event) != 0) return false;
    }
    entry->registered = mask;
    return true;
}

static void forget_socket(millrace_loop *loop, int socket, watched *entry) {
    if (entry->registered) epoll_ctl(loop->epoll, EPOLL_CTL_DEL, socket, NULL);
    entry->registered = 0;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *unused) {
    millrace_pool *pool = context;
    millrace_loop *loop = pool->loop;
    (void)easy;
    (void)unused;
    watched *entry = watched_at(loop, socket);
    if (!entry) return -1;
    if (what == CURL_POLL_REMOVE) {
        entry->wanted = 0;
        if (!entry->is_ours) forget_socket(loop, socket, entry);
        return 0;
    }
    entry->pool = pool;
    entry->wanted = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (entry->registered == entry->wanted) return 0;
    return register_socket(loop, socket, entry, entry->wanted) ? 0 : -1;
}

// MARK: - Timers

static void mark_due(millrace_pool *pool) {
    if (pool->is_due) return;
    pool->is_due = true;
    pool->next_due = pool->loop->due;
    pool->loop->due = pool;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context) {
    millrace_pool *pool = context;
    (void)multi;
    if (timeout_ms < 0) {
        pool->deadline_ms = INT64_MAX;
    } else if (timeout_ms == 0) {
        pool->deadline_ms = INT64_MAX;
        mark_due(pool);
    } else {
        pool->deadline_ms = millrace_monotonic_ms() + timeout_ms;
        if (pool->deadline_ms < pool->loop->earliest_ms) pool->loop->earliest_ms = pool->deadline_ms;
    }
    return 0;
}

// Marks a pool in which a transfer has finished: then libcurl's count of running ones differs from ours.
static void touch(millrace_pool *pool, int running) {
    if (pool->is_touched || running == pool->held_count) return;
    pool->is_touched = true;
    pool->next_touched = pool->loop->touched;
    pool->loop->touched = pool;
}

// Marks pools whose timers are due, and finds the next deadline.
static void collect_expired(millrace_loop *loop) {
    if (loop->earliest_ms == INT64_MAX) return;
    int64_t now = millrace_monotonic_ms();
    if (now < loop->earliest_ms) return;
    loop->earliest_ms = INT64_MAX;
    for (millrace_pool *pool = loop->pools; pool; pool = pool->next) {
        if (pool->deadline_ms <= now) {
            pool->deadline_ms = INT64_MAX;
            mark_due(pool);
        } else if (pool->deadline_ms < loop->earliest_ms) {
            loop->earliest_ms = pool->deadline_ms;
        }
    }
}

static void run_due(millrace_loop *loop) {
    millrace_pool *pool = loop->due;
    loop->due = NULL;
    while (pool) {
        millrace_pool *next = pool->next_due;
        int running;
        pool->is_due = false;
        pool->next_due = NULL;
        curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        touch(pool, running);
        pool = next;
    }
}

// MARK: - Loop

millrace_loop *millrace_loop_create(void) {
    millrace_loop *loop = calloc(1, sizeof *loop);
    if (!loop) return NULL;
    loop->earliest_ms = INT64_MAX;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    // Edge-triggered, so that each write is an event and the counter need not be read.
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = loop->wake};
    if (loop->epoll < 0 || loop->wake < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) != 0) {
        millrace_loop_destroy(loop);
        return NULL;
    }
    return loop;
}

void millrace_loop_destroy(millrace_loop *loop) {
    if (!loop) return;
    if (loop->epoll >= 0) close(loop->epoll);
    if (loop->wake >= 0) close(loop->wake);
    free(loop->sockets);
    free(loop);
}

void millrace_loop_wake(millrace_loop *loop) {
    uint64_t one = 1;
    ssize_t written = write(loop->wake, &one, sizeof one);
    (void)written;
}

static void handle_event(millrace_loop *loop, const struct epoll_event *event) {
    int socket = event->data.fd, running, flags = 0;
    if (socket == loop->wake || (size_t)socket >= loop->socket_capacity) return;
    watched *entry = &loop->sockets[socket];
    if (!entry->wanted) return forget_socket(loop, socket, entry);
    if (event->events & EPOLLIN) flags |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT) flags |= CURL_CSELECT_OUT;
    if (event->events & (EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_ERR;
    millrace_pool *pool = entry->pool;
    curl_multi_socket_action(pool->multi, socket, flags, &running);
    touch(pool, running);
}

static int wait_ms(millrace_loop *loop, int timeout_ms) {
    if (loop->due || timeout_ms == 0) return 0;
    if (loop->earliest_ms == INT64_MAX) return timeout_ms;
    // Plus one, because the clock's milliseconds are rounded down.
    int64_t left = loop->earliest_ms - millrace_monotonic_ms() + 1;
    if (left < 0) left = 0;
    if (left > 60000) left = 60000;
    return timeout_ms < 0 || left < timeout_ms ? (int)left : timeout_ms;
}

int millrace_loop_turn(millrace_loop *loop, int timeout_ms) {
    struct epoll_event events[event_count_max];
    collect_expired(loop);
    run_due(loop);
    if (loop->touched) timeout_ms = 0;
    int count = epoll_wait(loop->epoll, events, event_count_max, wait_ms(loop, timeout_ms));
    if (count < 0) return errno == EINTR ? 0 : -1;
    for (int i = 0; i < count; i++) handle_event(loop, &events[i]);
    return count;
}

// MARK: - Pools

millrace_pool *millrace_pool_create(millrace_loop *loop) {
    millrace_pool *pool = calloc(1, sizeof *pool);
    CURLM *multi = curl_multi_init();
    if (!pool || !multi) {
        free(pool);
        if (multi) curl_multi_cleanup(multi);
        return NULL;
    }
    pool->loop = loop;
    pool->multi = multi;
    pool->deadline_ms = INT64_MAX;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, pool);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, pool);
    pool->next = loop->pools;
    if (loop->pools) loop->pools->previous = pool;
    loop->pools = pool;
    return pool;
}

static void unlink_from(millrace_pool **first, millrace_pool *pool, size_t offset) {
    for (millrace_pool **link = first; *link; link = (millrace_pool **)((char *)*link + offset)) {
        if (*link != pool) continue;
        *link = *(millrace_pool **)((char *)pool + offset);
        return;
    }
}

void millrace_pool_destroy(millrace_pool *pool) {
    if (!pool) return;
    millrace_loop *loop = pool->loop;
    // It may call back for sockets and timers, so the pool leaves the lists only afterwards.
    curl_multi_cleanup(pool->multi);
    if (pool->is_due) unlink_from(&loop->due, pool, offsetof(millrace_pool, next_due));
    if (pool->is_touched) unlink_from(&loop->touched, pool, offsetof(millrace_pool, next_touched));
    if (pool->previous) pool->previous->next = pool->next;
    else loop->pools = pool->next;
    if (pool->next) pool->next->previous = pool->previous;
    for (size_t i = 0; i < loop->socket_capacity; i++)
        if (loop->sockets[i].pool == pool) loop->sockets[i].pool = NULL, loop->sockets[i].wanted = 0;
    free(pool);
}

void millrace_pool_set_connections_max(millrace_pool *pool, long count) {
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, count);
}

int millrace_pool_add(millrace_pool *pool, millrace_exchange *exchange) {
    CURLMcode code = curl_multi_add_handle(pool->multi, exchange->easy);
    if (code == CURLM_OK) pool->held_count += 1;
    return code;
}

void millrace_pool_remove(millrace_pool *pool, millrace_exchange *exchange) {
    if (curl_multi_remove_handle(pool->multi, exchange->easy) == CURLM_OK) pool->held_count -= 1;
}

static void describe(CURLMsg *message, millrace_result *result) {
    CURL *easy = message->easy_handle;
    char *exchange = NULL;
    curl_off_t total = 0;
    *result = (millrace_result){.code = message->data.result};
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &exchange);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &result->status);
    result->exchange = (millrace_exchange *)exchange;
    if (result->code == CURLE_OK) return;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &result->os_error);
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total);
    result->total_us = total;
}

bool millrace_loop_next_result(millrace_loop *loop, millrace_result *result) {
    while (loop->touched) {
        millrace_pool *pool = loop->touched;
        CURLMsg *message;
        int left;
        while ((message = curl_multi_info_read(pool->multi, &left))) {
            if (message->msg != CURLMSG_DONE) continue;
            CURL *easy = message->easy_handle;
            describe(message, result);
            if (curl_multi_remove_handle(pool->multi, easy) == CURLM_OK) pool->held_count -= 1;
            return true;
        }
        pool->is_touched = false;
        loop->touched = pool->next_touched;
    }
    return false;
}
