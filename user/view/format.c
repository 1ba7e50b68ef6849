/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/format.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* Three significant digits below 1000. */
static int decimals(double value)
{
	return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

static const char *scaled(double value, double step, const char *const *units, int n,
			  char buf[FORMAT_LEN])
{
	int i = 0;

	for (; i < n - 1 && value >= step * 0.9995; i++)
		value /= step;
	snprintf(buf, FORMAT_LEN, "%.*f %s", i ? decimals(value) : 0, value, units[i]);
	return buf;
}

const char *format_bytes(uint64_t bytes, char buf[FORMAT_LEN])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

	return scaled((double)bytes, 1024, units, 6, buf);
}

const char *format_rate(uint64_t bps, char buf[FORMAT_LEN])
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};

	return scaled((double)bps, 1000, units, 5, buf);
}

const char *format_duration(uint64_t ns, char buf[FORMAT_LEN])
{
	uint64_t s = ns / NS_PER_S;

	if (ns < NS_PER_MS)
		snprintf(buf, FORMAT_LEN, "%" PRIu64 " us", (uint64_t)(ns / NS_PER_US));
	else if (ns < 10 * NS_PER_MS)
		snprintf(buf, FORMAT_LEN, "%.1f ms", (double)ns / 1e6);
	else if (ns < NS_PER_S)
		snprintf(buf, FORMAT_LEN, "%" PRIu64 " ms", (uint64_t)(ns / NS_PER_MS));
	else if (s < 60)
		snprintf(buf, FORMAT_LEN, "%.1f s", (double)(ns / (100 * NS_PER_MS)) / 10);
	else if (s < 3600)
		snprintf(buf, FORMAT_LEN, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, FORMAT_LEN, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(buf, FORMAT_LEN, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	return buf;
}

static void wall(uint64_t mono_ns, int64_t wall_offset_ns, struct tm *ret, uint32_t *ret_ns)
{
	/* A hostile recording may hold any offset; gmtime_r() refuses years that do not fit. */
	uint64_t ns = mono_ns + (uint64_t)wall_offset_ns;
	time_t seconds = (time_t)(ns / NS_PER_S);

	*ret = (struct tm){.tm_mday = 1, .tm_year = 70};
	*ret_ns = (uint32_t)(ns % NS_PER_S);
	gmtime_r(&seconds, ret);
}

const char *format_time(uint64_t mono_ns, int64_t wall_offset_ns, char buf[FORMAT_LEN])
{
	uint32_t ns;
	struct tm t;

	wall(mono_ns, wall_offset_ns, &t, &ns);
	strftime(buf, FORMAT_LEN, "%Y-%m-%d %H:%M:%SZ", &t);
	return buf;
}

const char *format_time_ns(uint64_t mono_ns, int64_t wall_offset_ns, char buf[FORMAT_LEN])
{
	uint32_t ns;
	struct tm t;
	size_t len;

	wall(mono_ns, wall_offset_ns, &t, &ns);
	len = strftime(buf, FORMAT_LEN, "%Y-%m-%dT%H:%M:%S", &t);
	snprintf(buf + len, FORMAT_LEN - len, ".%09uZ", ns);
	return buf;
}

const char *format_name(const char *src, char *buf, size_t len)
{
	size_t i = 0;

	for (; i + 1 < len && src[i]; i++)
		buf[i] = src[i] >= ' ' && src[i] <= '~' ? src[i] : '?';
	buf[i] = '\0';
	return buf;
}

bool incident_process(const struct incident *i, uint32_t *ret_pid, const char **ret_comm)
{
	if (i->process.pid) {
		*ret_pid = i->process.pid;
		*ret_comm = i->process.comm;
		return true;
	}
	*ret_pid = i->last.pid;
	*ret_comm = i->last.comm;
	return i->last.pid;
}

static void place_hop(const struct place *p, const char *name, char buf[PLACE_LEN])
{
	char addr[ADDR_TEXT_LEN];

	if (!p->address.family)
		snprintf(buf, PLACE_LEN, "at hop %u", p->ttl);
	else if (!p->ttl) /* in a capture nobody may have asked how far away it is */
		snprintf(buf, PLACE_LEN, "at %s", addr_text(&p->address, addr));
	else if (name && *name)
		snprintf(buf, PLACE_LEN, "at hop %u (%.64s, %s)", p->ttl, name,
			 addr_text(&p->address, addr));
	else
		snprintf(buf, PLACE_LEN, "at hop %u (%s)", p->ttl, addr_text(&p->address, addr));
}

static void place_link(const struct place *p, char buf[PLACE_LEN])
{
	char near[ADDR_TEXT_LEN], far[ADDR_TEXT_LEN];

	addr_text(&p->near, near);
	addr_text(&p->far, far);
	if (p->near.family && p->far.family && (p->side == SIDE_NEAR || p->side == SIDE_FAR))
		snprintf(buf, PLACE_LEN, "between %s and %s, on the side of %s", near, far,
			 p->side == SIDE_NEAR ? near : far);
	else if (p->near.family && p->far.family)
		snprintf(buf, PLACE_LEN, "between %s and %s", near, far);
	else if (p->near.family)
		snprintf(buf, PLACE_LEN, "behind %s", near);
	else if (p->far.family)
		snprintf(buf, PLACE_LEN, "before %s", far);
	else
		snprintf(buf, PLACE_LEN, "on a link of the path");
}

const char *format_place(const struct place *place, const struct incident *incident,
			 const char *name, char buf[PLACE_LEN])
{
	char addr[ADDR_TEXT_LEN];

	switch (place->kind) {
	case PLACE_HOP:
		place_hop(place, name, buf);
		break;
	case PLACE_LINK:
		place_link(place, buf);
		break;
	case PLACE_SENDER_APP:
	case PLACE_SENDER_HOST:
		snprintf(buf, PLACE_LEN, "%s (%s)",
			 place->kind == PLACE_SENDER_APP ? "in the sending program"
							 : "on the sending host",
			 addr_text(&incident_src(incident)->addr, addr));
		break;
	case PLACE_RECEIVER_APP:
	case PLACE_RECEIVER_HOST:
		snprintf(buf, PLACE_LEN, "%s (%s)",
			 place->kind == PLACE_RECEIVER_APP ? "in the receiving program"
							   : "on the receiving host",
			 addr_text(&incident_dst(incident)->addr, addr));
		break;
	case PLACE_PATH:
		snprintf(buf, PLACE_LEN, "somewhere on the path");
		break;
	default:
		snprintf(buf, PLACE_LEN, "at an unknown place");
		break;
	}
	return buf;
}

const char *format_before_candidate(const struct verdict *v, int k)
{
	const bool open = v->where.kind == PLACE_PATH && v->candidates[0].kind != PLACE_PATH;

	if (!k)
		return open ? "; likeliest " : NULL;
	return k == 1 && !open ? "; otherwise " : ", ";
}

const char *format_tunnel(const struct route_seen *route, char buf[TUNNEL_LEN])
{
	char name[32], local[ADDR_TEXT_LEN], remote[ADDR_TEXT_LEN];

	if (!route_is_tunnel(route))
		return NULL;
	format_name(route->ifname, name, sizeof(name));
	if (route->tunnel_remote.family)
		snprintf(buf, TUNNEL_LEN, "%s %s, %s to %s", route->kind, name,
			 addr_text(&route->tunnel_local, local),
			 addr_text(&route->tunnel_remote, remote));
	else
		snprintf(buf, TUNNEL_LEN, "%s %s", route->kind, name);
	return buf;
}

const char *tcp_state_name(uint8_t state)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "established", [TCP_SYN_SENT] = "syn-sent",
		[TCP_SYN_RECV] = "syn-recv",	   [TCP_FIN_WAIT1] = "fin-wait-1",
		[TCP_FIN_WAIT2] = "fin-wait-2",	   [TCP_TIME_WAIT] = "time-wait",
		[TCP_CLOSE] = "unconnected",	   [TCP_CLOSE_WAIT] = "close-wait",
		[TCP_LAST_ACK] = "last-ack",	   [TCP_LISTEN] = "listening",
		[TCP_CLOSING] = "closing",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : NULL;
}

const char *position_id(enum capture_position position)
{
	static const char *const ids[] = {
		[CAPTURED_UNKNOWN] = "unknown",
		[CAPTURED_NEAR_SRC] = "near-src",
		[CAPTURED_NEAR_DST] = "near-dst",
		[CAPTURED_MIDDLE] = "middle",
	};

	return ids[position];
}
