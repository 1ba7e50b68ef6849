/* SPDX-License-Identifier: GPL-2.0-only */
/* Sums up: clues to a cause, the cause and the probes to a place, both to a verdict. */
#include <math.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/judge.h"

#define UNKNOWN_PRIOR 1.5    /* log-odds that a cause must beat to be named */
#define UNTOUCHED     (-4.0) /* a part that nothing speaks for */
#define PLACE_SURE    0.5    /* below it the place is the path, with candidates */
#define CANDIDATE_MIN 0.04
#define UNDERSTATED   2.0  /* times that the log-odds of what proves right are higher */
#define CLAIM_MOST    0.99 /* a few hundred cases show no more */

void evidence(struct judgement *j, const char *id, double weight, const char *format, ...)
{
	struct verdict *v = j->v;
	struct evidence *line = &v->evidence[v->n_evidence];
	va_list args;

	if (v->n_evidence == MAX_EVIDENCE)
		return;
	line->id = id;
	line->weight = weight;
	va_start(args, format);
	vsnprintf(line->text, sizeof(line->text), format, args);
	va_end(args);
	v->n_evidence++;
}

const char *node_text(const struct judgement *j, int node, char *buf, size_t len)
{
	const struct incident *pub = &j->s->pub;
	char addr[ADDR_TEXT_LEN];

	if (node <= 0)
		snprintf(buf, len, "this host");
	else if (j->path.n_known && node >= j->path.n)
		snprintf(buf, len, "the peer");
	else if (node <= pub->n_hops && pub->hops[node - 1].address.family)
		snprintf(buf, len, "hop %d (%s)", node,
			 addr_text(&pub->hops[node - 1].address, addr));
	else
		snprintf(buf, len, "hop %d", node);
	return buf;
}

/*
 * Whether this flow has tried, and failed, since the witness moves without a break. If not, an
 * outage may be over for the one and go on for the other until its timer fires, which doubles (RFC
 * 6298 5.5): the peer's is not seen, but it tries again before the silence is twice as long.
 */
static bool has_tried_since(const struct judgement *j, uint64_t since_ns)
{
	const struct flow_snapshot *last = &j->s->pub.last;
	uint64_t stopped_ns = j->s->pub.last_progress_ns, tried_ns = j->s->lost_ns;

	if (since_ns <= stopped_ns || j->s->pub.slow || passes_by(j->s))
		return true;
	if (j->s->pub.recovered_bytes)
		return false; /* its last try got through */
	if (!j->s->sends && j->e->now_ns >= 2 * since_ns - stopped_ns + NS_PER_S)
		return true;
	if (j->s->sends && last->retrans_ns > tried_ns)
		tried_ns = last->retrans_ns;
	return tried_ns >= since_ns && j->e->now_ns >= tried_ns + 2 * NS_PER_US * last->rtt_us;
}

static void count_witnesses(struct judgement *j)
{
	const struct incident *pub = &j->s->pub;

	for (int i = 0; i < pub->n_witnesses; i++) {
		const struct witness *w = &pub->witnesses[i];

		if (!has_tried_since(j, w->since_ns)) {
			j->returned++;
			continue;
		}
		if (w->same_peer) {
			j->same_peer++;
			continue;
		}
		j->elsewhere++;
		if (w->shared_hops > j->shared)
			j->shared = w->shared_hops;
	}
}

static void choose_cause(struct judgement *j)
{
	double sum = 0;
	int best = CAUSE_UNKNOWN;

	for (int i = 0; i < CAUSES; i++) {
		sum += exp(j->cause[i]);
		if (j->cause[i] > j->cause[best])
			best = i;
	}
	j->verdict = (enum cause)best;
	j->v->cause = (enum cause)best;
	j->v->cause_confidence = exp(j->cause[best]) / sum;
}

struct ip_addr node_address(const struct judgement *j, int node)
{
	const struct incident *pub = &j->s->pub;
	const struct path_cache *path;

	if (node <= 0)
		return pub->key.local.addr;
	if (node >= j->path.n)
		return pub->key.remote.addr;
	if (j->path.balanced && node <= MAX_DISTANCE && j->s->flow_hop[node].family)
		return j->s->flow_hop[node]; /* the one of several that this connection meets */
	if (node <= pub->n_hops && pub->hops[node - 1].address.family)
		return pub->hops[node - 1].address;
	path = path_find(j->e, &pub->key);
	if (path && node <= path->n && path->hops[node - 1].family)
		return path->hops[node - 1];
	if (node == j->refuser)
		return j->s->icmp.from;
	if (node == 1)
		return pub->route.gateway;
	return (struct ip_addr){0};
}

/* near is the end closer to src, whichever end we are. */
static void set_ends(const struct judgement *j, struct place *p, int local_side, int far_side)
{
	struct ip_addr a = node_address(j, local_side), b = node_address(j, far_side);

	p->near = j->s->sends ? a : b;
	p->far = j->s->sends ? b : a;
}

static struct place part_place(const struct judgement *j, int part)
{
	bool sends = j->s->sends;
	int n = j->path.n, node = (part - 1) / 2;
	struct place p = {0};

	if (part == PART_LOCAL_APP || part == PART_PEER_APP(n)) {
		bool local = part == PART_LOCAL_APP;

		p.kind = local == sends ? PLACE_SENDER_APP : PLACE_RECEIVER_APP;
		p.address = node_address(j, local ? 0 : n);
	} else if (part == PART_NODE(0) || part == PART_NODE(n)) {
		p.kind = (node == 0) == sends ? PLACE_SENDER_HOST : PLACE_RECEIVER_HOST;
		p.address = node_address(j, node);
	} else if (part == PART_NODE(node)) {
		p.kind = PLACE_HOP;
		p.ttl = (uint8_t)node;
		p.address = node_address(j, node);
		set_ends(j, &p, node, node + 1);
	} else {
		p.kind = PLACE_LINK;
		set_ends(j, &p, node, node + 1);
		if (!node && j->link_side != SIDE_UNKNOWN && j->link_side != SIDE_BOTH && !sends)
			p.side = j->link_side == SIDE_NEAR ? SIDE_FAR : SIDE_NEAR;
		else if (!node)
			p.side = j->link_side;
	}
	return p;
}

/* Softmax over the parts; the few best become candidates, the best one the place if it stands out.
 */
static void choose_place(struct judgement *j)
{
	struct verdict *v = j->v;
	int parts = PART_PEER_APP(j->path.n) + 1, touched = 0;
	double p[MAX_PARTS], sum = 0;

	for (int i = 0; i < parts; i++) {
		p[i] = exp(j->part_touched[i] ? j->part[i] : UNTOUCHED);
		sum += p[i];
		touched += j->part_touched[i];
	}
	for (int k = 0; k < MAX_CANDIDATES && touched; k++) {
		int best = 0;

		for (int i = 1; i < parts; i++)
			if (p[i] > p[best])
				best = i;
		if (!j->part_touched[best] || (k && p[best] / sum < CANDIDATE_MIN))
			break;
		v->candidates[k] = part_place(j, best);
		v->candidates[k].confidence = p[best] / sum;
		v->n_candidates = k + 1;
		p[best] = 0;
	}
	if (v->n_candidates && v->candidates[0].confidence >= PLACE_SURE) {
		v->where = v->candidates[0];
	} else {
		bool on_path =
			v->n_candidates || j->verdict == CAUSE_CONNECTION_STATE_LOST ||
			j->verdict == CAUSE_PATH_BLACKHOLE || j->verdict == CAUSE_SIZE_BLACKHOLE ||
			j->verdict == CAUSE_PATH_LOSS || j->verdict == CAUSE_CONTENT_DROP ||
			j->verdict == CAUSE_HEADER_REWRITE || j->verdict == CAUSE_RATE_LIMIT ||
			j->verdict == CAUSE_CONNECT_REFUSED_BY_PATH ||
			j->verdict == CAUSE_PATH_CORRUPTION;

		v->where.kind = on_path ? PLACE_PATH : PLACE_UNKNOWN;
		v->where.confidence = v->n_candidates ? v->candidates[0].confidence : 0;
	}
}

void judge(const struct engine *e, const struct stall *s, struct verdict *ret)
{
	struct judgement j = {.e = e, .s = s, .v = ret, .path = path_look(s)};

	*ret = (struct verdict){0};
	count_witnesses(&j);
	j.onlink = onlink_look(s);
	j.loss = loss_look(s, j.path.n);
	j.cause[CAUSE_UNKNOWN] = UNKNOWN_PRIOR;
	weigh_causes(&j);
	choose_cause(&j);
	/* Where nothing comes back at all, the answers may be what is lost. */
	if (j.way == WAY_UNKNOWN && s->probing &&
	    (j.verdict == CAUSE_CONNECTION_STATE_LOST || j.verdict == CAUSE_SIZE_BLACKHOLE))
		j.way = s->sends ? WAY_FORWARD : WAY_REVERSE; /* the way that the probes went */
	weigh_places(&j);
	choose_place(&j);
	if (passes_by(s) && place_capture(&j, &ret->where)) {
		ret->candidates[0] = ret->where;
		ret->n_candidates = 1;
	}
	ret->way = j.way;
	describe(&j);
}

/*
 * The weights of clues are chosen with care for what may speak against them and was not asked, so
 * their sums understate. By how much was fitted to the lab's matrix (tests/ACCURACY.md), where it
 * would bear more: other networks are not the lab.
 */
static double calibrated(double p)
{
	double right = pow(p, UNDERSTATED), wrong = pow(1 - p, UNDERSTATED);

	return fmin(right / (right + wrong), CLAIM_MOST);
}

void calibrate(const struct stall *s, struct verdict *v)
{
	v->cause_confidence = calibrated(v->cause_confidence);
	if (passes_by(s))
		return; /* where a capture shows the place, that is told as sure as it is */
	v->where.confidence = calibrated(v->where.confidence);
	for (int i = 0; i < v->n_candidates; i++)
		v->candidates[i].confidence = calibrated(v->candidates[i].confidence);
}
