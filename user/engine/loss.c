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
 * Routers limit their answers, for all of a host together: who traces a route beside us uses them
 * up. Loss at a node counts only if it lasts to the nodes behind: a node that answers clearly worse
 * than those behind it says nothing. Nor do nodes that never answer. And if all routers answer some
 * while the peer, which limits little, answers, they limit and nothing is lost: points compete with
 * that. What the next hop answers on the link itself is not limited: it tells the first link from
 * routers that limit, on a path that loses farther on.
 */
#include <math.h>
#include <string.h>

#include "engine/judge.h"

#define LOST_LEAST    3	   /* probes; fewer are chance */
#define BEFORE_LOST   0.25 /* beta prior of the loss before the point: one in a hundred or less */
#define BEFORE_KEPT   25.0
#define BEHIND_LOST   1.0 /* and behind it: any, rather small */
#define BEHIND_KEPT   3.0
#define LIMITS_BEFORE 1.0  /* that routers limit before a point that loses */
#define LIMITED	      2.5  /* log-odds that a node answers worse than those behind it */
#define APART	      4.0  /* that two kinds of small probes do not fare alike: that is no loss */
#define SIZE_TELLS    2.0  /* that size matters */
#define LOSS_LEAST    0.1  /* share; less makes no stall */
#define LOSS_WEIGHT   2.5  /* of lost probes: twelve to one, for they may have other causes */
#define SPLIT_TELLS   2.0  /* more, at most, that they are lost behind one point */
#define MISSES_MAX    20   /* more exclude anything */
#define LOSS_MANY     4.0  /* of lost segments, at most: they do not decide alone */
#define LOSSY_PRIOR   0.05 /* of a path of which nothing is known */
#define SPLIT_MAX     8.0  /* log-odds */
#define HOP_PRIOR     1.5  /* of a link before a router */
#define AROUND_LEAST  0.6  /* of the probability is at one router and the links beside it */
#define ROUTER_SLACK  0.05 /* that it is none of them */

static int lost_of(struct tally t)
{
	return t.sent > t.answered ? t.sent - t.answered : 0;
}

static struct tally plus(struct tally a, struct tally b)
{
	return (struct tally){.sent = (uint16_t)(a.sent + b.sent),
			      .answered = (uint16_t)(a.answered + b.answered)};
}

/*
 * Of this incident, or all that was learnt of a path that loses. The peer was asked with a TTL that
 * is sure to reach it, and with the one that just does, if it has ever answered that: its distance
 * is guessed from what comes in, and the way back may be shorter.
 */
static void node_probes(const struct stall *s, const struct path_cache *lossy, int node, int n,
			struct tally *ret)
{
	static const struct tally nothing[PROBE_KINDS];
	const struct tally *peer = lossy ? lossy->lossy[0] : s->peer.probes, *at = nothing;
	const bool heard = node <= s->pub.n_hops;

	if (node < n || (heard && s->pub.hops[node - 1].is_peer))
		at = lossy ? lossy->lossy[node] : heard ? s->pub.hops[node - 1].probes : nothing;
	for (int kind = 0; kind < PROBE_KINDS; kind++)
		ret[kind] = node == n ? plus(at[kind], peer[kind]) : at[kind];
}

/* How well it explains the answers that something is lost behind a node. */
struct loss_point {
	double weight; /* log-odds */
	struct tally before, behind[PROBE_KINDS];
};

/* lgamma() writes its sign to a global. */
static double log_gamma(double x)
{
	int sign;

	return lgamma_r(x, &sign);
}

/* Log-probability of so many lost and passed, their rate averaged over Beta(lost, kept). */
static double fit_counts(double n_lost, double n_kept, double lost, double kept)
{
	return log_gamma(lost + n_lost) + log_gamma(kept + n_kept) -
	       log_gamma(lost + kept + n_lost + n_kept) - log_gamma(lost) - log_gamma(kept) +
	       log_gamma(lost + kept);
}

static double fit(struct tally t, double lost, double kept)
{
	return fit_counts(lost_of(t), t.answered, lost, kept);
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

/* It answers what is of this kind: a router any small probe, the peer perhaps not all. */
static bool answers(const struct tally *probes, enum probe_kind kind, bool is_peer)
{
	if (is_peer || kind == PROBE_IN_FLOW_FULL)
		return probes[kind].answered;
	return probes[PROBE_IN_FLOW].answered || probes[PROBE_CONTROL].answered;
}

/* Probes of a kind to each node, as far as they tell of the path. [1..n] */
static void tell_nodes(const struct stall *s, const struct path_cache *lossy, int n,
		       enum probe_kind kind, struct tally *ret)
{
	const int hops = n < s->pub.n_hops ? n : s->pub.n_hops;
	const int copies = lossy ? 0 : round_farthest(s, PROBE_IN_FLOW_COPY, hops);
	struct tally behind = {0};

	for (int i = n; i >= 1; i--) {
		struct tally probes[PROBE_KINDS];

		node_probes(s, lossy, i, n, probes);
		/* A segment fares as other large packets do, as far as it ever gets. */
		if (kind == PROBE_IN_FLOW_FULL && i <= copies)
			probes[kind] = plus(probes[kind], probes[PROBE_IN_FLOW_COPY]);
		/* What is answered farther on gets there, and who answers small ones answers it. */
		ret[i] = answers(probes, kind, i == n) || (i < n && behind.answered &&
							   answers(probes, PROBE_IN_FLOW, false))
				 ? probes[kind]
				 : (struct tally){0};
		if (behind.sent && share_lost(ret[i]) > share_lost(behind) &&
		    differ(ret[i], behind) > LIMITED)
			ret[i] = (struct tally){0};
		behind = plus(behind, ret[i]);
	}
}

/* Log-probability of answers on a path that loses hardly any: routers may limit theirs. */
static double fit_fine(struct tally routers, struct tally peer)
{
	return fmax(fit(plus(routers, peer), BEFORE_LOST, BEFORE_KEPT),
		    fit(routers, BEHIND_LOST, BEHIND_KEPT) + fit(peer, BEFORE_LOST, BEFORE_KEPT));
}

/* What this kind says of routers that limit, rather than of a path that loses nothing anywhere. */
static double weigh_limit(const struct tally *node, struct tally first, int n)
{
	const struct tally fine = plus(first, node[n]);
	struct tally routers = {0};

	for (int i = 1; i < n; i++)
		routers = plus(routers, node[i]);
	return fit_fine(routers, fine) - fit(plus(routers, fine), BEFORE_LOST, BEFORE_KEPT);
}

/*
 * Before a point nothing is lost, or the routers there limit; what the next hop answers on the link
 * itself is not limited.
 */
static double fit_before(struct tally routers, struct tally first)
{
	return fmax(fit(plus(routers, first), BEFORE_LOST, BEFORE_KEPT),
		    fit(routers, BEHIND_LOST, BEHIND_KEPT) - LIMITS_BEFORE +
			    fit(first, BEFORE_LOST, BEFORE_KEPT));
}

/* Adds what this kind says of each point. first: of what the next hop was asked on the link. */
static void weigh_kind(const struct tally *node, struct tally first, int n, enum probe_kind kind,
		       struct loss_point *point)
{
	struct tally all = {0}, before = {0}, behind;
	double none;

	for (int i = 1; i <= n; i++)
		all = plus(all, node[i]);
	none = fit(plus(all, first), BEFORE_LOST, BEFORE_KEPT);
	for (int k = 0; k < n; k++) {
		before = k ? plus(before, node[k]) : before;
		behind = (struct tally){.sent = (uint16_t)(all.sent - before.sent),
					.answered = (uint16_t)(all.answered - before.answered)};
		point[k].weight +=
			k ? fit_before(before, first) + fit(behind, BEHIND_LOST, BEHIND_KEPT) - none
			  : fit(plus(all, first), BEHIND_LOST, BEHIND_KEPT) - none;
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

static struct loss_view look_at(const struct stall *s, const struct path_cache *lossy, int n)
{
	static const enum probe_kind kinds[] = {PROBE_IN_FLOW, PROBE_CONTROL, PROBE_IN_FLOW_FULL};
	struct loss_point point[MAX_DISTANCE] = {0};
	struct tally node[sizeof(kinds) / sizeof(*kinds)][MAX_DISTANCE + 1];
	const struct onlink_view link = onlink_look(s);
	struct loss_view v = {.at = -1};
	double limit = 0, most;
	int lost = 0;

	if (n < 1 || n > MAX_DISTANCE)
		return v;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		tell_nodes(s, lossy, n, kinds[i], node[i]);
		for (int k = 1; k <= n; k++)
			lost += lost_of(node[i][k]);
	}
	if (lost < LOST_LEAST)
		return v;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct tally first = kinds[i] == PROBE_IN_FLOW_FULL ? link.full
					   : kinds[i] == PROBE_IN_FLOW	  ? link.small
									  : (struct tally){0};

		weigh_kind(node[i], first, n, kinds[i], point);
		limit += weigh_limit(node[i], first, n);
	}
	most = limit;
	for (int k = 0; k < n; k++) {
		if (point[k].weight <= most || lost_of(sum_of(point[k].behind)) < LOST_LEAST)
			continue;
		most = point[k].weight;
		v.at = k;
	}
	if (v.at < 0)
		return v;
	v.sure = most - limit;
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

struct loss_view loss_look(const struct stall *s, int n)
{
	return look_at(s, NULL, n);
}

static struct tally small_ones(const struct loss_view *v)
{
	return plus(v->behind_of[PROBE_IN_FLOW], v->behind_of[PROBE_CONTROL]);
}

/* Bit errors hit large packets, full queues and bad counters all. */
static bool large_ones_suffer(const struct loss_view *v)
{
	struct tally full = v->behind_of[PROBE_IN_FLOW_FULL], small = small_ones(v);

	return share_lost(full) > share_lost(small) && differ(full, small) >= SIZE_TELLS;
}

static void size_matters(struct judgement *j, const struct loss_view *v)
{
	struct tally full = v->behind_of[PROBE_IN_FLOW_FULL], small = small_ones(v);

	if (!large_ones_suffer(v))
		return;
	evidence(j, "large-lost", 0,
		 "of full-size ones there %d of %d were lost, of small ones %d of %d: bit errors, "
		 "as by a bad cable, port or radio, rather than a full queue",
		 lost_of(full), full.sent, lost_of(small), small.sent);
}

/* What was sent of late and lost of it; or what came in, and was damaged. */
struct late {
	double lost, kept;
	double lossy; /* log-odds that the path loses some: more than any does now and then */
};

static void add_late(struct late *t, double lost, double kept)
{
	t->lost += lost;
	t->kept += kept;
	t->lossy = fit_counts(t->lost, t->kept, BEHIND_LOST, BEHIND_KEPT) -
		   fit_counts(t->lost, t->kept, BEFORE_LOST, BEFORE_KEPT);
}

static struct late late_of(const struct engine *e, const struct stall *s, bool sends)
{
	bool known = s->flow >= 0 && s->sends == sends;
	const struct crawl *c = known ? &e->flows[s->flow].crawl[sends] : NULL;
	struct late t = {0};

	add_late(&t, c ? c->late_lost : 0, c ? c->late_segs - c->late_lost : 0);
	return t;
}

bool loss_of_late(const struct engine *e, const struct stall *s)
{
	struct late t = late_of(e, s, true);

	return t.lost >= LOST_LEAST && t.lossy > 0;
}

double loss_damaged(const struct judgement *j, double *ret_share)
{
	struct late t = late_of(j->e, j->s, false);

	if (t.lost < LOST_LEAST || t.lossy <= 0)
		return 0;
	*ret_share = t.lost / (t.lost + t.kept);
	return t.lossy;
}

/* Log-probability that the next `misses` are lost as well. */
static double log_all_lost(const struct late *t, int misses, double lost, double kept)
{
	return fit_counts(t->lost + misses, t->kept, lost, kept) -
	       fit_counts(t->lost, t->kept, lost, kept);
}

static double excluded(const struct late *t, int misses)
{
	double odds = LOSSY_PRIOR / (1 - LOSSY_PRIOR) * exp(t->lossy), p;

	if (misses <= 0)
		return 0;
	p = odds * exp(log_all_lost(t, misses, BEHIND_LOST, BEHIND_KEPT)) +
	    exp(log_all_lost(t, misses, BEFORE_LOST, BEFORE_KEPT));
	return log(1 + odds) - log(p);
}

/*
 * What the transfer has lost, and what probes of these kinds (bits) behind the point that loses.
 * Where it lost nothing the loss has begun with the silence. Small ones tell of large ones as well,
 * as long as size does not matter.
 */
static struct late late_with(const struct judgement *j, unsigned int kinds)
{
	struct late t = late_of(j->e, j->s, true);
	const struct loss_view v = j->loss;

	if (!kinds || !j->path.n_known || v.at < 0)
		return t;
	if (t.lossy <= 0)
		t = (struct late){0};
	if (kinds == LOSS_BY_FULL && !large_ones_suffer(&v))
		kinds |= LOSS_BY_SMALL;
	for (int kind = 0; kind < PROBE_KINDS; kind++)
		if (kinds >> kind & 1)
			add_late(&t, lost_of(v.behind_of[kind]), v.behind_of[kind].answered);
	return t;
}

double loss_excluded(const struct judgement *j, int misses, unsigned int kinds)
{
	struct late t = late_with(j, kinds);

	return excluded(&t, misses);
}

double loss_excluded_once(const struct judgement *j, int misses)
{
	struct late t = late_with(j, LOSS_BY_FULL);

	return fmax(excluded(&t, misses) - log(fmax(t.lost + t.kept, 1)), 0);
}

/*
 * Of a link that is known to be degraded, a loss there is the symptom; of all others it is the
 * cause.
 */
static void add_loss(struct judgement *j, double weight, bool first_link)
{
	j->cause[CAUSE_PATH_LOSS] += weight;
	if (first_link && j->cause[CAUSE_LINK_DEGRADED] > 0)
		j->cause[CAUSE_LINK_DEGRADED] += weight;
}

/*
 * So many probes were lost beyond the last that answered that it is no chance any more, given what
 * the transfer has lost, and probes of these kinds.
 */
static double unlikely_beyond(const struct judgement *j, unsigned int kinds)
{
	return j->path.asked ? fmax(loss_excluded(j, j->path.beyond_missed, kinds) - LOSS_WEIGHT, 0)
			     : 0;
}

/*
 * It stands still by chance where most of what it sends gets lost again and again. Not where so
 * many tries and probes were lost that it is no chance any more. Whether it lost any at all.
 */
static bool lost_before(struct judgement *j)
{
	const struct stall *s = j->s;
	const struct flow_snapshot *last = &s->pub.last;
	struct late t = late_of(j->e, j->s, true);
	double weight = fmin(t.lossy, LOSS_MANY), tries;

	if (s->pub.slow || !s->sends || t.lost < LOST_LEAST || weight <= 0)
		return false;
	tries = loss_excluded_once(j, (int)fmin(last->retrans, MISSES_MAX)) - LOSS_MANY;
	weight -= fmax(tries, 0) + unlikely_beyond(j, 0);
	if (weight <= 0)
		return true;
	add_loss(j, weight, j->onlink.loss > 0);
	evidence(j, "loss-before", weight,
		 "in the seconds before the silence %.0f %% of its segments had to be sent again",
		 t.lost * 100 / (t.lost + t.kept));
	return true;
}

/* It was said a short while ago that this path loses some, and few probes were sent since. */
static void path_lost_before(struct judgement *j)
{
	const struct path_cache *path = loss_known(j->e, &j->s->pub.key);
	struct tally peer = {0};
	struct late t = {0};
	double weight;

	for (int kind = 0; kind < PROBE_KINDS && path; kind++)
		if (answers(path->lossy[0], kind, true))
			peer = plus(peer, path->lossy[0][kind]);
	if (j->s->pub.slow || j->s->pub.probes_sent >= peer.sent || j->loss.at >= 0 ||
	    lost_of(peer) < LOST_LEAST)
		return;
	add_late(&t, lost_of(peer), peer.answered);
	weight = fmin(t.lossy, LOSS_WEIGHT) - unlikely_beyond(j, 0);
	if (weight <= 0)
		return;
	add_loss(j, weight, false);
	evidence(j, "path-lost-before", weight,
		 "of %d probes that this peer was sent of late %d were lost", peer.sent,
		 lost_of(peer));
}

/*
 * Probes of the flow are lost beyond a node that controls get past: is it this connection that is
 * dropped there, or do all lose some? The first predicts that all of the flow's and hardly any
 * control is lost. Log-odds of the second.
 */
static double all_lose_some(const struct judgement *j, int at)
{
	static const enum probe_kind small[] = {PROBE_IN_FLOW, PROBE_CONTROL};
	double one = 0, all = 0;

	for (size_t i = 0; i < sizeof(small) / sizeof(*small); i++) {
		enum probe_kind kind = small[i];
		struct tally before = {0}, behind = {0}, reached = {0}, peer = {0};

		for (int k = 1; k <= j->path.n; k++) {
			struct tally probes[PROBE_KINDS], t;

			node_probes(j->s, NULL, k, j->path.n, probes);
			t = probes[kind];
			*(k <= at ? &before : &behind) = plus(k <= at ? before : behind, t);
			if (kind == PROBE_CONTROL || k <= j->path.flow)
				*(k < j->path.n ? &reached : &peer) =
					plus(k < j->path.n ? reached : peer, t);
		}
		one += fit_fine(reached, peer);
		all += fit(before, BEFORE_LOST, BEFORE_KEPT) +
		       fit(behind, BEHIND_LOST, BEHIND_KEPT);
	}
	return all - one;
}

bool loss_hits_all(const struct judgement *j)
{
	const struct loss_view v = j->loss;

	return v.at >= 0 && j->path.n_known && all_lose_some(j, v.at) >= 0;
}

/* A stall that ends when a try gets through: probes of either kind get through now and then. */
void weigh_path_loss(struct judgement *j)
{
	const struct path_view *p = &j->path;
	const struct loss_view v = j->loss;
	double odds, weight;
	char at[64];

	if (!lost_before(j))
		path_lost_before(j);
	if (v.at < 0 || !p->asked || !p->n_known)
		return;
	odds = all_lose_some(j, v.at);
	if (v.behind.answered < LOST_LEAST && (!v.behind.answered || odds < LOSS_WEIGHT))
		return; /* few get through, or is it that these are other ones? */
	if (p->flow < p->control && !j->s->pub.slow &&
	    (p->balanced || (p->flow_missed && odds < 0)))
		return; /* one kind, or way, ends there and the other does not */
	evidence(j, "probe-loss", v.split[v.at],
		 "%d of %d probes that went beyond %s were lost, %d of %d that did not",
		 lost_of(v.behind), v.behind.sent, node_text(j, v.at, at, sizeof(at)),
		 lost_of(v.before), v.before.sent);
	size_matters(j, &v);
	weight = LOSS_WEIGHT + fmin(v.sure, SPLIT_TELLS) - unlikely_beyond(j, LOSS_BY_SMALL);
	if (!j->s->pub.slow && share_lost(v.behind) >= LOSS_LEAST && weight > 0)
		add_loss(j, weight, !v.at);
}

/* The router at which, or beside which, it most probably is; 0: they are too far apart. */
static int router_between(const double *p, int n)
{
	double sum = 0, most = 0;
	int at = 0;

	for (int k = 0; k < n; k++)
		sum += p[k];
	for (int k = 1; k < n; k++) {
		if (p[k - 1] + p[k] <= most)
			continue;
		most = p[k - 1] + p[k];
		at = k;
	}
	return most > AROUND_LEAST * sum ? at : 0;
}

void place_loss(struct judgement *j)
{
	const struct path_view *p = &j->path;
	const struct path_cache *lossy = loss_known(j->e, &j->s->pub.key);
	const struct loss_view v = lossy ? look_at(j->s, lossy, p->n) : j->loss;
	double link[MAX_DISTANCE] = {0}, best = 0, sum = 0;
	char at[64];
	int router;

	if (v.at < 0 || !p->n_known)
		return;
	for (int k = 0; k < p->n; k++) {
		if (v.split[k] <= 0)
			continue;
		link[k] = exp(v.split[k]);
		sum += link[k];
		best = fmax(best, link[k]);
		blame(j, PART_LINK(k), v.split[k]);
		if (k)
			blame(j, PART_NODE(k), v.split[k] - HOP_PRIOR);
	}
	router = best < sum / 2 ? router_between(link, p->n) : 0;
	if (router) {
		double share = (link[router - 1] + link[router]) / sum;

		/* In place of its share of the links: nothing else blames a node for loss. */
		j->part[PART_NODE(router)] = log(sum * share / (1 - share + ROUTER_SLACK));
		evidence(j, "loss-around", 0,
			 "it is at %s or on a link beside it: probes do not tell yet",
			 node_text(j, router, at, sizeof(at)));
	}
}
