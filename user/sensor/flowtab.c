/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table: entries in one reserved range that is touched as it fills, a chained hash over
 * them. Full, it gives up connections that are over or have rested for long; if a few looks find
 * none, the new one is not tracked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sensor/tracker_impl.h"

#define LOOKS	     16
#define TUNNEL_LOOKS 8
#define MANY	     65536 /* flows; fewer would fill no huge page */
#define REST_NS	     (120 * NS_PER_S)

void *flowtab_reserve(const struct tracker *t, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (t->config.max_flows >= MANY) /* visited at random: spare the TLB */
		madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

void flowtab_release(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

int flowtab_init(struct tracker *t)
{
	uint32_t n = t->config.max_flows;

	for (t->n_buckets = 1024; t->n_buckets < n; t->n_buckets *= 2)
		;
	t->flows = flowtab_reserve(t, n * sizeof(*t->flows));
	t->buckets =
		flowtab_reserve(t, t->n_buckets * sizeof(*t->buckets)); /* index + 1; 0: empty */
	t->details = flowtab_reserve(t, MAX_DETAILS * sizeof(*t->details));
	t->free = t->detail_free = NONE;
	return t->flows && t->buckets && t->details ? 0 : -ENOMEM;
}

void flowtab_free(struct tracker *t)
{
	flowtab_release(t->flows, t->config.max_flows * sizeof(*t->flows));
	flowtab_release(t->buckets, t->n_buckets * sizeof(*t->buckets));
	flowtab_release(t->details, MAX_DETAILS * sizeof(*t->details));
}

/* 0 if the ends are src and dst of the packet. */
static inline uint64_t unlike(const struct flow_entry *e, const struct frame *f, int src)
{
	const union frame_addr *from = &e->addr[src], *to = &e->addr[!src];

	return (from->words[0] ^ f->src.words[0]) | (from->words[1] ^ f->src.words[1]) |
	       (to->words[0] ^ f->dst.words[0]) | (to->words[1] ^ f->dst.words[1]) |
	       (uint64_t)((e->port[src] ^ f->sport) | (e->port[!src] ^ f->dport)) |
	       (uint64_t)(e->family ^ f->family);
}

/* Which half the packet comes from, or -1. No branch on it: nothing predicts a direction. */
static inline int direction(const struct flow_entry *e, const struct frame *f)
{
	int dir = (e->addr[0].words[0] ^ f->src.words[0]) |
				  (e->addr[0].words[1] ^ f->src.words[1]) |
				  (uint64_t)(e->port[0] ^ f->sport)
			  ? 1
			  : 0;

	return __builtin_expect(unlike(e, f, dir) != 0, 0) ? -1 : dir;
}

static void drop_detail(struct tracker *t, struct half *h)
{
	if (h->detail == NO_DETAIL)
		return;
	t->details[h->detail].next_free = t->detail_free;
	t->detail_free = h->detail;
	h->detail = NO_DETAIL;
	t->n_details--;
}

struct detail *detail_make(struct tracker *t, struct half *h)
{
	if (h->detail != NO_DETAIL)
		return &t->details[h->detail];
	if (!(h->flags & HALF_TRANSFER) && t->n_details >= SMALL_DETAILS)
		return NULL;
	if (t->detail_free != NONE) {
		h->detail = t->detail_free & NO_DETAIL;
		t->detail_free = t->details[h->detail].next_free;
	} else if (t->detail_top < MAX_DETAILS) {
		h->detail = t->detail_top++ & NO_DETAIL;
	} else {
		return NULL;
	}
	t->n_details++;
	memset(&t->details[h->detail], 0, sizeof(*t->details));
	return &t->details[h->detail];
}

/* A connection begins in this entry, the ends of which are set. */
static void begin(struct tracker *t, struct flow_entry *e)
{
	memset(e->half, 0, sizeof(e->half));
	e->half[0].detail = e->half[1].detail = NO_DETAIL;
	e->half[0].life = e->half[1].life = LIFE_NONE;
	e->half[0].next = e->half[0].prev = e->half[1].next = e->half[1].prev = NONE;
	e->opener = 2;
	e->mss = 0;
	e->born_ns = t->now_ns;
	e->number = ++t->numbers;
	e->first_frame = e->last_frame = (uint32_t)t->frame;
	t->counts.connections++;
}

static void end(struct tracker *t, struct flow_entry *e)
{
	uint32_t node = (uint32_t)(e - t->flows) * 2;

	for (int dir = 0; dir < 2; dir++) {
		probes_over(t, node + (uint32_t)dir, false, GONE_CLOSED);
		if (e->half[dir].flags & HALF_OPEN)
			report_gone(t, node + (uint32_t)dir, GONE_CLOSED);
		life_end(t, node + (uint32_t)dir);
		wheel_disarm(t, node + (uint32_t)dir);
		drop_detail(t, &e->half[dir]);
	}
}

void flowtab_renew(struct tracker *t, struct flow_entry *e)
{
	end(t, e);
	begin(t, e);
}

static bool is_over(const struct tracker *t, const struct flow_entry *e)
{
	const struct half *a = &e->half[0], *b = &e->half[1];
	uint64_t last_ns = a->last_ns > b->last_ns ? a->last_ns : b->last_ns;

	if ((a->flags | b->flags) & HALF_OPEN)
		return false;
	return ((a->flags | b->flags) & HALF_RESET) || (a->flags & b->flags & HALF_FIN) ||
	       t->now_ns - last_ns > REST_NS;
}

static uint32_t entry_hash(const struct flow_entry *e)
{
	struct frame f = {
		.src = e->addr[0], .dst = e->addr[1], .sport = e->port[0], .dport = e->port[1]};

	return frame_hash(&f);
}

static void unlink_entry(struct tracker *t, struct flow_entry *e)
{
	uint32_t index = (uint32_t)(e - t->flows);
	uint32_t *link = &t->buckets[entry_hash(e) & (t->n_buckets - 1)];

	while (*link != index + 1)
		link = &t->flows[*link - 1].next;
	*link = e->next;
	e->used = 0;
}

static struct flow_entry *reclaim(struct tracker *t)
{
	for (int i = 0; i < LOOKS; i++) {
		struct flow_entry *e = &t->flows[t->hand];

		t->hand = t->hand + 1 < t->top ? t->hand + 1 : 0;
		if (e->used && is_over(t, e)) {
			end(t, e);
			unlink_entry(t, e);
			return e;
		}
	}
	return NULL;
}

/* The tunnel around a packet, remembered: its index plus one. */
static uint8_t tunnel_of(struct tracker *t, const struct frame *f)
{
	struct tunnel want = {
		.kind = f->tunnel,
		.family = f->outer_family,
		.id = f->tunnel_id,
		.src = f->outer_src,
		.dst = f->outer_dst,
	};
	uint64_t hash = (want.src.words[0] ^ want.dst.words[0] << 1 ^ want.src.words[1] ^
			 want.dst.words[1] << 1 ^ want.id) *
			0x9e3779b97f4a7c15ull;

	for (uint32_t i = 0; i < TUNNEL_LOOKS; i++) {
		uint32_t at = (uint32_t)((hash >> 32) + i) % TUNNELS;
		struct tunnel *u = &t->tunnels[at];

		if (!u->kind)
			*u = want;
		if (u->kind == want.kind && u->id == want.id &&
		    !memcmp(&u->src, &want.src, sizeof(u->src)) &&
		    !memcmp(&u->dst, &want.dst, sizeof(u->dst)))
			return (uint8_t)(at + 1);
	}
	return TUNNEL_UNKNOWN;
}

uint32_t flowtab_make(struct tracker *t, const struct frame *f, uint32_t hash)
{
	uint32_t *bucket = &t->buckets[hash & (t->n_buckets - 1)], index;
	struct flow_entry *e;

	if (t->top < t->config.max_flows)
		e = &t->flows[t->top++];
	else
		e = reclaim(t);
	if (!e)
		return NONE;
	index = (uint32_t)(e - t->flows);
	e->used = 1;
	e->probed = 0;
	e->addr[0] = f->src;
	e->addr[1] = f->dst;
	e->port[0] = f->sport;
	e->port[1] = f->dport;
	e->family = f->family;
	e->tunnel = f->tunnel ? tunnel_of(t, f) : 0;
	e->next = *bucket;
	*bucket = index + 1;
	begin(t, e);
	return index * 2;
}

uint32_t flowtab_find(const struct tracker *t, const struct frame *f, uint32_t hash)
{
	for (uint32_t i = t->buckets[hash & (t->n_buckets - 1)]; i; i = t->flows[i - 1].next) {
		int dir = direction(&t->flows[i - 1], f);

		if (dir >= 0)
			return (i - 1) * 2 + (uint32_t)dir;
	}
	return NONE;
}
