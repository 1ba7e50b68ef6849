/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Iterators: who is silent, and who was there before us. */
#ifndef TCPSTALL_SCAN_H
#define TCPSTALL_SCAN_H

#define STEADY_NS      NS_PER_S /* a run so long, or of so many min_bytes, makes silence remarkable */
#define STEADY_MINIMA  4

/* Who is quiet and owes nothing is reported at every scan for so long, then so often. */
#define QUIET_OFTEN_NS (60 * NS_PER_S)
#define QUIET_EVERY_NS (60 * NS_PER_S)

/* Set by user space before each scan: all flows; transfers that have moved since then, 0: none. */
__u8 scan_all;
__u64 scan_moved_since_ns;

/* Sockets that the watched processes had open already, by inode. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32); /* process id */
} inodes SEC(".maps");

/* Too large for the stack; only the scan uses it, and only one runs at a time. */
static struct snapshot scratch;

/*
 * What tcp_probe could not see. A half-closed flow is served by tcp_rcv_state_process(), which does
 * not pass there: if such a flow has moved since the last visit, it moved now. And data may have
 * been queued since: TCP_CHRONO_BUSY knows when the queue stopped being empty, unless another limit
 * has taken its place.
 */
static __always_inline void catch_up(struct flow *f, struct sock *sk, struct tcp_sock *tp, u64 now)
{
	u32 una = tp->snd_una, rcv_nxt = tp->rcv_nxt;
	u8 tcp_state = sk->__sk_common.skc_state;

	if (tcp_state != TCP_ESTABLISHED && tcp_state != TCP_SYN_SENT) {
		if (before(f->seen_una, una)) {
			progress_of(&f->snd, now, tp->bytes_acked);
			f->segs_in = tp->segs_in;
			f->dup_acks = 0;
			f->wnd_shut_acks = 0;
		}
		if (before(f->seen_rcv_nxt, rcv_nxt)) {
			progress_of(&f->rcv, now, tp->bytes_received);
			f->old_segs = 0;
			f->hole_segs = 0;
		}
	}
	if (tp->snd_wnd > f->wide_wnd / 2)
		f->cut_wnd = 0; /* it has opened again */
	f->seen_una = una;
	f->seen_rcv_nxt = rcv_nxt;
	if (tp->write_seq == una)
		f->owe_since_ns = 0;
	else if (!f->owe_since_ns)
		f->owe_since_ns = BPF_CORE_READ_BITFIELD(tp, chrono_type)
					  ? now - jiffies_ago_ns(tp->chrono_start)
					  : now;
}

/* Whether the peer has not yet closed its direction. */
static __always_inline bool may_receive(u8 tcp_state)
{
	return tcp_state == TCP_ESTABLISHED || tcp_state == TCP_FIN_WAIT1 ||
	       tcp_state == TCP_FIN_WAIT2;
}

static __always_inline bool was_steady(const struct track *d, u64 bytes)
{
	return d->progress_ns - d->run_start_ns >= STEADY_NS ||
	       bytes - d->run_start_bytes >= STEADY_MINIMA * knobs.min_bytes;
}

/*
 * A sender knows that it owes. A receiver is quiet if it was fed steadily, or has data that its
 * program does not read. Of a flow that the user picked, a sender that falls idle is told as well.
 */
static __always_inline u32 suspicion(const struct flow *f, const struct sock *sk,
				     const struct tcp_sock *tp, u64 now)
{
	u64 since = f->snd.progress_ns > f->owe_since_ns ? f->snd.progress_ns : f->owe_since_ns;
	s64 owing = now - since, idle = now - f->snd.progress_ns, quiet = now - f->rcv.progress_ns;
	bool picked = knobs.track_all || f->flags & FLOW_MINE;
	s64 enough = knobs.suspect_after_ns;
	u32 why = 0;

	if (f->owe_since_ns && owing >= enough)
		why |= WHY_OWES;
	if (f->rcv.progress_ns && quiet >= enough && may_receive(sk->__sk_common.skc_state) &&
	    (was_steady(&f->rcv, tp->bytes_received) || tp->rcv_nxt != tp->copied_seq))
		why |= WHY_QUIET;
	if (picked && f->snd.progress_ns && idle >= enough && was_steady(&f->snd, tp->bytes_acked))
		why |= WHY_QUIET;
	return why;
}

SEC("iter/bpf_sk_storage_map")
int scan(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct flow *f = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tp;
	u32 why = 0, suspect = 0;
	u64 now, moved;

	if (!sk || !f)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || f->flags & FLOW_LISTENER || sk->__sk_common.skc_state == TCP_CLOSE)
		return 0;
	count(COUNT_VISITED);
	now = clock_ns();
	catch_up(f, sk, tp, now);

	moved = f->rcv.progress_ns > f->snd.progress_ns ? f->rcv.progress_ns : f->snd.progress_ns;
	if (watched(f, netns_of(sk))) {
		suspect = suspicion(f, sk, tp, now);
		why = suspect;
		if (why == WHY_QUIET && now - moved > QUIET_OFTEN_NS &&
		    now - f->reported_ns < QUIET_EVERY_NS)
			why = 0;
		if (!suspect && f->flags & FLOW_REPORTED)
			why = WHY_FINE;
	}
	if (scan_all)
		why |= WHY_ASKED;
	if (scan_moved_since_ns && moved >= scan_moved_since_ns && watched(f, netns_of(sk)) &&
	    (tp->bytes_acked >= knobs.min_bytes || tp->bytes_received >= knobs.min_bytes))
		why |= WHY_MOVES;
	if (!why)
		return 0;

	snapshot_of(&scratch, sk, tp, f);
	scratch.why = why;
	if (bpf_seq_write(ctx->meta->seq, &scratch, sizeof(scratch)))
		return 0; /* the buffer is full: the flow will be visited again */
	f->flags |= FLOW_SHOWN;
	if (suspect) {
		f->flags |= FLOW_REPORTED;
		f->reported_ns = now;
	} else {
		f->flags &= ~FLOW_REPORTED;
	}
	return 0;
}

/* Run once in each namespace after attaching. Request and time-wait sockets are no full sockets. */
SEC("iter/tcp")
int seed(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_sock *tp;
	struct flow *f;
	u32 *pid = NULL;
	u64 inode, now;

	if (!skc)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp || skc->skc_state == TCP_CLOSE || !in_sight((struct sock *)tp))
		return 0;
	if (knobs.by_process) {
		inode = inode_of((struct sock *)tp);
		pid = bpf_map_lookup_elem(&inodes, &inode);
	}
	if (skc->skc_state == TCP_LISTEN
		    ? !pid
		    : !pid && !knobs.track_all &&
			      tp->bytes_acked + tp->bytes_received < knobs.min_bytes)
		return 0;
	if (bpf_sk_storage_get(&flows, tp, NULL, 0))
		return 0;
	now = clock_ns();
	f = flow_start((struct sock *)tp, tp, now);
	if (!f)
		return 0;
	if (pid) {
		f->flags |= FLOW_MINE;
		f->tgid = *pid;
	}
	if (skc->skc_state == TCP_LISTEN) {
		f->flags |= FLOW_LISTENER;
		return 0;
	}
	f->flags |= FLOW_SEEDED;
	box_take(f, (struct sock *)tp, tp);
	f->last_in_ns = 0;
	if (skc->skc_state == TCP_SYN_SENT)
		return 0;
	f->last_in_ns = now - jiffies_ago_ns(tp->rcv_tstamp);
	/* The last ACK may be older than we are: so is the silence of a sender that owes. */
	f->last_in_ns = tp->rcv_tstamp ? now - jiffies_ago_ns(tp->rcv_tstamp) : now;
	f->born_ns = f->last_in_ns;
	f->snd.progress_ns = f->snd.run_start_ns = f->last_in_ns;
	f->snd.run_start_bytes = tp->bytes_acked;
	f->rcv.progress_ns = f->rcv.run_start_ns = now;
	f->rcv.run_start_bytes = tp->bytes_received;
	return 0;
}

#endif
