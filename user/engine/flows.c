/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table (chained hash over a fixed pool), what a snapshot says about a direction, and the
 * cache of paths. Nothing here outlives the engine or grows.
 */
#include <netinet/tcp.h>
#include <string.h>

#include "engine/internal.h"

#define SYN_BYTES 1 /* tcp_info counts SYN and FIN as bytes */

static uint32_t flow_bucket(const struct engine *e, const struct flow_key *key)
{
	uint64_t h = (key->cookie ^ ((uint64_t)key->netns << 32)) * 0x9e3779b97f4a7c15ull;

	return (uint32_t)(h >> 33) & (e->n_buckets - 1);
}

static bool same_flow(const struct flow_key *a, const struct flow_key *b)
{
	return a->cookie == b->cookie && a->netns == b->netns;
}

struct flow *flow_find(struct engine *e, const struct flow_key *key)
{
	for (int32_t i = e->buckets[flow_bucket(e, key)]; i >= 0; i = e->flows[i].next)
		if (same_flow(&e->flows[i].last.key, key))
			return &e->flows[i];
	return NULL;
}

struct flow *flow_take(struct engine *e, const struct flow_key *key)
{
	uint32_t bucket = flow_bucket(e, key);
	int32_t i = e->free_flow;
	struct flow *f;

	if (i < 0 && e->flow_top == e->config.max_flows)
		return NULL;
	/* Memory of the pool is touched only once it is needed. */
	f = &e->flows[i < 0 ? (int32_t)e->flow_top++ : i];
	if (i >= 0)
		e->free_flow = f->next;
	i = (int32_t)(f - e->flows);
	memset(f, 0, sizeof(*f));
	f->used = true;
	f->last.key = *key;
	f->stall[0] = f->stall[1] = -1;
	f->crawl[0].stall = f->crawl[1].stall = -1;
	f->next = e->buckets[bucket];
	e->buckets[bucket] = i;
	e->counts.flows_now++;
	return f;
}

void flow_drop(struct engine *e, struct flow *f)
{
	int32_t *link = &e->buckets[flow_bucket(e, &f->last.key)];
	int32_t i = (int32_t)(f - e->flows);

	while (*link != i)
		link = &e->flows[*link].next;
	*link = f->next;
	f->used = false;
	f->next = e->free_flow;
	e->free_flow = i;
	e->counts.flows_now--;
}

struct path_cache *path_find(const struct engine *e, const struct flow_key *key)
{
	for (int i = 0; i < PATHS; i++)
		if (e->paths[i].n && e->paths[i].netns == key->netns &&
		    addr_equal(&e->paths[i].peer, &key->remote.addr))
			return &e->paths[i];
	return NULL;
}

static struct path_cache *path_take(struct engine *e, const struct flow_key *key)
{
	struct path_cache *p = path_find(e, key), *oldest = e->paths;

	if (p)
		return p;
	for (int i = 1; i < PATHS; i++)
		if (e->paths[i].used_ns < oldest->used_ns)
			oldest = &e->paths[i];
	memset(oldest, 0, sizeof(*oldest));
	oldest->netns = key->netns;
	oldest->peer = key->remote.addr;
	return oldest;
}

void path_learn(struct engine *e, const struct flow_key *key, uint8_t ttl,
		const struct ip_addr *hop)
{
	struct path_cache *p = path_take(e, key);

	p->hops[ttl - 1] = *hop;
	if (ttl > p->n)
		p->n = ttl;
	p->used_ns = e->now_ns;
}

bool flow_is_transfer(const struct engine *e, const struct flow_snapshot *s, bool sends)
{
	if (s->flags & SNAP_WITNESS_ONLY)
		return false;
	if (flow_dir(s, sends)->bytes >= e->config.min_bytes)
		return true;
	/* Who was named counts with whatever it has moved or owes, a handshake without answer too.
	 */
	return (s->flags & SNAP_NAMED) &&
	       (flow_dir(s, sends)->bytes > SYN_BYTES || (sends && owed_bytes(s)) ||
		(sends && s->state == TCP_SYN_SENT));
}

bool flow_was_steady(const struct engine *e, const struct flow_snapshot *s, bool sends)
{
	const struct direction *d = flow_dir(s, sends);

	return d->progress_ns - d->run_start_ns >= STEADY_RUN_NS ||
	       d->bytes - d->run_start_bytes >= STEADY_RUN_MINIMA * e->config.min_bytes;
}

/* The longest pause that this direction has made more than once; UINT64_MAX for the open bucket. */
static uint64_t habitual_pause_ns(const struct direction *d)
{
	for (int i = PAUSE_BUCKETS - 1; i >= 0; i--)
		if (d->pauses[i] > 1)
			return i == PAUSE_BUCKETS - 1 ? UINT64_MAX : (128 * NS_PER_MS) << i;
	return 0;
}

bool flow_own_window_shut(const struct flow_snapshot *s)
{
	return s->rcv_nxt != s->copied_seq && s->rcv_wnd < (s->mss ? s->mss : 1);
}

bool flow_peer_window_shut(const struct flow_snapshot *s)
{
	return !s->unacked_segs && owed_bytes(s) && s->snd_wnd < (s->mss ? s->mss : 1);
}

bool flow_peer_repeats(const struct flow_snapshot *s)
{
	uint64_t settled_ns = s->rcv.progress_ns + NS_PER_S / 2 + 2 * NS_PER_US * s->rtt_us;

	/* RFC 9293 3.8.6.1: who finds our window shut probes it, with what we have, too. */
	return s->old_segs >= 2 && s->last_in_ns >= settled_ns && !flow_own_window_shut(s);
}

/*
 * The sender knows what it owes. The receiver knows only its own rhythm: it was fed steadily and
 * pauses of this length are not its habit, or what does arrive does not help.
 */
bool flow_suspicious(const struct engine *e, const struct flow_snapshot *s, bool sends,
		     uint64_t silence_ns)
{
	bool named = s->flags & SNAP_NAMED;
	bool large = flow_dir(s, sends)->bytes >= e->config.min_bytes; /* small talk may pause */

	if (sends)
		return owed_bytes(s) || (named && flow_was_steady(e, s, true) && large);
	if (s->state != TCP_ESTABLISHED && s->state != TCP_FIN_WAIT1 && s->state != TCP_FIN_WAIT2)
		return false; /* the peer has said that it is done */
	if (s->hole_segs || flow_peer_repeats(s) || flow_own_window_shut(s))
		return true;
	return large && flow_was_steady(e, s, false) &&
	       (named || silence_ns > habitual_pause_ns(&s->rcv));
}

uint64_t flow_silence_ns(const struct flow_snapshot *s, bool sends, uint64_t now_ns)
{
	uint64_t since = flow_dir(s, sends)->progress_ns;

	if (since < s->born_ns)
		since = s->born_ns;
	if (sends && since < s->owe_since_ns)
		since = s->owe_since_ns;
	return since && now_ns > since ? now_ns - since : 0;
}

int hops_from_ttl(uint8_t ttl)
{
	int initial = ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255;
	int hops = initial - ttl + 1;

	return ttl && hops <= MAX_DISTANCE ? hops : 0;
}

uint8_t flow_ttl_elsewhere(const struct engine *e, const struct flow_key *key)
{
	for (uint32_t i = 0; i < e->flow_top; i++) {
		const struct flow_snapshot *s = &e->flows[i].last;

		if (e->flows[i].used && s->ttl_in && s->key.netns == key->netns &&
		    s->state != TCP_SYN_SENT && addr_equal(&s->key.remote.addr, &key->remote.addr))
			return s->ttl_in;
	}
	return 0;
}
