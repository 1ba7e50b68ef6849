/* SPDX-License-Identifier: GPL-2.0-only */
/* probe: what is written can be read, what is hostile is not believed, what is promised is kept. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "probe/craft.h"
#include "probe/match.h"
#include "probe/packet.h"

#define V4_ERROR 28 /* IP and ICMP header in front of a quote */
#define V6_ERROR 48

static struct endpoint endpoint(const char *addr, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(addr_parse(addr, &e.addr), 0);
	return e;
}

static struct segment sample(bool v6)
{
	return (struct segment){
		.src = endpoint(v6 ? "2001:db8:1::1" : "192.0.2.1", 5432),
		.dst = endpoint(v6 ? "2001:db8:2::7" : "198.51.100.7", 36151),
		.flow_label = v6 ? 0xabcde : 0,
		.ip_id = v6 ? 0 : 4711,
		.ttl = 3,
		.tos = 0x48,
		.flags = TH_ACK,
		.window = 501,
		.seq = 0xfffffff0,
		.ack = 0x80000001,
		.payload = 33,
		.timestamps = true,
		.tsval = 123456789,
		.tsecr = 987654321,
	};
}

/* RFC 1071 over a packet that carries its checksum is zero. */
static uint16_t checksum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void a_segment_that_was_written_reads_the_same(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment s = sample(v6);
		struct packet p;
		uint8_t buf[256];
		int len = packet_write(&s, buf, sizeof(buf));

		assert_int_equal(len, (v6 ? 40 : 20) + 32 + 33);
		assert_int_equal(len, packet_header_len(&s) + s.payload);
		packet_read(buf, (size_t)len, &p);
		assert_int_equal(p.kind, PACKET_SEGMENT);
		assert_memory_equal(&p.segment, &s, sizeof(s));
	}
}

static void checksums_add_up_and_fragmentation_is_forbidden(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment s = sample(v6);
		const size_t ip = v6 ? 40 : 20, addresses = v6 ? 8 : 12;
		uint8_t buf[256];
		uint32_t pseudo = IPPROTO_TCP;
		int len = packet_write(&s, buf, sizeof(buf));

		pseudo += (uint32_t)len - (uint32_t)ip;
		pseudo += (uint16_t)~checksum(buf + addresses, ip - addresses, 0);
		assert_int_equal(checksum(buf + ip, (size_t)len - ip, pseudo), 0);
		if (v6)
			continue;
		assert_int_equal(checksum(buf, ip, 0), 0);
		assert_int_equal(buf[6], 0x40);
	}
}

static void a_syn_has_the_options_of_an_ordinary_one(void **state)
{
	static const uint8_t options[] = {2, 4, 5, 0xb4, 4, 2, 8, 10};
	struct flow_snapshot s = {.mss = 9000};
	struct look look = {0};
	struct endpoint src = endpoint("192.0.2.1", 40000);
	struct segment syn;
	struct packet p;
	uint8_t buf[128];
	int len;

	(void)state;
	s.key.remote = endpoint("198.51.100.7", 80);
	craft_control(&s, &look, &src, 0, 7, 8, &syn);
	len = packet_write(&syn, buf, sizeof(buf));
	assert_int_equal(len, 60);
	assert_memory_equal(buf + 40, options, sizeof(options));
	assert_int_equal(buf[57], TCPOPT_WINDOW);
	packet_read(buf, (size_t)len, &p);
	assert_int_equal(p.segment.flags, TH_SYN);
	assert_int_equal(p.segment.mss, 1460);
	assert_int_equal(p.segment.payload, 0);
}

/* Routers may balance by the flow label and not by the ports. */
static void each_fresh_port_has_a_flow_label_of_its_own(void **state)
{
	const struct endpoint src = endpoint("2001:db8::1", 50000);
	struct flow_snapshot s = {.mss = 1440};
	struct look look = {.seen = true, .flow_label = 0xfffff};
	struct segment own, other;

	(void)state;
	s.key.remote = endpoint("2001:db8::2", 80);
	craft_control(&s, &look, &src, 0, 7, 8, &own);
	craft_control(&s, &look, &src, 3, 7, 8, &other);
	assert_int_equal(own.flow_label, 0xfffff);
	assert_int_equal(other.flow_label, 2);
	look.flow_label = 0;
	craft_control(&s, &look, &src, 3, 7, 8, &other);
	assert_int_equal(other.flow_label, 0);
}

static void a_packet_too_large_for_the_buffer_is_refused(void **state)
{
	struct segment s = sample(false);
	uint8_t buf[84];

	(void)state;
	assert_int_equal(packet_write(&s, buf, sizeof(buf)), -EMSGSIZE);
	s.payload = UINT32_MAX;
	assert_int_equal(packet_write(&s, buf, sizeof(buf)), -EMSGSIZE);
}

/* An ICMP error that quotes the first `quoted` bytes of a segment. */
static size_t error_about(const struct segment *s, uint8_t type, uint8_t code, size_t quoted,
			  uint8_t *buf)
{
	const bool v6 = s->src.addr.family == AF_INET6;
	const size_t header = v6 ? V6_ERROR : V4_ERROR;
	uint8_t packet[2048];
	int len = packet_write(s, packet, sizeof(packet));

	assert_true(len > 0);
	if (quoted > (size_t)len)
		quoted = (size_t)len;
	memset(buf, 0, header);
	buf[0] = v6 ? 0x60 : 0x45;
	buf[v6 ? 6 : 9] = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	buf[v6 ? 7 : 8] = 253;
	buf[v6 ? 4 : 2] = (uint8_t)((quoted + header - (v6 ? 40 : 0)) >> 8);
	buf[v6 ? 5 : 3] = (uint8_t)(quoted + header - (v6 ? 40 : 0));
	memcpy(buf + (v6 ? 8 : 12), endpoint(v6 ? "2001:db8:9::1" : "203.0.113.9", 0).addr.bytes,
	       v6 ? 16 : 4);
	buf[header - 8] = type;
	buf[header - 7] = code;
	buf[header - 2] = 0x05; /* 1280, in both kinds of "too big" */
	memcpy(buf + header, packet, quoted);
	return header + quoted;
}

static void an_error_is_read_from_a_quote_of_any_length(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment s = sample(v6);
		const size_t ip = v6 ? 40 : 20, header = v6 ? V6_ERROR : V4_ERROR;

		for (size_t quoted = 0; quoted <= 105; quoted++) {
			uint8_t buf[512];
			struct packet p;
			size_t len = error_about(&s, v6 ? ICMP6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED,
						 0, quoted, buf);

			packet_read(buf, len, &p);
			if (len - header < ip + 8) {
				assert_int_equal(p.kind, PACKET_OTHER);
				continue;
			}
			assert_int_equal(p.kind, PACKET_ICMP_ERROR);
			assert_true(endpoint_equal(&p.error.quoted_src, &s.src));
			assert_true(endpoint_equal(&p.error.quoted_dst, &s.dst));
			assert_int_equal(p.error.quoted_seq, s.seq);
			assert_int_equal(p.error.quoted_ip_id, s.ip_id);
			assert_int_equal(p.error.ttl, 253);
			assert_int_equal(error_answer(&p.error), ANSWER_TIME_EXCEEDED);
			assert_true(match_error(&p.error, &s) > 0);
		}
	}
}

static void too_big_tells_the_size_that_passes(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment s = sample(v6);
		uint8_t buf[512];
		struct packet p;
		size_t len = error_about(&s, v6 ? ICMP6_PACKET_TOO_BIG : ICMP_DEST_UNREACH,
					 v6 ? 0 : ICMP_FRAG_NEEDED, 64, buf);

		packet_read(buf, len, &p);
		assert_int_equal(error_answer(&p.error), ANSWER_TOO_BIG);
		assert_int_equal(p.error.mtu, 1280);
	}
}

static void extension_headers_in_a_quote_are_stepped_over(void **state)
{
	/* hop-by-hop, then destination options, then a first fragment, then TCP */
	static const uint8_t chain[24] = {IPPROTO_DSTOPTS,  0, 1, 4, 0, 0, 0, 0,
					  IPPROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0,
					  IPPROTO_TCP,	    0, 0, 1, 0, 0, 0, 9};
	struct segment s = sample(true);
	uint8_t buf[512], with[512];
	struct packet p;
	size_t len = error_about(&s, ICMP6_TIME_EXCEEDED, 0, 72, buf);

	(void)state;
	memcpy(with, buf, V6_ERROR + 40);
	with[V6_ERROR + 6] = IPPROTO_HOPOPTS;
	with[V6_ERROR + 5] = 24 + 32;
	memcpy(with + V6_ERROR + 40, chain, sizeof(chain));
	memcpy(with + V6_ERROR + 64, buf + V6_ERROR + 40, len - V6_ERROR - 40);
	packet_read(with, len + 24, &p);
	assert_int_equal(p.kind, PACKET_ICMP_ERROR);
	assert_int_equal(p.error.quoted_seq, s.seq);

	with[V6_ERROR + 40 + 16 + 3] = 9; /* a later fragment holds no TCP header */
	packet_read(with, len + 24, &p);
	assert_int_equal(p.kind, PACKET_OTHER);
}

static void a_quote_that_a_nat_has_changed_still_matches(void **state)
{
	struct segment probe = sample(false), quoted = probe;
	struct icmp_error e;
	uint8_t buf[512];
	struct packet p;

	(void)state;
	quoted.src = endpoint("203.0.113.1", 61001); /* source and IP ID, as on the far side */
	quoted.ip_id = 1;
	packet_read(buf, error_about(&quoted, ICMP_TIME_EXCEEDED, 0, 28, buf), &p);
	assert_true(match_error(&p.error, &probe) > 0);
	assert_true(addr_equal(&p.error.quoted_src.addr, &quoted.src.addr));

	quoted = probe; /* sequence number, as by a firewall */
	quoted.seq += 12345;
	packet_read(buf, error_about(&quoted, ICMP_TIME_EXCEEDED, 0, 28, buf), &p);
	assert_true(match_error(&p.error, &probe) > 0);

	e = p.error; /* and what somebody makes up who has seen none of our packets */
	e.quoted_ip_id++;
	assert_int_equal(match_error(&e, &probe), 0);
	e.quoted_seq = probe.seq;
	assert_true(match_error(&e, &probe) > 0);
	e.quoted_dst.port++;
	assert_int_equal(match_error(&e, &probe), 0);
}

static void of_two_probes_the_one_that_was_quoted_matches_best(void **state)
{
	struct segment one = sample(false), other = one;
	uint8_t buf[512];
	struct packet p;

	(void)state;
	other.ip_id++; /* the same bytes again: few were acknowledged */
	packet_read(buf, error_about(&one, ICMP_TIME_EXCEEDED, 0, 28, buf), &p);
	assert_true(match_error(&p.error, &one) > match_error(&p.error, &other));
	other.seq++;
	assert_int_equal(match_error(&p.error, &other), 0);
}

/* The same bytes of the same connection, from another watcher of this host. */
static void probes_of_another_watcher_are_not_taken_for_ours(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment probe = sample(v6), quoted = probe;
		const size_t ip = v6 ? 40 : 20;
		const uint8_t type = v6 ? ICMP6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED;
		uint8_t buf[512];
		struct packet p;

		quoted.ip_id += v6 ? 0 : 5;
		quoted.ack -= 7;
		quoted.tsval += 20;
		packet_read(buf, error_about(&quoted, type, 0, ip + 33, buf), &p);
		assert_int_equal(match_error(&p.error, &probe), 0);
		/* A quote too short to tell, or filled up with zeros. */
		packet_read(buf, error_about(&quoted, type, 0, ip + 8, buf), &p);
		assert_true(match_error(&p.error, &probe) > 0);
		memset(buf + error_about(&quoted, type, 0, ip + 8, buf), 0, 25);
		buf[v6 ? 5 : 3] += 25;
		packet_read(buf, (v6 ? V6_ERROR : V4_ERROR) + ip + 33, &p);
		assert_true(match_error(&p.error, &probe) > 0);

		quoted = probe; /* what a box rewrites is ours all the same */
		quoted.ip_id += v6 ? 0 : 5;
		quoted.tsval += 20;
		packet_read(buf, error_about(&quoted, type, 0, ip + 33, buf), &p);
		assert_true(match_error(&p.error, &probe) > 0);
		quoted.tsval = probe.tsval;
		quoted.ack -= 7;
		packet_read(buf, error_about(&quoted, type, 0, ip + 33, buf), &p);
		assert_true(match_error(&p.error, &probe) > 0);
		probe.timestamps = quoted.timestamps = false;
		quoted.ip_id = probe.ip_id;
		packet_read(buf, error_about(&quoted, type, 0, ip + 33, buf), &p);
		assert_true(match_error(&p.error, &probe) > 0);
	}
}

/* Two watchers count their probes from different numbers. */
static void probes_of_one_range_have_different_acks(void **state)
{
	struct flow_snapshot s = {.snd_una = 500000, .rcv_nxt = 5000, .snd.bytes = 400000};
	struct look look = {0};
	struct segment one, other;

	(void)state;
	s.key.local = endpoint("192.0.2.1", 1);
	s.key.remote = endpoint("192.0.2.2", 2);
	for (uint32_t i = 1; i < CRAFT_OFFSETS; i++) {
		assert_int_equal(craft_in_flow(&s, &look, 0, 3, 0, &one), 0);
		assert_int_equal(craft_in_flow(&s, &look, 0, 3 + i * CRAFT_OFFSETS, 0, &other), 0);
		assert_int_equal(one.seq, other.seq);
		assert_int_not_equal(one.ack, other.ack);
	}
}

static void the_peer_answers_with_d_sack_or_a_reset_or_a_syn_ack(void **state)
{
	struct segment probe = sample(false), in = {0};
	enum probe_answer answer;

	(void)state;
	in.src = probe.dst;
	in.dst = probe.src;
	in.flags = TH_ACK;
	in.ack = probe.seq + 1000;
	assert_int_equal(match_segment(&in, &probe, PROBE_IN_FLOW, &answer), 0);
	in.n_sacks = 1;
	in.sacks[0].start = probe.seq;
	in.sacks[0].end = probe.seq + probe.payload;
	assert_true(match_segment(&in, &probe, PROBE_IN_FLOW, &answer));
	assert_int_equal(answer, ANSWER_ACK);
	in.sacks[0].end++;
	assert_int_equal(match_segment(&in, &probe, PROBE_IN_FLOW, &answer), 0);

	in = (struct segment){
		.src = probe.dst, .dst = probe.src, .flags = TH_RST, .seq = probe.ack};
	assert_true(match_segment(&in, &probe, PROBE_IN_FLOW, &answer));
	assert_int_equal(answer, ANSWER_RST);
	in.seq++;
	assert_int_equal(match_segment(&in, &probe, PROBE_IN_FLOW, &answer), 0);

	in.flags = TH_SYN | TH_ACK;
	in.ack = probe.seq + 1;
	assert_true(match_segment(&in, &probe, PROBE_CONTROL, &answer));
	assert_int_equal(answer, ANSWER_SYN_ACK);
	in.ack++;
	assert_int_equal(match_segment(&in, &probe, PROBE_CONTROL, &answer), 0);
	in.ack--;
	in.src.port++;
	assert_int_equal(match_segment(&in, &probe, PROBE_CONTROL, &answer), 0);
}

static uint32_t random32(void)
{
	return (uint32_t)random() << 16 ^ (uint32_t)random();
}

/* Byte counts and sequence numbers that are likely to be wrong by one, and any others. */
static uint32_t edge_or_random(void)
{
	static const uint32_t edges[] = {0,  1,	   2,	 3,	     63,	64,
					 65, 1448, 1449, 0x7fffffff, UINT32_MAX};
	const size_t n = sizeof(edges) / sizeof(*edges);
	size_t i = (size_t)random() % (2 * n);

	return i < n ? edges[i] : random32();
}

static void a_probe_inside_a_flow_repeats_acknowledged_bytes_only(void **state)
{
	int made = 0;

	(void)state;
	srandom(1);
	for (int i = 0; i < 200000; i++) {
		struct flow_snapshot s = {
			.snd_una = edge_or_random(),
			.rcv_nxt = edge_or_random(),
			.snd.bytes = edge_or_random(),
			.flags = random() & 1 ? SNAP_TIMESTAMPS : 0,
		};
		struct look look = {.seen = random() & 1, .window = (uint16_t)random()};
		uint16_t size = random() & 1 ? (uint16_t)random() : 0;
		uint32_t offset = edge_or_random(), end;
		bool v6 = random() & 1;
		struct segment seg;

		s.key.local = endpoint(v6 ? "2001:db8::1" : "192.0.2.1", 1);
		s.key.remote = endpoint(v6 ? "2001:db8::2" : "192.0.2.2", 2);
		if (craft_in_flow(&s, &look, size, offset, random32(), &seg))
			continue;
		made++;
		end = seg.seq + seg.payload;
		assert_int_equal(seg.flags, TH_ACK);
		assert_int_equal(seg.timestamps, !!(s.flags & SNAP_TIMESTAMPS));
		assert_true(seq_before(seg.ack, s.rcv_nxt - 1));
		assert_true(s.rcv_nxt - seg.ack < 1000);
		assert_false(seq_before(s.snd_una, end));
		if (size)
			assert_int_equal(packet_header_len(&seg) + seg.payload, size);
		if (seg.payload)
			assert_true(s.snd_una - seg.seq < s.snd.bytes);
		else
			assert_int_equal(seg.seq, s.snd_una - 1);
	}
	assert_true(made > 50000);
}

static void a_probe_that_cannot_be_harmless_is_not_made(void **state)
{
	struct flow_snapshot s = {.snd_una = 5000, .snd.bytes = 1000};
	struct look look = {0};
	struct segment seg = {.ttl = 77};

	(void)state;
	s.key.local = endpoint("192.0.2.1", 1);
	s.key.remote = endpoint("192.0.2.2", 2);
	assert_int_equal(craft_in_flow(&s, &look, 1500, 0, 0, &seg), -ENODATA);
	assert_int_equal(craft_in_flow(&s, &look, 40, 0, 0, &seg), -EINVAL);
	s.flags = SNAP_SECURED;
	assert_int_equal(craft_in_flow(&s, &look, 0, 0, 0, &seg), -EPERM);
	assert_int_equal(seg.ttl, 77);
}

static void a_copy_differs_in_ttl_and_ip_id_only(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		const size_t ip = v6 ? 40 : 20, addresses = v6 ? 8 : 12;
		struct segment s = sample(v6);
		uint8_t buf[256], copy[256];
		uint32_t pseudo;
		int len = packet_write(&s, buf, sizeof(buf));

		memset(buf + len - 33, 'x', 33);
		memset(buf + ip + 16, 0x55, 2); /* offloading leaves it for the card */
		assert_int_equal(packet_copy(buf, (size_t)len, 7, 99, copy, sizeof(copy)), len);
		assert_memory_equal(copy + ip, buf + ip, 16);
		assert_memory_equal(copy + ip + 18, buf + ip + 18, (size_t)len - ip - 18);
		assert_int_equal(copy[v6 ? 7 : 8], 7);
		pseudo = IPPROTO_TCP + (uint32_t)len - (uint32_t)ip;
		pseudo += (uint16_t)~checksum(copy + addresses, ip - addresses, 0);
		assert_int_equal(checksum(copy + ip, (size_t)len - ip, pseudo), 0);
		if (!v6) {
			assert_int_equal(copy[5], 99);
			assert_int_equal(checksum(copy, ip, 0), 0);
		}
		/* Not whole, or no packet at all. */
		for (int cut = 0; cut < len; cut++)
			assert_int_equal(packet_copy(buf, (size_t)cut, 7, 99, copy, sizeof(copy)),
					 -EINVAL);
		assert_int_equal(packet_copy(buf, (size_t)len, 7, 99, copy, 10), -EMSGSIZE);
	}
}

static void a_quote_tells_what_was_changed_on_the_way(void **state)
{
	static const struct {
		size_t at;
		uint8_t altered;
	} changes[] = {
		{5, ALTERED_SEQUENCE},	{9, ALTERED_SEQUENCE}, {15, ALTERED_WINDOW},
		{25, ALTERED_OPTIONS},	{40, ALTERED_PAYLOAD}, {0, 0} /* a port: NAT */,
		{16, 0} /* checksum */,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		struct segment s = sample(false);
		uint8_t sent[256], quote[256];
		int len = packet_write(&s, sent, sizeof(sent));
		struct icmp_error e = {.quote = quote + 20, .quote_len = (size_t)len - 20};

		memset(sent + len - 33, 'x', 33);
		memcpy(quote, sent, sizeof(quote));
		assert_int_equal(quote_altered(&e, sent, (size_t)len), 0);
		quote[20 + changes[i].at] ^= 1;
		assert_int_equal(quote_altered(&e, sent, (size_t)len), changes[i].altered);
		/* A router that quotes 8 bytes, and one that fills up with zeros. */
		memcpy(quote, sent, sizeof(quote));
		memset(quote + 28, 0, sizeof(quote) - 28);
		assert_int_equal(quote_altered(&e, sent, (size_t)len), 0);
		e.quote_len = 8;
		memset(quote + 28, 0xff, sizeof(quote) - 28);
		assert_int_equal(quote_altered(&e, sent, (size_t)len), 0);
	}
}

/* Every length of every packet above, with bits turned: nothing may be read outside the buffer. */
static void damaged_packets_do_no_harm(void **state)
{
	uint8_t buf[512];
	size_t len = 0;

	(void)state;
	srandom(2);
	for (int i = 0; i < 100000; i++) {
		struct segment s = sample(i & 1);
		struct packet p;
		uint8_t *copy;
		size_t cut;

		if (i & 2)
			len = error_about(&s, (uint8_t)(i & 1 ? 3 : 11), 0, 200, buf);
		else
			len = (size_t)packet_write(&s, buf, sizeof(buf));
		for (long n = random() % 4; n > 0; n--)
			buf[(size_t)random() % len] = (uint8_t)random();
		cut = (size_t)random() % (len + 1);
		copy = malloc(cut ? cut : 1); /* so that a sanitizer sees the end */
		assert_non_null(copy);
		memcpy(copy, buf, cut);
		packet_read(copy, cut, &p);
		if (p.kind == PACKET_SEGMENT)
			assert_true(p.segment.n_sacks <= PACKET_SACKS_MAX);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_that_was_written_reads_the_same),
		cmocka_unit_test(checksums_add_up_and_fragmentation_is_forbidden),
		cmocka_unit_test(a_syn_has_the_options_of_an_ordinary_one),
		cmocka_unit_test(each_fresh_port_has_a_flow_label_of_its_own),
		cmocka_unit_test(a_packet_too_large_for_the_buffer_is_refused),
		cmocka_unit_test(an_error_is_read_from_a_quote_of_any_length),
		cmocka_unit_test(too_big_tells_the_size_that_passes),
		cmocka_unit_test(extension_headers_in_a_quote_are_stepped_over),
		cmocka_unit_test(a_quote_that_a_nat_has_changed_still_matches),
		cmocka_unit_test(of_two_probes_the_one_that_was_quoted_matches_best),
		cmocka_unit_test(probes_of_another_watcher_are_not_taken_for_ours),
		cmocka_unit_test(probes_of_one_range_have_different_acks),
		cmocka_unit_test(the_peer_answers_with_d_sack_or_a_reset_or_a_syn_ack),
		cmocka_unit_test(a_probe_inside_a_flow_repeats_acknowledged_bytes_only),
		cmocka_unit_test(a_probe_that_cannot_be_harmless_is_not_made),
		cmocka_unit_test(a_copy_differs_in_ttl_and_ip_id_only),
		cmocka_unit_test(a_quote_tells_what_was_changed_on_the_way),
		cmocka_unit_test(damaged_packets_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
