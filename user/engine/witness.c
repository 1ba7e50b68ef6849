/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Witnesses: concurrent flows that move while another stalls. Those to the same peer share the
 * whole way; for the others the gateway and the hops that were learnt from probes tell what they
 * share.
 */
#include <string.h>

#include "engine/internal.h"

#define WITNESS_ROUTES	4		/* flows asked about at each scan */
#define WITNESS_TRIES	256		/* flows looked at for a stall */
#define WITNESS_LOOK_NS (60 * NS_PER_S) /* of silence; after that it has been seen */
#define WITNESS_PATH_NS (2 * NS_PER_S)	/* then its path has been asked and has answered */

/* IP nodes that the witness crosses as the stalled flow does. */
static int shared_hops(struct engine *e, const struct stall *s, const struct flow *f)
{
	const struct path_cache *ours = path_find(e, &s->pub.key);
	const struct path_cache *theirs = path_find(e, &f->last.key);
	int shared = 0;

	if (addr_equal(&f->last.key.remote.addr, &s->pub.key.remote.addr))
		return s->distance ? s->distance : 1;
	if (f->route_known && f->route.gateway.family &&
	    addr_equal(&f->route.gateway, &s->pub.route.gateway))
		shared = 1;
	if (!ours || !theirs)
		return shared;
	for (int i = 0; i < ours->n && i < theirs->n; i++) {
		if (!addr_equal(&ours->hops[i], &theirs->hops[i]))
			break;
		if (ours->hops[i].family)
			shared = i + 1;
	}
	return shared;
}

/*
 * The witness moves, and its peer is farther away than the answers to SYNs that were sent that way:
 * new connections stop there. -1: nobody has asked, or they do not.
 */
static int new_reach(struct engine *e, const struct flow *f)
{
	const struct path_cache *path = path_find(e, &f->last.key);
	int reach = path ? path->n : 0;

	if (!f->path_asked_ns || e->now_ns < f->path_asked_ns + WITNESS_PATH_NS ||
	    hops_from_ttl(f->last.ttl_in) <= reach + 1)
		return -1;
	return reach;
}

/* Whether there was anything left to ask. */
static bool ask_witness(struct engine *e, struct stall *s, struct flow *f)
{
	struct output out = {.kind = OUT_WANT, .now_ns = e->now_ns};
	int reach = round_reach(s);
	bool asked = !f->route_known;

	if (passes_by(s))
		return false;
	out.want.key = f->last.key;
	out.want.snapshot = f->last;
	if (!f->route_known) {
		out.want.kind = WANT_HOST;
		output_push(e, &out);
		f->route_known = true; /* asked; an answer fills it in */
	}
	/* At most half of what the incident may send goes to witnesses. */
	if (!e->config.probe || !s->probing || f->path_asked_ns || path_find(e, &f->last.key) ||
	    addr_equal(&f->last.key.remote.addr, &s->pub.key.remote.addr) || round_busy(e) ||
	    !round_affords(s, PROBES_MAX / 2 + reach))
		return asked;
	out.want.kind = WANT_PROBE;
	out.want.probe.kind = PROBE_CONTROL;
	out.want.probe.first_ttl = 1;
	out.want.probe.last_ttl = (uint8_t)reach;
	out.want.probe.count = 1;
	output_push(e, &out);
	s->wanted += reach;
	f->path_asked_ns = e->now_ns;
	return true;
}

static uint32_t peer_bucket(const struct engine *e, const struct flow_key *key)
{
	uint32_t hash = 2166136261u ^ key->netns;

	for (size_t i = 0; i < sizeof(key->remote.addr.bytes); i++)
		hash = (hash ^ key->remote.addr.bytes[i]) * 16777619u;
	return hash & (e->n_buckets - 1);
}

static bool moved_since(const struct flow *f, uint64_t since_ns, bool *ret_sends)
{
	*ret_sends = f->last.snd.progress_ns >= since_ns;
	return *ret_sends || f->last.rcv.progress_ns >= since_ns;
}

/*
 * In the later half of the silence, and half a second into it: what was under way when it broke
 * does not count, nor what went on while this flow paused by itself.
 */
static uint64_t witness_since_ns(const struct engine *e, const struct stall *s)
{
	uint64_t half_ns = (e->now_ns - s->pub.last_progress_ns) / 2;

	return s->pub.last_progress_ns + (half_ns > NS_PER_S / 2 ? half_ns : NS_PER_S / 2);
}

static bool looks_on(const struct engine *e, const struct stall *s)
{
	return s->phase != STALL_FREE &&
	       (!s->verdict_out || e->now_ns - s->pub.last_progress_ns < WITNESS_LOOK_NS);
}

/* Who has moved at all, by peer and as a list: so a thousand stalls do not look at every flow. */
static void index_movers(struct engine *e)
{
	uint64_t since_ns = UINT64_MAX;
	bool sends;

	for (uint32_t i = 0; i < e->stall_top; i++)
		if (looks_on(e, &e->stalls[i]) && witness_since_ns(e, &e->stalls[i]) < since_ns)
			since_ns = witness_since_ns(e, &e->stalls[i]);
	e->n_movers = 0;
	memset(e->mover_bucket, 0xff, e->n_buckets * sizeof(*e->mover_bucket));
	for (uint32_t i = e->flow_top; i-- && since_ns != UINT64_MAX;) {
		struct flow *f = &e->flows[i];
		uint32_t bucket;

		if (!f->used || !moved_since(f, since_ns, &sends) ||
		    addr_is_loopback(&f->last.key.remote.addr))
			continue;
		bucket = peer_bucket(e, &f->last.key);
		f->next_mover = e->mover_bucket[bucket];
		e->mover_bucket[bucket] = (int32_t)i;
		e->mover[e->n_movers++] = (int32_t)i;
	}
}

/* One line a flow. Whether it bears witness. */
static bool bear_witness(struct engine *e, struct stall *s, struct flow *f, bool same_peer)
{
	struct incident *pub = &s->pub;
	struct witness *w = &pub->witnesses[pub->n_witnesses];
	bool sends;

	if (pub->n_witnesses == MAX_WITNESSES || f->last.key.netns != pub->key.netns ||
	    f->last.key.cookie == pub->key.cookie ||
	    same_peer != addr_equal(&f->last.key.remote.addr, &pub->key.remote.addr) ||
	    !moved_since(f, witness_since_ns(e, s), &sends))
		return false;
	*w = (struct witness){
		.key = f->last.key,
		.sends = sends,
		.same_peer = same_peer,
		.since_ns = flow_dir(&f->last, sends)->run_start_ns,
		.rate_bps = f->rate_bps[sends],
		.shared_hops = (uint8_t)shared_hops(e, s, f),
		.new_reach = (int8_t)new_reach(e, f),
	};
	pub->n_witnesses++;
	return true;
}

/* Who has moved since the stall began? Those to the same peer first. */
static void look(struct engine *e, struct stall *s)
{
	int asked = 0, tries = WITNESS_TRIES;

	s->pub.n_witnesses = 0;
	for (int32_t i = e->mover_bucket[peer_bucket(e, &s->pub.key)]; i >= 0 && tries--;
	     i = e->flows[i].next_mover)
		if (bear_witness(e, s, &e->flows[i], true) && asked < WITNESS_ROUTES)
			asked += ask_witness(e, s, &e->flows[i]);
	tries = WITNESS_TRIES;
	for (uint32_t i = e->n_movers; i-- && tries--;)
		if (bear_witness(e, s, &e->flows[e->mover[i]], false) && asked < WITNESS_ROUTES)
			asked += ask_witness(e, s, &e->flows[e->mover[i]]);
}

void witness_look(struct engine *e)
{
	index_movers(e);
	for (uint32_t i = 0; i < e->stall_top; i++)
		if (looks_on(e, &e->stalls[i]))
			look(e, &e->stalls[i]);
}
