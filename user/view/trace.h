/* SPDX-License-Identifier: GPL-2.0-only */
/* The path to a peer hop by hop, as `tcpstall trace` shows it. */
#ifndef TCPSTALL_VIEW_TRACE_H
#define TCPSTALL_VIEW_TRACE_H

#include <stdio.h>
#include "engine/verdict.h"
#include "view/names.h"

struct trace_result {
	struct flow_key key;
	bool in_flow; /* the connection itself was probed too */
	struct hop hops[MAX_HOPS];
	int n_hops;
	bool reached[PROBE_KINDS];  /* the peer answered */
	int frontier[PROBE_KINDS];  /* largest TTL that was answered by anybody */
	struct ip_addr unreachable; /* the router that says so of the peer; no hop of its own */
	uint64_t sent, not_sent;
	int error; /* errno of the last probe that could not be sent */
	uint64_t done_ns;
};

struct trace_view {
	FILE *out;
	const char *host; /* ours */
	int64_t wall_offset_ns;
	struct names *names; /* NULL: no look-ups */
};

/* 0, or what went wrong with the stream: -EPIPE, -ENOSPC. */
int trace_text(const struct trace_view *v, const struct trace_result *t);
int trace_json(const struct trace_view *v, const struct trace_result *t);

#endif
