/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Black boxes: the last packets of each transfer. All memory is there from the start; nobody is
 * woken up. A box goes with a flow from its first state on, and when the flow ends, to the back of
 * the queue that the next owner takes one from the front of.
 *
 * A flow is received in one context at a time and sent in one, but both may happen at once: a
 * packet gets its slot by an atomic count, and its number is written behind all the rest, so that a
 * reader can tell what is whole.
 */
#ifndef TCPSTALL_BOX_H
#define TCPSTALL_BOX_H

#define ETHER_BYTES	14
#define ETHER_MIN_BYTES 60 /* shorter ones are padded */
#define USUAL_BYTES	72 /* of headers: Ethernet, IPv4 and TCP with timestamps; in words of 8 */

/* User space sets the sizes. Box 0 is nobody's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct box);
} boxes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct box_slot);
} slots SEC(".maps");

/* Boxes without packets that matter, and those of transfers that ended, the longest ago first. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, u32);
} boxes_free SEC(".maps"), boxes_ended SEC(".maps");

static __always_inline struct box *box_of(const struct box_ref *ref)
{
	u32 index = ref->index;
	struct box *b;

	if (!index)
		return NULL;
	b = bpf_map_lookup_elem(&boxes, &index);
	return b && b->turn == ref->turn ? b : NULL;
}

static __always_inline u32 box_at(const struct box_ref *ref, u32 number)
{
	return ref->index * knobs.box_packets + (number & (knobs.box_packets - 1));
}

/* Everything written before is seen before it. x86 keeps the order of stores by itself. */
static __always_inline void publish(u32 *to, u32 value)
{
#ifdef __TARGET_ARCH_x86
	barrier();
	*(volatile u32 *)to = value;
#else
	__sync_lock_test_and_set(to, value); /* a full barrier on every machine */
#endif
}

/*
 * Plain loads, which may fault as bpf_probe_read_kernel() may, and cost less. The type is just one
 * that is long enough.
 */
static __always_inline void copy_usual(u8 *to, const unsigned char *from)
{
	if (!knobs.has_cast) {
		bpf_probe_read_kernel(to, USUAL_BYTES, from);
		return;
	}
#pragma unroll
	for (u32 i = 0; i < USUAL_BYTES; i += 8)
		*(u64 *)(to + i) = *(const u64 *)bpf_rdonly_cast(
			from + i, bpf_core_type_id_kernel(struct in6_addr));
}

/* Copies the headers, from `begin` on; tcp: where in them TCP is. */
static __always_inline void copy_headers(struct box_slot *slot, const unsigned char *begin, u32 tcp)
{
	copy_usual(slot->data, begin);
	if (tcp > USUAL_BYTES - TCP_HEADER_BYTES + 6 ||
	    tcp + (slot->data[tcp + 12] >> 4) * 4 > USUAL_BYTES)
		bpf_probe_read_kernel(slot->data + USUAL_BYTES, BPF_BOX_BYTES - USUAL_BYTES,
				      begin + USUAL_BYTES);
}

/* Whether the data of this packet begins below what has passed in its direction. */
static __always_inline u8 passed(u32 *high, const struct box_slot *slot, u32 tcp)
{
	const u8 *h = slot->data;
	u32 seq, data, was = *high;

	if (tcp > BPF_BOX_BYTES - TCP_HEADER_BYTES || slot->length <= ETHER_MIN_BYTES)
		return 0;
	h += tcp;
	seq = (u32)h[4] << 24 | (u32)h[5] << 16 | (u32)h[6] << 8 | h[7];
	data = slot->length - tcp - (h[12] >> 4) * 4;
	if (!data)
		return 0;
	if (before(was, seq + data))
		*high = seq + data;
	return before(seq, was) ? PACKET_AGAIN : 0;
}

/*
 * ip, tcp: where these headers are, from skb->head on. Callers on the hot path read the clock
 * before they look at the box: a read waits for all loads that are under way.
 */
static __always_inline void box_put(struct box *b, const struct box_ref *ref,
				    const struct sk_buff *skb, u32 ip, u32 tcp, u32 ifindex,
				    u8 flags, u64 now)
{
	u32 number = __sync_fetch_and_add(&b->packets, 1);
	u32 at = box_at(ref, number);
	u32 link = ip - skb->mac_header, begin;
	struct box_slot *slot = bpf_map_lookup_elem(&slots, &at);

	if (!slot)
		return;
	if (link != ETHER_BYTES)
		link = 0;
	begin = ip - link;
	copy_headers(slot, skb->head + begin, tcp - begin);
	slot->time_ns = now;
	slot->ifindex = ifindex;
	slot->length = skb->len + (u32)(skb->data - skb->head) - begin;
	slot->link = link;
	slot->flags = flags;
	if (!(flags & PACKET_REPLY))
		slot->flags |=
			passed(flags & PACKET_OUT ? &b->out_high : &b->in_high, slot, tcp - begin);
	publish(&slot->number, number + 1);
	b->last_skb = (u64)skb;
}

/* From tcp_probe: skb->data is at the TCP header. */
static __always_inline void box_in(struct flow *f, const struct sk_buff *skb)
{
	u64 now = bpf_ktime_get_ns();
	struct box *b = box_of(&f->box);

	if (b)
		box_put(b, &f->box, skb, skb->network_header, skb->data - skb->head, skb->skb_iif,
			0, now);
}

/* A reset that answers this segment: user space turns it around. */
static __always_inline void box_reply(struct flow *f, const struct sk_buff *skb)
{
	struct box *b = box_of(&f->box);

	if (b)
		box_put(b, &f->box, skb, skb->network_header, skb->transport_header, skb->skb_iif,
			PACKET_OUT | PACKET_REPLY, bpf_ktime_get_ns());
}

/* What the handshake has settled, for when it is no longer in the box. */
static __always_inline void box_options(struct box *b, const struct flow *f, struct tcp_sock *tp)
{
	b->min_rtt_us = tp->rtt_min.s[0].v;
	b->snd_mss = tp->rx_opt.mss_clamp;
	b->rcv_mss = tp->advmss;
	b->snd_wscale = BPF_CORE_READ_BITFIELD(tp, rx_opt.snd_wscale);
	b->rcv_wscale = BPF_CORE_READ_BITFIELD(tp, rx_opt.rcv_wscale);
	b->options = (BPF_CORE_READ_BITFIELD(tp, rx_opt.tstamp_ok) ? BOX_TIMESTAMPS : 0) |
		     (BPF_CORE_READ_BITFIELD(tp, rx_opt.sack_ok) ? BOX_SACK : 0) |
		     (f->flags & FLOW_CONNECTED ? BOX_CONNECTED : 0) |
		     (f->flags & FLOW_ACCEPTED ? BOX_ACCEPTED : 0);
}

/* Gives a flow a box if it has none. */
static __noinline int box_take(struct flow *f, struct sock *sk, struct tcp_sock *tp)
{
	struct box *b;
	u32 index;

	if (!f || !sk || !tp || !knobs.box_packets || f->box.index)
		return 0;
	if (bpf_map_pop_elem(&boxes_free, &index) && bpf_map_pop_elem(&boxes_ended, &index)) {
		count(COUNT_BOXLESS);
		return 0;
	}
	b = bpf_map_lookup_elem(&boxes, &index);
	if (!b)
		return 0;
	b->cookie = 0;
	f->box.turn = __sync_fetch_and_add(&b->turn, 1) + 1;
	b->first = b->packets;
	b->out_tstamp = 0;
	b->out_ifindex = 0;
	b->last_skb = 0;
	b->unseen = 0;
	/* Of a flow older than we are, all that it sent has left. */
	b->out_high = f->flags & FLOW_SEEDED ? tp->snd_nxt : tp->snd_una;
	b->in_high = tp->rcv_nxt;
	box_options(b, f, tp);
	__sync_fetch_and_add(&b->cookie, bpf_get_socket_cookie(sk));
	f->box.index = index;
	return 0;
}

/* The connection stands: now the options are known. */
static __always_inline void box_established(struct flow *f, struct sock *sk, struct tcp_sock *tp)
{
	struct box *b = box_of(&f->box);

	if (b)
		box_options(b, f, tp);
	else
		box_take(f, sk, tp);
}

/* The flow is over. What it still sends goes into its box until that is taken. */
static __always_inline void box_end(const struct flow *f, const struct tcp_sock *tp)
{
	u32 index = f->box.index;

	if (!box_of(&f->box))
		return;
	if (tp->bytes_acked + tp->bytes_received < knobs.min_bytes)
		bpf_map_push_elem(&boxes_free, &index, BPF_ANY);
	else
		bpf_map_push_elem(&boxes_ended, &index, BPF_ANY);
}

#endif
