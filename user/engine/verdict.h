/* SPDX-License-Identifier: GPL-2.0-only */
/* What the engine says of a stall. Read-only for everybody else. */
#ifndef TCPSTALL_ENGINE_VERDICT_H
#define TCPSTALL_ENGINE_VERDICT_H

#include "engine/cause.h"
#include "engine/observation.h"

#define MAX_HOPS       64
#define MAX_EVIDENCE   24
#define MAX_WITNESSES  8
#define MAX_CANDIDATES 4
#define MAX_NEIGHBOURS 6
#define EVIDENCE_TEXT  200
#define DETAIL_TEXT    160
#define ADVICE_TEXT    400
#define INCIDENT_ID    28

enum outcome {
	OUTCOME_OPEN,
	OUTCOME_RECOVERED,
	OUTCOME_RESET,
	OUTCOME_CLOSED,
	OUTCOME_TIMED_OUT,
	OUTCOME_WATCH_ENDED,
	OUTCOME_CAPTURE_ENDED,
	OUTCOME_INTERRUPTED, /* of the store: who watched was killed */
	OUTCOMES
};
const char *outcome_id(enum outcome outcome);

/* Which way the packets that are lost were going, relative to the stalled data. */
enum way { WAY_UNKNOWN, WAY_FORWARD, WAY_REVERSE };
const char *way_id(enum way way); /* "forward", "reverse" or NULL */

/* Which end of a link is bad. */
enum side { SIDE_UNKNOWN, SIDE_NEAR, SIDE_FAR, SIDE_BOTH };
const char *side_id(enum side side); /* "near", "far", "both" or NULL */

struct place {
	enum place_kind kind;
	uint8_t ttl; /* PLACE_HOP: counted from the probing host; 0 otherwise */
	struct ip_addr address;
	struct ip_addr near,
		far;	/* ends of the link or neighbours of the hop; near is closer to src */
	enum side side; /* PLACE_LINK */
	double confidence;
};

/* The interface puts packets into others: what is lost may be lost anywhere under it. */
bool route_is_tunnel(const struct route_seen *route);

struct tally {
	uint16_t sent, answered;
};

struct hop {
	uint8_t ttl;
	struct ip_addr address; /* family 0: never answered */
	bool is_peer;		/* the other end itself */
	bool balanced;		/* more than one router answers at this distance */
	uint32_t rtt_us;	/* smallest seen; 0 unknown */
	struct tally probes[PROBE_KINDS];
};

/* What a neighbour on the first link has answered. */
struct neighbour {
	struct ip_addr addr;
	bool next_hop; /* the gateway, or the peer where it is on link */
	bool own;      /* no neighbour: our own address, which nobody should answer for */
	struct tally resolve, small, full;  /* ARP or ND; echoes of either size */
	uint8_t lladdr[6], other_lladdr[6]; /* other: a second one that claims the address */
};

struct witness {
	struct flow_key key;
	bool sends;	     /* the progress is local -> remote */
	bool same_peer;	     /* it ends at the host of the stalled flow */
	uint8_t shared_hops; /* IP nodes that both cross, the peer included */
	int8_t new_reach;    /* hops that a new connection to its peer gets; -1 not asked, or all */
	uint64_t since_ns;   /* it moves without a break since then */
	uint64_t rate_bps;   /* during the stall */
};

struct evidence {
	const char *id;
	double weight; /* log-odds given to the cause or place it speaks for most */
	char text[EVIDENCE_TEXT];
};

struct verdict {
	enum cause cause;
	double cause_confidence;
	char detail[DETAIL_TEXT];
	enum way way;
	struct place where;
	struct place candidates[MAX_CANDIDATES];
	int n_candidates;
	struct evidence evidence[MAX_EVIDENCE];
	int n_evidence;
	char advice[ADVICE_TEXT];
};

/* A stall of one direction of one flow. */
struct incident {
	char id[INCIDENT_ID]; /* 20260102T030405-1a2b3c4d */
	enum outcome outcome;
	struct flow_key key;
	struct flow_key lead; /* of the stall whose probes count here, too; netns 0: none */
	bool local_sends;     /* the stalled direction is local -> remote */
	bool named;	      /* the user asked for the flow */
	bool slow;	      /* a phase that crawls, no stall: begun_ns to ended_ns */
	uint32_t probes_sent;
	uint64_t suspected_ns, begun_ns, ended_ns;
	uint64_t last_progress_ns; /* the silence is counted from here */
	uint64_t bytes_at_stall, recovered_bytes;
	uint64_t rate_bps;	    /* of the transfer before it stopped */
	struct flow_snapshot first; /* when it was confirmed */
	struct flow_snapshot last;  /* the latest */
	struct process_seen process;
	struct route_seen route;
	struct neighbour neighbours[MAX_NEIGHBOURS];
	int n_neighbours;
	struct capture_seen capture; /* offline */
	struct pace_seen pace;	     /* slow phases */
	struct hop hops[MAX_HOPS];   /* hops[i] is ttl i + 1 */
	int n_hops;
	int n_witnesses;
	struct witness witnesses[MAX_WITNESSES];
	struct verdict verdict;
};

#endif
