/* SPDX-License-Identifier: GPL-2.0-only */
/* A thousand stalls at once: the budget of probes is shared, and everybody gets a verdict. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/engine.h"

#define FLOWS	 1000
#define STEP_NS	 (100 * NS_PER_MS)
#define A_STEP	 4 /* probes: 40 a second */
#define FRONTIER 3
#define HOPS	 6
#define QUEUE	 65536

struct crowd {
	struct engine *e;
	uint64_t now_ns;
	bool one_peer;
	int n;		/* flows that there are */
	int refused_by; /* answers SYNs that go beyond it with a reset; 0: nobody */
	int ends;
	struct flow_snapshot flow[FLOWS];
	struct probe_seen queue[QUEUE];
	uint32_t head, tail;
	uint32_t sent, wanted_lost;
	bool scan;
	int begins, right, unprobed;
	enum cause cause[FLOWS];
	uint64_t verdict_ns[FLOWS];
};

static struct ip_addr address(uint32_t n)
{
	uint8_t v4[4] = {198, 51, (uint8_t)(n >> 8), (uint8_t)n};

	return addr_v4(v4);
}

static void take(struct crowd *c, const struct output *out);

static void step(struct crowd *c, struct observation *obs)
{
	struct output out;

	obs->now_ns = c->now_ns;
	engine_step(c->e, obs);
	while (engine_next(c->e, &out))
		take(c, &out);
}

static void want_probes(struct crowd *c, const struct want *want)
{
	for (int i = 0; i < want->probe.count; i++) {
		for (int ttl = want->probe.first_ttl; ttl <= want->probe.last_ttl; ttl++) {
			if (c->head - c->tail == QUEUE) {
				c->wanted_lost++;
				return;
			}
			c->queue[c->head++ % QUEUE] = (struct probe_seen){.key = want->key,
									  .kind = want->probe.kind,
									  .ttl = (uint8_t)ttl,
									  .size = want->probe.size};
		}
	}
}

static void take(struct crowd *c, const struct output *out)
{
	const struct incident *i = out->incident;

	if (out->kind == OUT_STALL_BEGIN)
		c->begins++;
	if (out->kind == OUT_VERDICT) {
		uint64_t at = i->key.cookie - 1;

		c->cause[at] = i->verdict.cause;
		if (!c->verdict_ns[at])
			c->verdict_ns[at] = c->now_ns;
		for (int k = 0; k < i->verdict.n_evidence; k++)
			c->unprobed += !strcmp(i->verdict.evidence[k].id, "not-probed");
	}
	c->ends += out->kind == OUT_STALL_END;
	if (out->kind != OUT_WANT)
		return;
	if (out->want.kind == WANT_SCAN)
		c->scan = true;
	if (out->want.kind == WANT_PROBE)
		want_probes(c, &out->want);
	if (out->want.kind == WANT_ONLINK) { /* no neighbour answers, and the prober says so */
		struct observation o = {.type = OBS_ONLINK, .now_ns = c->now_ns};

		o.onlink.key = out->want.key;
		o.onlink.kind = ONLINK_DONE;
		engine_step(c->e, &o);
	}
	if (out->want.kind == WANT_HOST) {
		struct observation o = {.type = OBS_ROUTE};

		o.route.key = out->want.key;
		o.route.gateway = address(60001);
		o.route.ifindex = 2;
		o.route.carrier = 1;
		o.route.speed_mbps = o.route.full_duplex = -1;
		o.now_ns = c->now_ns;
		engine_step(c->e, &o);
	}
}

static void snapshots(struct crowd *c)
{
	for (int i = 0; i < c->n; i++) {
		struct observation o = {.type = OBS_SNAPSHOT, .snapshot = c->flow[i]};

		step(c, &o);
	}
}

static void run(struct crowd *c, uint64_t ns)
{
	for (uint64_t end_ns = c->now_ns + ns; c->now_ns < end_ns;) {
		c->now_ns += STEP_NS;
		for (int i = 0; i < A_STEP && c->tail != c->head; i++) {
			struct observation o = {.type = OBS_PROBE};

			o.probe = c->queue[c->tail++ % QUEUE];
			c->sent++;
			o.probe.sent_ns = c->now_ns - STEP_NS;
			if (o.probe.ttl <= FRONTIER) {
				o.probe.answer = ANSWER_TIME_EXCEEDED;
				o.probe.answered_ns = c->now_ns;
				o.probe.from = address(60000 + o.probe.ttl);
			}
			if (c->refused_by && o.probe.ttl > c->refused_by) {
				o.probe.answer = ANSWER_RST;
				o.probe.answered_ns = c->now_ns;
				o.probe.from = o.probe.key.remote.addr;
				o.probe.answer_ttl = (uint8_t)(64 - c->refused_by + 1);
			}
			step(c, &o);
		}
		for (int i = 0; i < c->n; i++) {
			struct flow_snapshot *f = &c->flow[i];

			if (c->now_ns - f->snd.progress_ns > NS_PER_S << (f->retrans / 2)) {
				f->retrans++;
				f->retrans_ns = c->now_ns;
			}
		}
		snapshots(c);
		if (c->scan) {
			struct observation o = {.type = OBS_SCANNED};

			c->scan = false;
			step(c, &o);
		}
	}
}

static void crowd_init(struct crowd *c, bool one_peer)
{
	struct engine_config config = engine_defaults();

	memset(c, 0, sizeof(*c));
	c->n = FLOWS;
	config.max_flows = 2 * FLOWS;
	config.max_incidents = FLOWS;
	assert_int_equal(engine_new(&config, &c->e), 0);
	c->now_ns = 100 * NS_PER_S;
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct flow_snapshot *f = &c->flow[i];

		f->key.cookie = i + 1;
		f->key.netns = 7;
		f->key.local =
			(struct endpoint){.addr = address(50000), .port = (uint16_t)(1000 + i)};
		f->key.remote = (struct endpoint){.addr = address(one_peer ? 1 : i), .port = 5432};
		f->born_ns = c->now_ns - 10 * NS_PER_S;
		f->owe_since_ns = f->born_ns;
		f->state = TCP_ESTABLISHED;
		f->mss = 1448;
		f->rtt_us = 20000;
		f->rto_us = 220000;
		f->snd_wnd = f->rcv_wnd = 1 << 20;
		f->ttl_in = 64 - HOPS + 1;
		f->snd.bytes = 100 << 20;
		f->snd.progress_ns = c->now_ns;
		f->snd.run_start_ns = f->born_ns;
		f->snd_nxt = f->snd_una + 64000;
		f->write_seq = f->snd_nxt;
		f->unacked_segs = 44;
	}
}

static void everybody_gets_a_verdict(bool one_peer)
{
	struct crowd *c = malloc(sizeof(*c));
	uint64_t stalled_ns;

	assert_non_null(c);
	crowd_init(c, one_peer);
	stalled_ns = c->now_ns;
	run(c, 10 * NS_PER_S);
	assert_int_equal(c->begins, FLOWS);
	for (int i = 0; i < FLOWS; i++) {
		assert_true(c->verdict_ns[i] && c->verdict_ns[i] - stalled_ns <= 10 * NS_PER_S);
		assert_int_equal(c->cause[i], CAUSE_PATH_BLACKHOLE);
	}
	assert_true(c->unprobed >= FLOWS / 2);
	assert_int_equal(c->wanted_lost, 0);
	assert_int_equal(engine_counts(c->e).outputs_lost, 0);
	/* What was asked for is hardly more than what can be sent within the time. */
	assert_in_range(c->head, 20, 500);
	engine_free(c->e);
	free(c);
}

static void a_thousand_stalls_towards_one_peer_share_the_probes(void **state)
{
	(void)state;
	everybody_gets_a_verdict(true);
}

static void a_thousand_stalls_behind_one_gateway_share_the_probes(void **state)
{
	(void)state;
	everybody_gets_a_verdict(false);
}

/* One asks for all who refuses; each connection has ended long before forty others were asked for.
 */
static void forty_connects_that_a_router_refuses_are_asked_for_once(void **state)
{
	struct crowd *c = malloc(sizeof(*c));
	const int refused = 40;

	(void)state;
	assert_non_null(c);
	crowd_init(c, true);
	c->n = 1; /* an old connection to the same peer shows how far away that is */
	c->refused_by = 2;
	snapshots(c);
	for (int i = 1; i <= refused; i++) {
		struct flow_snapshot *f = &c->flow[i];
		struct observation o = {.type = OBS_RESET};

		f->flags = SNAP_NAMED;
		f->state = TCP_SYN_SENT;
		f->ttl_in = 0;
		f->snd.bytes = 0;
		f->snd_nxt = f->write_seq = f->snd_una + 1;
		o.reset.key = f->key;
		o.reset.inbound = true;
		step(c, &o);
		o = (struct observation){.type = OBS_GONE};
		o.gone.last = *f;
		o.gone.reason = GONE_RESET;
		step(c, &o);
	}
	for (int i = 0; i < 30; i++) {
		c->flow[0].snd.bytes += 1 << 20;
		c->flow[0].snd.progress_ns = c->now_ns;
		run(c, STEP_NS);
	}
	assert_int_equal(c->ends, refused);
	for (int i = 1; i <= refused; i++)
		assert_int_equal(c->cause[i], CAUSE_CONNECT_REFUSED_BY_PATH);
	assert_in_range(c->head, 1, 30);
	engine_free(c->e);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_stalls_towards_one_peer_share_the_probes),
		cmocka_unit_test(a_thousand_stalls_behind_one_gateway_share_the_probes),
		cmocka_unit_test(forty_connects_that_a_router_refuses_are_asked_for_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
