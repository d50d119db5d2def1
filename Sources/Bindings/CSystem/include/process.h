#pragma once
#include <sys/types.h>

/* Process and signal functions that Swift's C library module lacks or imports wrongly. */

/* Blocks SIGTERM and SIGINT in the calling thread and in all threads that it starts later; call it first. */
void millrace_block_termination_signals(void);
/* Waits for one of the blocked signals; returns its number. */
int millrace_wait_for_termination_signal(void);
/* Turns a peer that leaves into a write error instead of the end of the process. */
void millrace_ignore_sigpipe(void);

/* Starts argv[0] (searched for in PATH) with these descriptors as output and error; -1 leaves one unchanged. The child
   starts with no signal blocked. Returns its id or -errno. */
pid_t millrace_spawn(char *const argv[], char *const envp[], int stdout_fd, int stderr_fd);
/* 0 or -errno. */
int millrace_kill(pid_t pid, int signal_number);
/* Waits for a child: its exit status, 128 + the signal that ended it, or -errno. */
int millrace_wait(pid_t pid);
