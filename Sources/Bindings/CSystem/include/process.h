#pragma once
#include <sys/types.h>

/* Processes and signals: what Swift's module of the C library lacks or gets wrong. */

/* Blocks SIGTERM and SIGINT in the calling thread and all it starts later; call it first. */
void millrace_block_termination_signals(void);
/* Waits for one of the blocked signals; returns its number. */
int millrace_wait_for_termination_signal(void);
/* A peer that leaves must be an error of write, not the end of the process. */
void millrace_ignore_sigpipe(void);

/* Starts argv[0] (looked up in PATH) with these descriptors as output and error; -1 leaves one as it
   is. The child starts with no signal blocked. Returns its id or -errno. */
pid_t millrace_spawn(char *const argv[], char *const envp[], int stdout_fd, int stderr_fd);
/* 0 or -errno. */
int millrace_kill(pid_t pid, int signal_number);
/* Waits for a child: its exit status, 128 + the signal that ended it, or -errno. */
int millrace_wait(pid_t pid);
