#include "exchange.h"
#include "loop.h"
#include "loop_internal.h"
#include <stdlib.h>
#include <string.h>

// A larger buffer is freed after the transfer, so that a few large ones do not stay for ever.
static const size_t kept_capacity_max = 64 << 10;

static bool reserve(millrace_bytes *bytes, size_t added) {
    if (bytes->capacity - bytes->count >= added) return true;
    size_t capacity = bytes->capacity ? bytes->capacity : 512;
    while (capacity - bytes->count < added) {
        if (capacity > SIZE_MAX / 2) return false;
        capacity *= 2;
    }
    uint8_t *moved = realloc(bytes->bytes, capacity);
    if (!moved) return false;
    bytes->bytes = moved;
    bytes->capacity = capacity;
    return true;
}

static bool append(millrace_bytes *bytes, const void *added, size_t count) {
    if (!reserve(bytes, count)) return false;
    if (count) memcpy(bytes->bytes + bytes->count, added, count);
    bytes->count += count;
    return true;
}

static void empty(millrace_bytes *bytes) {
    bytes->count = 0;
    if (bytes->capacity <= kept_capacity_max) return;
    free(bytes->bytes);
    *bytes = (millrace_bytes){0};
}

// MARK: - Callbacks

static size_t stop(millrace_exchange *exchange, int why) {
    exchange->stopped = why;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    millrace_exchange *exchange = context;
    (void)size;
    if (count > exchange->body_bytes_max - exchange->body.count) return stop(exchange, MILLRACE_STOPPED_TOO_LARGE);
    if (!append(&exchange->body, bytes, count)) return stop(exchange, MILLRACE_STOPPED_NO_MEMORY);
    return count;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context) {
    millrace_exchange *exchange = context;
    (void)size;
    exchange->head_bytes_seen += count;
    exchange->head_lines_seen += 1;
    if (exchange->head_bytes_seen > exchange->head_bytes_max || exchange->head_lines_seen > exchange->head_lines_max)
        return stop(exchange, MILLRACE_STOPPED_TOO_LARGE);
    // Lines after the final block are trailers; they are counted but never treated as headers.
    if (exchange->is_head_complete) return count;
    if (count >= 5 && memcmp(bytes, "HTTP/", 5) == 0) exchange->head.count = 0;
    if (!append(&exchange->head, bytes, count)) return stop(exchange, MILLRACE_STOPPED_NO_MEMORY);
    if (count <= 2 && (bytes[0] == '\r' || bytes[0] == '\n')) {
        long status = 0;
        curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
        exchange->is_head_complete = status >= 200;
    }
    return count;
}

static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    millrace_exchange *exchange = context;
    (void)purpose;
    if (exchange->is_sent) {
        exchange->stopped = MILLRACE_STOPPED_REPEATED;
        return CURL_SOCKET_BAD;
    }
    if (!exchange->rules || !millrace_egress_permits(exchange->rules, &address->addr)) {
        exchange->stopped = MILLRACE_STOPPED_REFUSED;
        return CURL_SOCKET_BAD;
    }
    return millrace_loop_open_socket(exchange->loop, address);
}

// Called before each sending, even on a connection that was opened under another policy. libcurl resends a request by
// itself if a reused connection ends before the first byte of a response; the first request may have arrived.
static int on_before_request(void *context, char *peer, char *local, int peer_port, int local_port) {
    millrace_exchange *exchange = context;
    (void)local;
    (void)local_port;
    if (exchange->is_sent) {
        exchange->stopped = MILLRACE_STOPPED_REPEATED;
        return CURL_PREREQFUNC_ABORT;
    }
    if (!exchange->rules || !millrace_egress_permits_text(exchange->rules, peer, peer_port)) {
        exchange->stopped = MILLRACE_STOPPED_REFUSED;
        return CURL_PREREQFUNC_ABORT;
    }
    exchange->is_sent = true;
    return CURL_PREREQFUNC_OK;
}

// MARK: - Creating and clearing

static bool set_constant_options(millrace_exchange *exchange, millrace_loop *loop, long ms) {
    CURL *easy = exchange->easy;
    int failed = 0;
    failed |= curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    failed |= curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    failed |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    failed |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
    failed |= curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    failed |= curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    failed |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
    // A cancelled transfer must not block the loop until the resolver's thread ends.
    failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
    failed |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, millrace_loop_on_close_socket);
    failed |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, loop);
    failed |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_request);
    failed |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    return failed == CURLE_OK;
}

millrace_exchange *millrace_exchange_create(
    millrace_loop *loop, long connect_timeout_ms, size_t head_bytes_max, size_t head_lines_max
) {
    millrace_exchange *exchange = calloc(1, sizeof *exchange);
    CURL *easy = curl_easy_init();
    if (!exchange || !easy) {
        free(exchange);
        if (easy) curl_easy_cleanup(easy);
        return NULL;
    }
    exchange->easy = easy;
    exchange->loop = loop;
    exchange->head_bytes_max = head_bytes_max;
    exchange->head_lines_max = head_lines_max;
    if (!set_constant_options(exchange, loop, connect_timeout_ms)) {
        millrace_exchange_destroy(exchange);
        return NULL;
    }
    return exchange;
}

void millrace_exchange_destroy(millrace_exchange *exchange) {
    if (!exchange) return;
    curl_easy_cleanup(exchange->easy);
    free(exchange->request_body.bytes);
    free(exchange->header_text.bytes);
    free(exchange->header_nodes);
    free(exchange->head.bytes);
    free(exchange->body.bytes);
    free(exchange);
}

void millrace_exchange_clear(millrace_exchange *exchange) {
    empty(&exchange->request_body);
    empty(&exchange->header_text);
    empty(&exchange->head);
    empty(&exchange->body);
    exchange->header_count = 0;
    exchange->head_bytes_seen = 0;
    exchange->head_lines_seen = 0;
    exchange->is_head_complete = false;
    exchange->is_sent = false;
    exchange->stopped = MILLRACE_STOPPED_NOT;
    exchange->rules = NULL;
}

// MARK: - Request

bool millrace_exchange_add_header(
    millrace_exchange *exchange, const void *name, size_t name_count, const void *value, size_t value_count, bool removes
) {
    if (exchange->header_count == exchange->header_capacity) {
        size_t capacity = exchange->header_capacity ? 2 * exchange->header_capacity : 16;
        struct curl_slist *moved = realloc(exchange->header_nodes, capacity * sizeof *moved);
        if (!moved) return false;
        exchange->header_nodes = moved;
        exchange->header_capacity = capacity;
    }
    // The text may move while it grows, so the node holds an offset until `prepare` turns it into a pointer.
    exchange->header_nodes[exchange->header_count].data = (char *)(uintptr_t)exchange->header_text.count;
    exchange->header_count += 1;
    const char *separator = removes ? ":" : value_count ? ": " : ";";
    return append(&exchange->header_text, name, name_count)
        && append(&exchange->header_text, separator, strlen(separator))
        && append(&exchange->header_text, value, value_count) && append(&exchange->header_text, "", 1);
}

bool millrace_exchange_set_body(millrace_exchange *exchange, const void *bytes, size_t count) {
    exchange->request_body.count = 0;
    return append(&exchange->request_body, bytes, count);
}

static struct curl_slist *linked_headers(millrace_exchange *exchange) {
    struct curl_slist *nodes = exchange->header_nodes;
    for (size_t i = 0; i < exchange->header_count; i++) {
        nodes[i].data = (char *)exchange->header_text.bytes + (uintptr_t)nodes[i].data;
        nodes[i].next = i + 1 < exchange->header_count ? &nodes[i + 1] : NULL;
    }
    return exchange->header_count ? nodes : NULL;
}

int millrace_exchange_prepare(
    millrace_exchange *exchange, const millrace_request_line *line, const millrace_egress *rules, size_t body_bytes_max
) {
    CURL *easy = exchange->easy;
    exchange->rules = rules;
    exchange->body_bytes_max = body_bytes_max;
    const void *body = line->sends_body ? (exchange->request_body.count ? (void *)exchange->request_body.bytes : "") : NULL;
    curl_off_t count = line->sends_body ? (curl_off_t)exchange->request_body.count : -1;
    int code = curl_easy_setopt(easy, CURLOPT_URL, line->url);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, line->method);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, linked_headers(exchange));
    if (!code) code = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, line->timeout_ms);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, line->silence_max_s);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)line->is_on_own_connection);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, (long)line->is_on_own_connection);
    // The size comes first, or libcurl measures the length of a large body. A pointer, even a null one, makes the
    // request a POST; one of the three options after it then decides the method.
    if (!code) code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, count);
    if (!code) code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    if (!code) {
        if (line->is_head) code = curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        else if (line->sends_body) code = curl_easy_setopt(easy, CURLOPT_POST, 1L);
        else code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    return code;
}
