#pragma once
#include "exchange.h"

// An epoll loop over any number of pools; each pool is a multi handle with its own connections. Everything is used on
// one thread, except `millrace_loop_wake`.

typedef struct millrace_loop millrace_loop;
typedef struct millrace_pool millrace_pool;

// NULL if the system refuses, because no file descriptor is free.
millrace_loop *_Nullable millrace_loop_create(void);
// All pools must have been destroyed before.
void millrace_loop_destroy(millrace_loop *_Nullable loop);

// Ends the current wait, or the next one; callable from any thread.
void millrace_loop_wake(millrace_loop *_Nonnull loop);

millrace_pool *_Nullable millrace_pool_create(millrace_loop *_Nonnull loop);
// Closes its connections; all exchanges must have been removed before.
void millrace_pool_destroy(millrace_pool *_Nullable pool);
// Sets the most connections to keep. libcurl counts those in use too: below that number, none would be reused.
void millrace_pool_set_connections_max(millrace_pool *_Nonnull pool, long count);

// Starts a transfer; returns libcurl's multi code.
int millrace_pool_add(millrace_pool *_Nonnull pool, millrace_exchange *_Nonnull exchange);
// Removes a transfer, finished or not.
void millrace_pool_remove(millrace_pool *_Nonnull pool, millrace_exchange *_Nonnull exchange);

// Runs due timers, waits for sockets for at most `timeout_ms` (-1: without bound) and handles the ready ones. Returns
// the number of sockets handled, or -1.
int millrace_loop_turn(millrace_loop *_Nonnull loop, int timeout_ms);
// Removes the next finished transfer from its pool; false if there is none.
bool millrace_loop_next_result(millrace_loop *_Nonnull loop, millrace_result *_Nonnull result);

// Milliseconds of the monotonic clock.
int64_t millrace_monotonic_ms(void);
