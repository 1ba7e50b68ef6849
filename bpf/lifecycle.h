/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections that begin and end, resets either way, and the processes that are watched. */
#ifndef TCPSTALL_LIFECYCLE_H
#define TCPSTALL_LIFECYCLE_H

/* Process ids that are watched (by_process): the root and its descendants. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u8);
} tasks SEC(".maps");

/*
 * connect() and listen() run in the process itself, the only moments when `current` is the owner. A
 * listener's state is cloned to the sockets that it accepts (BPF_F_CLONE).
 */
static __always_inline void opened(struct sock *sk, struct tcp_sock *tp, u32 flags)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	bool mine = knobs.by_process && bpf_map_lookup_elem(&tasks, &tgid);
	struct flow *f;

	if (!in_sight(sk) || (!mine && (!knobs.track_all || flags & FLOW_LISTENER)))
		return;
	f = flow_start(sk, tp, clock_ns());
	if (!f)
		return;
	f->last_in_ns = 0;
	f->owe_since_ns = f->born_ns; /* the handshake */
	f->flags = flags | (mine ? FLOW_MINE : 0);
	f->tgid = tgid;
	bpf_get_current_comm(f->comm, sizeof(f->comm));
	if (!(flags & FLOW_LISTENER))
		box_take(f, sk, tp);
}

static __always_inline void established(struct sock *sk, struct tcp_sock *tp, int old)
{
	struct flow *f = bpf_sk_storage_get(&flows, sk, NULL, 0);
	u64 now = clock_ns();

	if (!f) {
		if (knobs.track_all && in_sight(sk))
			f = flow_start(sk, tp, now);
		if (f) {
			f->flags |= old == TCP_SYN_RECV ? FLOW_ACCEPTED : FLOW_CONNECTED;
			box_take(f, sk, tp);
		}
		return;
	}
	f->flags &= ~FLOW_LISTENER;
	f->flags |= old == TCP_SYN_RECV ? FLOW_ACCEPTED : FLOW_CONNECTED;
	f->born_ns = now;
	f->last_in_ns = now;
	f->owe_since_ns = 0;
	f->segs_in = tp->segs_in;
	f->seen_una = tp->snd_una;
	f->seen_rcv_nxt = tp->rcv_nxt;
	apart_end(sk, tp);
	box_established(f, sk, tp);
}

/* From here on tcp_probe does not see what comes in. If the event is lost the next scan does it. */
static __always_inline void half_closed(struct sock *sk, struct tcp_sock *tp)
{
	struct flow *f = bpf_sk_storage_get(&flows, sk, NULL, 0);
	struct event e = {.type = EVENT_APART};
	struct tuple t;

	if (!f || !f->box.index)
		return;
	tuple_of_any(&t, sk, tp);
	apart_begin(&f->box, &t, tp);
	if (!packet_in_there)
		bpf_ringbuf_output(&events, &e, sizeof(e), 0);
}

/* The tracepoint fires before the change: the snapshot shows the state that the flow died in. */
static __always_inline void closed(struct sock *sk, struct tcp_sock *tp)
{
	struct flow *f = bpf_sk_storage_get(&flows, sk, NULL, 0);
	struct event_gone *e;

	if (!f || f->flags & FLOW_CLOSED)
		return;
	if (!(f->flags & FLOW_LISTENER)) {
		e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
		if (e) {
			e->head.type = EVENT_GONE;
			e->head.pad = 0;
			e->error = sk->sk_err ? sk->sk_err : sk->sk_err_soft;
			e->pad = 0;
			snapshot_of(&e->last, sk, tp, f);
			e->head.now_ns = e->last.now_ns;
			bpf_ringbuf_submit(e, 0);
		} else {
			count(LOST_RING_FULL);
		}
	}
	apart_end(sk, tp);
	box_end(f, tp);
	f->flags |= FLOW_CLOSED; /* a reset may yet be sent */
}

/* A socket that was closed connects or listens anew. */
static __always_inline void begins_anew(struct sock *sk)
{
	const struct flow *f = bpf_sk_storage_get(&flows, sk, NULL, 0);

	if (f && f->flags & FLOW_CLOSED)
		bpf_sk_storage_delete(&flows, sk);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, struct sock *sk, int old, int new)
{
	bool early = knobs.track_all || knobs.by_process;
	struct tcp_sock *tp;

	if (new == TCP_SYN_SENT || new == TCP_LISTEN)
		begins_anew(sk);
	else if (new != TCP_CLOSE && !early && !knobs.box_packets)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (new == TCP_CLOSE)
		closed(sk, tp);
	else if (old == TCP_ESTABLISHED)
		half_closed(sk, tp);
	else if (new == TCP_SYN_SENT && early)
		opened(sk, tp, 0);
	else if (new == TCP_LISTEN && early)
		opened(sk, tp, FLOW_LISTENER);
	else if (new == TCP_ESTABLISHED && early)
		established(sk, tp, old);
	return 0;
}

static __always_inline struct event_reset *reset_event(struct sock *sk, const struct flow *f)
{
	struct event_reset *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count(LOST_RING_FULL);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->head.type = EVENT_RESET;
	e->head.now_ns = bpf_ktime_get_ns();
	e->cookie = bpf_get_socket_cookie(sk);
	tuple_of(&e->tuple, sk);
	e->watched = watched(f, e->tuple.netns);
	e->ttl_usual = f->ttl;
	e->ip_id_usual = f->ip_id;
	return e;
}

/* The header of the reset was noted by `progress` a moment ago, if the flow was ESTABLISHED. */
SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_in, struct sock *sk)
{
	struct flow *f = bpf_sk_storage_get(&flows, sk, NULL, 0);
	struct event_reset *e;

	if (!f)
		return 0;
	f->flags |= FLOW_RESET;
	e = reset_event(sk, f);
	if (!e)
		return 0;
	e->inbound = 1;
	e->ttl = f->rst_ttl;
	e->ip_id = f->rst_ip_id;
	e->seq = f->rst_seq;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/*
 * sk is NULL for a segment that belongs to no socket, skb where the reset answers none. Later
 * kernels add arguments. A reset in reply does not leave through the flow's socket: what it answers
 * is kept in its place.
 */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_out, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp;
	struct event_reset *e;
	struct flow *f;

	if (!sk)
		return 0;
	f = bpf_sk_storage_get(&flows, sk, NULL, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!f || !tp)
		return 0;
	if (skb)
		box_reply(f, skb);
	if (f->flags & FLOW_CLOSED)
		return 0;
	e = reset_event(sk, f);
	if (!e)
		return 0;
	e->seq = tp->snd_nxt;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 from = parent->tgid, to = child->tgid;
	u8 one = 1;

	if (from != to && bpf_map_lookup_elem(&tasks, &from) &&
	    bpf_map_update_elem(&tasks, &to, &one, BPF_ANY))
		count(LOST_TASKS_FULL);
	return 0;
}

/* do_exit() has counted this thread off already: the last one takes the process along. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(task_exit, struct task_struct *task)
{
	u32 tgid = task->tgid;

	if (!task->signal->live.counter)
		bpf_map_delete_elem(&tasks, &tgid);
	return 0;
}

#endif
