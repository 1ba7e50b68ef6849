/* SPDX-License-Identifier: GPL-2.0-only */
/* All transfers, or those that FILTER names: a table on a terminal, a line per result otherwise. */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ask.h"
#include "session.h"
#include "view/live.h"
#include "view/terminal.h"

static int open_process(struct session *s)
{
	const struct options *o = s->options;

	if (!options_given(o, OPT_PID))
		return STATUS_DONE;
	s->config.pidfd = (int)syscall(SYS_pidfd_open, (pid_t)o->pid, 0);
	if (s->config.pidfd < 0) {
		warnx("--pid %d: %s", (int)o->pid,
		      errno == ESRCH ? "there is no such process" : strerror(errno));
		return STATUS_USAGE;
	}
	s->config.sensor.root_pid = (pid_t)o->pid;
	return STATUS_DONE;
}

static int open_screen(struct session *s)
{
	const bool terminal = isatty(fileno(s->out));

	if (s->options->json || s->options->quiet || !terminal)
		return STATUS_DONE;
	if (live_table(s->out, terminal_colour(fileno(s->out)), &s->live)) {
		warnx("not enough memory");
		return STATUS_ERROR;
	}
	if (!terminal_raw(STDIN_FILENO))
		s->config.key_fd = STDIN_FILENO;
	return STATUS_DONE;
}

int cmd_watch(const struct options *options, int argc, char **argv)
{
	struct session s;
	int end, status;

	if (options->daemon)
		return ask_daemon_to_watch(options, argc);
	if (options_given(options, OPT_CONFIG)) {
		warnx("--config is of the daemon: it goes with --daemon only");
		return STATUS_USAGE;
	}
	status = session_prepare(&s, options, stdout);
	if (!status)
		status = session_filter(&s, argc, argv);
	if (!status)
		status = open_process(&s);
	if (!status)
		status = open_screen(&s);
	if (!status)
		status = session_start(&s);
	if (!status) {
		end = END_STOPPED;
		status = session_run(&s, &end);
		if (end == END_PROCESS)
			warnx("process %d has ended", (int)options->pid);
	}
	if (s.config.pidfd >= 0)
		close(s.config.pidfd);
	session_close(&s);
	terminal_restore();
	return status;
}
