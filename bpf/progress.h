/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hot path: every segment received in ESTABLISHED, every retransmission. tcp_probe fires at the
 * start of tcp_rcv_established(), so the socket still shows the state before this segment.
 */
#ifndef TCPSTALL_PROGRESS_H
#define TCPSTALL_PROGRESS_H

#define TCP_FLAG_RST 0x04
#define TCP_FLAG_ACK 0x10

/* TTL and IP ID of this segment's header; IPv6 has no ID. */
static __always_inline void ip_header(const struct sk_buff *skb, u8 *ret_ttl, u16 *ret_id)
{
	const unsigned char *l3 = skb->head + skb->network_header;
	struct iphdr h;

	if (bpf_probe_read_kernel(&h, sizeof(h), l3))
		return;
	if (h.version_ihl >> 4 == 4) {
		*ret_ttl = h.ttl;
		*ret_id = bpf_ntohs(h.id);
	} else if (h.version_ihl >> 4 == 6) {
		*ret_ttl = ((struct ipv6hdr *)&h)->hop_limit;
		*ret_id = 0;
	}
}

/* An ACK that brings nothing new while data is outstanding. Its window needs the TCP header. */
static __noinline int ack_without_news(struct flow *f, const struct sk_buff *skb,
				       struct tcp_sock *tp)
{
	u32 scale = BPF_CORE_READ_BITFIELD(tp, rx_opt.snd_wscale);
	__be16 raw = 0;
	u32 wnd;

	if (bpf_probe_read_kernel(&raw, sizeof(raw), skb->data + 14))
		return 0;
	wnd = (u32)bpf_ntohs(raw) << scale;
	if (!wnd)
		f->withdrawn = tp->snd_una + tp->snd_wnd;
	if (wnd < tp->mss_cache && wnd <= tp->max_window / 2) /* RFC 9293 3.8.6.2.1: too little */
		f->wnd_shut_acks++;
	else if (tp->packets_out && wnd == tp->snd_wnd) /* RFC 5681 2 */
		f->dup_acks++;
	if (odd_options(f, skb, tp)) { /* which is no word of the peer's own */
		f->segs_in++;
		f->dup_acks -= f->dup_acks > 0;
	}
	return 0;
}

/*
 * The peer has sent beyond RCV.NXT: as an offset of the stream, which does not wrap. What lies
 * outside the window is not believed.
 */
static __always_inline void beyond(struct flow *f, const struct tcp_sock *tp, u32 seq)
{
	u32 ahead = seq - tp->rcv_nxt;

	if (ahead <= tp->rcv_wnd && tp->bytes_received + ahead > f->peer_end)
		f->peer_end = tp->bytes_received + ahead;
}

/*
 * Reordering and tail loss probes repeat at once, timers of an unheard ACK later. A byte of old
 * data is a keep-alive. A peer never takes back what it has acknowledged: a watcher beside it does,
 * so that no reset is believed that its probes may cause.
 */
static __always_inline bool is_sent_again(const struct flow *f, const struct tcp_sock *tp,
					  u32 bytes, u32 ack, u64 now)
{
	return bytes > 1 && !before(ack, tp->snd_una) &&
	       (s64)(now - f->rcv.progress_ns) >= (s64)NS_PER_S / 2;
}

static __always_inline void data_in(struct flow *f, const struct tcp_sock *tp,
				    const struct tcp_skb_cb *cb, u64 now)
{
	const u32 seq = cb->seq, end_seq = cb->end_seq;

	if (!before(tp->rcv_nxt, end_seq)) {
		f->old_segs += is_sent_again(f, tp, end_seq - seq, cb->ack_seq, now);
	} else if (before(tp->rcv_nxt, seq)) {
		f->hole_segs++;
		beyond(f, tp, end_seq);
	} else {
		progress_of(&f->rcv, now, tp->bytes_received);
		f->old_segs = 0;
		f->hole_segs = 0;
	}
}

/*
 * The first ACK after a pause in which segments were sent again. If it covers more than those, what
 * it covers had arrived before and ACKs were lost. What was sacked had arrived anyhow.
 */
static __noinline int resumed(struct flow *f, const struct tcp_sock *tp, u32 ack)
{
	u32 beyond;

	if (!f || !tp)
		return 0;
	beyond = ack - (f->retrans_seq + f->retrans_len);
	f->resume_jump = 0;
	if (f->retrans_ns > f->snd.progress_ns && !tp->sacked_out && (s32)beyond > 0)
		f->resume_jump = beyond;
	return 0;
}

/*
 * The right edge of the window has moved back (RFC 9293 3.8.6: a receiver should not do that). One
 * that is out of memory offers nothing, and a little later: Linux since 6.5, tcp_select_window().
 * Senders before 6.5 do not take the nothing over, so its header was looked at.
 */
static __noinline int taken_back(struct flow *f, const struct tcp_sock *tp)
{
	u32 wnd;

	if (!f || !tp)
		return 0;
	wnd = tp->snd_wnd;
	if (wnd && wnd < f->wnd - f->wnd / 4 && f->edge != f->withdrawn) {
		f->wide_wnd = f->wnd;
		f->cut_wnd = wnd;
	}
	return 0;
}

/* false: it brings nothing new while data is outstanding. */
static __always_inline bool ack_in(struct flow *f, struct tcp_sock *tp, u32 ack, u64 now)
{
	u32 edge = tp->snd_una + tp->snd_wnd;

	if (before(edge, f->edge))
		taken_back(f, tp);
	f->edge = edge;
	f->wnd = tp->snd_wnd;
	if (!before(tp->snd_una, ack) || before(tp->snd_nxt, ack))
		return ack != tp->snd_una || ack == tp->write_seq;
	if ((s64)(now - f->snd.progress_ns) >= (s64)PAUSE_NS)
		resumed(f, tp, ack);
	progress_of(&f->snd, now, tp->bytes_acked);
	f->segs_in = tp->segs_in;
	f->dup_acks = 0;
	if (f->wnd_shut_acks)
		f->wnd_shut_acks = 0;
	if (ack == tp->write_seq)
		f->owe_since_ns = 0;
	return true;
}

/* At tcp_probe the socket is known to be TCP: the check of bpf_skc_to_tcp_sock() is a wasted call.
 */
static __always_inline struct tcp_sock *tcp_sock_of(struct sock *sk)
{
	return knobs.has_cast ? bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock))
			      : bpf_skc_to_tcp_sock(sk);
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(progress, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp = tcp_sock_of(sk);
	const struct tcp_skb_cb *cb = (const void *)skb->cb;
	u32 seq, end_seq, flags;
	bool moved;
	struct flow *f;
	u64 now;

	if (!tp)
		return 0;
	moved = tp->bytes_acked + tp->bytes_received >= knobs.min_bytes;
	if (!moved && !knobs.track_all && !knobs.by_process)
		return 0;
	now = clock_ns();
	f = bpf_sk_storage_get(&flows, sk, NULL, 0);
	if (!f) {
		if ((!moved && !knobs.track_all) || !in_sight(sk))
			return 0;
		f = flow_start(sk, tp, now);
		if (!f)
			return 0;
		box_take(f, sk, tp);
	}
	if (f->box.index)
		box_in(f, skb);
	seq = cb->seq;
	end_seq = cb->end_seq;
	flags = cb->tcp_flags;

	f->last_in_ns = now;
	if (seq != end_seq)
		data_in(f, tp, cb, now);
	else if (before(tp->rcv_nxt, seq)) /* an ACK tells what was sent before it */
		beyond(f, tp, seq);
	if (flags & TCP_FLAG_ACK && !ack_in(f, tp, cb->ack_seq, now) && seq == end_seq)
		ack_without_news(f, skb, tp);
	if (flags & TCP_FLAG_RST) {
		ip_header(skb, &f->rst_ttl, &f->rst_ip_id);
		f->rst_seq = seq;
	} else if (now - f->ttl_sampled_ns >= NS_PER_S) {
		ip_header(skb, &f->ttl, &f->ip_id);
		f->ifindex = skb->skb_iif;
		f->ttl_sampled_ns = now;
	}
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit, struct sock *sk, struct sk_buff *skb)
{
	const struct tcp_skb_cb *cb = (const void *)skb->cb;
	struct flow *f = bpf_sk_storage_get(&flows, sk, NULL, 0);

	if (!f)
		return 0;
	count(COUNT_RETRANS);
	if (cb->seq != f->retrans_seq + f->retrans_len)
		f->retrans_runs++;
	f->retrans_ns = clock_ns();
	f->retrans_seq = cb->seq;
	f->retrans_len = cb->end_seq - cb->seq;
	return 0;
}

#endif
