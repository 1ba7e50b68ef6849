/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* exit() knows no argument, so there is one such terminal in a program. */
static struct termios saved;
static int saved_fd = -1;

void terminal_restore(void)
{
	if (saved_fd >= 0)
		tcsetattr(saved_fd, TCSANOW, &saved);
}

int terminal_raw(int fd)
{
	struct termios raw;

	if (!isatty(fd) || tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &raw))
		return -ENOTTY;
	if (saved_fd < 0) {
		saved = raw;
		saved_fd = fd;
		atexit(terminal_restore);
	}
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return tcsetattr(fd, TCSANOW, &raw) ? -errno : 0;
}

void terminal_size(int fd, int *ret_columns, int *ret_rows)
{
	struct winsize size = {0};

	*ret_columns = 80;
	*ret_rows = 24;
	if (!ioctl(fd, TIOCGWINSZ, &size) && size.ws_col && size.ws_row) {
		*ret_columns = size.ws_col;
		*ret_rows = size.ws_row;
	}
}

bool terminal_colour(int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
}
