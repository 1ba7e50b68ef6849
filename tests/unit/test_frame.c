/* SPDX-License-Identifier: GPL-2.0-only */
/* sensor/frame: the same segment in every wrapping, and lengths that lie. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "sensor/frame.h"

#define ETHERNET 1
#define RAW	 101

/* Bytes of a packet, put together from the front. */
struct bytes {
	uint8_t at[512];
	size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
	memcpy(b->at + b->n, data, n);
	b->n += n;
}

#define PUT(b, ...)                                                                                \
	do {                                                                                       \
		static const uint8_t put_bytes[] = {__VA_ARGS__};                                  \
		put(b, put_bytes, sizeof(put_bytes));                                              \
	} while (0)

/* 192.0.2.1:5432 > 198.51.100.7:36151, 100 bytes, timestamps and two SACK blocks. */
static void put_tcp(struct bytes *b)
{
	PUT(b, 0x15, 0x38, 0x8d, 0x37, 0, 0, 1, 0, 0, 0, 2, 0, 13 << 4, 0x10, 0x20, 0, 0, 0, 0, 0);
	PUT(b, 1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6);
	PUT(b, 5, 18, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 1, 1);
}

static void put_ipv4(struct bytes *b, uint8_t proto, uint16_t payload)
{
	uint16_t total = (uint16_t)(20 + payload);
	uint8_t h[20] = {0x45,
			 0,
			 (uint8_t)(total >> 8),
			 (uint8_t)total,
			 0x12,
			 0x34,
			 0x40,
			 0,
			 61,
			 proto,
			 0,
			 0,
			 192,
			 0,
			 2,
			 1,
			 198,
			 51,
			 100,
			 7};

	put(b, h, sizeof(h));
}

#define TCP_HEADER 52

static void put_segment(struct bytes *b)
{
	put_ipv4(b, 6, TCP_HEADER + 100);
	put_tcp(b);
}

/* The rest of the packet was not captured. */
static struct frame decode(int linktype, const struct bytes *b)
{
	uint8_t *exact = malloc(b->n ? b->n : 1); /* so that a sanitizer sees a byte too far */
	struct frame f = {0};

	assert_non_null(exact);
	memcpy(exact, b->at, b->n);
	frame_decode(linktype, exact, (uint32_t)b->n, (uint32_t)b->n + 100, &f);
	free(exact);
	return f;
}

static void assert_segment(const struct frame *f)
{
	static const uint8_t src[16] = {192, 0, 2, 1}, dst[16] = {198, 51, 100, 7};

	assert_int_equal(f->kind, FRAME_TCP);
	assert_int_equal(f->family, 4);
	assert_memory_equal(&f->src, src, 16);
	assert_memory_equal(&f->dst, dst, 16);
	assert_int_equal(f->sport, 5432);
	assert_int_equal(f->dport, 36151);
	assert_int_equal(f->seq, 0x100);
	assert_int_equal(f->ack, 0x200);
	assert_int_equal(f->payload, 100);
	assert_int_equal(f->window, 0x2000);
	assert_int_equal(f->ttl, 61);
	assert_true(f->has & HAS_TIMESTAMPS);
	assert_int_equal(f->tsval, 5);
	assert_int_equal(f->tsecr, 6);
	assert_int_equal(f->n_sacks, 2);
	assert_int_equal(f->sacks[1][0], 0x500);
	assert_int_equal(f->sacks[1][1], 0x600);
}

#define MACS 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2

static void every_link_layer_leads_to_the_segment(void **state)
{
	struct bytes b;
	struct frame f;

	(void)state;
#define WRAPPED(linktype, ...)                                                                     \
	do {                                                                                       \
		b = (struct bytes){.n = 0};                                                        \
		PUT(&b, __VA_ARGS__);                                                              \
		put_segment(&b);                                                                   \
		f = decode(linktype, &b);                                                          \
		assert_segment(&f);                                                                \
	} while (0)
	WRAPPED(ETHERNET, MACS, 0x08, 0x00);
	WRAPPED(ETHERNET, MACS, 0x81, 0x00, 0, 5, 0x08, 0x00);
	WRAPPED(ETHERNET, MACS, 0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6, 0x08, 0x00);
	WRAPPED(ETHERNET, MACS, 0x88, 0x64, 0x11, 0, 0, 1, 0, 0, 0x00, 0x21);
	WRAPPED(ETHERNET, MACS, 0x88, 0x47, 0, 1, 0x00, 64, 0, 2, 0x01, 64);
	WRAPPED(ETHERNET, MACS, 0x00, 0x40, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00);
	WRAPPED(0, 2, 0, 0, 0);
	WRAPPED(108, 0, 0, 0, 2);
	WRAPPED(9, 0xff, 0x03, 0x00, 0x21);
	WRAPPED(9, 0x21);
	WRAPPED(104, 0x0f, 0, 0x08, 0x00);
	WRAPPED(113, 0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00);
	WRAPPED(276, 0x08, 0x00, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0);
	WRAPPED(105, 0x08, 1, 0, 0, MACS, 2, 0, 0, 0, 0, 3, 0, 0, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0);
	WRAPPED(127, 0, 0, 8, 0, 0, 0, 0, 0, 0x08, 1, 0, 0, MACS, 2, 0, 0, 0, 0, 3, 0, 0, 0xaa,
		0xaa, 3, 0, 0, 0, 8, 0);
	b = (struct bytes){.n = 0};
	put_segment(&b);
	f = decode(RAW, &b);
	assert_segment(&f);
}

static void tunnels_are_looked_through_and_named(void **state)
{
	struct bytes b = {.n = 0};
	struct frame f;

	(void)state;
	put_ipv4(&b, 47, 300);
	PUT(&b, 0x20, 0, 0x08, 0x00, 0, 0, 0, 7);
	put_segment(&b);
	f = decode(RAW, &b);
	assert_segment(&f);
	assert_int_equal(f.tunnel, TUNNEL_GRE);
	assert_int_equal(f.tunnel_id, 7);

	b = (struct bytes){.n = 0};
	put_ipv4(&b, 17, 300);
	PUT(&b, 0x30, 0x39, 0x12, 0xb5, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 42, 0, MACS, 0x08, 0x00);
	put_segment(&b);
	f = decode(RAW, &b);
	assert_segment(&f);
	assert_int_equal(f.tunnel, TUNNEL_VXLAN);
	assert_int_equal(f.tunnel_id, 42);

	b = (struct bytes){.n = 0};
	put_ipv4(&b, 17, 300);
	PUT(&b, 0x08, 0x68, 0x08, 0x68, 1, 0, 0, 0, 0x32, 0xff, 1, 0, 0, 0, 0, 9, 0, 1, 0, 0);
	put_segment(&b);
	f = decode(RAW, &b);
	assert_segment(&f);
	assert_int_equal(f.tunnel, TUNNEL_GTPU);
	assert_int_equal(f.tunnel_id, 9);
}

static void an_icmp_error_brings_what_it_quotes(void **state)
{
	struct bytes b = {.n = 0};
	struct frame f;

	(void)state;
	put_ipv4(&b, 1, 100);
	PUT(&b, 3, 4, 0, 0, 0, 0, 0x05, 0x78);
	put_segment(&b);
	b.n = 20 + 8 + 20 + 8; /* RFC 792: eight bytes of what IP carried */
	f = decode(RAW, &b);
	assert_int_equal(f.kind, FRAME_ICMP);
	assert_int_equal(f.icmp_mtu, 1400);
	assert_int_equal(f.sport, 5432);
	assert_int_equal(f.dport, 36151);
	assert_int_equal(f.seq, 0x100);
}

static void ipv6_extension_headers_and_fragments_are_counted(void **state)
{
	struct bytes b = {.n = 0};
	struct frame f;

	(void)state;
	PUT(&b, 0x60, 0, 0, 0, 0, 16 + 52 + 100, 0, 60);
	for (int i = 0; i < 2; i++)
		PUT(&b, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
	PUT(&b, 44, 0, 1, 4, 0, 0, 0, 0);
	PUT(&b, 6, 0, 0, 1, 0, 0, 0, 9);
	put_tcp(&b);
	f = decode(229, &b);
	assert_int_equal(f.kind, FRAME_TCP);
	assert_int_equal(f.family, 6);
	assert_int_equal(f.payload, 100);
	assert_true(f.has & HAS_MORE_FRAGS);
	assert_int_equal(f.frag_id, 9);
}

/* Whatever is cut off or changed, nothing outside of what was captured is read. */
static void no_byte_outside_is_ever_read(void **state)
{
	static const int links[] = {1, 0, 9, 101, 104, 105, 107, 113, 127, 239, 276, 100, 10, 8, 7};
	uint32_t dice = 1;
	struct bytes b = {.n = 0};

	(void)state;
	PUT(&b, MACS, 0x81, 0x00, 0, 5, 0x08, 0x00);
	put_ipv4(&b, 17, 300);
	PUT(&b, 0x08, 0x68, 0x08, 0x68, 1, 0, 0, 0, 0x36, 0xff, 1, 0, 0, 0, 0, 9, 0, 1, 0, 1);
	PUT(&b, 1, 0, 0, 0);
	put_segment(&b);
	for (int round = 0; round < 20000; round++) {
		struct bytes cut = b;

		for (int i = 0; i < round % 7; i++) {
			dice = dice * 1664525u + 1013904223u;
			cut.at[(dice >> 8) % b.n] = (uint8_t)(dice >> 24);
		}
		dice = dice * 1664525u + 1013904223u;
		cut.n = (dice >> 8) % (b.n + 1);
		decode(links[(dice >> 4) % (sizeof(links) / sizeof(*links))], &cut);
	}
}

static void a_segment_that_was_passed_on_shows_whether_it_is_whole(void **state)
{
	struct bytes b = {.n = 0};
	struct frame f;
	uint32_t sum = 0;
	size_t tcp;

	(void)state;
	put_ipv4(&b, 6, 24);
	tcp = b.n;
	PUT(&b, 0x15, 0x38, 0x8d, 0x37, 0, 0, 1, 0, 0, 0, 2, 0, 5 << 4, 0x10, 0x20, 0, 0, 0, 0, 0);
	PUT(&b, 'd', 'a', 't', 'a');
	for (size_t i = tcp; i < b.n; i += 2)
		sum += (uint32_t)b.at[i] << 8 | b.at[i + 1];
	for (size_t i = 12; i < 20; i += 2)
		sum += (uint32_t)b.at[i] << 8 | b.at[i + 1];
	sum += 6 + 24;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	b.at[tcp + 16] = (uint8_t)(~sum >> 8);
	b.at[tcp + 17] = (uint8_t)~sum;
	frame_decode(RAW, b.at, (uint32_t)b.n, (uint32_t)b.n, &f);
	assert_int_equal(f.has & (HAS_GOOD_SUM | HAS_BAD_SUM), HAS_GOOD_SUM);
	b.at[b.n - 1] ^= 1;
	frame_decode(RAW, b.at, (uint32_t)b.n, (uint32_t)b.n, &f);
	assert_int_equal(f.has & (HAS_GOOD_SUM | HAS_BAD_SUM), HAS_BAD_SUM);
	b.at[8] = 64; /* from the host itself, which may leave it to its card */
	frame_decode(RAW, b.at, (uint32_t)b.n, (uint32_t)b.n, &f);
	assert_int_equal(f.has & (HAS_GOOD_SUM | HAS_BAD_SUM), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_link_layer_leads_to_the_segment),
		cmocka_unit_test(tunnels_are_looked_through_and_named),
		cmocka_unit_test(an_icmp_error_brings_what_it_quotes),
		cmocka_unit_test(ipv6_extension_headers_and_fragments_are_counted),
		cmocka_unit_test(a_segment_that_was_passed_on_shows_whether_it_is_whole),
		cmocka_unit_test(no_byte_outside_is_ever_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
