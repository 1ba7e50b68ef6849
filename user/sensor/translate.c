/* SPDX-License-Identifier: GPL-2.0-only */
/* From the structures of bpf/tcpstall.h to observations. The engine knows only the latter. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "sensor/ebpf.h"

static struct endpoint endpoint_of(uint8_t family, const uint8_t address[16], uint16_t port)
{
	struct endpoint e = {.port = port};

	e.addr = family == AF_INET6 ? addr_v6(address) : addr_v4(address);
	return e;
}

struct flow_key key_of(const struct tuple *t, uint64_t cookie)
{
	struct flow_key key = {.cookie = cookie, .netns = t->netns};

	key.local = endpoint_of(t->family, t->local, t->local_port);
	key.remote = endpoint_of(t->family, t->remote, t->remote_port);
	return key;
}

struct tuple tuple_of(const struct flow_key *key)
{
	struct tuple t = {
		.netns = key->netns,
		.local_port = key->local.port,
		.remote_port = key->remote.port,
		.family = key->local.addr.family,
	};

	memcpy(t.local, key->local.addr.bytes, sizeof(t.local));
	memcpy(t.remote, key->remote.addr.bytes, sizeof(t.remote));
	return t;
}

static struct direction direction_of(const struct track *t, uint64_t bytes)
{
	struct direction d = {
		.bytes = bytes,
		.progress_ns = t->progress_ns,
		.run_start_ns = t->run_start_ns,
		.run_start_bytes = t->run_start_bytes,
	};

	_Static_assert(sizeof(d.pauses) == sizeof(t->pauses), "same buckets");
	memcpy(d.pauses, t->pauses, sizeof(d.pauses));
	return d;
}

/* SNAP_NAMED and SNAP_WITNESS_ONLY are the caller's to set. */
void snapshot_of(const struct snapshot *in, struct flow_snapshot *ret)
{
	*ret = (struct flow_snapshot){
		.key = key_of(&in->tuple, in->cookie),
		.snd = direction_of(&in->snd, in->snd_bytes),
		.rcv = direction_of(&in->rcv, in->rcv_bytes),
		.born_ns = in->born_ns,
		.owe_since_ns = in->owe_since_ns,
		.last_in_ns = in->last_in_ns,
		.retrans_ns = in->retrans_ns,
		.inode = in->inode,
		.snd_una = in->snd_una,
		.snd_nxt = in->snd_nxt,
		.write_seq = in->write_seq,
		.rcv_nxt = in->rcv_nxt,
		.copied_seq = in->copied_seq,
		.peer_nxt = in->peer_nxt,
		.retrans_seq = in->retrans_seq,
		.retrans_len = in->retrans_len,
		.snd_wnd = in->snd_wnd,
		.rcv_wnd = in->rcv_wnd,
		.mss = in->mss,
		.pmtu = in->pmtu,
		.rtt_us = in->rtt_us,
		.rttvar_us = in->rttvar_us,
		.min_rtt_us = in->min_rtt_us,
		.rto_us = in->rto_us,
		.backoff = in->backoff,
		.retrans = in->retrans,
		.probes_out = in->probes_out,
		.unacked_segs = in->unacked_segs,
		.sacked_segs = in->sacked_segs,
		.lost_segs = in->lost_segs,
		.retrans_segs = in->retrans_segs,
		.reord_seen = in->reord_seen,
		.total_retrans = in->total_retrans,
		.dup_acks = in->dup_acks,
		.in_segs = in->in_segs,
		.wnd_shut_acks = in->wnd_shut_acks,
		.csum_bad = in->csum_bad,
		.data_segs_out = in->data_segs_out,
		.dsack_dups = in->dsack_dups,
		.rcv_ooopack = in->rcv_ooopack,
		.retrans_runs = in->retrans_runs,
		.resume_jump = in->resume_jump,
		.wide_wnd = in->wide_wnd,
		.cut_wnd = in->cut_wnd,
		.bad_sacks = in->bad_sacks,
		.bad_echoes = in->bad_echoes,
		.snd_wscale = in->snd_wscale,
		.rcv_wscale = in->rcv_wscale,
		.old_segs = in->old_segs,
		.hole_segs = in->hole_segs,
		.tsoffset = in->tsoffset,
		.ts_recent = in->ts_recent,
		.busy_us = in->busy_us,
		.rwnd_limited_us = in->rwnd_limited_us,
		.sndbuf_limited_us = in->sndbuf_limited_us,
		.state = in->state,
		.ca_state = in->ca_state,
		.ttl_in = in->ttl_in,
		.flags = (in->timestamps ? SNAP_TIMESTAMPS : 0) | (in->sack ? SNAP_SACK : 0) |
			 (in->usec_ts ? SNAP_USEC_TS : 0) | (in->secured ? SNAP_SECURED : 0) |
			 (in->flags & FLOW_SEEDED ? SNAP_SEEDED : 0),
		.ifindex = in->ifindex,
		.pid = in->pid,
		.soft_error = in->soft_error,
	};
	memcpy(ret->comm, in->comm, sizeof(ret->comm));
	ret->comm[sizeof(ret->comm) - 1] = '\0';
}

/*
 * Only a reset that came in counts as one: a program that closes with unread data sends a reset
 * too, and that is its own decision. `ss -K` aborts with ECONNABORTED.
 */
enum gone_reason gone_reason_of(const struct snapshot *last, int error)
{
	if (last->flags & FLOW_RESET)
		return GONE_RESET;
	if (error && error != ECONNABORTED)
		return GONE_TIMED_OUT;
	return GONE_CLOSED;
}
