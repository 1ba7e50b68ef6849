/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does what came back belong to a probe of ours? Pure. The higher the score the better; 0: no.
 */
#ifndef TCPSTALL_PROBE_MATCH_H
#define TCPSTALL_PROBE_MATCH_H

#include "engine/observation.h"
#include "probe/packet.h"

static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

int match_error(const struct icmp_error *e, const struct segment *probe);

/* A segment of the peer (or of somebody in its name). Says which answer it is. */
int match_segment(const struct segment *in, const struct segment *probe, enum probe_kind kind,
		  enum probe_answer *ret);

/*
 * enum probe_altered: where the quote differs from the IP packet that was sent. A stretch of zeros
 * is padding of a router that quotes little.
 */
uint8_t quote_altered(const struct icmp_error *e, const uint8_t *packet, size_t len);

/* Has the segment a D-SACK block (RFC 2883) below its ACK? */
bool has_dsack(const struct segment *in);

/* What an ICMP error says to the one who sent a probe. ANSWER_NONE: nothing of interest. */
enum probe_answer error_answer(const struct icmp_error *e);

#endif
