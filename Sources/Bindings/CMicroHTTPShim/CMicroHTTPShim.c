#include "CMicroHTTPShim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Reading the head ---- */

enum { NAME_BYTES_MAX = 64 << 10 };

static _Thread_local struct millrace_http_field fields[MILLRACE_HTTP_FIELD_MAX];
static _Thread_local char names[NAME_BYTES_MAX];

struct reading {
    struct millrace_http_head *head;
    const char *line_start; /* where the next field must begin */
    size_t name_bytes;
    size_t field_max;
    unsigned host_count, length_count, coding_count;
    bool is_strict_layout;
};

/* Version 1.x of the library is strict itself and stores its fields elsewhere. */
static bool library_is_lax(void) {
    return MHD_get_version()[0] == '0';
}

static const char token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|', ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h',
    ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
    ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',
    ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
};

/* A decimal number of at most 18 digits, or -1. */
static int64_t decimal(const char *text, size_t size) {
    if (size == 0 || size > 18) return -1;
    int64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

static bool is_named(const struct millrace_http_field *field, const char *name, size_t size) {
    return field->name_size == size && memcmp(field->name, name, size) == 0;
}

static void note_framing(struct reading *reading, const struct millrace_http_field *field) {
    struct millrace_http_head *head = reading->head;
    if (is_named(field, "host", 4)) {
        reading->host_count++;
    } else if (is_named(field, "content-length", 14)) {
        reading->length_count++;
        head->content_length = decimal(field->value, field->value_size);
        if (head->content_length < 0) head->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    } else if (is_named(field, "transfer-encoding", 17)) {
        reading->coding_count++;
        if (field->value_size != 7 || strncasecmp(field->value, "chunked", 7) != 0)
            head->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    }
}

/* The old library accepts bare line feeds, folded lines and NUL bytes. It splits lines in place, so a field that was one
   strict line lies between its neighbours without a gap: name, NUL for the colon, spaces, value, and two NULs for CRLF. */
static bool layout_is_strict(struct reading *reading, const char *name, size_t name_size, const char *value,
                             size_t value_size) {
    if (name != reading->line_start) return false;
    const char *gap = name + name_size + 1;
    while (gap < value && (*gap == ' ' || *gap == '\t')) gap++;
    if (gap != value) return false;
    const char *end = value + value_size;
    while (*end == ' ' || *end == '\t') end++;
    reading->line_start = end + 2;
    return end[0] == '\0' && end[1] == '\0';
}

static enum MHD_Result on_field(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                const char *value, size_t value_size) {
    (void)kind;
    struct reading *reading = context;
    struct millrace_http_head *head = reading->head;
    if (head->field_count >= reading->field_max || reading->name_bytes + name_size > NAME_BYTES_MAX) {
        head->flaws |= MILLRACE_HTTP_FLAW_TOO_MANY;
        return MHD_NO;
    }
    if (value == NULL) {
        value = "";
        head->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    } else if (reading->is_strict_layout && (head->flaws & MILLRACE_HTTP_FLAW_FRAMING) == 0
               && !layout_is_strict(reading, name, name_size, value, value_size)) {
        head->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    }
    while (value_size > 0 && (value[value_size - 1] == ' ' || value[value_size - 1] == '\t')) value_size--;
    struct millrace_http_field *field = &fields[head->field_count++];
    *field = (struct millrace_http_field){names + reading->name_bytes, value, name_size, value_size};
    for (size_t i = 0; i < name_size; i++) {
        char lowered = token_lower[(unsigned char)name[i]];
        if (lowered == 0) head->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
        names[reading->name_bytes++] = lowered;
    }
    if (name_size == 0) head->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    for (size_t i = 0; i < value_size; i++) {
        unsigned char byte = (unsigned char)value[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7F) head->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    }
    note_framing(reading, field);
    return MHD_YES;
}

void millrace_http_read_head(struct MHD_Connection *connection, const char *method, const char *url,
                             const char *version, size_t target_size, size_t field_max,
                             struct millrace_http_head *out) {
    *out = (struct millrace_http_head){.fields = fields, .content_length = -1};
    bool is_1_1 = strcmp(version, "HTTP/1.1") == 0, is_1_0 = strcmp(version, "HTTP/1.0") == 0;
    if (!is_1_1 && !is_1_0) {
        out->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
        return;
    }
    if (field_max > MILLRACE_HTTP_FIELD_MAX) field_max = MILLRACE_HTTP_FIELD_MAX;
    struct reading reading = {.head = out, .line_start = version + 10, .field_max = field_max};
    reading.is_strict_layout = library_is_lax();
    if (reading.is_strict_layout
        && (url != method + strlen(method) + 1 || version != url + target_size + 1 || version[9] != '\0'))
        out->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_field, &reading);
    if (reading.host_count > 1 || (is_1_1 && reading.host_count == 0)) out->flaws |= MILLRACE_HTTP_FLAW_HOST;
    if (reading.length_count > 1 || reading.coding_count > 1 || (reading.length_count && reading.coding_count)
        || (is_1_0 && reading.coding_count))
        out->flaws |= MILLRACE_HTTP_FLAW_FRAMING;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    out->byte_count = info ? info->header_size : 0;
}

/* ---- Lines that the library itself would refuse ---- */

/* The library answers an invalid Content-Length, and a line without a colon, with HTML of its own (the former with two
   heads), and calls nobody before. So as soon as the request line has arrived, such a line is changed into one that the
   library accepts and on_field refuses, because its name begins with a control character. Lines that arrive later keep
   the library's response. */

static const size_t checked_byte_count_max = 16 << 10;

static bool is_length_line(const char *line, const char *colon) {
    return colon - line == 14 && strncasecmp(line, "content-length", 14) == 0;
}

/* Whether the library accepts the value; too many digits are reduced to a number that is still too large for a body. */
static bool is_length(char *value, char *end) {
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) end--;
    if (decimal(value, (size_t)(end - value)) >= 0) return true;
    for (char *digit = value; digit < end; digit++)
        if (*digit < '0' || *digit > '9') return false;
    if (end == value || *value == '0') return false;
    memset(value, ' ', (size_t)(end - value - 18));
    memset(end - 18, '9', 18);
    return true;
}

static void check_line(char *line, char *end) {
    /* A folded line belongs to the previous one. */
    if (*line == ' ' || *line == '\t') return;
    char *colon = memchr(line, ':', (size_t)(end - line));
    if (colon != NULL && colon != line && (!is_length_line(line, colon) || is_length(colon + 1, end))) return;
    if (colon == NULL || colon == line) line[end - line > 1 ? 1 : 0] = ':';
    if (end - line > 1) *line = '\x01';
}

/* After the target come the version, two zeros for the end of the line, and the fields that have arrived. The rest of
   the buffer is zero, because the library clears it for each request, and it is larger than the part examined here. */
static void check_lines(char *target) {
    char *end = target + checked_byte_count_max;
    size_t size = strnlen(target, checked_byte_count_max - 16);
    char *version = target + size + 1;
    if (version + 10 > end || strnlen(version, 9) != 8 || version[9] != 0) return;
    for (char *line = version + 10; line < end && *line != '\r' && *line != '\n';) {
        char *line_end = memchr(line, '\n', strnlen(line, (size_t)(end - line)));
        if (line_end == NULL) return;
        check_line(line, line_end);
        line = line_end + 1;
    }
}

/* ---- The daemon ---- */

/* One thread with a daemon of its own. The library's own threads are not used: they read at most 128 events and, if
   there were exactly so many, sleep before they act upon them, for as long as no other event comes. So this thread
   sleeps, and the library is called only with the order not to wait. It has no way to wake a thread that is not its own,
   so a resumption does. */
struct millrace_http_loop {
    struct millrace_http_server *server;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int epoll;
    int wake; /* an eventfd */
    atomic_bool is_woken; /* `wake` is readable, or its thread is about to call the library */
    int quiesced; /* the listening socket that the daemon gave back, or -1 */
    /* Only used by the thread: a connection was closed, so the library has to be called once more, because it may accept
       again. */
    bool has_room;
};

struct millrace_http_server {
    struct millrace_http_callbacks callbacks;
    int listener; /* shared by all loops; -1 after the quiesce */
    atomic_bool is_stopping;
    unsigned loop_count, running_count;
    struct millrace_http_loop loops[];
};

static int wait_milliseconds(struct millrace_http_loop *loop) {
    MHD_UNSIGNED_LONG_LONG timeout;
    if (loop->has_room) return 0;
    if (MHD_get_timeout(loop->daemon, &timeout) != MHD_YES) return -1;
    return timeout < INT_MAX ? (int)timeout : INT_MAX;
}

static void wake(struct millrace_http_loop *loop) {
    if (!atomic_exchange(&loop->is_woken, true)) (void)!eventfd_write(loop->wake, 1);
}

static void *run_loop(void *context) {
    struct millrace_http_loop *loop = context;
    struct pollfd watched[] = {{.fd = loop->epoll, .events = POLLIN}, {.fd = loop->wake, .events = POLLIN}};
    while (!atomic_load(&loop->server->is_stopping)) {
        if (poll(watched, 2, wait_milliseconds(loop)) < 0 && errno != EINTR) abort();
        eventfd_t count;
        if (watched[1].revents != 0) (void)!eventfd_read(loop->wake, &count);
        /* Whoever resumes from here on wakes the thread once more. */
        atomic_store(&loop->is_woken, false);
        loop->has_room = false;
        MHD_run(loop->daemon);
    }
    return NULL;
}

/* The path is decoded after it was split into segments, so that an encoded slash stays one. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    return strlen(text);
}

static void peer_text(struct MHD_Connection *connection, char *out, size_t size) {
    out[0] = '\0';
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL) return;
    if (info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *address = (const void *)info->client_addr;
        inet_ntop(AF_INET, &address->sin_addr, out, (socklen_t)size);
    } else if (info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const void *)info->client_addr;
        if (IN6_IS_ADDR_V4MAPPED(&address->sin6_addr))
            inet_ntop(AF_INET, &address->sin6_addr.s6_addr[12], out, (socklen_t)size);
        else
            inet_ntop(AF_INET6, &address->sin6_addr, out, (socklen_t)size);
    }
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
    struct millrace_http_loop *loop = context;
    struct millrace_http_server *server = loop->server;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        char peer[INET6_ADDRSTRLEN];
        peer_text(connection, peer, sizeof peer);
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context =
            server->callbacks.opened(server->callbacks.context, info ? info->connect_fd : -1, loop, peer);
        return;
    }
    loop->has_room = true;
    if (*socket_context != NULL) {
        server->callbacks.closed(*socket_context);
        *socket_context = NULL;
    }
}

static void *on_target(void *context, const char *target, struct MHD_Connection *connection) {
    struct millrace_http_server *server = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info == NULL || info->socket_context == NULL) return NULL;
    void *exchange = server->callbacks.began(server->callbacks.context, info->socket_context, target);
    check_lines((char *)target);
    // The library is about to split the query, with an allocation for each argument; if the connection's memory runs
    // out, it neither responds nor closes. We split our own copy, so the library gets a single argument. The text is its
    // read buffer, which it overwrites shortly.
    char *query = strchr((char *)target, '?');
    for (char *at = query; at != NULL && *at != 0; at++)
        if (*at == '&') *at = '_';
    return exchange;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *bytes,
                                 size_t *byte_count, void **exchange) {
    struct millrace_http_server *server = context;
    if (*exchange == NULL) return MHD_NO;
    size_t count = *byte_count;
    *byte_count = 0;
    return server->callbacks.advanced(*exchange, connection, url, method, version, bytes, count) ? MHD_YES
                                                                                                  : MHD_NO;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange,
                         enum MHD_RequestTerminationCode code) {
    (void)connection;
    (void)code;
    struct millrace_http_server *server = context;
    if (*exchange == NULL) return;
    server->callbacks.ended(*exchange);
    *exchange = NULL;
}

/* A listening socket, or -1 with errno set. */
static int listener_on(const char *address, uint16_t port, uint16_t *real_port) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {0};
    socklen_t size;
    if (inet_pton(AF_INET, address, &name.v4.sin_addr) == 1) {
        name.v4.sin_family = AF_INET;
        name.v4.sin_port = htons(port);
        size = sizeof name.v4;
    } else if (inet_pton(AF_INET6, address, &name.v6.sin6_addr) == 1) {
        name.v6.sin6_family = AF_INET6;
        name.v6.sin6_port = htons(port);
        size = sizeof name.v6;
    } else {
        errno = EINVAL;
        return -1;
    }
    int on = 1, off = 0;
    int listener = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return -1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (name.any.sa_family == AF_INET6) setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, &name.any, size) != 0 || listen(listener, 1024) != 0
        || getsockname(listener, &name.any, &size) != 0) {
        int saved = errno;
        close(listener);
        errno = saved;
        return -1;
    }
    *real_port = ntohs(name.any.sa_family == AF_INET ? name.v4.sin_port : name.v6.sin6_port);
    return listener;
}

static bool start_loop(struct millrace_http_server *server, const struct millrace_http_options *options) {
    struct millrace_http_loop *loop = &server->loops[server->loop_count];
    unsigned share = (options->connection_count_max + options->thread_count - 1) / options->thread_count;
    loop->server = server;
    loop->quiesced = -1;
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake < 0) return false;
    /* The library closes the socket that it is given, and each daemon needs one for itself. */
    int listener = fcntl(server->listener, F_DUPFD_CLOEXEC, 0);
    if (listener < 0) {
        close(loop->wake);
        return false;
    }
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_LISTEN_SOCKET, listener, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, share, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)options->connection_memory_byte_count, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, loop},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)on_unescape, server},
        {MHD_OPTION_END, 0, NULL},
    };
    errno = 0;
    loop->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_access,
                                    server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (loop->daemon == NULL) {
        int saved = errno != 0 ? errno : ENOMEM;
        close(listener);
        close(loop->wake);
        errno = saved;
        return false;
    }
    server->loop_count++;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    loop->epoll = info ? info->epoll_fd : -1;
    if (loop->epoll < 0) {
        errno = ENOSYS;
        return false;
    }
    return true;
}

/* Starts the threads last, so that a failure before needs none of them to end. */
static bool start_threads(struct millrace_http_server *server) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    while (error == 0 && server->running_count < server->loop_count) {
        struct millrace_http_loop *loop = &server->loops[server->running_count];
        error = pthread_create(&loop->thread, NULL, run_loop, loop);
        if (error == 0) server->running_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return error == 0;
}

struct millrace_http_server *millrace_http_start(const char *address, uint16_t port,
                                                 const struct millrace_http_options *options,
                                                 const struct millrace_http_callbacks *callbacks,
                                                 uint16_t *real_port, int *error_number) {
    struct millrace_http_server *server =
        calloc(1, sizeof *server + options->thread_count * sizeof(struct millrace_http_loop));
    if (server == NULL) {
        *error_number = ENOMEM;
        return NULL;
    }
    server->callbacks = *callbacks;
    server->listener = listener_on(address, port, real_port);
    bool has_started = server->listener >= 0;
    while (has_started && server->loop_count < options->thread_count) has_started = start_loop(server, options);
    if (has_started && start_threads(server)) return server;
    *error_number = errno;
    millrace_http_stop(server);
    return NULL;
}

void millrace_http_quiesce(struct millrace_http_server *server) {
    if (server->listener < 0) return;
    for (unsigned i = 0; i < server->loop_count; i++) {
        /* Its thread may be about to accept, so the number must not be reused before the thread has ended. */
        server->loops[i].quiesced = MHD_quiesce_daemon(server->loops[i].daemon);
    }
    /* Connections still in its queue are refused at once, instead of waiting for the last thread. */
    shutdown(server->listener, SHUT_RDWR);
    close(server->listener);
    server->listener = -1;
}

void millrace_http_stop(struct millrace_http_server *server) {
    atomic_store(&server->is_stopping, true);
    for (unsigned i = 0; i < server->running_count; i++) {
        wake(&server->loops[i]);
        pthread_join(server->loops[i].thread, NULL);
    }
    for (unsigned i = 0; i < server->loop_count; i++) {
        MHD_stop_daemon(server->loops[i].daemon);
        if (server->loops[i].quiesced >= 0) close(server->loops[i].quiesced);
        close(server->loops[i].wake);
    }
    if (server->listener >= 0) close(server->listener);
    free(server);
}

/* ---- Responses ---- */

struct MHD_Response *millrace_http_response(const void *body, size_t byte_count) {
    return MHD_create_response_from_buffer(byte_count, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
}

bool millrace_http_add_header(struct MHD_Response *response, const char *name, size_t name_size,
                              const char *value, size_t value_size) {
    if (name_size == 0) return false;
    for (size_t i = 0; i < name_size; i++)
        if (token_lower[(unsigned char)name[i]] == 0) return false;
    for (size_t i = 0; i < value_size; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7F) return false;
    /* The library sets the length and the framing itself. */
    if (strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0) return true;
    if (value_size == 0) return true;
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

bool millrace_http_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result == MHD_YES;
}

void millrace_http_discard(struct MHD_Response *response) {
    MHD_destroy_response(response);
}

void millrace_http_suspend(struct MHD_Connection *connection) {
    MHD_suspend_connection(connection);
}

void millrace_http_resume(struct MHD_Connection *connection, struct millrace_http_loop *loop) {
    MHD_resume_connection(connection);
    wake(loop);
}

/* ---- Sockets ---- */

bool millrace_http_peer_has_left(int socket) {
    struct pollfd watched = {.fd = socket, .events = POLLRDHUP};
    return poll(&watched, 1, 0) > 0 && (watched.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void millrace_http_cut(int socket) {
    shutdown(socket, SHUT_RDWR);
}

void millrace_http_send_last(int socket, const void *bytes, size_t byte_count) {
    (void)!send(socket, bytes, byte_count, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(socket, SHUT_WR);
}
