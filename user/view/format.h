/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers and verdicts in words, for people. Each writes into buf, which is returned. */
#ifndef TCPSTALL_VIEW_FORMAT_H
#define TCPSTALL_VIEW_FORMAT_H

#include "engine/verdict.h"

#define FORMAT_LEN 32 /* enough for any number below */
#define PLACE_LEN  224

const char *format_bytes(uint64_t bytes, char buf[FORMAT_LEN]); /* 3.63 GiB */
const char *format_rate(uint64_t bps, char buf[FORMAT_LEN]);	/* 96.0 Mbit/s */
const char *format_duration(uint64_t ns, char buf[FORMAT_LEN]); /* 310 us, 2.0 s, 4 min 11 s */
const char *format_time(uint64_t mono_ns, int64_t wall_offset_ns,
			char buf[FORMAT_LEN]); /* 2026-01-02 03:04:05Z */
const char *format_time_ns(uint64_t mono_ns, int64_t wall_offset_ns,
			   char buf[FORMAT_LEN]); /* RFC 3339, nanoseconds */

/* As much of src as fits, with '?' for what is no printable ASCII: names are hostile. */
const char *format_name(const char *src, char *buf, size_t len);

/*
 * Where, as part of a sentence: "at hop 2 (192.168.0.1)". name: of its address; NULL or "" none.
 */
const char *format_place(const struct place *place, const struct incident *incident,
			 const char *name, char buf[PLACE_LEN]);

/*
 * What stands before candidate k where a verdict's are listed behind its place. NULL: it is the
 * place itself. Of an open place the first is the likeliest part of the path.
 */
const char *format_before_candidate(const struct verdict *v, int k);

/* The two ends of the stalled direction. */
static inline const struct endpoint *incident_src(const struct incident *i)
{
	return i->local_sends ? &i->key.local : &i->key.remote;
}

static inline const struct endpoint *incident_dst(const struct incident *i)
{
	return i->local_sends ? &i->key.remote : &i->key.local;
}

/* The verdict is about this hop. */
static inline bool hop_is_place(const struct incident *i, const struct hop *h)
{
	return i->verdict.where.kind == PLACE_HOP && i->verdict.where.ttl == h->ttl;
}

/* Of a hop that answers no probe the verdict may know more: its errors about the transfer. */
static inline const struct ip_addr *hop_address(const struct incident *i, const struct hop *h)
{
	return !h->address.family && hop_is_place(i, h) ? &i->verdict.where.address : &h->address;
}

#define TUNNEL_LEN 160
/* "vxlan vx0, 192.0.2.1 to 192.0.2.2", into buf; NULL: the interface is no tunnel. */
const char *format_tunnel(const struct route_seen *route, char buf[TUNNEL_LEN]);

/* tcp_info's names as `ss` prints them, in lower case: "established", "syn-sent". NULL: unknown. */
const char *tcp_state_name(uint8_t state);

/* Where the capture point sits: "near-src", "near-dst", "middle", "unknown". */
const char *position_id(enum capture_position position);

/* The local program: what the host room found, or what the sensor saw. false: unknown. */
bool incident_process(const struct incident *i, uint32_t *ret_pid, const char **ret_comm);

#endif
