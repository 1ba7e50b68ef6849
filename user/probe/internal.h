/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State that the three parts of the prober share: prober.c keeps flows and sockets, send.c decides
 * which probe goes when, answer.c says what came of it.
 *
 * observe() may call prober_want(). So a flow found is good for as long as prober_run() lasts:
 * flows and sockets go away in sweep() only. And prober_want() never calls observe().
 */
#ifndef TCPSTALL_PROBE_INTERNAL_H
#define TCPSTALL_PROBE_INTERNAL_H

#include "probe/craft.h"
#include "probe/limit.h"
#include "probe/packet.h"
#include "probe/probe.h"
#include "probe/wire.h"

#define FLOWS_MAX WIRE_PAIRS_MAX
#define NETS_MAX  16
#define WANTS_MAX 16 /* a flow */
#define SENT_MAX  64 /* unanswered at once; rate and timeout make it about 40 */
#define HOPS_MAX  64 /* from this TTL on a probe is meant for the peer */

struct net {
	uint32_t netns;
	struct wire *wire; /* NULL: free */
	int flows;
	bool changed;
};

/* What is left of a WANT_PROBE. */
struct queued {
	enum probe_kind kind;
	uint8_t first_ttl, last_ttl, ttl; /* ttl: next */
	uint8_t round, rounds;
	uint16_t size;
};

struct flow {
	struct flow_key key;
	struct flow_snapshot snapshot;
	struct look look;
	struct net *net; /* NULL: see error */
	int error;
	bool listening, released;
	bool sends_dsack;
	uint32_t snd_max;  /* highest sequence number sent, as far as we know */
	uint32_t last_ack; /* of the peer */
	uint32_t n_sent;
	uint32_t offset;		 /* of the next probe, see craft_in_flow() */
	uint8_t routers_to;		 /* largest TTL that a router has answered */
	struct ip_addr router[HOPS_MAX]; /* that answered last at this TTL */
	uint8_t *copy;	 /* the packet of the data segment that the kernel sent last */
	size_t copy_len; /* 0: it is not known */
	struct segment copied;
	uint64_t data_out_ns; /* the kernel sent data last */
	uint64_t last_sent_ns;
	struct queued queue[WANTS_MAX];
	int n_queued;
};

/* A probe that waits for its answer. */
struct sent {
	struct flow *flow; /* NULL: free */
	struct segment segment;
	struct probe_seen seen;
};

static inline struct limit_way way_of(const struct flow *f, uint8_t ttl)
{
	return (struct limit_way){.netns = f->key.netns, .ttl = ttl, .to = f->key.remote.addr};
}

struct job;

struct prober {
	int (*netns_fd)(uint32_t netns, void *arg);
	observe_fn observe;
	void *arg;
	int epoll;
	uint32_t self_netns;
	bool running;
	struct net nets[NETS_MAX];
	struct flow *flows[FLOWS_MAX]; /* in order of arrival */
	int n_flows;
	struct sent sent[SENT_MAX];
	struct limits limits;
	struct job *jobs; /* probes to neighbours, in order of arrival */
	bool job_turn;	  /* the next packet goes to a neighbour, if there is one to send */
	uint64_t next_send_ns;
	uint32_t tsval_offset;
	uint16_t next_ip_id;
	struct prober_counts counts;
	probe_tap_fn tap;
	void *tap_arg;
	size_t len; /* of the packet in buf */
	uint8_t buf[PACKET_MAX], again[PACKET_MAX];
};

/* The bytes of a probe: length, or negative errno. */
int probe_bytes(const struct flow *f, enum probe_kind kind, const struct segment *s, uint8_t *buf,
		size_t size);

/* Hands an observation about a probe over. */
void report_probe(struct prober *p, const struct probe_seen *seen);

/* Shows the packet in buf, which is this probe or, if it has an answer, that. */
void tap_probe(const struct prober *p, const struct probe_seen *seen);

/* Sends what is due. Returns when to come back; UINT64_MAX: there is nothing to send. */
uint64_t send_due(struct prober *p, uint64_t now_ns);

/* onlink.c: probes to neighbours. Errors as prober_want(). */
#define JOBS_MAX 16
int onlink_want(struct prober *p, const struct want *want);
void onlink_release(struct prober *p, const struct flow_key *key);
bool onlink_waiting(const struct prober *p); /* something is to be sent */
bool onlink_send_one(struct prober *p);	     /* whether it was tried on the wire */
/* Reads answers, tells what is over. Returns when to come back; UINT64_MAX: when it is readable. */
uint64_t onlink_run(struct prober *p, uint64_t now_ns);
void onlink_free(struct prober *p);

/* Takes what has come in one namespace; bounded. */
void read_answers(struct prober *p, const struct net *net);

#endif
