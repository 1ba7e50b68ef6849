/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that this host drops or finds damaged, and neighbours that change. Drops are looked at
 * only while user space listens to a flow, and only in the namespace of its socket.
 */
#ifndef TCPSTALL_NETWORK_H
#define TCPSTALL_NETWORK_H

#define NUD_FAILED	 0x20
#define LOOPBACK_IFINDEX 1

/* How many flows user space listens to: 0 makes the programs return at once. */
__u32 n_listening;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_LISTEN_MAX);
	__type(key, struct tuple);
	__type(value, struct listening);
} listen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct drop);
	__type(value, u64);
} drops SEC(".maps");

static __always_inline void turn(struct tuple *t)
{
	struct tuple was = *t;

	__builtin_memcpy(t->local, was.remote, 16);
	__builtin_memcpy(t->remote, was.local, 16);
	t->local_port = was.remote_port;
	t->remote_port = was.local_port;
}

/* TCP takes the device off what it hands to a socket; the route still knows one. */
static __always_inline u32 netns_at(const struct sk_buff *skb)
{
	const struct dst_entry *dst = (const void *)(skb->_skb_refdst & ~1ul);

	if (skb->dev)
		return skb->dev->nd_net.net->ns.inum;
	return dst ? BPF_CORE_READ(dst, dev, nd_net.net, ns.inum) : 0;
}

/*
 * The flow that is listened to and owns this packet. A packet on its way out carries its socket,
 * one on its way in has a device (skb->dev is not to be trusted before ip_output() has set it).
 */
static __always_inline struct listening *listening_to(const struct sk_buff *skb, u8 *ret_inbound)
{
	struct sock *sk = skb->sk;
	struct listening *l;
	struct tuple t;

	barrier_var(sk); /* checked and used must be the same load */
	if (sk) {
		if (!bpf_sk_storage_get(&flows, sk, NULL, 0)) /* no full socket, or not ours */
			return NULL;
		*ret_inbound = skb->skb_iif != 0;
		tuple_of(&t, sk);
		return bpf_map_lookup_elem(&listen, &t);
	}
	if (!parse(skb->head + skb->network_header, &t))
		return NULL;
	/* Not traffic: a dummy that inet_rtm_getroute() makes to ask for the route of this flow. */
	if (skb->dev && skb->dev->ifindex == LOOPBACK_IFINDEX && !skb->skb_iif)
		return NULL;
	t.netns = netns_at(skb);
	if (!t.netns)
		return NULL;
	*ret_inbound = 1;
	l = bpf_map_lookup_elem(&listen, &t);
	if (l)
		return l;
	turn(&t);
	*ret_inbound = 0;
	return bpf_map_lookup_elem(&listen, &t);
}

/* What is dropped after it was recorded is only marked. */
static __always_inline void box_dropped(const struct box_ref *ref, const struct sk_buff *skb,
					u8 inbound)
{
	struct box *b = box_of(ref);
	struct box_slot *slot;
	u32 at;

	if (!b)
		return;
	if (b->last_skb == (u32)(u64)skb) {
		at = box_at(ref, b->packets - 1);
		slot = bpf_map_lookup_elem(&slots, &at);
		if (slot)
			slot->flags |= PACKET_DROPPED;
		return;
	}
	box_put(b, ref, skb, skb->network_header, skb->transport_header, inbound ? skb->skb_iif : 0,
		PACKET_DROPPED | (inbound ? 0 : PACKET_OUT), bpf_ktime_get_ns());
}

static __always_inline void dropped(const struct sk_buff *skb, void *location, u32 reason)
{
	struct drop key = {.location = (u64)location, .reason = reason};
	struct listening *l;
	u64 one = 1, *n;

	if (reason < BPF_DROP_REASONS && knobs.harmless[reason])
		return;
	l = listening_to(skb, &key.inbound);
	if (!l)
		return;
	box_dropped(&l->box, skb, key.inbound);
	key.cookie = l->cookie;
	n = bpf_map_lookup_elem(&drops, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else if (bpf_map_update_elem(&drops, &key, &one, BPF_NOEXIST))
		count(LOST_DROPS_FULL);
}

/* The reason is an argument since 5.17; the branch is cut out where there is none. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(drop, struct sk_buff *skb, void *location)
{
	if (!n_listening)
		return 0;
	if (bpf_core_type_exists(enum skb_drop_reason))
		dropped(skb, location, ctx[2]);
	else
		dropped(skb, location, 0);
	return 0;
}

/* No socket is handed over, but early demultiplexing has usually found it. */
SEC("tp_btf/tcp_bad_csum")
int BPF_PROG(bad_csum, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	struct listening *l;
	struct flow *f;
	u8 inbound;

	if (sk) {
		f = bpf_sk_storage_get(&flows, sk, NULL, 0);
		if (f)
			f->csum_bad++;
	} else if (n_listening) {
		l = listening_to(skb, &inbound);
		if (l)
			__sync_fetch_and_add(&l->csum_bad, 1);
	}
	return 0;
}

static __always_inline void neighbour(struct neighbour *n, const void *lladdr, u16 nud)
{
	struct event_neigh *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count(LOST_RING_FULL);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->head.type = EVENT_NEIGH;
	e->head.now_ns = bpf_ktime_get_ns();
	e->netns = n->dev->nd_net.net->ns.inum;
	e->ifindex = n->dev->ifindex;
	e->family = n->tbl->family;
	e->nud = nud;
	bpf_probe_read_kernel(e->addr, e->family == AF_INET6 ? 16 : 4, n->primary_key);
	bpf_probe_read_kernel(e->old_lladdr, sizeof(e->old_lladdr), n->ha);
	if (lladdr)
		bpf_probe_read_kernel(e->lladdr, sizeof(e->lladdr), lladdr);
	bpf_ringbuf_submit(e, 0);
}

/* Another MAC address for one that we had, accepted or not, or the end of a neighbour. */
SEC("tp_btf/neigh_update")
int BPF_PROG(neigh_update, struct neighbour *n, const u8 *lladdr, u8 nud)
{
	u8 had[8] = {}, gets[8] = {};

	if (nud == NUD_FAILED) {
		if (n->nud_state != NUD_FAILED)
			neighbour(n, NULL, nud);
		return 0;
	}
	if (!lladdr)
		return 0;
	bpf_probe_read_kernel(had, 6, n->ha);
	bpf_probe_read_kernel(gets, 6, lladdr);
	if (*(u64 *)had && *(u64 *)had != *(u64 *)gets)
		neighbour(n, lladdr, nud);
	return 0;
}

/* Resolution that runs out of tries does not pass neigh_update(). */
SEC("tp_btf/neigh_timer_handler")
int BPF_PROG(neigh_timer, struct neighbour *n)
{
	if (n->nud_state == NUD_FAILED)
		neighbour(n, NULL, NUD_FAILED);
	return 0;
}

#endif
