/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Witnesses: concurrent flows that move while another stalls. Those to the same peer share the
 * whole way; for the others the gateway and the hops that were learnt from probes tell what they
 * share.
 */
#include "engine/internal.h"

#define WITNESS_ROUTES	4	       /* flows asked about at each scan */
#define WITNESS_PATH_NS (2 * NS_PER_S) /* then its path has been asked and has answered */

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
	int reach = gather_reach(s);
	bool asked = !f->route_known;

	out.want.key = f->last.key;
	out.want.snapshot = f->last;
	if (!f->route_known) {
		out.want.kind = WANT_HOST;
		output_push(e, &out);
		f->route_known = true; /* asked; an answer fills it in */
	}
	/* At most half of what the incident may send goes to witnesses. */
	if (!e->config.probe || !s->probing || f->path_asked_ns || path_find(e, &f->last.key) ||
	    addr_equal(&f->last.key.remote.addr, &s->pub.key.remote.addr) ||
	    !gather_affords(s, PROBES_MAX / 2 + reach))
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

/* After a full scan: who has moved since the stall began? Those to the same peer first. */
void witness_look(struct engine *e, struct stall *s)
{
	struct incident *pub = &s->pub;
	uint64_t half_ns = (e->now_ns - pub->last_progress_ns) / 2;
	/*
	 * In the later half of the silence, and half a second into it: what was under way when it
	 * broke does not count, nor what went on while this flow paused by itself.
	 */
	uint64_t since_ns =
		pub->last_progress_ns + (half_ns > NS_PER_S / 2 ? half_ns : NS_PER_S / 2);
	int asked = 0;

	pub->n_witnesses = 0;
	for (uint32_t i = 0; i < e->flow_top; i++) {
		struct flow *f = &e->flows[i];
		bool same_peer = addr_equal(&f->last.key.remote.addr, &pub->key.remote.addr);

		if (!f->used || f->last.key.netns != pub->key.netns ||
		    f->last.key.cookie == pub->key.cookie ||
		    addr_is_loopback(&f->last.key.remote.addr))
			continue;
		for (int sends = 0; sends < 2; sends++) {
			uint64_t moved_ns = flow_dir(&f->last, sends)->progress_ns;
			struct witness w = {
				.key = f->last.key,
				.sends = sends,
				.same_peer = same_peer,
				.rate_bps = f->rate_bps[sends],
			};
			int at = pub->n_witnesses;

			if (moved_ns < since_ns)
				continue;
			if (asked < WITNESS_ROUTES && !e->config.offline)
				asked += ask_witness(e, s, f);
			w.shared_hops = (uint8_t)shared_hops(e, s, f);
			w.new_reach = (int8_t)new_reach(e, f);
			if (at == MAX_WITNESSES) {
				if (!same_peer || pub->witnesses[at - 1].same_peer)
					continue;
				at--;
			} else {
				pub->n_witnesses++;
			}
			for (; at > 0 && same_peer && !pub->witnesses[at - 1].same_peer; at--)
				pub->witnesses[at] = pub->witnesses[at - 1];
			pub->witnesses[at] = w;
			break; /* one line a flow */
		}
	}
}
