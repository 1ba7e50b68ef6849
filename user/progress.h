/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How far the reading of large files has come: a bar on a terminal, on standard error, redrawn five
 * times a second and wiped before anything else is written.
 */
#ifndef TCPSTALL_PROGRESS_H
#define TCPSTALL_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool on;
	uint64_t total;	       /* bytes of the files as stored */
	_Atomic uint64_t done; /* added to by whoever reads */
	uint64_t drawn_ns;
	bool shown;
};

/* Off where standard error is no terminal, or the files are small, or wanted is false. */
void progress_init(struct progress *p, char *const *paths, int n, bool wanted);
void progress_draw(struct progress *p);
void progress_wipe(struct progress *p);

#endif
