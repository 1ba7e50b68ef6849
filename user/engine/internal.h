/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the engine share. A flow has two directions; each may have one stall. A stall
 * goes suspect -> confirmed -> ended; gather.c decides what to ask for, judge.c what it means.
 */
#ifndef TCPSTALL_ENGINE_INTERNAL_H
#define TCPSTALL_ENGINE_INTERNAL_H

#include "base/clock.h"
#include "base/rate.h"
#include "engine/engine.h"

#define RUN_GAP_NS	  NS_PER_S /* progress with gaps shorter than this is one run */
#define STEADY_RUN_NS	  NS_PER_S
#define STEADY_RUN_MINIMA 4		/* times min_bytes */
#define END_TTL		  MAX_HOPS	/* a probe with this TTL is meant for the peer itself */
#define MAX_DISTANCE	  (END_TTL - 1) /* hops: as far as the usual TTL, IPDEFTTL, reaches */
#define MAX_DROP_KINDS	  6
#define MAX_SIZES	  12
#define PROBES_MAX	  300	   /* for an incident, witnesses' included */
#define SCAN_EVERY_NS	  NS_PER_S /* full ones, while a verdict is due */
#define PATHS		  64	   /* destinations whose hops are remembered */
#define LEADS		  64	   /* paths that are being asked */
#define FLIPS		  32	   /* neighbours that changed their hardware address */
#define FLIPS_WITHIN_NS	  (60 * NS_PER_S)

#define HEAVY_PERMILLE	  80   /* lost; nobody gets on well with it (RFC 5348 3.1) */
#define MSS_GUESS	  536  /* RFC 9293 3.7.1 */
#define IP_ID_STEP	  4096 /* packets of other connections in between */

#define RATE_BUCKETS	  44 /* half octaves */

/* Counters of a direction at one moment, see crawl.c. */
struct crawl_counts {
	uint64_t bytes;
	uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us;
	uint32_t segs, retrans, dups, runs, ooo, damaged;
};

/* How fast a direction usually is, and since when it is not. */
struct crawl {
	uint64_t first_ns;	    /* of the first look */
	uint64_t tick_ns, rate_bps; /* of the last look, and until then */
	struct crawl_counts last;
	uint64_t since_ns; /* slow since then; 0: it is not */
	struct crawl_counts base;
	uint64_t least_bps, most_bps;	    /* in the phase */
	uint64_t settled_ns, settled_bytes; /* at its first look: what came before was faster */
	uint32_t most_wnd, least_rtt_us;
	uint32_t ticks;
	/* Segments of the last looks at which it moved, and the lost ones of them; of a direction
	 * that comes in, those that arrived damaged. */
	uint32_t late_segs, late_lost;
	int32_t stall; /* the incident, or -1 */
	uint8_t history[RATE_BUCKETS];
};

struct flow {
	struct flow_snapshot last;
	uint64_t seen_ns;
	uint64_t rate_bps[2], idle_bytes[2];  /* [local_sends] */
	uint64_t rated_ns[2], rated_bytes[2]; /* progress up to which the rate was taken */
	struct reset_seen reset;
	struct route_seen route;
	struct capture_seen capture;
	int32_t stall[2]; /* [local_sends] index into stalls, or -1 */
	struct crawl crawl[2];
	int32_t next;	    /* in the hash chain or the free list */
	int32_t next_mover; /* towards the same peer, see witness.c */
	bool used, counted[2], reset_known, route_known;
	uint64_t path_asked_ns; /* as a witness; 0 never */
};

/* Hops from a namespace towards one address, learnt from probes of whatever flow. */
struct path_cache {
	uint32_t netns;
	struct ip_addr peer;
	struct ip_addr hops[MAX_DISTANCE];
	int n;
	uint64_t used_ns;
	/* Probes since it was said to lose some, of whatever flow, by TTL (0: the peer). */
	struct tally lossy[MAX_DISTANCE + 1][PROBE_KINDS];
	uint64_t lossy_ns; /* when it was last said; 0: never */
};

/* STALL_SLOW: it is none, but a phase that crawls (crawl.c). */
enum stall_phase { STALL_FREE, STALL_SUSPECT, STALL_CONFIRMED, STALL_CLOSING, STALL_SLOW };

/* Answers to probes that were meant for the peer itself. */
struct peer_answers {
	struct tally probes[PROBE_KINDS];
	bool acked, syn_acked, reset_control;
	uint8_t reset_ttl; /* of the reset that answered a control probe */
	uint32_t nxt;	   /* highest SND.NXT the peer has shown in an answer */
	uint64_t nxt_ns;   /* when; 0: never */
	uint64_t full_ns;  /* when it first answered a full-size packet; 0: never */
};

#define WAYS 6 /* fresh ports that control probes come from */

/* What a quote showed to be changed, see struct stall. */
enum { ALTERED_AT_HEADER, ALTERED_AT_PAYLOAD, ALTERED_AT };

struct drop_tally {
	bool inbound;
	uint64_t count;
	char reason[NAME_LEN], function[NAME_LEN];
};

struct stall {
	struct incident pub;
	enum stall_phase phase;
	uint64_t freed_step; /* outputs of that step still point here */
	int32_t flow;
	bool sends;  /* = pub.local_sends */
	bool untold; /* a refused handshake: told only when it is known that a router refuses it */

	/* what is being gathered */
	bool listening, host_asked, probing, sizing, copying;
	bool asked;	   /* the first round along the path is complete */
	bool path_changed; /* a later round was answered where the first was not: start over */
	bool outage;	   /* nothing came from behind node `outage_at`, and then something did */
	uint8_t outage_at;
	int fresh_starts;
	uint64_t asked_ns; /* when it was */
	bool led;	   /* the path was asked by another stall: pub.lead */
	bool adopted;	   /* and for want of budget nothing was asked for this one */
	bool compared;	   /* only the peer is asked: does it answer as it answers the lead? */
	bool lead_full;	   /* there it answered full-size packets */
	bool alone;	   /* it does not: this one is asked for by itself */
	bool waiting;	   /* for what the lead will find */
	int rounds;	   /* of probes, begun */
	int wanted;	   /* probes, for this incident */
	int outstanding;   /* probes whose result has not come */
	uint64_t round_until_ns; /* then a round is over, answered or not */
	uint64_t next_round_ns;
	uint64_t next_scan_ns;
	uint64_t next_loss_ns;	   /* STALL_SLOW: of probes that count losses */
	uint64_t told_ceiling_bps; /* STALL_SLOW: with the last verdict */
	struct pace_seen packets;  /* STALL_SLOW: what they show; limit PACE_UNKNOWN: nothing yet */
	uint64_t judge_until_ns;   /* then there is a verdict whatever is missing */
	double place_found;	   /* confidence of the verdict's place, as judge() has it */
	uint64_t end_ns;
	enum outcome end_as;
	bool dirty; /* evidence came since the last judgement */
	bool verdict_out, change_told;

	/* what was gathered */
	struct peer_answers peer;
	/* By TTL, 0: the peer. A passing control shows the path to be open from then on; what the
	 * flow loses later is shut out, what it lost before speaks of an outage that is over. */
	uint64_t open_ns[MAX_DISTANCE + 1]; /* the first that passed was sent then; 0: none did */
	uint16_t shut_out[MAX_DISTANCE + 1];
	uint64_t lost_ns; /* the latest in-flow probe without answer was sent then; 0: none */
	struct drop_tally drops[MAX_DROP_KINDS];
	int n_drops;
	struct icmp_seen icmp; /* the latest */
	uint32_t icmp_count;
	struct ip_addr expired_at; /* the TTL of the kernel's own segments ran out there */
	uint32_t expired;
	uint32_t csum_before;			   /* csum_bad when it was suspected */
	struct ip_addr flow_hop[MAX_DISTANCE + 1]; /* by TTL, as packets of the flow meet them */
	uint8_t changed_at; /* first TTL at which another router answered the flow; 0: none */
	uint8_t swept_at;   /* TTL at which ways part, once each has been asked; 0: not yet */
	uint8_t ways_sent, ways_passed; /* bits: to the peer */
	uint8_t altered_at[ALTERED_AT]; /* first TTL at which it is changed; 0: nowhere */
	bool asymmetric;  /* the TTL of what the peer sends does not tell the way there */
	bool process_due; /* asked for, and not told yet */
	struct ip_addr way_hop[WAYS]; /* who answered where ways part */
	uint32_t local_errors;	      /* probes that the local kernel refused */
	int local_errno;
	uint32_t too_big_mtu; /* from ICMP, 0 none */
	struct ip_addr too_big_from;
	uint16_t size_pass,
		size_fail; /* bytes of IP packet: largest that passed, smallest that did not */
	struct tally sizes[MAX_SIZES];
	uint16_t size_of[MAX_SIZES];
	int n_sizes;
	uint16_t full_size; /* bytes of the IP packet of the transfer's own full segments */
	uint16_t full_seen; /* of the largest probe that passed by */
	/* Segments and duplicate ACKs of the peer in the silence, before our own probes. */
	uint32_t in_segs_before, dup_acks_before;
	uint64_t last_in_before_ns;
	int distance;				 /* hops to the peer, itself included; 0 unknown */
	struct route_seen route_before;		 /* as first told in this stall */
	struct route_seen uplink, uplink_before; /* of this host, which forwards the flow */
	struct process_seen process_before;
	uint64_t onlink_ns;		 /* when neighbours had told all; 0: not yet */
	bool onlink_due;		 /* asked, and not told yet */
	bool onlink_brief, onlink_close; /* asked for */
	bool reset, reset_forged;
	uint8_t reset_hops;
	struct reset_seen reset_seen;
};

/* An address on a local network that changed its hardware address. */
struct neigh_flip {
	uint32_t netns, ifindex;
	struct ip_addr addr;
	uint8_t lladdr[6], other_lladdr[6]; /* the last two */
	uint32_t count;			    /* changes within FLIPS_WITHIN_NS of each other */
	uint64_t last_ns;
};

/* Who has asked a path. */
struct lead {
	uint32_t netns;
	bool sends, used;
	struct ip_addr peer;
	int32_t stall;
	uint64_t suspected_ns; /* the stall is another one by now if that differs */
};

struct out_ring {
	struct output *slot;
	uint32_t head, tail, size;
};

struct engine {
	struct engine_config config;
	uint64_t now_ns, step;
	uint64_t scan_step; /* in which a scan was last wanted */
	struct flow *flows;
	int32_t *buckets, free_flow;
	uint32_t n_buckets, flow_top; /* flows[] was never used from flow_top on */
	struct stall *stalls;
	struct stall *slow;    /* the phase that was reported last */
	struct life_seen life; /* the transfer that ended last */
	struct path_cache *paths;
	struct neigh_flip flips[FLIPS];
	struct out_ring out;
	struct engine_counts counts;
	uint32_t open_stalls; /* suspects included */
	uint32_t closing;     /* of these, whose flow is gone */
	uint32_t stall_hint;  /* no stall below is free */
	int outstanding;      /* probes of all stalls, counted anew now and then */
	uint64_t counted_ns;
	int32_t *mover, *mover_bucket; /* flows that moved lately: a list, and chains by peer */
	uint32_t n_movers;
	struct lead leads[LEADS];
	uint32_t next_lead;
	uint64_t *due_ns;		       /* for each stall, UINT64_MAX: none */
	uint32_t stall_top;		       /* stalls[] and due_ns[] are in use below it */
	uint64_t scanned_ns[2];		       /* the last full scan and the one before */
	uint64_t late_since_ns, late_until_ns; /* when this program was not run, the last time */
	bool capture_end;
};

/* From packets, and neither end is this host: nothing can be asked on its behalf. */
static inline bool passes_by(const struct stall *s)
{
	return s->pub.last.flags & SNAP_OFFLINE;
}

/* flows.c */
struct flow *flow_find(struct engine *e, const struct flow_key *key);
struct flow *flow_take(struct engine *e, const struct flow_key *key); /* NULL: full */
void flow_drop(struct engine *e, struct flow *f);
/* The way from the flow's namespace to its peer; NULL: not known. */
struct path_cache *path_find(const struct engine *e, const struct flow_key *key);
/* A router answered at this TTL on that way. */
void path_learn(struct engine *e, const struct flow_key *key, uint8_t ttl,
		const struct ip_addr *hop);

static inline const struct direction *flow_dir(const struct flow_snapshot *s, bool sends)
{
	return sends ? &s->snd : &s->rcv;
}
/* The cause is what the local program does, or does not. */
static inline bool is_local_program(enum cause cause, bool sends)
{
	return cause == (sends ? CAUSE_SENDER_IDLE : CAUSE_RECEIVER_NOT_READING);
}
/* Bytes that the local end has queued and the peer has not acknowledged. */
static inline uint32_t owed_bytes(const struct flow_snapshot *s)
{
	return s->write_seq - s->snd_una;
}
bool flow_is_transfer(const struct engine *e, const struct flow_snapshot *s, bool sends);
/* Progress has stopped where it was due or usual. */
bool flow_suspicious(const struct engine *e, const struct flow_snapshot *s, bool sends,
		     uint64_t silence_ns);
/* Its present run is long in time or in bytes: what stops now was a transfer, not an exchange. */
bool flow_was_steady(const struct engine *e, const struct flow_snapshot *s, bool sends);
/* Too little window for a segment (RFC 9293 3.8.6): ours with unread data, the peer's with data
 * waiting. */
bool flow_own_window_shut(const struct flow_snapshot *s);
/* The peer goes on repeating what we have acknowledged: more than the odd spurious retransmission.
 */
bool flow_peer_repeats(const struct flow_snapshot *s);
bool flow_peer_window_shut(const struct flow_snapshot *s);
uint64_t flow_silence_ns(const struct flow_snapshot *s, bool sends, uint64_t now_ns);
/* TTL of what the same peer sends on another connection; 0 unknown. */
uint8_t flow_ttl_elsewhere(const struct engine *e, const struct flow_key *key);
/* Hops that an IP packet of this TTL has most likely come, itself counted as one; 0 unknown. */
int hops_from_ttl(uint8_t ttl);

/* stall.c: the life of a stall */
struct stall *stall_of(struct engine *e, const struct flow_key *key, bool sends);
void stall_look(struct engine *e, struct flow *f, bool sends);
void stall_tick(struct engine *e, struct stall *s);
struct stall *stall_take(struct engine *e, struct flow *f, bool sends); /* NULL: all are taken */
/* A free one, filled from the flow but tied to it by the caller. NULL: all are taken (counted). */
struct stall *stall_slot(struct engine *e, struct flow *f, bool sends);
void stall_confirm(struct engine *e, struct stall *s);
void stall_close(struct engine *e, struct stall *s, enum outcome outcome, uint64_t ended_ns);
void stall_free(struct engine *e, struct stall *s);
/* The peer has sent more than we got, and had the time to have it arrive. */
bool peer_is_ahead(const struct engine *e, const struct stall *s);
/* Its id: when it was confirmed, and which flow. */
void incident_name(const struct engine *e, struct incident *i);
/* Nothing that a reader would want to be told again. */
bool verdict_same(const struct verdict *a, const struct verdict *b);

/* gone.c: the end of its connection */
void stall_gone(struct engine *e, struct flow *f, const struct flow_gone *gone);

/* crawl.c: transfers that crawl while they are watched */
void crawl_look(struct engine *e, struct flow *f);
void crawl_tick(struct engine *e, struct stall *s);
void crawl_end(struct engine *e, struct flow *f, bool sends, enum outcome outcome);

/* What the packets of a watched transfer show. */
void crawl_paced(struct engine *e, const struct pace_seen *p);
uint64_t crawl_usual_bps(const struct crawl *c); /* the median; 0: not known yet */
/* crawl_limit.c: what holds it back */
struct crawl_counts crawl_counts_of(const struct flow_snapshot *s, bool sends);
uint64_t crawl_delivered(const struct flow_snapshot *s, bool sends); /* what was sacked as well */
struct pace_seen crawl_pace(const struct engine *e, const struct crawl *c,
			    const struct flow_snapshot *s, bool sends,
			    const struct pace_seen *packets);

/* slow.c: phases of a capture that crawl */
void slow_phase(struct engine *e, const struct pace_seen *p);

/* gather.c: what to ask for */
void gather_start(struct engine *e, struct stall *s);
void gather_more(struct engine *e, struct stall *s);
void gather_slow(struct engine *e, struct stall *s);
bool gather_done(const struct engine *e, const struct stall *s);
uint64_t gather_deadline(const struct engine *e, const struct stall *s);

/* round.c: what is asked at once; what only gather.c asks for is in round.h */
int round_reach(const struct stall *s); /* hops that are worth asking */
/* A full segment can be repeated out of what was acknowledged. */
bool round_full_possible(const struct stall *s);
/* The incident may still send so many. */
bool round_affords(const struct stall *s, int probes);
/* Probes of other stalls fill some seconds: this one has to wait, or to do without. */
bool round_busy(const struct engine *e);
/* One more probe to each hop of a path that loses. false: enough, or not now. */
bool round_loss_more(struct engine *e, struct stall *s);
/* The last of the first n hops that answered this kind; 0: none did. */
int round_farthest(const struct stall *s, enum probe_kind kind, int n);

/* local.c: what this host tells, and what it is asked */
void local_route(struct stall *s, const struct route_seen *route);
void local_process(struct stall *s, const struct process_seen *process);
void local_onlink(struct stall *s, const struct onlink_seen *seen, uint64_t now_ns);
/* The neighbours on its link are being asked, by whichever stall. */
bool local_onlink_due(const struct engine *e, const struct stall *s);
/* Neighbours are the same for all that leave by this link. */
void local_share(struct engine *e, const struct stall *from);
void local_neigh(struct engine *e, const struct neigh_seen *n);
/* The next hop's address has moved from one MAC address to another lately; NULL: no. */
const struct neigh_flip *local_flip(const struct engine *e, const struct stall *s);
/* Asks again what has been told before: counters count as differences. */
void local_ask_again(struct engine *e, struct stall *s);
/* Asks neighbours, briefly beside the path, or closely where something speaks against the first
 * link. Whether anything was asked. */
bool local_ask_onlink(struct engine *e, struct stall *s, bool beside_path);

/* group.c: the stall that asks the path for all towards this peer, or NULL: s itself has to */
struct stall *group_lead(struct engine *e, const struct stall *s);
/*
 * Has asked the way to this peer, or asks it, for a connection that may have ended meanwhile: for
 * one that ends before it could ask. NULL: nobody.
 */
const struct stall *group_last(struct engine *e, const struct stall *s);
/* Another stall is behind the same gateway, with another peer: what routers answer is for both. */
bool group_is_shared(const struct engine *e, const struct stall *s);
/* Has asked where it and s go through the same gateway, and got stuck before its peer; or NULL. */
struct stall *group_beside(struct engine *e, const struct stall *s);
void group_register(struct engine *e, const struct stall *s);
/* Takes over what the lead found as if s had asked. */
void group_adopt(struct stall *s, const struct stall *lead);
/* Takes the lead's answers over; the farthest hop that its connection reaches. */
int group_follow(struct stall *s, const struct stall *lead);
/* Takes over what the lead found of the path, not of its connection, which may go another way. */
void group_follow_path(struct stall *s, const struct stall *lead);
/*
 * Takes all of it over on trial: the lead's peer answers. If what the peer answers here differs
 * (group_differs()), group_leave() drops what is of the lead's connection.
 */
void group_compare(struct stall *s, const struct stall *lead);
bool group_differs(const struct stall *s);
void group_leave(struct stall *s);
/* The lead asks the ways of fresh ports, or has: takes them over, or waits. false: nobody has. */
bool group_take_ways(struct engine *e, struct stall *s);

/* answers.c: what came back */
void answer_probe(struct stall *s, const struct probe_seen *p);
void answer_icmp(struct stall *s, const struct icmp_seen *i);
void answer_drop(struct stall *s, const struct drop_seen *d);

/* loss_known.c: the way to this peer, if it was said to lose some a short while ago; or NULL */
struct path_cache *loss_known(const struct engine *e, const struct flow_key *key);
/* Probes tell of a path that loses some, for the stalls to come as well. */
void loss_learn(struct engine *e, const struct probe_seen *p);
/* This incident was said to be loss. */
void loss_said(struct engine *e, const struct stall *s);

/* loss.c: more of its segments were lost of late than are now and then */
bool loss_of_late(const struct engine *e, const struct stall *s);

/* witness.c: after a full scan, who has moved since the stall began? */
void witness_look(struct engine *e);

/* judge.c: evidence to verdict */
void judge(const struct engine *e, const struct stall *s, struct verdict *ret);

void output_push(struct engine *e, const struct output *out);

#endif
