/* SPDX-License-Identifier: GPL-2.0-only */
/* What the writers in this room have in common; for nobody else. */
#ifndef TCPSTALL_VIEW_WRITER_IMPL_H
#define TCPSTALL_VIEW_WRITER_IMPL_H

#include "view/writer.h"

struct writer_ops {
	int (*output)(struct writer *w, const struct output *out);
	int (*transfer)(struct writer *w, const struct life_seen *life, uint64_t now_ns);
	int (*summary)(struct writer *w, const struct summary *summary);
};

/* First member of every writer, which is one block of memory. */
struct writer {
	const struct writer_ops *ops;
};

/* From the last progress until now, or until the stall ended. */
static inline uint64_t incident_silence_ns(const struct incident *i, uint64_t now_ns)
{
	uint64_t end = i->ended_ns ? i->ended_ns : now_ns;

	return end > i->last_progress_ns ? end - i->last_progress_ns : 0;
}

#endif
