#pragma once
#include "egress.h"
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// An easy handle with the request that it sends and the response so far. It is reused for one transfer after another.
// Its callbacks are in C because they run inside libcurl.

typedef struct {
    uint8_t *_Nullable bytes;
    size_t count;
    size_t capacity;
} millrace_bytes;

// Why one of our callbacks stopped a transfer.
enum {
    MILLRACE_STOPPED_NOT = 0,
    MILLRACE_STOPPED_REFUSED = 1,
    MILLRACE_STOPPED_TOO_LARGE = 2,
    MILLRACE_STOPPED_NO_MEMORY = 3,
    // libcurl was about to resend the request.
    MILLRACE_STOPPED_REPEATED = 4,
};

struct millrace_loop;

typedef struct {
    CURL *_Nonnull easy;
    struct millrace_loop *_Nonnull loop;
    // For the owner: the number of its transfer.
    uint32_t slot;

    // The request. `header_nodes` point into `header_text`, so libcurl's list needs no allocation.
    millrace_bytes request_body;
    millrace_bytes header_text;
    struct curl_slist *_Nullable header_nodes;
    size_t header_count;
    size_t header_capacity;

    // The response: the lines of the last header block, and the body.
    millrace_bytes head;
    millrace_bytes body;
    // Counted over all header blocks and trailers, so that a flood of 1xx responses ends too.
    size_t head_bytes_seen;
    size_t head_lines_seen;
    bool is_head_complete;

    size_t body_bytes_max;
    size_t head_bytes_max;
    size_t head_lines_max;
    const millrace_egress *_Nullable rules;
    int stopped;
    // Whether there was a connection and the request has begun to leave.
    bool is_sent;
} millrace_exchange;

// The result of a transfer, as libcurl reports it.
typedef struct {
    millrace_exchange *_Nullable exchange;
    int code;
    long status;
    long os_error;
    int64_t total_us;
} millrace_result;

typedef struct {
    const char *_Nonnull url;
    const char *_Nonnull method;
    long timeout_ms;
    // 0 for no bound.
    long silence_max_s;
    bool sends_body;
    bool is_head;
    // Whether to use a new connection, which is closed afterwards.
    bool is_on_own_connection;
} millrace_request_line;

// Creates an easy handle with the options that all transfers share. `loop` must outlive it.
millrace_exchange *_Nullable millrace_exchange_create(
    struct millrace_loop *_Nonnull loop, long connect_timeout_ms,
    size_t head_bytes_max, size_t head_lines_max
);
void millrace_exchange_destroy(millrace_exchange *_Nullable exchange);

// Clears the exchange for a new transfer; keeps small buffers and frees large ones.
void millrace_exchange_clear(millrace_exchange *_Nonnull exchange);

// Adds "name: value", or "name;" (libcurl's form for an empty value), or "name:" (which removes a header that libcurl
// would add); false if memory is short.
bool millrace_exchange_add_header(
    millrace_exchange *_Nonnull exchange, const void *_Nonnull name, size_t name_count,
    const void *_Nullable value, size_t value_count, bool removes
);
bool millrace_exchange_set_body(millrace_exchange *_Nonnull exchange, const void *_Nullable bytes, size_t count);

// Sets every option that differs between transfers, so that none of the previous transfer remains.
int millrace_exchange_prepare(
    millrace_exchange *_Nonnull exchange, const millrace_request_line *_Nonnull line,
    const millrace_egress *_Nonnull rules, size_t body_bytes_max
);
