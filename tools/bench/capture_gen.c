/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * capture_gen FLOWS PACKETS [SEED]: a pcap of headers on standard output. Bulk transfers take turns
 * at random; one packet in a hundred is lost and sent again after a duplicate ACK, now and then a
 * window is shut for a moment. With as many flows as packets each is a flow of its own. For
 * tools/bench/analyze and for pipes without end. At its end it says how
 * many segments it has sent again and how many windows it has shut.
 */
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSS   1448u
#define BURST 4
#define STEP  300 /* nanoseconds between packets */

struct transfer {
	uint32_t nxt, una, lost;
	uint16_t id;
	uint8_t acks_due, loss_open, shut;
};

static uint64_t state, now_ns = 1700000000000000000ull;
static uint64_t left, sent_again, shut;

static uint32_t dice(uint32_t sides)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % sides;
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

_Noreturn static void finish(void)
{
	fprintf(stderr, "%llu %llu\n", (unsigned long long)sent_again, (unsigned long long)shut);
	exit(0);
}

/* One packet of flow n, Ethernet, IPv4 and TCP with timestamps, snapped behind the headers. */
static void packet(uint32_t n, struct transfer *t, int forward, uint32_t seq, uint32_t ack,
		   uint32_t payload)
{
	uint32_t header[4] = {(uint32_t)(now_ns / 1000000000), (uint32_t)(now_ns % 1000000000), 66,
			      66 + payload};
	uint8_t p[66] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45};
	uint32_t client = 0x0a000000u + n, server = 0xc6336401u + (n & 7);

	if (!left--)
		finish();
	now_ns += STEP;
	put16(p + 16, 52 + payload);
	put16(p + 18, t->id++);
	put16(p + 20, 0x4000);
	p[22] = forward ? 64 : 57;
	p[23] = 6;
	put32(p + 26, forward ? client : server);
	put32(p + 30, forward ? server : client);
	put16(p + 34, forward ? 20000 + n % 40000 : 443);
	put16(p + 36, forward ? 443 : 20000 + n % 40000);
	put32(p + 38, seq);
	put32(p + 42, ack);
	p[46] = 0x80;
	p[47] = 0x10;
	put16(p + 48, t->shut ? 0 : 0xfff0);
	put32(p + 54, 0x0101080a);
	put32(p + 58, (uint32_t)(now_ns / 1000000));
	put32(p + 62, (uint32_t)(now_ns / 1000000) - 30);
	fwrite(header, sizeof(header), 1, stdout);
	fwrite(p, sizeof(p), 1, stdout);
}

static void turn(uint32_t n, struct transfer *t)
{
	if (t->acks_due) {
		uint32_t ack = t->loss_open ? t->lost : t->nxt;

		packet(n, t, 0, 1, ack, 0);
		t->una = ack;
		if (t->acks_due == 1 && !t->loss_open && !dice(200)) {
			t->shut = 1;
			shut++;
			packet(n, t, 0, 1, ack, 0);
			t->shut = 0;
			packet(n, t, 0, 1, ack, 0);
		}
		t->acks_due--;
		if (!t->acks_due && t->loss_open) {
			packet(n, t, 1, t->lost, 1, MSS);
			sent_again++;
			t->loss_open = 0;
			t->acks_due = 1;
		}
		return;
	}
	for (int i = 0; i < BURST; i++) {
		if (!t->loss_open && !dice(100)) {
			t->loss_open = 1;
			t->lost = t->nxt;
		}
		packet(n, t, 1, t->nxt, 1, MSS);
		t->nxt += MSS;
	}
	t->acks_due = BURST / 2;
}

int main(int argc, char **argv)
{
	static const uint32_t header[6] = {0xa1b23c4d, 0x00040002, 0, 0, 96, 1};
	uint32_t flows = argc > 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	bool once = argc > 2 && flows == strtoull(argv[2], NULL, 10);
	struct transfer *t = calloc(once || !flows ? 1 : flows, sizeof(*t));

	if (!flows || !t)
		errx(2, "usage: capture_gen FLOWS PACKETS [SEED]");
	left = strtoull(argv[2], NULL, 10);
	state = argc > 3 ? strtoull(argv[3], NULL, 10) | 1 : 1;
	fwrite(header, sizeof(header), 1, stdout);
	if (once) {
		for (uint32_t n = 0; n < flows; n++)
			packet(n, t, 1, dice(UINT32_MAX), 1, MSS);
		finish();
	}
	for (uint32_t n = 0; n < flows; n++)
		t[n].nxt = t[n].una = dice(UINT32_MAX);
	for (;;) {
		uint32_t n = dice(flows);

		turn(n, &t[n]);
	}
}
