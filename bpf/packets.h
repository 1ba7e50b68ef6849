/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of packets into black boxes, beside tcp_probe. What leaves is taken where it is handed to
 * the device, as a capture would see it: super-packets whole if the device segments them.
 *
 * tcp_probe fires in ESTABLISHED only. Flows that have a box and are in another state stand apart:
 * their packets are told by their addresses, and only while there are such flows is packet_in
 * there.
 */
#ifndef TCPSTALL_PACKETS_H
#define TCPSTALL_PACKETS_H

#define SAME_PACKET_NS (10 * 1000000ull)

__u32 n_apart;
__u8 packet_in_there; /* or cannot be: nobody need be told */

struct apart {
	struct box_ref box;
	u64 last_skb, last_ns, last_numbers;
	u64 tp;	     /* of a half-closed flow until a packet of it is seen: struct tcp_sock */
	u32 segs_in; /* when it stood apart */
	u32 pad;
};

/* As many as there are boxes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct tuple);
	__type(value, struct apart);
} apart SEC(".maps");

/* skc_num is given back before the last change of state. */
static __always_inline void tuple_of_any(struct tuple *t, struct sock *sk,
					 const struct tcp_sock *tp)
{
	tuple_of(t, sk);
	t->local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
}

/* tp: NULL before the handshake, when there is nothing to miss. */
static __always_inline void apart_begin(const struct box_ref *box, const struct tuple *t,
					const struct tcp_sock *tp)
{
	struct apart value = {.box = *box, .tp = (u64)tp};

	if (tp)
		value.segs_in = tp->segs_in;
	if (box->index && !bpf_map_update_elem(&apart, t, &value, BPF_NOEXIST))
		__sync_fetch_and_add(&n_apart, 1);
}

/* What the socket has received since it stood apart, packet_in was too late for. */
static __always_inline void count_unseen(struct apart *a, u32 segs_in)
{
	struct box *b = box_of(&a->box);
	u32 n;

	if (!a->tp || !b)
		return;
	a->tp = 0;
	n = b->unseen + segs_in - a->segs_in;
	b->unseen = n < 0xffff ? n : 0xffff;
}

static __noinline int apart_end(struct sock *sk, struct tcp_sock *tp)
{
	struct apart *a;
	struct tuple t;

	if (!sk || !tp || !n_apart)
		return 0;
	tuple_of_any(&t, sk, tp);
	a = bpf_map_lookup_elem(&apart, &t);
	if (a)
		count_unseen(a, tp->segs_in);
	if (!bpf_map_delete_elem(&apart, &t))
		__sync_fetch_and_add(&n_apart, -1);
	return 0;
}

/*
 * A bridge hands the same packet up again. The next one may lie in the same memory, but its
 * sequence numbers are others, or it comes later.
 */
static __always_inline void packet_apart(const struct sk_buff *skb)
{
	u32 ip = skb->data - skb->head, ip_bytes, segs_in;
	u64 now = clock_ns(), numbers;
	const struct tcp_sock *tp;
	struct apart *a;
	struct tuple t;
	struct box *b;

	ip_bytes = parse(skb->data, &t);
	if (!ip_bytes || bpf_probe_read_kernel(&numbers, sizeof(numbers), skb->data + ip_bytes + 4))
		return;
	t.netns = skb->dev->nd_net.net->ns.inum;
	a = bpf_map_lookup_elem(&apart, &t);
	b = a ? box_of(&a->box) : NULL;
	if (!b || (a->last_skb == (u64)skb && a->last_numbers == numbers &&
		   now - a->last_ns < SAME_PACKET_NS))
		return;
	a->last_skb = (u64)skb;
	a->last_ns = now;
	a->last_numbers = numbers;
	tp = (void *)a->tp;
	if (tp && !bpf_core_read(&segs_in, sizeof(segs_in), &tp->segs_in))
		count_unseen(a, segs_in);
	box_put(b, &a->box, skb, ip, ip + ip_bytes, skb->dev->ifindex, 0, bpf_ktime_get_ns());
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(packet_in, struct sk_buff *skb)
{
	if (n_apart)
		packet_apart(skb);
	return 0;
}

/*
 * Further devices below the first (bonds, VLANs, bridges) show the same departure times again; what
 * has been received before comes over a virtual wire.
 */
static __always_inline bool first_device(struct box *b, const struct sk_buff *skb,
					 const struct net_device *dev, const struct sock *sk)
{
	u64 departure = skb->tstamp;
	u32 ifindex = dev->ifindex;

	if (skb->skb_iif || dev->nd_net.net != sk->__sk_common.skc_net.net)
		return false;
	if (ifindex != b->out_ifindex) {
		if (departure && departure <= b->out_tstamp)
			return false;
		b->out_ifindex = ifindex;
	}
	b->out_tstamp = departure;
	return true;
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(packet_out, struct sk_buff *skb, struct net_device *dev)
{
	struct sock *sk = skb->sk;
	struct tuple t;
	struct flow *f;
	struct box *b;
	u64 now;

	barrier_var(sk); /* checked and used must be the same load */
	if (!sk)
		return 0;
	f = bpf_sk_storage_get(&flows, sk, NULL, 0);
	if (!f || !f->box.index)
		return 0;
	now = bpf_ktime_get_ns();
	b = box_of(&f->box);
	if (!b || !first_device(b, skb, dev, sk))
		return 0;
	box_put(b, &f->box, skb, skb->network_header, skb->transport_header, dev->ifindex,
		PACKET_OUT, now);
	if (sk->__sk_common.skc_state == TCP_SYN_SENT) { /* only now it has a port */
		tuple_of(&t, sk);
		apart_begin(&f->box, &t, NULL);
	}
	return 0;
}

#endif
