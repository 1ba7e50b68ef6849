/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the engine costs by the number of flows that it knows: memory, a snapshot of each, a tick
 * while nothing is wrong, and a tick while a thousand of them stall at once. The flows are made up,
 * the clock as well; what is timed is engine_step() with its results taken.
 *
 *   engine_scale [FLOWS...]      1000 10000 100000 1000000
 */
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "engine/engine.h"

#define FLOWS_MAX   4000000
#define STALLS	    1000
#define TICKS	    100
#define TICK_NS	    (100 * NS_PER_MS)
#define STALLING_NS (10 * NS_PER_S)

struct bench {
	struct engine *e;
	uint64_t now_ns;
	uint32_t flows;
	uint32_t begins, verdicts;
	bool scan; /* the engine asks for all snapshots */
};

struct result {
	double bytes_a_flow, take_ns, look_ns, tick_ns, stalling_tick_us, stalling_scan_ns;
	uint32_t verdicts;
};

/* Anonymous memory of this process that is resident. */
static uint64_t resident_bytes(void)
{
	unsigned long long pages = 0, shared = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*u %llu %llu", &pages, &shared) != 2)
		pages = shared = 0;
	if (f)
		fclose(f);
	return (pages - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void step(struct bench *b, const struct observation *obs)
{
	struct output out;

	engine_step(b->e, obs);
	while (engine_next(b->e, &out)) {
		b->begins += out.kind == OUT_STALL_BEGIN;
		b->verdicts += out.kind == OUT_VERDICT;
		b->scan |= out.kind == OUT_WANT && out.want.kind == WANT_SCAN;
	}
}

/* A sender of 10 Mbit/s, one of a few hundred to each peer. The first `stalled` have stopped at
 * stopped_ns. */
static void look(struct bench *b, uint32_t from, uint32_t to, uint32_t stalled, uint64_t stopped_ns)
{
	struct observation obs = {.type = OBS_SNAPSHOT, .now_ns = b->now_ns};
	struct flow_snapshot *f = &obs.snapshot;

	for (uint32_t i = from; i < to; i++) {
		const uint8_t peer[4] = {198, 51, (uint8_t)(i >> 16), (uint8_t)(i >> 8)};
		const uint64_t moved_ns = i < stalled ? stopped_ns : b->now_ns;

		*f = (struct flow_snapshot){.state = TCP_ESTABLISHED, .mss = 1448, .pmtu = 1500};
		f->key.cookie = i + 1;
		f->key.netns = 1;
		f->key.local.addr = addr_v4((const uint8_t[4]){192, 0, 2, 1});
		f->key.local.port = 5432;
		f->key.remote.addr = addr_v4(peer);
		f->key.remote.port = (uint16_t)(1024 + (i & 0xff));
		f->born_ns = NS_PER_S;
		f->rtt_us = 20000;
		f->rto_us = 220000;
		f->snd_wnd = f->rcv_wnd = 1 << 20;
		f->snd.bytes = moved_ns / 800;
		f->snd.progress_ns = f->last_in_ns = moved_ns;
		f->snd.run_start_ns = f->owe_since_ns = f->born_ns;
		f->snd_una = (uint32_t)f->snd.bytes;
		f->snd_nxt = f->write_seq = f->snd_una + 64000;
		f->unacked_segs = 44;
		step(b, &obs);
	}
}

static void scanned(struct bench *b)
{
	step(b, &(struct observation){.type = OBS_SCANNED, .now_ns = b->now_ns});
}

static void tick(struct bench *b)
{
	b->now_ns += TICK_NS;
	step(b, &(struct observation){.type = OBS_TICK, .now_ns = b->now_ns});
}

/* As the program does: the sensor reports who is silent, and everybody when the engine asks. */
static void stall(struct bench *b, struct result *r)
{
	const uint64_t stopped_ns = b->now_ns, end_ns = stopped_ns + STALLING_NS;
	uint64_t ticks_ns = 0, scans_ns = 0;
	uint32_t ticks = 0, scans = 0;

	while (b->now_ns < end_ns) {
		uint64_t begin_ns = mono_ns();

		tick(b);
		ticks_ns += mono_ns() - begin_ns;
		ticks++;
		if (b->now_ns < stopped_ns + NS_PER_S)
			continue;
		begin_ns = mono_ns();
		look(b, 0, b->scan ? b->flows : STALLS, STALLS, stopped_ns);
		if (b->scan) {
			scanned(b);
			scans_ns += mono_ns() - begin_ns;
			scans++;
		}
		b->scan = false;
	}
	r->stalling_tick_us = (double)ticks_ns / ticks / 1000;
	r->stalling_scan_ns = scans ? (double)scans_ns / scans / b->flows : 0;
	r->verdicts = b->verdicts;
}

static int measure(uint32_t flows, struct result *ret)
{
	struct engine_config config = engine_defaults();
	struct bench b = {.now_ns = 100 * NS_PER_S, .flows = flows};
	uint64_t before = resident_bytes(), begin_ns;
	int err;

	config.max_flows = flows;
	config.max_incidents = STALLS;
	err = engine_new(&config, &b.e);
	if (err)
		return err;
	begin_ns = mono_ns();
	look(&b, 0, flows, 0, 0);
	ret->take_ns = (double)(mono_ns() - begin_ns) / flows;
	ret->bytes_a_flow = (double)(resident_bytes() - before) / flows;
	b.now_ns += NS_PER_S;
	begin_ns = mono_ns();
	look(&b, 0, flows, 0, 0);
	ret->look_ns = (double)(mono_ns() - begin_ns) / flows;
	begin_ns = mono_ns();
	for (int i = 0; i < TICKS; i++)
		tick(&b);
	ret->tick_ns = (double)(mono_ns() - begin_ns) / TICKS;
	look(&b, 0, flows, 0, 0);
	stall(&b, ret);
	engine_free(b.e);
	return 0;
}

int main(int argc, char **argv)
{
	static const uint64_t usual[] = {1000, 10000, 100000, 1000000};
	uint64_t last = 0, n = argc > 1 ? (uint64_t)argc - 1 : sizeof(usual) / sizeof(*usual);
	double last_s = 0;

	printf("%10s %8s %8s %8s %9s | %d stalled: %9s %8s %9s | %s\n", "flows", "B/flow", "new ns",
	       "look ns", "tick ns", STALLS, "tick us", "scan ns", "verdicts", "slope of a scan");
	for (uint64_t i = 0; i < n; i++) {
		uint64_t flows = argc > 1 ? 0 : usual[i];
		struct result r = {0};
		double scan_s;

		if (argc > 1 && parse_u64(argv[i + 1], STALLS, FLOWS_MAX, &flows)) {
			fprintf(stderr, "engine_scale: %s: a number of flows from %d to %d\n",
				argv[i + 1], STALLS, FLOWS_MAX);
			return 2;
		}
		if (measure((uint32_t)flows, &r)) {
			fprintf(stderr, "engine_scale: no memory for %llu flows\n",
				(unsigned long long)flows);
			return 1;
		}
		scan_s = r.look_ns * (double)flows;
		printf("%10llu %8.0f %8.0f %8.0f %9.0f | %19.0f %8.0f %9u |",
		       (unsigned long long)flows, r.bytes_a_flow, r.take_ns, r.look_ns, r.tick_ns,
		       r.stalling_tick_us, r.stalling_scan_ns, r.verdicts);
		/* Of log time over log flows: 1 is linear. */
		if (last)
			printf(" %.2f", log(scan_s / last_s) / log((double)flows / (double)last));
		printf("\n");
		fflush(stdout);
		last = flows;
		last_s = scan_s;
	}
	return 0;
}
