#pragma once
#include "exchange.h"

// An epoll loop over any number of pools, each a multi handle with connections of its own. All of it
// belongs to one thread, except `millrace_loop_wake`.

typedef struct millrace_loop millrace_loop;
typedef struct millrace_pool millrace_pool;

// NULL where the system refuses (no file descriptors left).
millrace_loop *_Nullable millrace_loop_create(void);
// Pools must have been destroyed before.
void millrace_loop_destroy(millrace_loop *_Nullable loop);

// Ends a wait that is under way, or the next one; callable from any thread.
void millrace_loop_wake(millrace_loop *_Nonnull loop);

millrace_pool *_Nullable millrace_pool_create(millrace_loop *_Nonnull loop);
// Closes its connections; exchanges must have been taken out before.
void millrace_pool_destroy(millrace_pool *_Nullable pool);
// Most connections kept. It counts those in use: below the number in flight, none would be reused.
void millrace_pool_set_connections_max(millrace_pool *_Nonnull pool, long count);

// Starts a transfer; returns curl's multi code.
int millrace_pool_add(millrace_pool *_Nonnull pool, millrace_exchange *_Nonnull exchange);
// Takes a transfer out, finished or not.
void millrace_pool_remove(millrace_pool *_Nonnull pool, millrace_exchange *_Nonnull exchange);

// Runs what is due, waits for sockets for at most `timeout_ms` (-1: until something happens) and handles
// what has become ready. Returns the number of sockets handled, or -1.
int millrace_loop_turn(millrace_loop *_Nonnull loop, int timeout_ms);
// Takes the next finished transfer out of its pool; false where there is none.
bool millrace_loop_next_result(millrace_loop *_Nonnull loop, millrace_result *_Nonnull result);

// Milliseconds of the monotonic clock.
int64_t millrace_monotonic_ms(void);
