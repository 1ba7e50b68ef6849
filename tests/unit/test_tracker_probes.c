/* SPDX-License-Identifier: GPL-2.0-only */
/* Probes of a path that a capture holds: what they tell, and that they are taken for nothing else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "scene.h"

#define MSS	SCENE_MSS
#define MS(n)	SCENE_MS(n)
#define HOPS	7 /* routers between sender and receiver: its TTL is 57 at the sender */
#define TO_PEER 64
#define CONTROL 50000 /* a fresh port */

/* A time exceeded of this hop, or any other error. */
static void error(struct scene *s, const struct frame *quoted, int hop, uint8_t type, uint8_t code)
{
	struct frame f = *quoted;

	s->now_ns += MS(hop);
	f.kind = FRAME_ICMP;
	f.icmp_type = type;
	f.icmp_code = code;
	f.icmp_family = 4;
	f.icmp_from = (union frame_addr){.bytes = {10, 0, 0, (uint8_t)hop}};
	f.ttl = (uint8_t)(65 - hop);
	scene_push(s, &f);
}

static void exceeded(struct scene *s, const struct frame *quoted, int hop)
{
	error(s, quoted, hop, 11, 0);
}

/* Inside the connection, all of it acknowledged. */
static struct frame inside(struct scene *s, bool forward, uint8_t ttl, uint32_t len)
{
	struct frame f = scene_frame(s, forward);

	s->now_ns += MS(30);
	f.ttl = ttl;
	f.seq = forward ? s->base + 10 * MSS - len - ttl : 2000 - len - ttl;
	f.ack = forward ? 1 - 2u - ttl : s->base + 10 * MSS - 2 - ttl;
	f.payload = len;
	f.ip_len = (uint16_t)(len + 40);
	scene_push(s, &f);
	return f;
}

static struct frame control(struct scene *s, uint8_t ttl)
{
	struct frame f = scene_frame(s, true);

	s->now_ns += MS(30);
	f.sport = CONTROL;
	f.ttl = ttl;
	f.seq = (uint32_t)ttl << 20 | f.ip_id;
	f.ack = 0;
	f.flags = TCP_SYN;
	f.ip_len = 60;
	scene_push(s, &f);
	return f;
}

static void syn_ack(struct scene *s, const struct frame *to)
{
	struct frame f = scene_frame(s, false);

	s->now_ns += MS(20);
	f.dport = to->sport;
	f.seq = 77;
	f.ack = to->seq + 1;
	f.flags = TCP_SYN | TCP_ACK;
	scene_push(s, &f);
}

#define NO_CONTROLS (-1)

/* Each hop twice, as far as either kind gets; then the peer. */
static void ask(struct scene *s, int in_flow_reach, int control_reach)
{
	for (int ttl = 1; ttl <= HOPS + 1; ttl++) {
		for (int k = 0; k < 2; k++) {
			bool last = ttl > HOPS;
			struct frame f = inside(s, true, last ? TO_PEER : (uint8_t)ttl, 1);

			if (ttl <= in_flow_reach)
				exceeded(s, &f, ttl);
			if (control_reach == NO_CONTROLS)
				continue;
			f = control(s, last ? TO_PEER : (uint8_t)ttl);
			if (ttl <= control_reach && last)
				syn_ack(s, &f);
			else if (ttl <= control_reach)
				exceeded(s, &f, ttl);
		}
	}
}

static void stall(struct scene *s)
{
	scene_start(s);
	scene_healthy(s);
	scene_data(s, 1, 10 * MSS, MSS);
	scene_data(s, 300, 10 * MSS, MSS);
	scene_data(s, 600, 10 * MSS, MSS);
}

static void end(struct scene *s)
{
	scene_data(s, 1200, 10 * MSS, MSS);
	s->now_ns += MS(100);
	scene_finish(s);
	assert_int_equal(s->begins, 1);
	assert_int_equal(s->ends, 1);
	/* None of the probes was taken for a segment that the sender has sent again. */
	assert_int_equal(s->last.capture.tries, 3);
	assert_int_equal(s->last.capture.repeats, 0);
	assert_false(s->last.capture.acks_lost);
}

static void a_flow_that_ends_where_a_new_one_goes_on_has_lost_its_state_there(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	stall(&s);
	ask(&s, 2, HOPS + 1);
	end(&s);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_STATE_LOST);
	assert_int_equal(s.last.verdict.where.kind, PLACE_HOP);
	assert_int_equal(s.last.verdict.where.address.bytes[3], 2);
	assert_int_equal(s.last.verdict.way, WAY_FORWARD);
	assert_int_equal(s.last.hops[1].probes[PROBE_IN_FLOW].answered, 2);
	assert_int_equal(s.last.hops[2].probes[PROBE_IN_FLOW].sent, 2);
	assert_int_equal(s.last.hops[2].probes[PROBE_IN_FLOW].answered, 0);
	assert_int_equal(s.last.hops[2].probes[PROBE_CONTROL].answered, 2);
}

static void where_every_probe_ends_the_path_is_broken(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	stall(&s);
	ask(&s, 3, 3);
	end(&s);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_BLACKHOLE);
	assert_int_equal(s.last.verdict.where.kind, PLACE_LINK);
	assert_int_equal(s.last.verdict.where.near.bytes[3], 3);
}

static void behind_the_last_router_the_peer_is_gone(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	stall(&s);
	ask(&s, HOPS, HOPS);
	end(&s);
	assert_int_equal(s.last.verdict.cause, CAUSE_PEER_GONE);
}

/* It may be this connection alone that ends there: the path or the peer is blamed less. */
static void without_fresh_ports_it_is_open_whether_others_pass(void **state)
{
	(void)state;
	for (int reach = 2; reach <= HOPS; reach += HOPS - 2) {
		double blamed[2] = {0};

		for (int asked = 0; asked < 2; asked++) {
			struct scene s = scene_open(100);
			const struct verdict *v = &s.last.verdict;
			bool says_so = false;

			stall(&s);
			ask(&s, reach, asked ? reach : NO_CONTROLS);
			end(&s);
			if (v->cause == CAUSE_PATH_BLACKHOLE || v->cause == CAUSE_PEER_GONE)
				blamed[asked] = v->cause_confidence;
			for (int i = 0; i < v->n_evidence; i++)
				says_so |= strstr(v->evidence[i].text, "from a fresh port") != NULL;
			assert_true(says_so == (asked && reach < HOPS));
		}
		assert_true(blamed[0] < blamed[1] - 0.05);
	}
}

/* The capture point is two routers behind the sender: so is what it sees of each TTL. */
static void hops_count_from_who_asks(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	for (int i = 0; i < 12; i++) {
		struct frame f = scene_frame(&s, true);

		s.now_ns += MS(i < 11 ? 1 : 2500);
		f.ttl = 62;
		f.seq = s.base + (uint32_t)(i < 11 ? i : 10) * MSS;
		f.ack = 1;
		f.payload = MSS;
		scene_push(&s, &f);
		if (i < 10)
			scene_ack(&s, 20, (uint32_t)(i + 1) * MSS, 60000);
	}
	for (int ttl = 1; ttl < 5; ttl++)
		for (int k = 0; k < 2; k++) {
			struct frame f = inside(&s, true, (uint8_t)ttl, 1);

			if (ttl < 3)
				exceeded(&s, &f, ttl);
		}
	s.now_ns += MS(1500);
	scene_ack(&s, 1, 9 * MSS, 60000); /* an old one, for the time */
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.hops[3].probes[PROBE_IN_FLOW].answered, 2);
	assert_int_equal(s.last.hops[4].probes[PROBE_IN_FLOW].sent, 2);
	assert_int_equal(s.last.hops[4].probes[PROBE_IN_FLOW].answered, 0);
}

/* Its bytes 0 to 2000 have arrived at 192.0.2.1, long ago. */
static void fall_silent(struct scene *s)
{
	scene_start(s);
	for (uint32_t i = 0; i < 10; i++) {
		struct frame f = scene_frame(s, false);

		s->now_ns += MS(300);
		f.seq = i * 200;
		f.payload = 200;
		f.ack = s->base;
		scene_push(s, &f);
		f = scene_frame(s, true);
		f.seq = s->base;
		f.ack = (i + 1) * 200;
		scene_push(s, &f);
	}
	s->now_ns += MS(1600);
}

static struct frame ask_sender(struct scene *s, uint8_t ttl)
{
	struct frame f = scene_frame(s, true);

	s->now_ns += MS(100);
	f.ttl = ttl;
	f.seq = s->base - 1;
	f.ack = 2000 - 2 - ttl;
	f.payload = ttl == TO_PEER; /* this end has sent nothing that it could repeat */
	f.ip_len = 40;
	scene_push(s, &f);
	return f;
}

static void a_receiver_that_asks_in_vain_shows_a_stall(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	fall_silent(&s);
	for (int i = 0; i < 12; i++) {
		int ttl = i % 6 + 1;
		struct frame f = ask_sender(&s, (uint8_t)ttl), c = control(&s, (uint8_t)ttl);

		if (ttl <= 2)
			exceeded(&s, &f, ttl);
		exceeded(&s, &c, ttl);
	}
	s.now_ns += MS(2000);
	ask_sender(&s, 3);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_false(s.last.local_sends);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_STATE_LOST);
	assert_int_equal(s.last.verdict.where.address.bytes[3], 2);
	assert_int_equal(s.last.outcome, OUTCOME_CAPTURE_ENDED);
}

static void a_sender_that_answers_is_idle(void **state)
{
	struct scene s = scene_open(100);
	struct frame f;

	(void)state;
	fall_silent(&s);
	for (int i = 0; i < 4; i++) {
		ask_sender(&s, TO_PEER);
		f = scene_frame(&s, false);
		s.now_ns += MS(20);
		f.seq = 2000;
		f.ack = s.base;
		if (i)
			scene_push(&s, &f);
	}
	s.now_ns += MS(2000);
	ask_sender(&s, TO_PEER);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
}

static void a_sender_that_goes_on_ends_the_question(void **state)
{
	struct scene s = scene_open(100);
	struct frame f;

	(void)state;
	fall_silent(&s);
	for (int i = 0; i < 4; i++)
		ask_sender(&s, 3);
	s.now_ns += MS(2000);
	ask_sender(&s, 3);
	f = scene_frame(&s, false);
	s.now_ns += MS(1000);
	f.seq = 2000;
	f.payload = 200;
	f.ack = s.base;
	scene_push(&s, &f);
	f = scene_frame(&s, true);
	f.seq = s.base;
	f.ack = 2200;
	scene_push(&s, &f);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.outcome, OUTCOME_RECOVERED);
}

/* What a path that has become longer does to the segments themselves is nobody's probe. */
static void a_ttl_that_differs_a_little_is_the_routes(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	for (int i = 0; i < 4; i++) {
		struct frame f = scene_frame(&s, true);

		s.now_ns += MS(500 << i);
		f.seq = s.base + 8 * MSS;
		f.ack = 1;
		f.payload = 2 * MSS;
		f.ttl = 60;
		scene_push(&s, &f);
		scene_ack(&s, 1, 10 * MSS, 60000);
	}
	scene_data(&s, 300, 10 * MSS, MSS);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.capture.repeats, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_that_ends_where_a_new_one_goes_on_has_lost_its_state_there),
		cmocka_unit_test(where_every_probe_ends_the_path_is_broken),
		cmocka_unit_test(behind_the_last_router_the_peer_is_gone),
		cmocka_unit_test(without_fresh_ports_it_is_open_whether_others_pass),
		cmocka_unit_test(hops_count_from_who_asks),
		cmocka_unit_test(a_receiver_that_asks_in_vain_shows_a_stall),
		cmocka_unit_test(a_sender_that_answers_is_idle),
		cmocka_unit_test(a_sender_that_goes_on_ends_the_question),
		cmocka_unit_test(a_ttl_that_differs_a_little_is_the_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
