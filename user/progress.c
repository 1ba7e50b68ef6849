/* SPDX-License-Identifier: GPL-2.0-only */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "view/format.h"
#include "view/terminal.h"

#define LARGE	  (100u << 20) /* bytes; less is read in a moment */
#define REDRAW_NS (200 * NS_PER_MS)
#define BAR	  30 /* columns */

void progress_init(struct progress *p, char *const *paths, int n, bool wanted)
{
	*p = (struct progress){0};
	if (!wanted || !isatty(STDERR_FILENO))
		return;
	for (int i = 0; i < n; i++) {
		struct stat st;

		if (strcmp(paths[i], "-") && !stat(paths[i], &st) && S_ISREG(st.st_mode))
			p->total += (uint64_t)st.st_size;
	}
	p->on = p->total > LARGE;
	p->drawn_ns = mono_ns();
}

void progress_draw(struct progress *p)
{
	uint64_t now_ns, done;
	char read[FORMAT_LEN], total[FORMAT_LEN];
	int bar;

	if (!p->on)
		return;
	now_ns = mono_ns();
	if (now_ns - p->drawn_ns < REDRAW_NS)
		return;
	p->drawn_ns = now_ns;
	done = p->done < p->total ? p->done : p->total;
	bar = (int)(done * BAR / p->total);
	fprintf(stderr, "\r[%.*s%*s] %3u %%  %s of %s\033[K", bar,
		"==============================", BAR - bar, "",
		(unsigned int)(done * 100 / p->total), format_bytes(done, read),
		format_bytes(p->total, total));
	p->shown = true;
}

void progress_wipe(struct progress *p)
{
	if (!p->shown)
		return;
	fputs("\r\033[K", stderr);
	p->shown = false;
}
