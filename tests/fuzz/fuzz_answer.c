/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What comes back to a prober: segments, ICMP errors and what they quote, answers of neighbours.
 * The first byte says which probe they are held against.
 */
#include "fuzz.h"

#include <net/ethernet.h>
#include <netinet/tcp.h>

#include "probe/match.h"
#include "probe/neighbour.h"
#include "probe/packet.h"

static struct segment probe(uint8_t choice)
{
	static const uint8_t v6[2][16] = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1},
					  {0x20, 0x01, 0x0d, 0xb8, [15] = 2}};
	static const uint8_t v4[2][4] = {{192, 0, 2, 1}, {198, 51, 100, 7}};
	bool six = choice & 1;

	return (struct segment){
		.src = {.addr = six ? addr_v6(v6[0]) : addr_v4(v4[0]), .port = 5432},
		.dst = {.addr = six ? addr_v6(v6[1]) : addr_v4(v4[1]), .port = 36151},
		.ttl = 3,
		.flags = choice & 2 ? TH_SYN : TH_ACK,
		.seq = 0x1000,
		.ack = 0x2000,
		.payload = choice & 4 ? 1000 : 1,
		.timestamps = choice & 8,
	};
}

static void read_packet(const uint8_t *data, size_t size, const struct segment *p,
			enum probe_kind kind)
{
	uint8_t buf[2048];
	int len = packet_write(p, buf, sizeof(buf));
	enum probe_answer answer;
	struct packet packet;

	if (len < 0)
		abort();
	packet_read(data, size, &packet);
	if (packet.kind == PACKET_ICMP_ERROR) {
		const struct icmp_error *e = &packet.error;

		if (e->quote < data || e->quote + e->quote_len > data + size || e->quote_len < 8)
			abort();
		match_error(e, p);
		error_answer(e);
		quote_altered(e, buf, (size_t)len);
	} else if (packet.kind == PACKET_SEGMENT) {
		match_segment(&packet.segment, p, kind, &answer);
		has_dsack(&packet.segment);
	}
	packet_copy(data, size, 5, 7, buf, sizeof(buf));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t protocols[] = {ETHERTYPE_ARP, ETHERTYPE_IP, ETHERTYPE_IPV6};
	struct neighbour_message message;
	struct segment p;

	if (!size)
		return 0;
	p = probe(data[0]);
	read_packet(data + 1, size - 1, &p, (data[0] >> 4) % PROBE_KINDS);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		neighbour_read(protocols[i], data + 1, size - 1, &message);
	return 0;
}
