/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Paths that were said to lose some: what probes of whatever connection find there is kept for a
 * while, for the stalls to come.
 */
#include <string.h>

#include "engine/internal.h"

#define FADE_AT	 250 /* probes of a kind to a node */
#define LOSSY_NS (60 * NS_PER_S)

struct path_cache *loss_known(const struct engine *e, const struct flow_key *key)
{
	struct path_cache *path = path_find(e, key);

	return path && path->lossy_ns && e->now_ns - path->lossy_ns < LOSSY_NS ? path : NULL;
}

static void count_probe(struct tally *t, bool answered)
{
	if (t->sent >= FADE_AT) /* the past fades */
		*t = (struct tally){.sent = t->sent / 2, .answered = t->answered / 2};
	t->sent++;
	t->answered += answered;
}

void loss_learn(struct engine *e, const struct probe_seen *p)
{
	struct path_cache *path = loss_known(e, &p->key);
	bool peer =
		p->answer == ANSWER_ACK || p->answer == ANSWER_SYN_ACK || p->answer == ANSWER_RST;

	if (!path || p->kind >= PROBE_KINDS || p->answer == ANSWER_NOT_SENT || !p->ttl)
		return;
	if (p->ttl == END_TTL)
		count_probe(&path->lossy[0][p->kind], peer);
	else if (p->ttl <= MAX_DISTANCE)
		count_probe(&path->lossy[p->ttl][p->kind],
			    peer || p->answer == ANSWER_TIME_EXCEEDED);
}

void loss_said(struct engine *e, const struct stall *s)
{
	struct path_cache *path = path_find(e, &s->pub.key);
	bool known = loss_known(e, &s->pub.key);

	if (!path)
		return;
	path->lossy_ns = e->now_ns;
	if (known)
		return;
	memset(path->lossy, 0, sizeof(path->lossy));
	memcpy(path->lossy[0], s->peer.probes, sizeof(path->lossy[0]));
	for (int i = 1; i <= s->pub.n_hops && i <= MAX_DISTANCE; i++)
		memcpy(path->lossy[i], s->pub.hops[i - 1].probes, sizeof(path->lossy[i]));
}
