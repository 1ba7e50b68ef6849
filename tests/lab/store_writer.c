/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in for a tcpstall that sees one stall after the other: store_writer DIR COUNT PAUSE_US.
 * Prints "END ID" when all of an incident has been handed over, "KEPT" when the first one is on
 * disk, "NEWS line" when the store has something to say, and ends at the end of its standard input
 * or after COUNT incidents.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "incident/store.h"

#define MSS	  1448
#define SEGMENTS  80
#define SEQ	  1000
#define ETHERNET  14
#define HEADERS	  (ETHERNET + 20 + 20)
#define LAST_NS	  (SEGMENTS * 10 * NS_PER_MS) /* of the last segment that was acknowledged */
#define STUCK_SEQ (SEQ + SEGMENTS * MSS)

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

/* Ethernet, IPv4 and TCP, without checksums. */
static struct kept_packet segment(uint64_t at_ns, bool out, uint32_t seq, uint32_t ack,
				  unsigned int payload)
{
	static const uint8_t ends[2][4] = {{192, 0, 2, 1}, {198, 51, 100, 7}};
	static unsigned int ip_id;
	struct kept_packet p = {0};
	uint8_t *ip = p.packet.data + ETHERNET, *tcp = ip + 20;

	p.packet.time_ns = at_ns;
	p.packet.linktype = 1;
	p.packet.flags = out ? BOX_OUT : 0;
	p.packet.captured = HEADERS;
	p.packet.length = HEADERS + payload;
	snprintf(p.interface, sizeof(p.interface), "eth0@outside");
	memset(p.packet.data, out ? 0x22 : 0x44, 12);
	put16(p.packet.data + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 40 + payload);
	put16(ip + 4, ++ip_id & 0xffff);
	ip[6] = 0x40;
	ip[8] = out ? 64 : 60;
	ip[9] = 6;
	memcpy(ip + 12, ends[!out], 4);
	memcpy(ip + 16, ends[out], 4);
	put16(tcp, out ? 5432 : 36151);
	put16(tcp + 2, out ? 36151 : 5432);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = 5 << 4;
	tcp[13] = 0x10;
	put16(tcp + 14, 500);
	return p;
}

/* A transfer that runs for a while, then sends the same segment again and again. */
static size_t story(struct kept_packet *p, uint64_t begin_ns)
{
	const uint64_t last_ns = begin_ns + LAST_NS;
	uint64_t wait_ns = 300 * NS_PER_MS, at_ns = last_ns + NS_PER_MS;
	size_t n = 0;

	for (uint32_t k = 0; k < SEGMENTS; k++) {
		uint64_t sent_ns = begin_ns + k * 10 * NS_PER_MS;

		p[n++] = segment(sent_ns, true, SEQ + k * MSS, 7000, MSS);
		p[n++] = segment(sent_ns + 9 * NS_PER_MS, false, 7000, SEQ + (k + 1) * MSS, 0);
	}
	for (int k = 0; k < 6; k++, wait_ns *= 2) {
		p[n++] = segment(at_ns, true, STUCK_SEQ, 7000, MSS);
		at_ns += wait_ns;
	}
	return n;
}

static struct incident incident_of(unsigned int number, uint64_t begin_ns)
{
	static const char name[] = "ev\033[31mil\xff<b>&\n";
	struct incident i;

	memset(&i, 0, sizeof(i));
	snprintf(i.id, sizeof(i.id), "20260102T%06u-%04x", number % 1000000,
		 (unsigned int)getpid() & 0xffff);
	i.key.cookie = number + 1;
	i.key.netns = 1;
	addr_parse("192.0.2.1", &i.key.local.addr);
	addr_parse("198.51.100.7", &i.key.remote.addr);
	i.key.local.port = 5432;
	i.key.remote.port = 36151;
	i.local_sends = true;
	i.last_progress_ns = begin_ns + LAST_NS - NS_PER_MS;
	i.begun_ns = i.last_progress_ns + 2 * NS_PER_S;
	i.first.key = i.key;
	i.first.snd_una = STUCK_SEQ;
	i.first.born_ns = begin_ns;
	i.first.snd.bytes = SEGMENTS * MSS;
	i.last = i.first;
	i.rate_bps = 8ull * MSS * 100;
	i.process.pid = 4242;
	memcpy(i.process.comm, name, sizeof(name));
	i.verdict.cause = CAUSE_PATH_BLACKHOLE;
	i.verdict.cause_confidence = 0.9;
	snprintf(i.verdict.detail, sizeof(i.verdict.detail), "as %.15s has it", name);
	i.verdict.n_evidence = 1;
	i.verdict.evidence[0].id = "silence";
	i.verdict.evidence[0].weight = 2.5;
	snprintf(i.verdict.evidence[0].text, sizeof(i.verdict.evidence[0].text),
		 "nothing comes back from 198.51.100.7");
	return i;
}

static void hand_over(struct store *s, unsigned int number)
{
	static struct kept_packet packets[2 * SEGMENTS + 6];
	const struct box_counts counts = {.seen = 1000, .overwritten = 834};
	const uint64_t begin_ns = mono_ns() - 12 * NS_PER_S;
	struct incident i = incident_of(number, begin_ns);
	struct output out = {.kind = OUT_STALL_BEGIN, .now_ns = i.begun_ns, .incident = &i};

	store_output(s, &out);
	store_packets(s, i.id, packets, story(packets, begin_ns), &counts);
	out.kind = OUT_VERDICT;
	out.now_ns += NS_PER_S;
	store_output(s, &out);
	out.kind = OUT_STALL_END;
	out.now_ns += NS_PER_S;
	i.ended_ns = out.now_ns;
	i.outcome = OUTCOME_TIMED_OUT;
	store_output(s, &out);
	printf("END %s\n", i.id);
}

/* Tells what is new; false: nobody wants more. */
static bool wait_for(struct store *s, int ms)
{
	struct pollfd p[] = {{.fd = store_fd(s), .events = POLLIN},
			     {.fd = STDIN_FILENO, .events = POLLIN}};
	static bool kept;
	char line[1024];

	if (!kept && store_counts(s).incidents) {
		printf("KEPT\n");
		kept = true;
	}
	fflush(stdout);
	poll(p, 2, ms);
	if (p[0].revents && store_news(s, line, sizeof(line)))
		printf("NEWS %s\n", line);
	fflush(stdout);
	return !p[1].revents;
}

int main(int argc, char **argv)
{
	struct store_config config = {
		.dir = argc > 1 ? argv[1] : "",
		.max_bytes = STORE_BYTES,
		.max_age_ns = STORE_AGE_NS,
		.host = "lab",
		.wall_offset_ns = wall_offset_ns(),
	};
	struct store *s;

	if (argc != 4 || !store_supported() || store_make_dir(argv[1]) || store_new(&config, &s))
		return 77;
	for (unsigned int k = 0; k < (unsigned int)atoi(argv[2]); k++) {
		hand_over(s, k);
		if (!wait_for(s, 0))
			goto out;
		usleep((useconds_t)atoi(argv[3]));
	}
	while (wait_for(s, 100))
		;
out:
	store_finish(s);
	wait_for(s, 0);
	printf("LOST %llu\n", (unsigned long long)store_counts(s).incidents_lost);
	store_free(s);
	return 0;
}
