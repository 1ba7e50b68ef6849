/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is drawn of an incident: sequence numbers over time as tcptrace draws them, and how fast its
 * transfer and others went. Of fixed size, however many packets there are: time is cut into
 * columns, and a column keeps how many marks of a kind fell into it and from where to where they
 * reached. Nothing is left out, nothing is made up; two marks in one column cannot be told apart.
 */
#ifndef TCPSTALL_INCIDENT_TRAIL_H
#define TCPSTALL_INCIDENT_TRAIL_H

#include "incident/excerpt.h"

#define TRAIL_COLUMNS 480
#define TRAIL_BINS    160
#define TRAIL_FLOWS   32 /* other connections, apart; the rest is added up */

enum trail_mark {
	TRAIL_DATA,   /* sequence numbers sent for the first time */
	TRAIL_AGAIN,  /* at or below what was sent before: retransmitted, or late */
	TRAIL_ACK,    /* acknowledged up to */
	TRAIL_WINDOW, /* the receiver takes no more than */
	TRAIL_SACK,   /* has arrived beyond a hole */
	TRAIL_MARKS
};

struct trail_column {
	uint32_t count;
	int64_t low, high, last; /* bytes since the first sequence number seen */
};

/* One picture: a span of time. */
struct trail_plot {
	uint64_t from_ns, to_ns;
	struct trail_column marks[TRAIL_MARKS][TRAIL_COLUMNS];
	uint64_t counts[TRAIL_MARKS];
};

struct trail_rate {
	struct frame_ends {
		union frame_addr src, dst;
		uint16_t sport, dport;
		uint8_t family;
		uint8_t pad[3]; /* compared as bytes */
	} ends;
	bool used;
	bool begun;
	int64_t high; /* the highest sequence number, unwrapped */
	uint64_t total;
	uint64_t bytes[TRAIL_BINS]; /* new bytes of data in each bin */
};

struct trail {
	struct trail_plot whole, close;
	struct trail_rate stalled;
	struct trail_rate others[TRAIL_FLOWS];
	struct trail_rate rest; /* of what found no place there */
	bool averages;		/* the rates are those of trail_averages() */
	bool based;		/* a sequence number has been seen */
	bool window_known;	/* the handshake was captured: the window's scale is known */
	uint8_t syn_sides;	/* handshake seen of: bit 0 the sender, bit 1 the receiver */
	uint8_t src_scale, dst_scale;
	uint32_t base;	    /* of sequence numbers */
	int64_t high;	    /* highest end of data so far */
	uint32_t prints[8]; /* of the last packets: what is captured twice counts once */
	uint32_t next_print;
	uint64_t duplicates;
	uint64_t last_ns; /* the latest packet of any connection */
};

/* -ENOMEM */
int trail_new(const struct incident *incident, struct trail **ret);
void trail_free(struct trail *t); /* NULL is fine */

/*
 * The rates as the counters of this host give them, an average each: of the transfer while it ran,
 * of its witnesses in the silence. For incidents of which only the last packets are there.
 */
void trail_averages(struct trail *t, const struct incident *incident);

/* side as told by excerpt_side(). */
void trail_frame(struct trail *t, const struct frame *f, enum excerpt_side side, uint64_t now_ns);

#endif
