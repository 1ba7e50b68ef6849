/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is redrawn in place at the bottom of a terminal, below the results, which scroll: a table of
 * the transfers, worst first, or one line that sums them up. Plain ANSI sequences; the screen is
 * never cleared, so results stay in the scrollback, whatever happens to the window.
 */
#ifndef TCPSTALL_VIEW_LIVE_H
#define TCPSTALL_VIEW_LIVE_H

#include <stdio.h>
#include "engine/engine.h"

struct live;

/* out is a terminal. -ENOMEM. */
int live_table(FILE *out, bool colour, struct live **ret);
int live_status(FILE *out, struct live **ret);
void live_free(struct live *l); /* wipes it; NULL is fine */

void live_draw(struct live *l, const struct engine *engine);
void live_wipe(struct live *l); /* before anything else is written; NULL is fine */
void live_resized(
	struct live *l); /* draw anew below: nobody knows how the old lines were wrapped */

#endif
