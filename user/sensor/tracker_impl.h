/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the tracker share; for nobody else. */
#ifndef TCPSTALL_SENSOR_TRACKER_IMPL_H
#define TCPSTALL_SENSOR_TRACKER_IMPL_H

#include "base/clock.h"
#include "sensor/pace.h"
#include "sensor/tracker.h"

#define NONE	       ((1u << 22) - 1) /* no flow, no half of one */
#define NO_WSCALE      15
#define HOLES	       6
#define FINGERPRINTS   4
#define WHEEL_SLOTS    64
#define HELD	       32 /* first fragments that wait for the rest */
#define ICMP_KEPT      64
#define TUNNELS	       254
#define TUNNEL_UNKNOWN 255 /* there were too many */
#define DIALERS	       256
#define MAX_DETAILS    65535
#define SMALL_DETAILS  16384 /* of what has moved too little to be a transfer */
#define NO_DETAIL      UINT16_MAX
#define LIFE_NONE      ((1u << 20) - 1)
#define LIFE_TOLD      (LIFE_NONE - 1)
#define PROBES_KEPT    1024
#define LOW_TTL	       32 /* systems begin with 64 and more, and hardly a path has so many hops */
#define ASKING	       64
#define MAX_JUMP       (1 << 28) /* bytes; a sequence number farther off is not of this flow */

enum half_flag {
	HALF_SEEN = 1 << 0,	 /* it has sent something */
	HALF_BASED = 1 << 1,	 /* una and nxt are known */
	HALF_SYN = 1 << 2,	 /* its SYN was seen, so that its window scale is known */
	HALF_FIN = 1 << 3,	 /* it has sent a FIN, which lies at nxt - 1 */
	HALF_SHUT = 1 << 4,	 /* its peer's window is zero */
	HALF_ARMED = 1 << 5,	 /* in the wheel */
	HALF_WAITING = 1 << 6,	 /* silent long enough, but nothing to show for it yet */
	HALF_OPEN = 1 << 7,	 /* a stall of it is open */
	HALF_MISSING = 1 << 8,	 /* acknowledged bytes were not captured */
	HALF_TRANSFER = 1 << 9,	 /* counted as one */
	HALF_LATE_ACK = 1 << 10, /* was acknowledged more after its receiver's FIN */
	HALF_TIMESTAMPS = 1 << 11,
	HALF_RTT_PENDING = 1 << 12,
	HALF_RESET =
		1 << 13, /* it has sent a reset; rtt_seq is what its peer had sent until then */
	HALF_ABORTED = 1 << 14, /* its transfer was told to have ended by a reset */
};

/* One direction: what this end has sent and the other has acknowledged. */
struct half {
	uint64_t progress_ns; /* last time that una advanced */
	uint64_t owe_ns;      /* data is outstanding, or the window shut, without a break since */
	uint64_t last_ns;     /* last packet of this end */
	uint64_t sent;	      /* bytes of data seen for the first time */
	uint32_t una, nxt;
	uint32_t rtt_seq, rtt_sent_us; /* one segment at a time is timed (RFC 6298, Karn) */
	uint32_t min_rtt_us, srtt_us;  /* from the capture point to the receiver and back */
	uint32_t retrans;	       /* segments, life-long */
	uint32_t progress_frame;
	uint64_t next : 22, prev : 22;	  /* in the wheel: flow * 2 + direction */
	uint64_t life : 20;		  /* index, LIFE_NONE or LIFE_TOLD: it was told */
	uint32_t pace : 12;		  /* handle, 0 none */
	uint32_t detail : 16;		  /* index or NO_DETAIL */
	uint32_t wscale : 4;		  /* of its own windows, or NO_WSCALE */
	uint16_t print_low[FINGERPRINTS]; /* of its last packets, 24 bits each */
	uint8_t print_high[FINGERPRINTS];
	uint16_t flags;			 /* enum half_flag */
	uint16_t mss, passed;		 /* longest segment; longest one acknowledged */
	uint16_t window;		 /* as its peer advertised it last, not scaled */
	uint16_t tries, heard, dup_acks; /* since the last progress; saturating */
	uint8_t ttl;			 /* of its own packets */
	uint8_t slot : 6, print : 2;	 /* in the wheel; where the next fingerprint goes */
};
_Static_assert(WHEEL_SLOTS <= 64 && FINGERPRINTS == 4, "as many bits");

struct flow_entry {
	union frame_addr addr[2];
	uint16_t port[2];
	uint16_t mss;	/* smaller of the two that the handshake offers; 0 unknown */
	uint8_t tunnel; /* index plus one */
	uint8_t family : 3, used : 1;
	uint8_t opener : 2; /* the half that sent the SYN, 2 unknown */
	uint8_t probed : 2; /* bits: this half has sent probes of the path */
	uint64_t born_ns;
	uint32_t number; /* of the connection in the file, from 1 */
	uint32_t next;	 /* in the hash chain or the free list */
	uint32_t first_frame, last_frame;
	struct half half[2];
};
_Static_assert(sizeof(struct flow_entry) <= 272,
	       "300 bytes a flow with its hash bucket and the rest");

struct hole {
	uint32_t seq, end;
	uint64_t since_ns;
};

/* Beside a direction that has lost something. */
struct detail {
	/* What each packet looks at, in one line of the cache; until rtx_top since the last
	 * progress */
	uint32_t stuck_len, stuck_seen, retrans_frame, repeats;
	uint32_t sacked_bytes, sacked_longest, bad_sacks, resumed_len, shut_acks, bad_sums;
	uint64_t retrans_ns;
	uint32_t rtx_top; /* highest byte sent again */
	uint32_t n_holes;
	uint32_t next_free;
	bool upstream, timed_out; /* timed_out: the sender's latest segment is a timeout's */
	bool led; /* what was asked inside another connection has been told for this one, too */
	struct hole holes[HOLES]; /* bytes below nxt that were not captured, ascending */
	uint32_t heard;		  /* segments of the receiver sent in the silence */
	uint32_t refused;	  /* timeouts that an ACK for what came before has answered */
	uint32_t unanswered;	  /* timeouts since the receiver was heard */
	uint32_t repeat_seq;	  /* lowest byte that was sent again although it was acknowledged */
	uint64_t repeat_ns;	  /* when it first was */
	uint64_t probes_told_ns;  /* what has settled until then was told to the engine */
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct detail, holes) == 64 && sizeof(struct detail) == 192,
	       "what each packet looks at in one line of the cache, three in all");

/* A probe of a path, and what answered it. */
struct kept_probe {
	union frame_addr src, dst;
	uint16_t sport, dport;
	uint8_t family, kind, answer; /* enum probe_kind, enum probe_answer */
	uint8_t ttl, answer_ttl;      /* at the capture point; 0: the sender's usual one */
	uint8_t code;		      /* of ICMP */
	bool by_range;		      /* a D-SACK names it (RFC 2883) */
	bool stamped;		      /* it has timestamps (RFC 7323) */
	uint8_t altered;	      /* enum probe_altered */
	uint16_t ip_id, size, window; /* size: bytes of the IP packet */
	uint32_t seq, ack, len, tsval, answer_seq, mtu;
	struct ip_addr from;
	uint64_t sent_ns, answered_ns;
};

struct held_fragment {
	struct frame first;
	uint64_t number, now_ns;
};

struct kept_icmp {
	uint32_t number, seq; /* of the connection; 0 free */
	uint8_t dir;
	uint64_t now_ns;
	struct icmp_seen seen;
};

/* As around the first packet of a connection. */
struct tunnel {
	uint8_t kind, family;
	uint32_t id;
	union frame_addr src, dst;
};

/* Who has tried to connect in vain, and to how many different ends. */
struct dialer {
	union frame_addr src, dst;
	uint16_t port;
	uint8_t ends;
};

struct tracker {
	struct tracker_config config;
	struct tracker_counts counts;
	uint64_t now_ns, frame;

	struct tracker_item batch[TRACKER_BATCH];
	uint32_t n_batch; /* packets that wait in it */

	struct flow_entry *flows;
	uint32_t *buckets, n_buckets, top, free, hand;
	uint32_t numbers;

	uint32_t wheel[WHEEL_SLOTS], open; /* heads; `open` is the list of open stalls */
	uint64_t slot_ns, wheel_ns;	   /* everything before wheel_ns has fired */
	uint64_t swept_ns;		   /* when open stalls were looked at last */

	struct detail *details;
	uint32_t detail_top, detail_free, n_details;

	struct life *lives; /* of directions that are more than an exchange */
	uint32_t life_top, life_free, n_lives;

	struct pace *pace;
	struct held_fragment *held;
	uint32_t next_held;
	struct live_flow *live; /* beside each flow; NULL in captures */
	struct kept_icmp icmp[ICMP_KEPT];
	uint32_t next_icmp;
	struct kept_probe probes[PROBES_KEPT];
	uint32_t n_probes;	 /* so far */
	uint32_t asking[ASKING]; /* nodes; their receivers ask why they are silent */
	uint32_t n_asking;
	struct dialer dialers[DIALERS];
	struct tunnel tunnels[TUNNELS]; /* a hash table that is not emptied */
};

static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* Bytes of data that are not acknowledged; a FIN is none. */
static inline uint32_t half_out(const struct half *h)
{
	uint32_t out = h->nxt - h->una;

	return out && (h->flags & HALF_FIN) ? out - 1 : out;
}

static inline uint64_t half_silent_since(const struct half *h)
{
	return h->progress_ns > h->owe_ns ? h->progress_ns : h->owe_ns;
}

static inline uint64_t half_moved_bytes(const struct half *h)
{
	uint32_t out = half_out(h);

	return h->sent > out ? h->sent - out : 0;
}

static inline void count16(uint16_t *n)
{
	*n = (uint16_t)(*n + (*n != UINT16_MAX));
}

/* Routers that have counted this TTL down, from the value that systems begin with. */
static inline int routers_behind(uint8_t ttl)
{
	return (ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255) - ttl;
}

static inline struct half *half_at(struct tracker *t, uint32_t node)
{
	return &t->flows[node >> 1].half[node & 1];
}

/* The other end of the same connection. */
static inline struct half *half_peer(struct half *h, uint32_t node)
{
	return node & 1 ? h - 1 : h + 1;
}

static inline struct detail *detail_of(const struct tracker *t, const struct half *h)
{
	return h->detail == NO_DETAIL ? NULL : &t->details[h->detail];
}

/* How the windows are scaled that `h` is given, as far as that is known. */
static inline int half_scale(const struct half *h, const struct half *o)
{
	return h->wscale != NO_WSCALE && o->wscale != NO_WSCALE ? o->wscale : 0;
}

/* The window that `h` was given. */
static inline uint32_t half_window(const struct half *h, const struct half *o)
{
	return (uint32_t)h->window << half_scale(h, o);
}

/* flowtab.c */
void *flowtab_reserve(const struct tracker *t, size_t bytes); /* touched as it fills; NULL */
void flowtab_release(void *p, size_t bytes);
int flowtab_init(struct tracker *t);
void flowtab_free(struct tracker *t);
/* The half that src of this packet is, or NONE. */
uint32_t flowtab_find(const struct tracker *t, const struct frame *f, uint32_t hash);
/* The same, of a flow that is made; NONE: no room. */
uint32_t flowtab_make(struct tracker *t, const struct frame *f, uint32_t hash);
void flowtab_renew(struct tracker *t, struct flow_entry *e);   /* the same ends, a new connection */
struct detail *detail_make(struct tracker *t, struct half *h); /* if there is none; NULL: no room */

/* wheel.c */
void wheel_arm(struct tracker *t, uint32_t node, uint64_t due_ns);
void wheel_disarm(struct tracker *t, uint32_t node);
void wheel_open(struct tracker *t, uint32_t node); /* into the list of open stalls */
/* Calls fire for all that is due by now_ns, in order of their slots. */
void wheel_advance(struct tracker *t, uint64_t now_ns,
		   void (*fire)(struct tracker *, uint32_t node, uint64_t due_ns));

/* sequence.c */
/* What its sender knows to be acknowledged: less than una if the ACKs get lost. */
uint32_t half_known_una(const struct tracker *t, const struct half *h);
bool half_owes(struct tracker *t, uint32_t node);
/* What the wheel calls: has it been silent for long enough? */
void half_silent(struct tracker *t, uint32_t node, uint64_t due_ns);
void sequence_gap(struct tracker *t, uint32_t node); /* the receiver is about to speak */
void sequence_sum(struct tracker *t, uint32_t node, const struct frame *f);
void sequence_data(struct tracker *t, uint32_t node, const struct frame *f);
/* f comes from the peer of `node` and acknowledges what `node` has sent. elicited: by a probe. */
void sequence_ack(struct tracker *t, uint32_t node, const struct frame *f, bool elicited);

/* There is something to show for its silence, perhaps: arms it, or tells the stall it waits for. */
void sequence_show(struct tracker *t, uint32_t node);

/* handshake.c */
bool half_opening(const struct half *h); /* its SYN is out and not acknowledged */
bool handshake_shown(const struct half *h, const struct half *o);
void handshake_syn(struct tracker *t, uint32_t node, const struct frame *f);
/* This handshake in vain is told; false: its source has many of them. */
bool handshake_told(struct tracker *t, uint32_t node);

/* life.c: what a transfer waits for. What is no transfer has none, and nothing is done for it. */
int life_init(struct tracker *t);
void life_free(struct tracker *t);
void life_fetch(const struct tracker *t, const struct half *h);		  /* into the cache */
void life_begin(struct tracker *t, struct half *h, const struct half *o); /* if it is time */
void life_tried(struct tracker *t, uint32_t node); /* sent again, or a window probe */
void life_lost(struct tracker *t, uint32_t node);
void life_found(struct tracker *t, uint32_t node); /* it was only late */
uint64_t life_best_bps(struct tracker *t, uint32_t node);
void life_sum(struct tracker *t, uint32_t node, bool good);
/* Segments that came by damaged, if most were good: where none is, the sums are yet to be made. */
uint32_t life_bad_sums(struct tracker *t, uint32_t node);
uint16_t life_ip_id(struct tracker *t, uint32_t node); /* of its latest data; 0 unknown */

static inline bool life_goes_on(const struct half *h)
{
	return h->life < LIFE_TOLD;
}

/* Only while it goes on. account: before a packet of either end counts; o is the other end. */
void life_account(struct tracker *t, const struct half *h, const struct half *o);
/* New data. */
void life_data(struct tracker *t, const struct half *h, const struct half *o,
	       const struct frame *f);
/*
 * f is from the receiver of `node`; una and the window are up to date. wide: what the window was,
 * if the receiver has taken back a part of it, or 0.
 */
void life_acked(struct tracker *t, uint32_t node, const struct frame *f, uint32_t wide);
void life_rtt(struct tracker *t, const struct half *h, uint32_t us);
void life_end(struct tracker *t, uint32_t node); /* life_report.c; told once */

/* pauses.c: the window of h before this one, if its right edge moves back although so many bytes
 * are acknowledged, or 0. */
uint32_t window_taken_back(const struct half *h, const struct half *o, uint16_t window,
			   uint32_t acked);
/* una is about to advance, for the first time after something was sent again. */
void life_progress(struct tracker *t, uint32_t node);

/* probes.c */
enum probe_part { NO_PROBE, IS_PROBE, ANSWERS_PROBE };
/* What this segment is, of a low TTL or of a flow that is probed. IS_PROBE: none of the flow's. */
enum probe_part probes_look(struct tracker *t, struct flow_entry *e, int dir,
			    const struct frame *f);
bool probes_icmp(struct tracker *t, const struct frame *f); /* it answers one */
void probes_tell(struct tracker *t, uint32_t node);	    /* those in its silence that are new */
/* The silence that the receiver of `node` has asked about is over, if there was one. */
void probes_over(struct tracker *t, uint32_t node, bool recovered, enum gone_reason reason);
void probes_end(struct tracker *t);

static inline bool probes_maybe(const struct flow_entry *e, const struct frame *f)
{
	return __builtin_expect(e->probed || f->ttl <= LOW_TTL || f->payload == 1, 0);
}

/* tracker.c */
void tracker_drain(struct tracker *t); /* what still waits in the batch */

/* tracker_live.c */
int live_init(struct tracker *t); /* -ENOMEM */
void live_packet(struct tracker *t, uint32_t node, const struct frame *f);
bool live_is_ours(struct tracker *t, uint32_t node);

/* report.c: towards the engine */
struct flow_snapshot report_snapshot(struct tracker *t, uint32_t node);
uint32_t report_segs(struct tracker *t, uint32_t node, uint64_t bytes); /* that it takes */
struct capture_seen report_capture(struct tracker *t, uint32_t node);
void report_again(struct tracker *t, uint32_t node); /* of an open stall, what it has come to */
void report_stall(struct tracker *t, uint32_t node, uint64_t now_ns);
void report_before(struct tracker *t, uint32_t node, bool recovered, bool jumped);
void report_recovered(struct tracker *t, uint32_t node);
void report_gone(struct tracker *t, uint32_t node, enum gone_reason reason);
void report_reset(struct tracker *t, uint32_t node, const struct frame *f);
void report_refused(struct tracker *t, uint32_t node, const struct frame *f);
/* Takes the direction in where losses are judged together. */
void report_pace(struct tracker *t, uint32_t node);
struct flow_key report_key(const struct tracker *t, uint32_t node);
/* "gtp-u 7, 192.0.2.1 to 192.0.2.2"; empty if it lies in none. */
void report_tunnel(const struct tracker *t, uint32_t node, char ret[TUNNEL_TEXT]);
enum capture_position report_position(const struct tracker *t, uint32_t node);
/* A slow phase of a direction; told if that is a transfer. */
void report_slow(struct tracker *t, uint32_t node, const struct pace_seen *p);
/* A router has asked for smaller packets in the silence: no loss (RFC 1191, RFC 8201). */
bool report_too_big(const struct tracker *t, uint32_t node);
void report_icmp(struct tracker *t, struct flow_entry *e, int dir, const struct frame *f);

#endif
