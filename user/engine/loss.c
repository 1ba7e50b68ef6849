/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a path loses some packets. Loss at one point takes its share of all that goes farther, so
 * the nodes are split in two at every point in turn: the better two shares explain the answers than
 * one does, the more speaks for that point. A node that limits its answers is one node, and does
 * not look like that. Nodes that never answer say nothing.
 */
#include <math.h>

#include "engine/judge.h"

#define LOST_LEAST  3	 /* probes; fewer are chance */
#define LOSS_LEAST  0.02 /* share behind the point */
#define LOSS_WEIGHT 2.5
#define SPLIT_MAX   8.0 /* log-odds */

static struct tally asked_at(const struct stall *s, int node, int n)
{
	const struct tally *probes = node == n ? s->peer.probes : s->pub.hops[node - 1].probes;
	struct tally t = {
		.sent = probes[PROBE_IN_FLOW].sent + probes[PROBE_CONTROL].sent,
		.answered = probes[PROBE_IN_FLOW].answered + probes[PROBE_CONTROL].answered,
	};

	return t.answered ? t : (struct tally){0};
}

/* Log-likelihood of the answers at the share that explains them best. */
static double likelihood(struct tally t)
{
	double p = t.sent ? (double)t.answered / t.sent : 0, lost = t.sent - t.answered;

	return (t.answered ? t.answered * log(p) : 0) + (lost > 0 ? lost * log(1 - p) : 0);
}

struct loss_view loss_look(const struct stall *s, int n)
{
	struct loss_view v = {.at = -1};
	struct tally all = {0}, before = {0};

	for (int i = 1; i <= n && (i == n || i <= s->pub.n_hops); i++) {
		struct tally t = asked_at(s, i, n);

		all.sent += t.sent;
		all.answered += t.answered;
	}
	for (int k = 0; k < n && k <= s->pub.n_hops; k++) {
		struct tally here = k ? asked_at(s, k, n) : (struct tally){0}, behind;
		double loss, loss_before;

		before.sent += here.sent;
		before.answered += here.answered;
		behind.sent = all.sent - before.sent;
		behind.answered = all.answered - before.answered;
		loss = behind.sent ? 1 - (double)behind.answered / behind.sent : 0;
		loss_before = before.sent ? 1 - (double)before.answered / before.sent : 0;
		if (behind.sent - behind.answered < LOST_LEAST || loss < LOSS_LEAST ||
		    loss <= loss_before)
			continue;
		v.split[k] = likelihood(before) + likelihood(behind) - likelihood(all);
		v.split[k] = v.split[k] < SPLIT_MAX ? v.split[k] : SPLIT_MAX;
		if (v.at < 0 || v.split[k] > v.split[v.at]) {
			v.at = k;
			v.before = before;
			v.behind = behind;
		}
	}
	return v;
}

/* A stall that ends when a try gets through: probes of either kind get through now and then. */
void weigh_path_loss(struct judgement *j)
{
	const struct path_view *p = &j->path;
	struct loss_view v = loss_look(j->s, p->n);
	double loss;
	char at[64];

	if (v.at < 0 || !p->asked || !p->n_known || v.behind.answered < LOST_LEAST)
		return;
	if (p->flow < p->control && p->flow_missed && !j->s->pub.slow)
		return; /* one kind ends there and the other does not: no share of all is lost */
	loss = 1 - (double)v.behind.answered / v.behind.sent;
	evidence(j, "probe-loss", v.split[v.at],
		 "%d of %d probes that went beyond %s were lost, %d of %d that did not",
		 v.behind.sent - v.behind.answered, v.behind.sent,
		 node_text(j, v.at, at, sizeof(at)), v.before.sent - v.before.answered,
		 v.before.sent);
	if (j->s->pub.slow || loss < 0.1)
		return;
	j->cause[CAUSE_PATH_LOSS] += LOSS_WEIGHT + (v.split[v.at] > 1 ? 1 : 0);
}

void place_loss(struct judgement *j)
{
	const struct path_view *p = &j->path;
	struct loss_view v = loss_look(j->s, p->n);

	if (v.at < 0 || !p->n_known)
		return;
	for (int k = 0; k < p->n; k++) {
		if (v.split[k] <= 0)
			continue;
		blame(j, PART_LINK(k), v.split[k]);
		if (k)
			blame(j, PART_NODE(k), v.split[k] - 1.5);
	}
}
