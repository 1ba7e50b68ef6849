/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A simulated host and path for the engine's tests: it grants the engine's wishes from a
 * description of the network and its fault, and steps time. No packet, no clock.
 */
#ifndef TCPSTALL_TEST_WORLD_H
#define TCPSTALL_TEST_WORLD_H

#include "engine/engine.h"

/* TTL-limited packets are dropped by this node after its TTL check; 0: nowhere; n: the peer. */
struct world_fault {
	int state_at;	   /* drops only this connection */
	int reverse_at;	   /* drops what the peer sends in this connection, on its way back */
	int blackhole_at;  /* drops everything */
	uint64_t heals_ns; /* until then; 0: for ever */
	bool of_all;	   /* state_at drops the witness's connection as well */
	bool of_witness;   /* it is the witness's connection that is dropped, not the flow's */
	int no_route_at;   /* refuses what it gets, whatever the TTL: network unreachable */
	int refused_by;	   /* answers SYNs that go beyond it with a reset; n: the peer */
	int mtu_at, mtu;   /* drops packets above mtu */
	int loops_at;	   /* sends what it gets back to the node before it, which sends it here */
	int content_at;	   /* drops the segment that is owed, and its copies */
	int damaged_at; /* changes what it forwards; quotes from behind show it: enum probe_altered
			 */
	uint8_t damage;
	int loses_at; /* this node or the link behind it loses one in so many packets */
	int loses_small, loses_full; /* 0: none */
	bool peer_dead;
	bool peer_idle; /* the receiver's view: the peer has nothing to send */
};

struct world {
	struct engine *e;
	uint64_t now_ns;
	struct flow_snapshot flow, witness;
	bool sends, has_witness, witness_stalls, gone;
	int hops;	      /* nodes up to and with the peer */
	uint64_t silent_hops; /* bit i: node i never answers */
	bool member_dead;     /* the flow's router there forwards nothing; odd ways meet another */
	uint8_t other_ways;   /* bits of the ways that meet it; 0: the odd ones */
	bool member_silent;   /* nor does it answer where the TTL ends */
	uint8_t dead_ways;    /* bits of the ways that end at dead_ways_at as the flow does */
	int dead_ways_at;
	int balanced;	     /* at this node a new connection meets another router; 0: nowhere */
	bool unsendable;     /* no probe leaves this host */
	bool untold;	     /* what becomes of those to the peer takes longer than all else */
	uint64_t timeout_ns; /* the first, then it doubles; 0: 220 ms */
	int icmp_burst;	     /* answers a node gives in all; 0: no limit */
	uint64_t hasty_hops; /* bit i: node i is asked too fast, it answers one of several alike */
	uint64_t controls_late_ns; /* they are sent so much after the flow's */
	struct world_fault fault;

	uint16_t gateway_nud;		 /* NUD_* of the first hop's neighbour entry */
	struct route_seen route, uplink; /* what else the host tells; uplink.hop 0: there is none */
	bool no_echo;			 /* the first hop answers ARP and no echo */
	bool unresolved;		 /* not even ARP */
	/* One in so many packets to the next hop or to other neighbours comes back; 0: all do. */
	int next_small, next_full, other_small, other_full;
	bool first_link_loses;		/* so with all packets, not with these alone */
	int others;			/* neighbours besides the next hop */
	uint8_t claimant, own_claimant; /* last byte of a second MAC address; 0: none */
	int onlink;			/* probes sent to neighbours */

	/* what came out */
	int begins, verdicts, ends, probes;
	int slow_begins, slow_ends, releases;
	struct incident incident; /* as of the last output */
	uint64_t verdict_ns;	  /* first one */
	enum cause told[2];	  /* the last, of the flow and of the witness */
	int answers[MAX_HOPS + 1];
	uint32_t rng;
};

/* A flow that has moved 100 MiB in 10 s and now rests, 5 nodes away, everything healthy. */
void world_init(struct world *w, bool sends, bool v6);
void world_free(struct world *w);

/* Lets the sensor look every 100 ms for so long; the flow's progress stays as it is set. */
void world_run(struct world *w, uint64_t ns);
void world_step(struct world *w, const struct observation *obs);
void world_progress(struct world *w, uint64_t bytes);
struct ip_addr world_hop(const struct world *w, int node);

#define TICK_S 2
#define FAST   (100 * 1000 * 1000u) /* bits a second */
#define CRAWL  (FAST / 25)

/* What happens in TICK_S of a transfer, beside progress. */
struct tick {
	uint32_t bps;
	uint32_t segs, retrans, runs;
	uint32_t rwnd_percent, busy_percent;
	uint32_t rtt_us, snd_wnd;
};

extern const struct tick world_fast;

void world_tick(struct world *w, const struct tick *t);
void world_ticks(struct world *w, int n, struct tick t);
void world_wait(struct world *w, int tenths); /* time goes on, and nothing else */

/* Asserts the verdict that was told last; prints its evidence if it is another. */
void expect(struct world *w, enum cause cause, enum place_kind kind, int ttl);

#endif
