#pragma once
#include "egress.h"
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One easy handle with what it sends and what it has received so far. It is used for one transfer after
// another; its callbacks are in C because they run within curl, where no Swift closure is wanted.

typedef struct {
    uint8_t *_Nullable bytes;
    size_t count;
    size_t capacity;
} millrace_bytes;

// Why a transfer was ended by a callback of ours.
enum {
    MILLRACE_STOPPED_NOT = 0,
    MILLRACE_STOPPED_REFUSED = 1,
    MILLRACE_STOPPED_TOO_LARGE = 2,
    MILLRACE_STOPPED_NO_MEMORY = 3,
    // curl was about to send the request a second time.
    MILLRACE_STOPPED_REPEATED = 4,
};

struct millrace_loop;

typedef struct {
    CURL *_Nonnull easy;
    struct millrace_loop *_Nonnull loop;
    // Free for the owner: which of its transfers this is.
    uint32_t slot;

    // What is sent. `header_nodes` point into `header_text`, so curl's list costs no allocation.
    millrace_bytes request_body;
    millrace_bytes header_text;
    struct curl_slist *_Nullable header_nodes;
    size_t header_count;
    size_t header_capacity;

    // What has come: the lines of the last header block, and the body.
    millrace_bytes head;
    millrace_bytes body;
    // Over all header blocks and trailers of the transfer, so that a flood of 1xx answers ends too.
    size_t head_bytes_seen;
    size_t head_lines_seen;
    bool is_head_complete;

    size_t body_bytes_max;
    size_t head_bytes_max;
    size_t head_lines_max;
    const millrace_egress *_Nullable rules;
    int stopped;
    // A connection was there, and the request has begun to leave on it.
    bool is_sent;
} millrace_exchange;

// How a transfer ended, as curl says it.
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
    // 0 for never.
    long silence_max_s;
    bool sends_body;
    bool is_head;
    // On a new connection, which is closed afterwards.
    bool is_on_own_connection;
} millrace_request_line;

// Makes an easy handle with every option that is the same for all transfers. `loop` must outlive it.
millrace_exchange *_Nullable millrace_exchange_create(
    struct millrace_loop *_Nonnull loop, long connect_timeout_ms,
    size_t head_bytes_max, size_t head_lines_max
);
void millrace_exchange_destroy(millrace_exchange *_Nullable exchange);

// Empties the exchange for a new transfer; keeps small buffers, frees large ones.
void millrace_exchange_clear(millrace_exchange *_Nonnull exchange);

// Adds "name: value", or "name;" (curl's form for an empty value), or "name:" (which removes a header
// that curl would add); false where memory is short.
bool millrace_exchange_add_header(
    millrace_exchange *_Nonnull exchange, const void *_Nonnull name, size_t name_count,
    const void *_Nullable value, size_t value_count, bool removes
);
bool millrace_exchange_set_body(millrace_exchange *_Nonnull exchange, const void *_Nullable bytes, size_t count);

// Sets every option that differs between transfers, so that none is left of the one before.
int millrace_exchange_prepare(
    millrace_exchange *_Nonnull exchange, const millrace_request_line *_Nonnull line,
    const millrace_egress *_Nonnull rules, size_t body_bytes_max
);
