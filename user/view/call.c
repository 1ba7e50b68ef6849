/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>

#include "view/writer_impl.h"

struct call_writer {
	struct writer writer;
	int (*output)(const struct output *out, void *arg);
	int (*summary)(const struct summary *summary, void *arg);
	void *arg;
};

static int call_output(struct writer *w, const struct output *out)
{
	const struct call_writer *c = (struct call_writer *)w;

	return c->output(out, c->arg);
}

static int call_transfer(struct writer *w, const struct life_seen *life, uint64_t now_ns)
{
	const struct output out = {.kind = OUT_TRANSFER, .now_ns = now_ns, .life = life};

	return call_output(w, &out);
}

static int call_summary(struct writer *w, const struct summary *summary)
{
	const struct call_writer *c = (struct call_writer *)w;

	return c->summary(summary, c->arg);
}

int writer_call(int (*output)(const struct output *out, void *arg),
		int (*summary)(const struct summary *summary, void *arg), void *arg,
		struct writer **ret)
{
	static const struct writer_ops ops = {call_output, call_transfer, call_summary};
	struct call_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct call_writer){{&ops}, output, summary, arg};
	*ret = &w->writer;
	return 0;
}
