/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a probe inside a connection is harmless.
 *
 * At the peer: its sequence range ends at or below SND.UNA, so every byte of it has been received
 * and acknowledged. RFC 9293 3.10.7.4 has such a segment dropped and answered with an ACK, and RFC
 * 2883 with a D-SACK block that names the range; tcp_validate_incoming() and tcp_data_queue() do
 * both. The payload is not looked at.
 *
 * At this host: a box or peer without this connection's state may answer with a reset whose SEQ is
 * our ACK (RFC 9293 3.5.2). Only SEQ == RCV.NXT resets (RFC 5961 3.2), and in some states Linux
 * also takes RCV.NXT - 1 (tcp_reset_check()). So ACK starts at RCV.NXT - 2 and goes down, and
 * RCV.NXT only goes up. For the same reason ICMP errors that quote a probe are ignored by the
 * connection: tcp_v4_err() wants a sequence number between SND.UNA and SND.NXT. A copy of the
 * kernel's own segment (packet_copy()) lies there: a router's "time exceeded" leaves it a soft
 * error, which the next ACK takes away, and which otherwise becomes the error that the program
 * reads when the kernel gives up: EHOSTUNREACH for ETIMEDOUT. So copies are asked for only where
 * nothing else decides.
 *
 * Stateful boxes on the way take segments up to a window old: nf_conntrack's tcp_in_window() wants
 * the end of the range above SND.NXT - window - 1, and ACK within 66000 bytes. Hence ranges that
 * stay close to SND.UNA.
 */
#include "probe/craft.h"

#include <errno.h>

#include "base/clock.h"

#define SYN_WINDOW   64240 /* what Linux offers with an MSS of 1460 */
#define USUAL_MSS    1460
#define ACK_BACK     2
#define PLAIN_WINDOW 502 /* 64 KiB at the usual scale, when the flow has not shown its own */

/*
 * Acknowledged bytes that we may repeat. tcp_snd_una_update() counts the SYN of an active opener
 * as a byte, so the count may be one too high.
 */
static uint32_t repeatable(const struct flow_snapshot *s)
{
	const uint64_t bytes = s->snd.bytes ? s->snd.bytes - 1 : 0;

	return bytes > PACKET_MAX ? PACKET_MAX : (uint32_t)bytes;
}

/* As tcp_time_stamp_ts() and tcp_established_options() compute it. */
static uint32_t tsval_now(const struct flow_snapshot *s, uint64_t now_ns)
{
	const uint64_t tick_ns = s->flags & SNAP_USEC_TS ? NS_PER_US : NS_PER_MS;

	return (uint32_t)(now_ns / tick_ns) + s->tsoffset;
}

int craft_in_flow(const struct flow_snapshot *s, const struct look *look, uint16_t size,
		  uint32_t offset, uint64_t now_ns, struct segment *ret)
{
	const uint32_t acked = repeatable(s);
	struct segment seg = {
		.src = s->key.local,
		.dst = s->key.remote,
		.tos = look->tos,
		.flow_label = look->flow_label,
		.window = look->seen ? look->window : PLAIN_WINDOW,
		.flags = TH_ACK,
		.timestamps = s->flags & SNAP_TIMESTAMPS,
		.tsval = tsval_now(s, now_ns),
		.tsecr = s->ts_recent,
	};
	const uint32_t header = packet_header_len(&seg);

	if (s->flags & SNAP_SECURED)
		return -EPERM;
	if (s->state == TCP_SYN_SENT || s->state == TCP_SYN_RECV)
		return -ENOTCONN;
	if (size) {
		if (size <= header)
			return -EINVAL;
		seg.payload = size - header;
		if (seg.payload > acked)
			return -ENODATA;
	} else {
		seg.payload = acked ? 1 : 0;
	}
	if (!acked) /* a keep-alive without data (RFC 9293 3.8.4) */
		seg.seq = s->snd_una - 1;
	else
		seg.seq = s->snd_una - seg.payload -
			  offset % CRAFT_OFFSETS % (acked - seg.payload + 1);
	seg.ack = s->rcv_nxt - ACK_BACK - (offset + offset / CRAFT_OFFSETS) % CRAFT_OFFSETS;
	*ret = seg;
	return 0;
}

void craft_control(const struct flow_snapshot *s, const struct look *look,
		   const struct endpoint *src, int way, uint32_t seq, uint32_t tsval,
		   struct segment *ret)
{
	/* Who does not label its packets labels none. */
	const uint32_t label = look->flow_label ? look->flow_label + (uint32_t)way : 0;

	*ret = (struct segment){
		.src = *src,
		.dst = s->key.remote,
		.tos = look->tos,
		.flow_label = label & 0xfffff,
		.window = SYN_WINDOW,
		.mss = s->mss && s->mss < USUAL_MSS ? (uint16_t)s->mss : USUAL_MSS,
		.flags = TH_SYN,
		.seq = seq,
		.timestamps = true,
		.tsval = tsval,
	};
}
