/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* State beside the socket, how it begins, and how it becomes a snapshot. */
#ifndef TCPSTALL_FLOW_H
#define TCPSTALL_FLOW_H

#define NS_PER_S   1000000000ull
#define RUN_GAP_NS NS_PER_S    /* a longer gap ends a run */
#define PAUSE_NS   64000000ull /* shorter gaps are no pauses */

/*
 * What every segment writes comes first. The kernel puts 8 bytes of its own before it, so that the
 * first line of the cache ends behind rcv, and the second one before ttl_sampled_ns.
 */
struct flow {
	u64 last_in_ns;
	struct box_ref box;
	struct track rcv, snd;
	u32 edge, wnd; /* right edge of the peer's window, and its size, at the last ACK */
	u32 segs_in;   /* tp->segs_in at the last progress of snd */
	u32 dup_acks, old_segs, hole_segs;
	u64 ttl_sampled_ns;
	u64 owe_since_ns;
	u32 wnd_shut_acks, csum_bad;
	u64 peer_end; /* the peer has shown this offset of its stream, where beyond a hole */
	u64 born_ns, retrans_ns;
	u64 reported_ns;
	u32 retrans_seq, retrans_len;
	u32 retrans_runs; /* stretches without a gap that were sent again */
	u32 resume_jump; /* the ACK that ended the last pause went so far beyond what was sent again
			  */
	u32 bad_sacks, bad_echoes;  /* in ACKs: of what was never sent */
	u32 wide_wnd, cut_wnd;	    /* the window, before and after its edge moved back */
	u32 withdrawn;		    /* the edge when the peer itself offered nothing any more */
	u32 seen_una, seen_rcv_nxt; /* at the last visit of the scan */
	u32 rst_seq;
	u32 ifindex;
	u32 flags; /* enum flow_flag */
	u16 ip_id, rst_ip_id;
	u8 ttl, rst_ttl;
	u16 pad;
	u32 tgid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

static __always_inline void count(u32 what)
{
	u64 *n = bpf_map_lookup_elem(&counts, &what);

	if (n)
		*n += 1;
}

/*
 * The clock of everything that is kept: CLOCK_MONOTONIC to a tick, in two instructions. (Tracing
 * programs may not call bpf_ktime_get_coarse_ns(), and a true clock read costs more than all the
 * rest.) The kernel counts jiffies off CLOCK_MONOTONIC, tick_do_update_jiffies64(), so they do not
 * drift apart.
 */
__u64 clock_zero_ns;

static __always_inline u64 clock_ns(void)
{
	return bpf_jiffies64() * knobs.jiffy_ns + clock_zero_ns;
}

/* Run once before attaching. A jiffy is taken off so that the clock is never ahead of the true one.
 */
SEC("syscall")
int set_clock(void *ctx)
{
	clock_zero_ns = bpf_ktime_get_ns() - (bpf_jiffies64() + 1) * knobs.jiffy_ns;
	return 0;
}

/* Since 6.2. The verifier turns it into nothing. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* a is before b in sequence space (RFC 9293 3.4) */
static __always_inline bool before(u32 a, u32 b)
{
	return (s32)(a - b) < 0;
}

static __always_inline u32 netns_of(const struct sock *sk)
{
	return sk->__sk_common.skc_net.net->ns.inum;
}

static __always_inline bool v4_mapped(const struct in6_addr *a)
{
	return !a->in6_u.u6_addr32[0] && !a->in6_u.u6_addr32[1] &&
	       a->in6_u.u6_addr32[2] == bpf_htonl(0xffff);
}

/* An IPv6 socket that talks to an IPv4-mapped address has the IPv4 fields filled in as well. */
static __always_inline void tuple_of(struct tuple *t, const struct sock *sk)
{
	const struct sock_common *c = &sk->__sk_common;
	u32 *local = (u32 *)t->local, *remote = (u32 *)t->remote;

	__builtin_memset(t, 0, sizeof(*t));
	if (c->skc_family == AF_INET6 && bpf_core_field_exists(c->skc_v6_daddr) &&
	    !v4_mapped(&c->skc_v6_daddr)) {
		t->family = AF_INET6;
		local[0] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		local[1] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		local[2] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		local[3] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		remote[0] = c->skc_v6_daddr.in6_u.u6_addr32[0];
		remote[1] = c->skc_v6_daddr.in6_u.u6_addr32[1];
		remote[2] = c->skc_v6_daddr.in6_u.u6_addr32[2];
		remote[3] = c->skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		t->family = AF_INET;
		local[0] = c->skc_rcv_saddr;
		remote[0] = c->skc_daddr;
	}
	t->local_port = c->skc_num;
	t->remote_port = bpf_ntohs(c->skc_dport);
	t->netns = netns_of(sk);
}

/* A gap of at least PAUSE_NS has ended. Buckets double; the last one is open. */
static __noinline int pause_ended(struct track *d, u64 gap, u64 now, u64 bytes)
{
	u64 n = gap / PAUSE_NS;
	u32 bucket = 0;

	if (!d)
		return 0;
	if (d->progress_ns) {
		for (; n > 1 && bucket < BPF_PAUSES - 1; n >>= 1)
			bucket++;
		if (d->pauses[bucket] != 0xffff)
			d->pauses[bucket]++;
	}
	if (gap > RUN_GAP_NS) {
		d->run_start_ns = now;
		d->run_start_bytes = bytes;
	}
	return 0;
}

static __always_inline void progress_of(struct track *d, u64 now, u64 bytes)
{
	s64 gap = now - d->progress_ns;

	if (gap >= (s64)PAUSE_NS)
		pause_ended(d, gap, now, bytes);
	d->progress_ns = now;
}

/* Puts state beside the socket. The first progress seen starts the first run. */
static __always_inline struct flow *flow_start(struct sock *sk, const struct tcp_sock *tp, u64 now)
{
	struct flow *f = bpf_sk_storage_get(&flows, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!f) {
		count(LOST_NO_MEMORY);
		return NULL;
	}
	count(COUNT_TRACKED);
	f->born_ns = now;
	f->last_in_ns = now;
	f->segs_in = tp->segs_in;
	f->seen_una = tp->snd_una;
	f->seen_rcv_nxt = tp->rcv_nxt;
	return f;
}

/* Witnesses share a path only within one namespace: others are left alone if one was picked. */
static __always_inline bool in_sight(const struct sock *sk)
{
	return !knobs.netns || netns_of(sk) == knobs.netns;
}

/* Whether the user picked it by namespace and process; a FILTER is up to user space. */
static __always_inline bool watched(const struct flow *f, u32 netns)
{
	return (!knobs.netns || netns == knobs.netns) &&
	       (!knobs.by_process || f->flags & FLOW_MINE);
}

static __always_inline u64 jiffies_ago_ns(u32 then)
{
	s32 ago = (u32)bpf_jiffies64() - then;

	return ago > 0 ? (u64)ago * knobs.jiffy_ns : 0;
}

/* Since 6.17 the socket knows its inode; before, it is the one allocated around struct socket. */
static __always_inline u64 inode_of(struct sock *sk)
{
	struct sock___ino *with_ino = (void *)sk;
	unsigned long ino = 0;
	void *socket;

	if (bpf_core_field_exists(with_ino->sk_ino)) {
		bpf_core_read(&ino, sizeof(ino), &with_ino->sk_ino);
		return ino;
	}
	socket = sk->sk_socket;
	if (socket)
		bpf_core_read(&ino, sizeof(ino), &((struct socket_alloc *)socket)->vfs_inode.i_ino);
	return ino;
}

static __always_inline bool is_secured(struct tcp_sock *tp)
{
	struct tcp_sock___md5 *md5 = (void *)tp;
	struct tcp_sock___ao *ao = (void *)tp;
	void *key = NULL;

	if (bpf_core_field_exists(md5->md5sig_info))
		bpf_core_read(&key, sizeof(key), &md5->md5sig_info);
	if (!key && bpf_core_field_exists(ao->ao_info))
		bpf_core_read(&key, sizeof(key), &ao->ao_info);
	return key;
}

/*
 * The timer that runs now. Retransmission doubles icsk_rto itself, the window probe
 * (ICSK_TIME_PROBE0) doubles at arming: tcp_probe0_when().
 */
static __always_inline u32 timeout_us(struct tcp_sock *tp)
{
	struct inet_connection_sock___rto_max *limited = (void *)tp;
	struct inet_connection_sock *icsk = &tp->inet_conn;
	u64 us = (u64)icsk->icsk_rto * knobs.jiffy_ns / 1000;
	u64 max_us = 120000000;
	u32 max_jiffies = 0;

	if (icsk->icsk_pending == 3)
		us <<= icsk->icsk_backoff & 31;
	if (bpf_core_field_exists(limited->icsk_rto_max)) {
		bpf_core_read(&max_jiffies, sizeof(max_jiffies), &limited->icsk_rto_max);
		max_us = (u64)max_jiffies * knobs.jiffy_ns / 1000;
	}
	return us < max_us ? us : max_us;
}

/* tcp_get_info_chrono_stats() */
static __always_inline void chrono(struct snapshot *s, struct tcp_sock *tp)
{
	u32 type = BPF_CORE_READ_BITFIELD(tp, chrono_type);
	u64 running = jiffies_ago_ns(tp->chrono_start);
	u64 busy = (u64)tp->chrono_stat[0] * knobs.jiffy_ns + (type == 1 ? running : 0);
	u64 rwnd = (u64)tp->chrono_stat[1] * knobs.jiffy_ns + (type == 2 ? running : 0);
	u64 sndbuf = (u64)tp->chrono_stat[2] * knobs.jiffy_ns + (type == 3 ? running : 0);

	s->busy_us = (busy + rwnd + sndbuf) / 1000;
	s->rwnd_limited_us = rwnd / 1000;
	s->sndbuf_limited_us = sndbuf / 1000;
}

/* Out of line: the compiler moves the offsets of an inlined read ahead of the question whether the
 * field exists, and a kernel without it refuses them there. */
static __noinline u8 usec_ts_of(struct tcp_sock *tp)
{
	struct tcp_sock___usec_ts *ts = (void *)tp;

	return ts ? BPF_CORE_READ_BITFIELD_PROBED(ts, tcp_usec_ts) : 0;
}

/* The unit of the timestamps that this connection sends: microseconds, or else milliseconds. */
static __always_inline bool counts_usec(struct tcp_sock *tp)
{
	struct tcp_sock___usec_ts *ts = (void *)tp;

	return bpf_core_field_exists(ts->tcp_usec_ts) && usec_ts_of(tp);
}

static __always_inline void snapshot_of(struct snapshot *s, struct sock *sk, struct tcp_sock *tp,
					struct flow *f)
{
	u64 now = bpf_ktime_get_ns(), heard;
	u32 wnd;

	s->now_ns = now;
	s->cookie = bpf_get_socket_cookie(sk);
	s->inode = inode_of(sk);
	tuple_of(&s->tuple, sk);
	/* skc_num is given back before the last change of state */
	s->tuple.local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	s->snd = f->snd;
	s->rcv = f->rcv;
	s->snd_bytes = tp->bytes_acked;
	s->rcv_bytes = tp->bytes_received;
	s->born_ns = f->born_ns;
	s->owe_since_ns = f->owe_since_ns;
	s->retrans_ns = f->retrans_ns;
	/* half-closed flows bypass tcp_probe, but the kernel notes their ACKs */
	heard = tp->rcv_tstamp && f->last_in_ns ? now - jiffies_ago_ns(tp->rcv_tstamp) : 0;
	s->last_in_ns = heard > f->last_in_ns + 2ull * knobs.jiffy_ns ? heard : f->last_in_ns;
	chrono(s, tp);
	s->snd_una = tp->snd_una;
	s->snd_nxt = tp->snd_nxt;
	s->write_seq = tp->write_seq;
	s->rcv_nxt = tp->rcv_nxt;
	s->copied_seq = tp->copied_seq;
	s->peer_nxt = s->rcv_nxt;
	if (f->peer_end > s->rcv_bytes)
		s->peer_nxt += f->peer_end - s->rcv_bytes;
	s->retrans_seq = f->retrans_seq;
	s->retrans_len = f->retrans_len;
	s->snd_wnd = tp->snd_wnd;
	wnd = tp->rcv_wup + tp->rcv_wnd - tp->rcv_nxt; /* tcp_receive_window() */
	s->rcv_wnd = (s32)wnd < 0 ? 0 : wnd;
	s->mss = tp->mss_cache;
	s->pmtu = tp->inet_conn.icsk_pmtu_cookie;
	s->rtt_us = tp->srtt_us >> 3;
	s->rttvar_us = tp->mdev_us >> 2;
	s->min_rtt_us = tp->rtt_min.s[0].v == ~0u ? 0 : tp->rtt_min.s[0].v;
	s->rto_us = timeout_us(tp);
	s->backoff = tp->inet_conn.icsk_backoff;
	s->retrans = tp->inet_conn.icsk_retransmits;
	s->probes_out = tp->inet_conn.icsk_probes_out;
	s->unacked_segs = tp->packets_out;
	s->sacked_segs = tp->sacked_out;
	s->lost_segs = tp->lost_out;
	s->retrans_segs = tp->retrans_out;
	s->reord_seen = tp->reord_seen;
	s->total_retrans = tp->total_retrans;
	s->dup_acks = f->dup_acks;
	s->in_segs = tp->segs_in - f->segs_in;
	s->wnd_shut_acks = f->wnd_shut_acks;
	s->csum_bad = f->csum_bad;
	s->data_segs_out = tp->data_segs_out;
	s->dsack_dups = tp->dsack_dups;
	s->rcv_ooopack = tp->rcv_ooopack;
	s->retrans_runs = f->retrans_runs;
	s->resume_jump = f->resume_jump;
	s->bad_sacks = f->bad_sacks;
	s->bad_echoes = f->bad_echoes;
	s->wide_wnd = f->wide_wnd;
	s->cut_wnd = f->cut_wnd;
	s->old_segs = f->old_segs;
	s->hole_segs = f->hole_segs;
	s->tsoffset = tp->tsoffset;
	s->ts_recent = tp->rx_opt.ts_recent;
	s->ifindex = f->ifindex;
	s->soft_error = sk->sk_err_soft;
	s->flags = f->flags;
	s->why = 0;
	s->pid = f->tgid;
	__builtin_memcpy(s->comm, f->comm, sizeof(s->comm));
	s->state = sk->__sk_common.skc_state;
	s->ca_state = BPF_CORE_READ_BITFIELD(tp, inet_conn.icsk_ca_state);
	s->ttl_in = f->ttl;
	s->timestamps = BPF_CORE_READ_BITFIELD(tp, rx_opt.tstamp_ok);
	s->sack = BPF_CORE_READ_BITFIELD(tp, rx_opt.sack_ok) != 0;
	s->snd_wscale = BPF_CORE_READ_BITFIELD(tp, rx_opt.snd_wscale);
	s->rcv_wscale = BPF_CORE_READ_BITFIELD(tp, rx_opt.rcv_wscale);
	s->usec_ts = counts_usec(tp);
	s->secured = is_secured(tp);
	s->watched = watched(f, s->tuple.netns);
}

#endif
