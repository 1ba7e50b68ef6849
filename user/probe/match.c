/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A NAT on the way may change source address, source port and IP ID, a firewall may change sequence
 * numbers (and both should mend the quote of an error on its way back, but not all do). So no
 * single field is relied on; what must agree holds at least 48 bits that somebody off the path has
 * to guess.
 */
#include "probe/match.h"

#include <string.h>
#include <sys/socket.h>

#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>

#include "base/bytes.h"

/*
 * Another watcher of this host may probe the same connection, with bytes of the same range. Its
 * probe has another IP ID, ACK (see craft.c) and time; what a box on the way rewrites keeps one of
 * these. A router that quotes 8 bytes and zeros tells nothing.
 */
static bool is_anothers(const struct icmp_error *e, const struct segment *probe)
{
	const size_t ack = 8, tsval = 24; /* offsets, with two NOPs before the timestamps */

	const bool has_id = e->from.family == AF_INET;

	if (probe->flags & TH_SYN || (has_id && e->quoted_ip_id == probe->ip_id) ||
	    e->quote_len < ack + 4 || !be32(e->quote + ack) || be32(e->quote + ack) == probe->ack)
		return false;
	if (!probe->timestamps)
		return has_id; /* the ACK alone may be rewritten */
	return e->quote_len < tsval + 4 || be32(e->quote + tsval) != probe->tsval;
}

int match_error(const struct icmp_error *e, const struct segment *probe)
{
	const bool same_seq = e->quoted_seq == probe->seq;
	const bool same_id = probe->ip_id && e->quoted_ip_id == probe->ip_id;
	const bool same_dst = addr_equal(&e->quoted_dst.addr, &probe->dst.addr);
	const bool same_port = e->quoted_src.port == probe->src.port;

	if (e->quoted_dst.port != probe->dst.port || is_anothers(e, probe))
		return 0;
	if (same_seq && (same_dst || same_port))
		return 2 + same_id + same_port;
	return same_id && same_dst && same_port;
}

static bool differs(const struct icmp_error *e, const uint8_t *sent, size_t from, size_t to)
{
	bool zeros = true;

	if (to > e->quote_len)
		to = e->quote_len;
	if (from >= to || !memcmp(e->quote + from, sent + from, to - from))
		return false;
	for (size_t i = from; i < to && zeros; i++)
		zeros = !e->quote[i];
	return !zeros;
}

uint8_t quote_altered(const struct icmp_error *e, const uint8_t *packet, size_t len)
{
	const size_t ip_len = len && packet[0] >> 4 == 6 ? sizeof(struct ip6_hdr) : 20;
	const uint8_t *tcp = packet + ip_len;
	size_t header;

	if (len < ip_len + 20)
		return 0;
	len -= ip_len;
	header = (size_t)(tcp[12] >> 4) * 4;
	if (header > len)
		return 0;
	return (differs(e, tcp, 4, 8) || differs(e, tcp, 8, 12) ? ALTERED_SEQUENCE : 0) |
	       (differs(e, tcp, 14, 16) ? ALTERED_WINDOW : 0) |
	       (differs(e, tcp, 20, header) ? ALTERED_OPTIONS : 0) |
	       (differs(e, tcp, header, len) ? ALTERED_PAYLOAD : 0);
}

bool has_dsack(const struct segment *in)
{
	return in->n_sacks && !seq_before(in->ack, in->sacks[0].end) &&
	       seq_before(in->sacks[0].start, in->sacks[0].end);
}

static int match_in_flow(const struct segment *in, const struct segment *probe,
			 enum probe_answer *ret)
{
	if (in->flags & TH_RST) { /* RFC 9293 3.5.2: its SEQ is our ACK */
		*ret = ANSWER_RST;
		return in->seq == probe->ack;
	}
	*ret = ANSWER_ACK;
	return in->flags & TH_ACK && has_dsack(in) && in->sacks[0].start == probe->seq &&
	       in->sacks[0].end == probe->seq + probe->payload;
}

int match_segment(const struct segment *in, const struct segment *probe, enum probe_kind kind,
		  enum probe_answer *ret)
{
	if (!endpoint_equal(&in->src, &probe->dst) || !endpoint_equal(&in->dst, &probe->src))
		return 0;
	if (kind == PROBE_IN_FLOW_COPY)
		return 0; /* an ACK of it is the transfer going on */
	if (kind != PROBE_CONTROL)
		return match_in_flow(in, probe, ret);
	*ret = in->flags & TH_RST ? ANSWER_RST : ANSWER_SYN_ACK;
	return in->flags & TH_ACK && in->flags & (TH_RST | TH_SYN) && in->ack == probe->seq + 1;
}

static enum probe_answer answer4(uint8_t type, uint8_t code)
{
	if (type == ICMP_TIME_EXCEEDED)
		return code == ICMP_EXC_TTL ? ANSWER_TIME_EXCEEDED : ANSWER_NONE;
	if (type == ICMP_DEST_UNREACH)
		return code == ICMP_FRAG_NEEDED ? ANSWER_TOO_BIG : ANSWER_UNREACHABLE;
	return ANSWER_NONE;
}

static enum probe_answer answer6(uint8_t type, uint8_t code)
{
	if (type == ICMP6_TIME_EXCEEDED)
		return code == ICMP6_TIME_EXCEED_TRANSIT ? ANSWER_TIME_EXCEEDED : ANSWER_NONE;
	if (type == ICMP6_PACKET_TOO_BIG)
		return ANSWER_TOO_BIG;
	return type == ICMP6_DST_UNREACH ? ANSWER_UNREACHABLE : ANSWER_NONE;
}

enum probe_answer error_answer(const struct icmp_error *e)
{
	return e->from.family == AF_INET6 ? answer6(e->type, e->code) : answer4(e->type, e->code);
}
