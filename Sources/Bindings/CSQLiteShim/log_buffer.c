/* A SQLite file system that gathers a transaction's appends to the write-ahead log and writes them in one call.
 *
 * SQLite writes every log frame with two calls: 24 bytes of header, then a page. A run's last commit has four frames, so
 * eight calls, and the calls, not the bytes, determine its cost. Here they become one call when SQLite requests the sync.
 *
 * No reader can miss a frame: with synchronous=FULL, SQLite syncs the log at every commit before it publishes the new
 * frames in the log's index, and readers and checkpoints find frames only through that index. Before this connection reads
 * gathered frames back, after its cache has spilled, they are written. So this file system serves only the writing
 * connection with synchronous=FULL. A write that fails at the sync counts as SQLite's failed sync, and the commit is rolled
 * back.
 */
#include "CSQLiteShim.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* More than nearly every group of commits needs; a larger group is written in parts. */
enum { CAPACITY = 128 << 10 };

typedef struct {
    sqlite3_file file;
    sqlite3_file *real;
    /* NULL until the first write, and if memory is short; then nothing is gathered. */
    unsigned char *bytes;
    sqlite3_int64 start;
    int count;
} log_file;

static int flush(log_file *log) {
    if (log->count == 0) return SQLITE_OK;
    int count = log->count;
    /* Even after a failure: SQLite rolls the whole transaction back, and writes these frames again or never. */
    log->count = 0;
    return log->real->pMethods->xWrite(log->real, log->bytes, count, log->start);
}

static int log_close(sqlite3_file *file) {
    log_file *log = (log_file *)file;
    /* Frames that were never synced belong to no commit. */
    sqlite3_free(log->bytes);
    log->bytes = NULL;
    log->count = 0;
    return log->real->pMethods->xClose(log->real);
}

static int log_read(sqlite3_file *file, void *into, int count, sqlite3_int64 offset) {
    log_file *log = (log_file *)file;
    int code = flush(log);
    return code != SQLITE_OK ? code : log->real->pMethods->xRead(log->real, into, count, offset);
}

static int log_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    log_file *log = (log_file *)file;
    if (log->count > 0 && (offset != log->start + log->count || count > CAPACITY - log->count)) {
        int code = flush(log);
        if (code != SQLITE_OK) return code;
    }
    if (log->bytes == NULL) log->bytes = sqlite3_malloc(CAPACITY);
    if (log->bytes == NULL || count > CAPACITY) return log->real->pMethods->xWrite(log->real, bytes, count, offset);
    if (log->count == 0) log->start = offset;
    memcpy(log->bytes + log->count, bytes, (size_t)count);
    log->count += count;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) {
    log_file *log = (log_file *)file;
    int code = flush(log);
    return code != SQLITE_OK ? code : log->real->pMethods->xTruncate(log->real, size);
}

static int log_sync(sqlite3_file *file, int flags) {
    log_file *log = (log_file *)file;
    int code = flush(log);
    return code != SQLITE_OK ? code : log->real->pMethods->xSync(log->real, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size) {
    log_file *log = (log_file *)file;
    int code = flush(log);
    return code != SQLITE_OK ? code : log->real->pMethods->xFileSize(log->real, size);
}

static int log_lock(sqlite3_file *file, int level) {
    sqlite3_file *real = ((log_file *)file)->real;
    return real->pMethods->xLock(real, level);
}

static int log_unlock(sqlite3_file *file, int level) {
    sqlite3_file *real = ((log_file *)file)->real;
    return real->pMethods->xUnlock(real, level);
}

static int log_check_reserved(sqlite3_file *file, int *is_reserved) {
    sqlite3_file *real = ((log_file *)file)->real;
    return real->pMethods->xCheckReservedLock(real, is_reserved);
}

static int log_control(sqlite3_file *file, int operation, void *argument) {
    sqlite3_file *real = ((log_file *)file)->real;
    return real->pMethods->xFileControl(real, operation, argument);
}

static int log_sector_size(sqlite3_file *file) {
    sqlite3_file *real = ((log_file *)file)->real;
    return real->pMethods->xSectorSize(real);
}

static int log_characteristics(sqlite3_file *file) {
    sqlite3_file *real = ((log_file *)file)->real;
    return real->pMethods->xDeviceCharacteristics(real);
}

/* Version 1: SQLite uses shared memory and mapped pages for the database file only, never for its log. */
static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

static sqlite3_vfs *base;
static sqlite3_vfs gathering;

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    (void)vfs;
    /* Any other file is opened directly by the system's file system. */
    if ((flags & SQLITE_OPEN_WAL) == 0) return base->xOpen(base, name, file, flags, out_flags);
    log_file *log = (log_file *)file;
    memset(log, 0, sizeof *log);
    log->real = (sqlite3_file *)(log + 1);
    memset(log->real, 0, (size_t)base->szOsFile);
    int code = base->xOpen(base, name, log->real, flags, out_flags);
    if (code == SQLITE_OK) log->file.pMethods = &log_methods;
    else if (log->real->pMethods != NULL) log->real->pMethods->xClose(log->real);
    return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
    (void)vfs;
    return base->xDelete(base, name, sync);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
    (void)vfs;
    return base->xAccess(base, name, flags, result);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int count, char *path) {
    (void)vfs;
    return base->xFullPathname(base, name, count, path);
}

static int vfs_randomness(sqlite3_vfs *vfs, int count, char *bytes) {
    (void)vfs;
    return base->xRandomness(base, count, bytes);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds) {
    (void)vfs;
    return base->xSleep(base, microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *days) {
    (void)vfs;
    return base->xCurrentTime(base, days);
}

static int vfs_last_error(sqlite3_vfs *vfs, int count, char *text) {
    (void)vfs;
    return base->xGetLastError(base, count, text);
}

static int vfs_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *milliseconds) {
    (void)vfs;
    return base->xCurrentTimeInt64(base, milliseconds);
}

static void register_once(void) {
    base = sqlite3_vfs_find(NULL);
    if (base == NULL || base->iVersion < 2) return;
    gathering = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(log_file) + base->szOsFile,
        .mxPathname = base->mxPathname,
        .zName = "millrace-gathering",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time_int64,
    };
    sqlite3_vfs_register(&gathering, 0);
}

const char *millrace_sqlite3_gathering_vfs(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_once);
    return gathering.zName;
}
