/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The prober sends TTL-limited segments inside a live connection and, beside it, from fresh ports,
 * and matches what comes back.
 *
 * Promise (tested): a probe inside a connection lies wholly in bytes that the peer has already
 * acknowledged, carries no SYN, FIN or RST, and keeps the timestamps option if one was negotiated;
 * its acknowledgement number lies below RCV.NXT, so that a reset it might provoke is outside the
 * window and ignored (RFC 9293 3.10.7.4). Or it is the segment that the kernel itself sent last,
 * byte for byte, which the peer is owed anyhow. At most PROBE_RATE packets a second and
 * PROBE_BUDGET for a flow. Nothing is sent that was not asked for.
 *
 * Every byte received is hostile. An answer counts only if it quotes a probe that we sent.
 */
#ifndef TCPSTALL_PROBE_PROBE_H
#define TCPSTALL_PROBE_PROBE_H

#include "engine/engine.h"

#define PROBE_RATE	 40  /* packets a second, all flows together */
#define PROBE_BUDGET	 300 /* packets a flow */
#define PROBE_TIMEOUT_NS 1000000000ull

struct prober;

/*
 * netns_fd(netns, arg) gives a descriptor of /proc/PID/ns/net for a namespace inode, owned by the
 * callee, or negative errno. -EPERM: no CAP_NET_RAW; -ENOMEM.
 */
int prober_new(int (*netns_fd)(uint32_t netns, void *arg), observe_fn observe, void *arg,
	       struct prober **ret);
void prober_free(struct prober *p);

/*
 * WANT_LISTEN, WANT_PROBE, WANT_ONLINK, WANT_RELEASE. Probes are queued; prober_run() sends them,
 * so call it soon. observe() is not called from here, and may call this. WANT_LISTEN again brings
 * the state that probes are built from up to date. A flow that is only probed is forgotten when it
 * is done. -ENOSPC: too many flows, or wants of this flow; -EINVAL: no TTL or no count. Other
 * errors (of setns(), socket(): -EPERM, -ENOENT, -EMFILE ...) come again with each probe as
 * ANSWER_NOT_SENT.
 */
int prober_want(struct prober *p, const struct want *want, uint64_t now_ns);

/* A descriptor that is readable when an answer is there (epoll). */
int prober_fd(const struct prober *p);

/* Sends what is due, reads answers, times out. Returns when it wants to run again; UINT64_MAX:
 * never. */
uint64_t prober_run(struct prober *p, uint64_t now_ns);

/* A probe as it was sent, or a packet that was taken for an answer. */
struct probe_packet {
	const struct flow_key *key;
	uint64_t time_ns; /* when it was sent, or came in */
	const uint8_t *data;
	size_t len; /* bytes, from the IP header on, whole */
	bool outgoing;
	enum probe_kind kind; /* PROBE_KINDS: an ICMP error about a segment of the kernel's own */
	uint8_t ttl;	      /* of the probe, here and in its answer */
	enum probe_answer answer;
};
typedef void (*probe_tap_fn)(const struct probe_packet *packet, void *arg);

/*
 * Shows every such packet to somebody who keeps them. data is good until tap() returns, which must
 * not call the prober. NULL: no more.
 */
void prober_tap(struct prober *p, probe_tap_fn tap, void *arg);

struct prober_counts {
	uint64_t sent, answered, unmatched, send_errors, over_budget;
};
struct prober_counts prober_counts(const struct prober *p);

#endif
