#pragma once
#include <sqlite3.h>

// Swift does not import SQLITE_TRANSIENT (-1 cast to a function pointer). With it, SQLite copies the bytes before it
// returns, so the caller's buffer needs to be valid during the call only.
static inline int millrace_sqlite3_bind_text(
    sqlite3_stmt *_Nonnull statement, int index, const char *_Nonnull bytes, int byte_count
) {
    return sqlite3_bind_text(statement, index, bytes, byte_count, SQLITE_TRANSIENT);
}

static inline int millrace_sqlite3_bind_blob(
    sqlite3_stmt *_Nonnull statement, int index, const void *_Nonnull bytes, int byte_count
) {
    return sqlite3_bind_blob(statement, index, bytes, byte_count, SQLITE_TRANSIENT);
}

// sqlite3_db_config is variadic, which Swift does not import. A connection with this setting does not checkpoint, even if
// it is the last one to close.
static inline int millrace_sqlite3_never_checkpoint_on_close(sqlite3 *_Nonnull connection) {
    return sqlite3_db_config(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

// The name of the file system for the writing connection, which must use synchronous=FULL: it gathers log frames and
// writes them in one call at the sync. NULL if SQLite has no file system to build on. Callable from any thread.
const char *_Nullable millrace_sqlite3_gathering_vfs(void);
