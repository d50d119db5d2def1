#pragma once
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One header field, with its name in lower case. Both point into memory that is valid until the next call of
   millrace_http_read_head on the same thread. */
struct millrace_http_field {
    const char *name;
    const char *value;
    size_t name_size;
    size_t value_size;
};

/* The flaws of a head, as bits of millrace_http_head.flaws. */
enum {
    MILLRACE_HTTP_FLAW_FRAMING = 1,  /* lengths in conflict, or lines that are not name:value CRLF */
    MILLRACE_HTTP_FLAW_HOST = 2,     /* missing or repeated Host */
    MILLRACE_HTTP_FLAW_TOO_MANY = 4, /* more fields than asked for */
};

struct millrace_http_head {
    const struct millrace_http_field *fields;
    size_t field_count;
    /* Bytes of the request line and all fields as received. */
    size_t byte_count;
    /* -1 if the body has no declared length. */
    int64_t content_length;
    unsigned flaws;
};

/* Most fields that millrace_http_read_head can hold. */
enum { MILLRACE_HTTP_FIELD_MAX = 256 };

/* Reads all fields of a request whose head has arrived. target_size is the length of the received request target,
   before the library split it at the question mark. */
void millrace_http_read_head(struct MHD_Connection *connection, const char *method, const char *url,
                             const char *version, size_t target_size, size_t field_max,
                             struct millrace_http_head *out);

/* A thread that serves connections. */
struct millrace_http_loop;

struct millrace_http_callbacks {
    void *context;
    /* A connection was opened; returns the context of the connection, which may have shut the socket down. The loop
       is for millrace_http_resume. */
    void *(*opened)(void *context, int socket, struct millrace_http_loop *loop, const char *peer);
    /* Its socket is about to be closed. */
    void (*closed)(void *connection);
    /* A request line has arrived; returns the context of the request. */
    void *(*began)(void *context, void *connection, const char *target);
    /* The head, some body bytes, the end of the body, or a resumption. False closes the connection. */
    bool (*advanced)(void *exchange, struct MHD_Connection *connection, const char *url,
                     const char *method, const char *version, const char *bytes, size_t byte_count);
    /* The request is over, successful or not. */
    void (*ended)(void *exchange);
};

struct millrace_http_options {
    unsigned thread_count;
    unsigned connection_count_max; /* shared evenly by the threads */
    size_t connection_memory_byte_count;
};

struct millrace_http_server;

/* Listens and starts thread_count threads, at least 1. On failure returns NULL and sets *error_number. */
struct millrace_http_server *millrace_http_start(const char *address, uint16_t port,
                                                 const struct millrace_http_options *options,
                                                 const struct millrace_http_callbacks *callbacks,
                                                 uint16_t *real_port, int *error_number);
/* Accepts no further connections. */
void millrace_http_quiesce(struct millrace_http_server *server);
/* Joins the threads and frees the server; no connection may be suspended. */
void millrace_http_stop(struct millrace_http_server *server);

/* Creates a response; the body is copied. NULL if memory is short. */
struct MHD_Response *millrace_http_response(const void *body, size_t byte_count);
/* Adds a header; false if its name or value contains invalid bytes. */
bool millrace_http_add_header(struct MHD_Response *response, const char *name, size_t name_size,
                              const char *value, size_t value_size);
/* Queues the response and releases it. */
bool millrace_http_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response);
void millrace_http_discard(struct MHD_Response *response);
void millrace_http_suspend(struct MHD_Connection *connection);
/* Resumes a suspended connection and wakes its thread. The request must not end before this returns. */
void millrace_http_resume(struct MHD_Connection *connection, struct millrace_http_loop *loop);

/* Whether the peer has closed its side. */
bool millrace_http_peer_has_left(int socket);
/* Shuts down both directions; the library then closes the connection itself. */
void millrace_http_cut(int socket);
/* Writes bytes directly to the socket, as far as they fit, and shuts down the sending direction. */
void millrace_http_send_last(int socket, const void *bytes, size_t byte_count);
