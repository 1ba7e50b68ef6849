/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accounts of routers, in a small hash table. A slot that is taken away is one that owes least: at
 * worst a router is asked again as if it had rested.
 */
#include <string.h>

#include "base/clock.h"
#include "probe/limit.h"

#define HOP_BURST    6
#define HOP_EVERY_NS (1100 * NS_PER_MS) /* a little more than their second: clocks differ */
#define NEAR	     8			/* slots in which a key may be */

static uint32_t slot_of(uint32_t netns, const struct ip_addr *addr, uint8_t ttl, uint32_t i)
{
	uint32_t hash = (2166136261u ^ netns) * 16777619u ^ ttl;

	for (size_t k = 0; k < sizeof(addr->bytes); k++)
		hash = (hash ^ addr->bytes[k]) * 16777619u;
	return ((hash ^ hash >> 16) + i) % LIMIT_SLOTS;
}

static const struct account *find(const struct limits *l, uint32_t netns,
				  const struct ip_addr *addr, uint8_t ttl)
{
	for (uint32_t i = 0; i < NEAR; i++) {
		const struct account *s = &l->slot[slot_of(netns, addr, ttl, i)];

		if (s->used && s->netns == netns && s->ttl == ttl && addr_equal(&s->addr, addr))
			return s;
	}
	return NULL;
}

static struct account *take(struct limits *l, uint32_t netns, const struct ip_addr *addr,
			    uint8_t ttl)
{
	const struct account *known = find(l, netns, addr, ttl);
	struct account *least = NULL;

	if (known)
		return &l->slot[known - l->slot];
	for (uint32_t i = 0; i < NEAR; i++) {
		struct account *s = &l->slot[slot_of(netns, addr, ttl, i)];

		if (!least || (least->used && (!s->used || s->free_ns < least->free_ns)))
			least = s;
	}
	*least = (struct account){.netns = netns, .addr = *addr, .ttl = ttl, .used = true};
	return least;
}

static void charge(struct account *s, uint64_t ns, uint64_t now_ns)
{
	s->free_ns = (s->free_ns > now_ns ? s->free_ns : now_ns) + ns;
}

uint64_t limit_due(const struct limits *l, const struct limit_way *way)
{
	const uint64_t slack = (HOP_BURST - 1) * HOP_EVERY_NS;
	const struct account *s = find(l, way->netns, &way->to, way->ttl);

	if (s && s->router.family)
		s = find(l, way->netns, &s->router, 0);
	return s && s->free_ns > slack ? s->free_ns - slack : 0;
}

void limit_sent(struct limits *l, const struct limit_way *way, uint64_t now_ns)
{
	struct account *s = take(l, way->netns, &way->to, way->ttl);

	if (s->router.family)
		s = take(l, way->netns, &s->router, 0);
	charge(s, HOP_EVERY_NS, now_ns);
}

void limit_learn(struct limits *l, const struct limit_way *way, const struct ip_addr *router,
		 uint64_t now_ns)
{
	struct account *from = take(l, way->netns, &way->to, way->ttl), *to;
	uint64_t owed = from->free_ns > now_ns ? from->free_ns - now_ns : 0;

	if (addr_equal(&from->router, router))
		return;
	if (!from->router.family) { /* all that was sent so far was most likely for this one */
		from->router = *router;
		from->free_ns = 0;
		charge(take(l, way->netns, router, 0), owed, now_ns);
		return;
	}
	/* Ways part here: it was laid to the account of another. */
	to = take(l, way->netns, &from->router, 0);
	if (to->free_ns > now_ns + HOP_EVERY_NS)
		to->free_ns -= HOP_EVERY_NS;
	charge(take(l, way->netns, router, 0), HOP_EVERY_NS, now_ns);
}
