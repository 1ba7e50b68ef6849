/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs a command and watches its connections and its children's. The command's standard streams are
 * its own: text goes to stderr, so that `tcpstall run -- pg_basebackup -D - | ...` works.
 *
 * The child is made first and waits until the sensor is attached with it as root, so that not one
 * of its connections is missed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session.h"
#include "view/live.h"

#define STATUS_NOT_EXECUTABLE 126 /* as a shell has it */
#define STATUS_NOT_FOUND      127

struct child {
	pid_t pid;
	int pidfd;
	int go;	    /* a byte: run. Closed without one: do not */
	int failed; /* errno of exec, or end of file if that worked */
};

static void become(char **argv, int go, int failed)
{
	char byte;
	ssize_t n;
	int err;

	if (read(go, &byte, 1) != 1)
		_exit(STATUS_ERROR);
	execvp(argv[0], argv);
	err = errno;
	n = write(failed, &err, sizeof(err));
	(void)n; /* nobody is left to tell */
	_exit(err == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

static int child_new(char **argv, struct child *ret)
{
	int go[2], failed[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) || pipe2(failed, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		close(go[1]);
		close(failed[0]);
		become(argv, go[0], failed[1]);
	}
	close(go[0]);
	close(failed[1]);
	*ret = (struct child){
		.pid = pid,
		.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
		.go = go[1],
		.failed = failed[0],
	};
	return ret->pidfd < 0 ? -errno : 0;
}

/* 0, or why the command could not be executed. */
static int child_go(struct child *c)
{
	int err = 0;

	if (write(c->go, "", 1) != 1)
		return -errno;
	if (read(c->failed, &err, sizeof(err)) != sizeof(err))
		return 0;
	return -err;
}

static int child_wait(const struct child *c)
{
	int status;

	while (waitpid(c->pid, &status, 0) < 0) {
		if (errno != EINTR)
			return STATUS_ERROR;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void child_free(struct child *c)
{
	if (c->go >= 0)
		close(c->go);
	if (c->failed >= 0)
		close(c->failed);
	if (c->pidfd >= 0)
		close(c->pidfd);
}

/* The command's own status, unless that hides that its data never arrived or that we missed some.
 */
static int run_status(const struct session *s, const struct child *c, int status)
{
	int own = child_wait(c);

	if (own)
		return own;
	if (status == STATUS_ERROR || status == STATUS_INCOMPLETE)
		return status;
	return monitor_engine_counts(s->monitor).unrecovered ? STATUS_STALLED : STATUS_DONE;
}

static int watch_child(struct session *s, struct child *c, char **argv)
{
	int end, err, status = session_start(s);

	if (status)
		return status;
	err = child_go(c);
	if (err) {
		warnx("%s: %s", argv[0], strerror(-err));
		return child_wait(c);
	}
	status = session_run(s, &end);
	return run_status(s, c, status);
}

int cmd_run(const struct options *options, int argc, char **argv)
{
	struct child child = {-1, -1, -1, -1};
	struct session s;
	int err, status = session_prepare(&s, options, stderr);

	(void)argc;
	if (status)
		goto out;
	err = child_new(argv, &child);
	if (err) {
		warnx("cannot start %s: %s", argv[0], strerror(-err));
		status = STATUS_ERROR;
		goto out;
	}
	if (isatty(STDERR_FILENO) && !options->quiet && live_status(stderr, &s.live))
		warnx("no status line: not enough memory");
	s.config.sensor.root_pid = child.pid;
	s.config.pidfd = child.pidfd;
	s.config.forward_to = child.pid;
	status = watch_child(&s, &child, argv);
out:
	child_free(&child);
	session_close(&s);
	return status;
}
