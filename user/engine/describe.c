/* SPDX-License-Identifier: GPL-2.0-only */
/* The words of a verdict: detail and advice, ids of outcomes and ways. */
#include <stdio.h>
#include <string.h>

#include "engine/judge.h"

const char *outcome_id(enum outcome outcome)
{
	static const char *const ids[OUTCOMES] = {
		[OUTCOME_OPEN] = "open",
		[OUTCOME_RECOVERED] = "recovered",
		[OUTCOME_RESET] = "reset",
		[OUTCOME_CLOSED] = "closed",
		[OUTCOME_TIMED_OUT] = "timed-out",
		[OUTCOME_WATCH_ENDED] = "watch-ended",
		[OUTCOME_CAPTURE_ENDED] = "capture-ended",
		[OUTCOME_INTERRUPTED] = "interrupted",
	};

	return ids[outcome];
}

const char *side_id(enum side side)
{
	static const char *const ids[] = {[SIDE_UNKNOWN] = NULL,
					  [SIDE_NEAR] = "near",
					  [SIDE_FAR] = "far",
					  [SIDE_BOTH] = "both"};

	return ids[side];
}

bool route_is_tunnel(const struct route_seen *route)
{
	/* As rtnetlink names their kinds; PPP and xfrm interfaces tell nothing of their outside. */
	static const char *const kinds[] = {
		"wireguard", "ipip",  "sit",	"ip6tnl", "gre",  "gretap", "ip6gre", "ip6gretap",
		"erspan",    "vxlan", "geneve", "vti",	  "vti6", "xfrm",   "tun",    "ppp",
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(route->kind, kinds[i]))
			return true;
	return false;
}

const char *way_id(enum way way)
{
	return way == WAY_FORWARD ? "forward" : way == WAY_REVERSE ? "reverse" : NULL;
}

/* What the local program is doing, as far as /proc shows it. */
static void detail_program(struct judgement *j)
{
	const struct process_seen *p = &j->s->pub.process;
	char who[48], *to = j->v->detail;
	size_t len = sizeof(j->v->detail);

	if (!p->pid)
		return;
	snprintf(who, sizeof(who), "%.15s (%u)", p->comm, p->pid);
	switch (p->state) {
	case 'D':
		snprintf(to, len,
			 "%s waits uninterruptibly, most often for a "
			 "disk%s%s",
			 who, p->wchan[0] ? ": " : "", p->wchan);
		break;
	case 'T':
	case 't':
		snprintf(to, len, "%s is stopped by a signal or a debugger", who);
		break;
	case 'Z':
		snprintf(to, len, "%s has ended and was not waited for", who);
		break;
	case 'R':
		snprintf(to, len, "%s is running, busy with something else%s", who,
			 p->throttled > j->s->process_before.throttled
				 ? ", and throttled by the CPU limit of its cgroup"
				 : "");
		break;
	case 'S':
	case 'I':
		snprintf(to, len, "%s sleeps%s%s", who, p->wchan[0] ? " in " : "", p->wchan);
		break;
	default:
		snprintf(to, len, "%s", who);
	}
}

static void size_text(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	int u = 0;

	for (; value >= 1024 && u < 4; u++)
		value /= 1024;
	snprintf(buf, len, u ? "%.1f %s" : "%.0f %s", value, units[u]);
}

static void detail_state(struct judgement *j)
{
	char size[24];

	size_text(j->s->pub.bytes_at_stall, size, sizeof(size));
	snprintf(j->v->detail, sizeof(j->v->detail), "established; dropped after %s%s",
		 capture_is_partial(&j->s->pub.capture) ? "at least " : "", size);
}

static void detail_size(struct judgement *j)
{
	const struct stall *s = j->s;

	if (s->too_big_mtu && s->full_size > s->too_big_mtu)
		snprintf(j->v->detail, sizeof(j->v->detail), "largest packet that passes: %u bytes",
			 s->too_big_mtu);
	else if (s->sizing && s->size_fail - s->size_pass <= 1)
		snprintf(j->v->detail, sizeof(j->v->detail), "largest packet that passes: %u bytes",
			 s->size_pass);
	else if (s->full_size)
		snprintf(j->v->detail, sizeof(j->v->detail), "packets of %u bytes do not pass",
			 s->full_size);
}

static void detail_drop(struct judgement *j)
{
	const struct stall *s = j->s;
	const struct drop_tally *most = NULL;

	for (int i = 0; i < s->n_drops; i++)
		if (strncmp(s->drops[i].reason, "TCP_", 4) &&
		    (!most || s->drops[i].count > most->count))
			most = &s->drops[i];
	if (most)
		snprintf(j->v->detail, sizeof(j->v->detail), "%s%s%s, %s", most->reason,
			 most->function[0] ? " in " : "", most->function,
			 most->inbound ? "incoming" : "outgoing");
	else
		snprintf(j->v->detail, sizeof(j->v->detail),
			 "sending is refused: operation not permitted");
}

static void detail_reset(struct judgement *j)
{
	const struct stall *s = j->s;

	if (s->reset_forged)
		snprintf(j->v->detail, sizeof(j->v->detail), "forged by a box %u hop%s away",
			 s->reset_hops, plural(s->reset_hops));
	else if (s->reset_seen.ttl && s->reset_seen.ttl_usual)
		snprintf(j->v->detail, sizeof(j->v->detail), "from the peer itself");
}

static void detail_rate(struct judgement *j)
{
	const struct pace_seen *p = &j->s->pub.pace;
	double mbps = (double)p->ceiling_bps / 1e6;

	if (p->limit == PACE_POLICER && p->burst_bytes)
		snprintf(j->v->detail, sizeof(j->v->detail),
			 "policer at %.3g Mbit/s, bursts of %llu kB pass", mbps,
			 (unsigned long long)p->burst_bytes / 1000);
	else
		snprintf(j->v->detail, sizeof(j->v->detail), "%s at %.3g Mbit/s",
			 p->limit == PACE_POLICER ? "policer" : "shaper or bottleneck", mbps);
}

static void detail_window(struct judgement *j)
{
	const struct pace_seen *p = &j->s->pub.pace;
	char size[24];

	size_text(p->window_bytes, size, sizeof(size));
	snprintf(j->v->detail, sizeof(j->v->detail), "%s in a round trip of %.3g ms%s", size,
		 p->rtt_us / 1e3, p->unscaled ? ", window scaling not taken up" : "");
}

static void detail_loss(struct judgement *j)
{
	const struct pace_seen *p = &j->s->pub.pace;

	if (j->s->pub.slow && p->segs)
		snprintf(j->v->detail, sizeof(j->v->detail), "%.2g %% of %u segments lost",
			 100.0 * p->lost_segs / p->segs, p->segs);
}

static void detail_content(struct judgement *j)
{
	const struct flow_snapshot *last = &j->s->pub.last;

	if (last->retrans_len)
		snprintf(j->v->detail, sizeof(j->v->detail), "%u bytes, sent %u time%s",
			 last->retrans_len, last->retrans + 1, plural(last->retrans + 1ull));
}

static void detail_rewrite(struct judgement *j)
{
	static const char *const what[] = {
		[REWRITE_UNKNOWN] = "",
		[REWRITE_SEQUENCE] = "sequence numbers are shifted, SACK blocks are not",
		[REWRITE_WINDOW] = "the window is read at another scale",
		[REWRITE_TIMESTAMPS] = "timestamps are changed",
	};

	snprintf(j->v->detail, sizeof(j->v->detail), "%s", what[j->rewrite]);
}

static void place_text(const struct judgement *j, char *buf, size_t len)
{
	const struct place *w = &j->v->where;
	char a[ADDR_TEXT_LEN], b[ADDR_TEXT_LEN];

	switch (w->kind) {
	case PLACE_HOP:
		if (w->address.family && !w->ttl)
			addr_text(&w->address, buf);
		else if (w->address.family)
			snprintf(buf, len, "%s (hop %u)", addr_text(&w->address, a), w->ttl);
		else
			snprintf(buf, len, "hop %u", w->ttl);
		break;
	case PLACE_LINK:
		if (w->near.family && w->far.family)
			snprintf(buf, len, "the link between %s and %s", addr_text(&w->near, a),
				 addr_text(&w->far, b));
		else if (w->near.family || w->far.family)
			snprintf(buf, len, "%s", addr_text(w->near.family ? &w->near : &w->far, a));
		else
			snprintf(buf, len, "a link");
		break;
	case PLACE_SENDER_HOST:
	case PLACE_RECEIVER_HOST:
		snprintf(buf, len, "%s", addr_text(&w->address, a));
		break;
	case PLACE_SENDER_APP:
		snprintf(buf, len, "the sending program");
		break;
	case PLACE_RECEIVER_APP:
		snprintf(buf, len, "the receiving program");
		break;
	case PLACE_PATH:
	case PLACE_UNKNOWN:
	case PLACE_KINDS:
		snprintf(buf, len, "%s",
			 j->verdict == CAUSE_CONNECTION_RESET
				 ? "somebody unknown, the peer or a box on the way"
				 : "a device on the path");
		break;
	}
}

/* Puts the place where the advice has its %s. */
static void advise(struct judgement *j)
{
	const char *advice = cause_info(j->verdict)->advice, *gap = strstr(advice, "%s");
	char place[2 * ADDR_TEXT_LEN + 32];

	place_text(j, place, sizeof(place));
	if (gap)
		snprintf(j->v->advice, sizeof(j->v->advice), "%.*s%s%s", (int)(gap - advice),
			 advice, place, gap + 2);
	else
		snprintf(j->v->advice, sizeof(j->v->advice), "%s", advice);
}

void describe(struct judgement *j)
{
	if (is_local_program(j->verdict, j->s->sends))
		detail_program(j);
	else if (j->verdict == CAUSE_CONNECTION_STATE_LOST)
		detail_state(j);
	else if (j->verdict == CAUSE_SIZE_BLACKHOLE)
		detail_size(j);
	else if (j->verdict == CAUSE_LOCAL_DROP)
		detail_drop(j);
	else if (j->verdict == CAUSE_CONNECTION_RESET)
		detail_reset(j);
	else if (j->verdict == CAUSE_RATE_LIMIT)
		detail_rate(j);
	else if (j->verdict == CAUSE_PATH_LOSS)
		detail_loss(j);
	else if (j->verdict == CAUSE_WINDOW_LIMITED)
		detail_window(j);
	else if (j->verdict == CAUSE_CONTENT_DROP)
		detail_content(j);
	else if (j->verdict == CAUSE_HEADER_REWRITE)
		detail_rewrite(j);
	advise(j);
}
