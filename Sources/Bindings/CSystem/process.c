#include "process.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static void termination_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void millrace_block_termination_signals(void) {
    sigset_t set;
    termination_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int millrace_wait_for_termination_signal(void) {
    sigset_t set;
    int number = 0;
    termination_signals(&set);
    while (sigwait(&set, &number) != 0) {
    }
    return number;
}

void millrace_ignore_sigpipe(void) {
    signal(SIGPIPE, SIG_IGN);
}

pid_t millrace_spawn(char *const argv[], char *const envp[], int stdout_fd, int stderr_fd) {
    if (argv == NULL || argv[0] == NULL) return -EINVAL;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int problem = posix_spawn_file_actions_init(&actions);
    if (problem != 0) return -problem;
    problem = posix_spawnattr_init(&attributes);
    if (problem != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -problem;
    }
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (stdout_fd >= 0) problem = posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
    if (problem == 0 && stderr_fd >= 0)
        problem = posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO);
    pid_t child = 0;
    if (problem == 0) problem = posix_spawnp(&child, argv[0], &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return problem == 0 ? child : -problem;
}

int millrace_kill(pid_t pid, int signal_number) {
    /* 0 and below mean whole process groups, which no caller here wants. */
    if (pid <= 0) return -EINVAL;
    return kill(pid, signal_number) == 0 ? 0 : -errno;
}

int millrace_wait(pid_t pid) {
    if (pid <= 0) return -EINVAL;
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
