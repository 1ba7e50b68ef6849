/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a path loses some packets.
 *
 * Loss at one point takes its share of all that goes farther. So for every point in turn: how
 * probable are the answers if what stays before it is lost hardly ever, and what goes beyond it at
 * some rate? And if there is no such point? Rates are not known, so they are averaged over (a
 * beta-binomial for each side); each kind of probe has its own, for bit errors hit large packets.
 * The ratio to "no such point" is the weight of the point, and with few probes it is small: a
 * fitted rate would explain any chance.
 *
 * Routers limit their answers. Loss at a node counts only if it lasts to the nodes behind: a node
 * that answers clearly worse than those behind it says nothing. Nor do nodes that never answer.
 */
#include <math.h>
#include <string.h>

#include "engine/judge.h"

#define LOST_LEAST    3	   /* probes; fewer are chance */
#define BEFORE_LOST   0.25 /* beta prior of the loss before the point: one in a hundred or less */
#define BEFORE_KEPT   25.0
#define BEHIND_LOST   1.0 /* and behind it: any, rather small */
#define BEHIND_KEPT   3.0
#define LIMITED	      2.5 /* log-odds that a node answers worse than those behind it */
#define APART	      4.0 /* that two kinds of small probes do not fare alike: that is no loss */
#define SIZE_TELLS    2.0 /* that size matters */
#define LOSS_LEAST    0.1 /* share; less makes no stall */
#define LOSS_WEIGHT   2.5
#define LOSS_MANY     4.0
#define SOME_PERMILLE 50 /* nobody's transfer goes on well with so much loss */
#define MANY_PERMILLE 120
#define SPLIT_MAX     8.0 /* log-odds */
#define HOP_PRIOR     1.5 /* of a link before a router */

static const struct tally *node_probes(const struct stall *s, int node, int n)
{
	return node == n ? s->peer.probes : s->pub.hops[node - 1].probes;
}

static int lost_of(struct tally t)
{
	return t.sent > t.answered ? t.sent - t.answered : 0;
}

static struct tally plus(struct tally a, struct tally b)
{
	return (struct tally){.sent = (uint16_t)(a.sent + b.sent),
			      .answered = (uint16_t)(a.answered + b.answered)};
}

/* How well it explains the answers that something is lost behind a node. */
struct loss_point {
	double weight; /* log-odds */
	struct tally before, behind[PROBE_KINDS];
};

/* Log-probability of these answers, the rate of loss averaged over Beta(lost, kept). */
static double fit(struct tally t, double lost, double kept)
{
	return lgamma(lost + lost_of(t)) + lgamma(kept + t.answered) -
	       lgamma(lost + kept + t.sent) - lgamma(lost) - lgamma(kept) + lgamma(lost + kept);
}

/* Log-odds that the two are lost at different rates. */
static double differ(struct tally a, struct tally b)
{
	return fit(a, 1, 1) + fit(b, 1, 1) - fit(plus(a, b), 1, 1);
}

static double share_lost(struct tally t)
{
	return t.sent ? (double)lost_of(t) / t.sent : 0;
}

/* Probes of a kind to each node, as far as they tell of the path. [1..n] */
static void tell_nodes(const struct stall *s, int n, enum probe_kind kind, struct tally *ret)
{
	struct tally behind = {0};

	for (int i = n; i >= 1; i--) {
		ret[i] = (struct tally){0};
		if (i < n && i > s->pub.n_hops)
			continue;
		ret[i] = node_probes(s, i, n)[kind];
		if (!ret[i].answered || (behind.sent && share_lost(ret[i]) > share_lost(behind) &&
					 differ(ret[i], behind) > LIMITED))
			ret[i] = (struct tally){0};
		behind = plus(behind, ret[i]);
	}
}

/* Adds what this kind says of each point. */
static void weigh_kind(const struct tally *node, int n, enum probe_kind kind,
		       struct loss_point *point)
{
	struct tally all = {0}, before = {0}, behind;
	double none;

	for (int i = 1; i <= n; i++)
		all = plus(all, node[i]);
	none = fit(all, BEFORE_LOST, BEFORE_KEPT);
	for (int k = 0; k < n; k++) {
		before = k ? plus(before, node[k]) : before;
		behind = (struct tally){.sent = (uint16_t)(all.sent - before.sent),
					.answered = (uint16_t)(all.answered - before.answered)};
		point[k].weight += fit(before, BEFORE_LOST, BEFORE_KEPT) +
				   fit(behind, BEHIND_LOST, BEHIND_KEPT) - none;
		point[k].before = plus(point[k].before, before);
		point[k].behind[kind] = behind;
	}
}

static struct tally sum_of(const struct tally *kinds)
{
	struct tally all = {0};

	for (int kind = 0; kind < PROBE_KINDS; kind++)
		all = plus(all, kinds[kind]);
	return all;
}

struct loss_view loss_look(const struct stall *s, int n)
{
	static const enum probe_kind kinds[] = {PROBE_IN_FLOW, PROBE_CONTROL, PROBE_IN_FLOW_FULL};
	struct loss_point point[MAX_DISTANCE] = {0};
	struct loss_view v = {.at = -1};
	double most = 0;

	if (n < 1 || n > MAX_DISTANCE)
		return v;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct tally node[MAX_DISTANCE + 1];

		tell_nodes(s, n, kinds[i], node);
		weigh_kind(node, n, kinds[i], point);
	}
	for (int k = 0; k < n; k++) {
		if (point[k].weight <= most || lost_of(sum_of(point[k].behind)) < LOST_LEAST)
			continue;
		most = point[k].weight;
		v.at = k;
	}
	if (v.at < 0)
		return v;
	v.before = point[v.at].before;
	memcpy(v.behind_of, point[v.at].behind, sizeof(v.behind_of));
	v.behind = sum_of(v.behind_of);
	/* A connection that is dropped, and no other: not a share of all that passes. */
	if (differ(v.behind_of[PROBE_IN_FLOW], v.behind_of[PROBE_CONTROL]) > APART)
		return (struct loss_view){.at = -1};
	/* All are known only so well; what lies between them stays. */
	for (int k = 0; k < n; k++)
		v.split[k] = fmax(point[k].weight - fmax(most - SPLIT_MAX, 0), 0);
	return v;
}

/* Bit errors hit large packets, full queues and bad counters all. */
static void size_matters(struct judgement *j, const struct loss_view *v)
{
	struct tally full = v->behind_of[PROBE_IN_FLOW_FULL],
		     small = plus(v->behind_of[PROBE_IN_FLOW], v->behind_of[PROBE_CONTROL]);

	if (share_lost(full) <= share_lost(small) || differ(full, small) < SIZE_TELLS)
		return;
	evidence(j, "large-lost", 0,
		 "of full-size ones there %d of %d were lost, of small ones %d of %d: bit errors, "
		 "as by a bad cable, port or radio, rather than a full queue",
		 lost_of(full), full.sent, lost_of(small), small.sent);
}

/* It stands still by chance where most of what it sends gets lost again and again. */
static void lost_before(struct judgement *j)
{
	const struct stall *s = j->s;
	uint32_t permille = s->flow < 0 ? 0 : j->e->flows[s->flow].crawl[s->sends].lost_permille;
	double weight = permille >= MANY_PERMILLE ? LOSS_MANY : LOSS_WEIGHT;

	if (s->pub.slow || !s->sends || permille < SOME_PERMILLE)
		return;
	j->cause[CAUSE_PATH_LOSS] += weight;
	evidence(j, "loss-before", weight,
		 "in the seconds before the silence %.0f %% of its segments had to be sent again",
		 permille / 10.0);
}

/* A stall that ends when a try gets through: probes of either kind get through now and then. */
void weigh_path_loss(struct judgement *j)
{
	const struct path_view *p = &j->path;
	struct loss_view v = loss_look(j->s, p->n);
	char at[64];

	lost_before(j);
	if (v.at < 0 || !p->asked || !p->n_known || v.behind.answered < LOST_LEAST)
		return;
	if (p->flow < p->control && (p->flow_missed || p->balanced) && !j->s->pub.slow)
		return; /* one kind, or way, ends there and the other not: no share of all is lost
			 */
	evidence(j, "probe-loss", v.split[v.at],
		 "%d of %d probes that went beyond %s were lost, %d of %d that did not",
		 lost_of(v.behind), v.behind.sent, node_text(j, v.at, at, sizeof(at)),
		 lost_of(v.before), v.before.sent);
	size_matters(j, &v);
	if (!j->s->pub.slow && share_lost(v.behind) >= LOSS_LEAST)
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
			blame(j, PART_NODE(k), v.split[k] - HOP_PRIOR);
	}
}
