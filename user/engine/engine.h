/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine decides: observations in, verdicts and wishes for more evidence out.
 *
 * It is pure. It reads no clock, does no I/O and holds no global state; time comes with each
 * observation. All memory is taken in engine_new(). The same observations in the same order give
 * the same results, bit for bit, so a recording replays.
 */
#ifndef TCPSTALL_ENGINE_ENGINE_H
#define TCPSTALL_ENGINE_ENGINE_H

#include "engine/verdict.h"

struct engine;

struct engine_config {
	uint64_t stall_after_ns; /* silence that confirms a stall */
	uint64_t min_bytes; /* a direction that moved less is no transfer, unless the flow is named
			     */
	int64_t wall_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC; for incident ids */
	uint32_t max_flows;	/* transfers tracked at once */
	uint32_t max_incidents; /* stalls open at once */
	bool probe;		/* evidence may be asked for with packets */
	bool offline;		/* from a capture: nothing can be asked for */
};

/* The defaults of the contract, for live use. */
struct engine_config engine_defaults(void);

/* -ENOMEM */
int engine_new(const struct engine_config *config, struct engine **ret);
void engine_free(struct engine *e); /* NULL is fine */

/* What its tables take when all of them are in use. */
uint64_t engine_bytes(const struct engine *e);

/*
 * What the engine would like to know. Answers come back as observations; a wish that cannot be
 * granted may be ignored, the engine decides with what it has when its deadline passes.
 */
enum want_kind {
	WANT_SCAN,   /* snapshots of every transfer, then OBS_SCANNED */
	WANT_HOST,   /* OBS_ROUTE and, if inode is not 0, OBS_PROCESS of this flow */
	WANT_LISTEN, /* from now on report drops and ICMP errors of this flow, and its wire state */
	WANT_PROBE,  /* one OBS_PROBE for each probe sent */
	WANT_ONLINK, /* OBS_ONLINK for each probe sent to neighbours, then one that says so */
	WANT_PACE,   /* follow this transfer's packets for some seconds, and OBS_PACE of what they
			show so far */
	WANT_RELEASE, /* no more evidence on this flow is needed */
};

struct want {
	enum want_kind kind;
	struct flow_key key;
	bool local_sends;
	uint64_t inode; /* WANT_HOST */
	bool beside;	/* WANT_PACE: only for the sake of others, nothing is told of it */
	struct flow_snapshot
		snapshot; /* WANT_PROBE, WANT_LISTEN: newest state, probes are built from it */
	struct {
		enum probe_kind kind;
		uint8_t first_ttl, last_ttl; /* inclusive */
		uint8_t count;		     /* probes at each TTL */
		uint16_t size;		     /* bytes of the IP packet; PROBE_IN_FLOW_FULL only */
	} probe;
	struct {
		struct ip_addr next_hop;
		uint32_t ifindex;
		uint16_t size; /* bytes of the IP packet of a full-size echo */
		bool close;    /* many probes, and other neighbours too; otherwise a brief look */
	} onlink;
};

/* Probes that a WANT_ONLINK sends at most. */
#define ONLINK_BRIEF 8
#define ONLINK_CLOSE 60

enum output_kind {
	OUT_STALL_BEGIN,
	OUT_VERDICT,
	OUT_STALL_END,
	OUT_WANT,
	OUT_SLOW_BEGIN,
	OUT_SLOW_END,
	OUT_TRANSFER, /* one is over: `life` */
	OUTPUT_KINDS
};

struct output {
	enum output_kind kind;
	uint64_t now_ns;
	/* Valid until the next engine_step(); NULL for OUT_WANT and OUT_TRANSFER. */
	const struct incident *incident;
	const struct life_seen *life; /* OUT_TRANSFER, as long; NULL otherwise */
	struct want want;
};

/*
 * Takes one observation. Time never goes back: an older one counts as happening now.
 * 0, or -ENOSPC: a new flow or stall was not taken in because the table is full (counted).
 */
int engine_step(struct engine *e, const struct observation *obs);

/* Takes the next result. false: there is none. Call until false after every step. */
bool engine_next(struct engine *e, struct output *ret);

/* When a tick is needed even if nothing happens; UINT64_MAX: never. */
uint64_t engine_deadline(const struct engine *e);

/* How often the sensor should look for silence: short while something is suspect. */
uint64_t engine_scan_period_ns(const struct engine *e);

/*
 * Whether an ICMP unreachable is the answer of the hop at the probe's TTL. A router that knows no
 * way on refuses before it looks at the TTL (the kernel's ip_error() comes before ip_forward()), so
 * it stands at this TTL or nearer: here, if the hop before is known and it is none of those. hops:
 * as many as the TTL.
 */
bool hop_refuses(const struct hop *hops, const struct probe_seen *refused);

struct engine_counts {
	uint64_t transfers;    /* that ever counted as one */
	uint64_t stalls, slow; /* confirmed */
	uint64_t unrecovered;  /* of these, ended otherwise than recovered */
	uint64_t flows_not_tracked, incidents_not_tracked, outputs_lost;
	uint32_t flows_now, stalls_now;
};
struct engine_counts engine_counts(const struct engine *e);

/* One line of the live view. */
struct transfer {
	const struct flow_snapshot *last;
	bool local_sends;
	bool owes;
	uint64_t rate_bps;
	uint64_t silence_ns;		 /* 0 while it moves or owes nothing */
	const struct incident *incident; /* NULL: healthy */
};

/* Calls fn for each living transfer, in no particular order, until fn returns false. */
void engine_each_transfer(const struct engine *e, bool (*fn)(const struct transfer *, void *),
			  void *arg);

#endif
