/* SPDX-License-Identifier: GPL-2.0-only */
/* A terminal that hands over keys at once and does not echo them. Undone at exit, however that
 * comes. */
#ifndef TCPSTALL_VIEW_TERMINAL_H
#define TCPSTALL_VIEW_TERMINAL_H

#include <stdbool.h>

/* fd is a terminal and we are in its foreground. -ENOTTY otherwise. ^C and ^Z still work. */
int terminal_raw(int fd);
void terminal_restore(void); /* as it was before the first terminal_raw() */

/* 80 by 24 if it does not tell. */
void terminal_size(int fd, int *ret_columns, int *ret_rows);

/* Whether text to this terminal or file may be coloured (NO_COLOR, TERM=dumb). */
bool terminal_colour(int fd);

#endif
