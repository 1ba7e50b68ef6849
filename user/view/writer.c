/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/writer_impl.h"

#include <errno.h>
#include <stdlib.h>

void writer_free(struct writer *w)
{
	free(w);
}

int writer_output(struct writer *w, const struct output *out)
{
	if (out->kind == OUT_TRANSFER)
		return out->life ? w->ops->transfer(w, out->life, out->now_ns) : -EINVAL;
	if (out->kind == OUT_WANT || !out->incident)
		return -EINVAL;
	return w->ops->output(w, out);
}

int writer_summary(struct writer *w, const struct summary *summary)
{
	return w->ops->summary(w, summary);
}
