/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program that is told on its standard input: no shell, a process group of its own, nothing of
 * ours open, killed with its children when its time is up. What it prints goes where our own words
 * go.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alert/delivery.h"

#define ARGS_MAX 64

struct program_delivery {
	pid_t pid;
	int pidfd, input_fd; /* -1: closed */
	char *input;
	size_t len, written;
};

/* Words separated by blanks, in place; their number. */
static int split(char *text, char *argv[ARGS_MAX + 1])
{
	int n = 0;

	for (char *word; (word = strsep(&text, " \t")) && n < ARGS_MAX;) {
		if (*word)
			argv[n++] = word;
	}
	argv[n] = NULL;
	return n;
}

static int spawn(char *const argv[], int input_fd, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, input_fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	err = posix_spawn(ret, argv[0], &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -err;
}

int program_begin(const char *command, const char *input, struct program_delivery **ret)
{
	struct program_delivery *p = calloc(1, sizeof(*p));
	char *argv[ARGS_MAX + 1] = {NULL}, *words = NULL;
	int pipe_fds[2] = {-1, -1}, err = -ENOMEM;

	if (!p)
		return err;
	p->pidfd = p->input_fd = -1;
	p->len = strlen(input);
	p->input = strdup(input);
	words = strdup(command);
	if (!p->input || !words)
		goto out;
	err = -EINVAL;
	if (!split(words, argv))
		goto out;
	if (pipe2(pipe_fds, O_CLOEXEC)) {
		err = -errno;
		goto out;
	}
	err = spawn(argv, pipe_fds[0], &p->pid);
	if (err)
		goto out;
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	p->input_fd = pipe_fds[1];
	pipe_fds[1] = -1;
	if (p->pidfd < 0 || fcntl(p->input_fd, F_SETFL, O_NONBLOCK)) {
		err = -errno;
		goto out;
	}
	*ret = p;
	p = NULL;
out:
	for (int i = 0; i < 2; i++) {
		if (pipe_fds[i] >= 0)
			close(pipe_fds[i]);
	}
	free(words);
	program_end(p);
	return err;
}

int program_fds(const struct program_delivery *p, struct pollfd fds[DELIVERY_FDS])
{
	int n = 0;

	fds[n++] = (struct pollfd){.fd = p->pidfd, .events = POLLIN};
	if (p->input_fd >= 0)
		fds[n++] = (struct pollfd){.fd = p->input_fd, .events = POLLOUT};
	return n;
}

static void feed(struct program_delivery *p)
{
	ssize_t n;

	while (p->written < p->len) {
		n = write(p->input_fd, p->input + p->written, p->len - p->written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break; /* it does not want to know: its status counts */
		p->written += (size_t)n;
	}
	close(p->input_fd);
	p->input_fd = -1;
}

enum delivery_state program_step(struct program_delivery *p, char why[DELIVERY_WHY])
{
	int status;

	if (p->input_fd >= 0)
		feed(p);
	if (waitpid(p->pid, &status, WNOHANG) != p->pid)
		return DELIVERY_GOES_ON;
	p->pid = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return DELIVERY_DONE;
	if (WIFEXITED(status))
		snprintf(why, DELIVERY_WHY, "exit status %d", WEXITSTATUS(status));
	else
		snprintf(why, DELIVERY_WHY, "killed by signal %d", WTERMSIG(status));
	return DELIVERY_LATER;
}

void program_end(struct program_delivery *p)
{
	if (!p)
		return;
	if (p->pid > 0) {
		kill(-p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->input_fd >= 0)
		close(p->input_fd);
	free(p->input);
	free(p);
}
