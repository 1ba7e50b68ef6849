/* SPDX-License-Identifier: GPL-2.0-only */
/* Alerts: one for each trouble, told once, updated, ended, and taken over by the next process. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alert/groups.h"
#include "base/clock.h"

#define TOLD_MAX 64

struct fixture {
	struct config config;
	struct groups *groups;
	struct alert told[TOLD_MAX];
	int n;
	uint64_t now_ns;
};

static struct incident incidents[300];

static void tell(const struct alert *alert, void *arg)
{
	struct fixture *f = arg;

	assert_true(f->n < TOLD_MAX);
	f->told[f->n++] = *alert;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	config_defaults(&f->config);
	f->now_ns = 10000 * NS_PER_S;
	assert_int_equal(groups_new(&f->config, tell, f, &f->groups), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	groups_free(f->groups);
	free(f);
	return 0;
}

/* The n-th transfer, silent since four seconds, lost at a hop. */
static struct incident *stalled(const struct fixture *f, int n)
{
	struct incident *i = &incidents[n];

	memset(i, 0, sizeof(*i));
	snprintf(i->id, sizeof(i->id), "20260102T030405-%04x", n);
	i->key.local.addr = addr_v4((const uint8_t[]){192, 0, 2, 1});
	i->key.local.port = (uint16_t)(1000 + n);
	i->key.remote.addr = addr_v4((const uint8_t[]){198, 51, 100, 7});
	i->key.remote.port = 5432;
	i->key.netns = 1;
	i->local_sends = true;
	i->last.state = 1;
	i->bytes_at_stall = 10 << 20;
	i->last_progress_ns = f->now_ns - 4 * NS_PER_S;
	i->begun_ns = f->now_ns - 2 * NS_PER_S;
	i->verdict.cause = CAUSE_CONNECTION_STATE_LOST;
	i->verdict.where.kind = PLACE_HOP;
	i->verdict.where.ttl = 2;
	i->verdict.where.address = addr_v4((const uint8_t[]){192, 0, 2, 254});
	return i;
}

static void output(struct fixture *f, enum output_kind kind, const struct incident *i, int watch)
{
	const struct output out = {.kind = kind, .now_ns = f->now_ns, .incident = i};

	groups_output(f->groups, &out, watch);
	groups_run(f->groups, f->now_ns);
}

static void pass(struct fixture *f, uint64_t ns)
{
	f->now_ns += ns;
	groups_run(f->groups, f->now_ns);
}

static void assert_told(struct fixture *f, int n, enum alert_kind kind)
{
	assert_int_equal(f->n, n);
	assert_int_equal(f->told[n - 1].kind, kind);
}

static void a_stall_is_told_once_and_ends_when_it_recovers(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1);

	output(f, OUT_STALL_BEGIN, i, 0);
	pass(f, NS_PER_S);
	assert_int_equal(f->n, 0); /* nobody knows why yet */
	output(f, OUT_VERDICT, i, 0);
	assert_int_equal(f->n, 0);
	pass(f, NS_PER_S);
	assert_told(f, 1, ALERT_BEGIN);
	assert_string_equal(f->told[0].id, i->id);
	assert_int_equal(f->told[0].stalls, 1);
	pass(f, 600 * NS_PER_S);
	output(f, OUT_VERDICT, i, 0); /* the same again */
	pass(f, 600 * NS_PER_S);
	assert_int_equal(f->n, 1);
	i->outcome = OUTCOME_RECOVERED;
	output(f, OUT_STALL_END, i, 0);
	pass(f, 4 * NS_PER_S);
	assert_int_equal(f->n, 1);
	pass(f, NS_PER_S);
	assert_told(f, 2, ALERT_END);
	assert_int_equal(f->told[1].stalls, 0);
	assert_int_equal(groups_run(f->groups, f->now_ns), UINT64_MAX);
}

static void many_stalls_at_one_place_are_one_alert(void **state)
{
	struct fixture *f = *state;

	for (int n = 0; n < 200; n++)
		output(f, OUT_VERDICT, stalled(f, n), 0);
	pass(f, NS_PER_S);
	assert_told(f, 1, ALERT_BEGIN);
	assert_int_equal(f->told[0].stalls, 200);
	assert_int_equal(f->told[0].n_incidents, ALERT_INCIDENTS);
	assert_string_equal(f->told[0].incidents[ALERT_INCIDENTS - 1], incidents[199].id);
	output(f, OUT_VERDICT, stalled(f, 200), 0);
	pass(f, 59 * NS_PER_S);
	assert_int_equal(f->n, 1); /* what changes is told once a minute */
	pass(f, NS_PER_S);
	assert_told(f, 2, ALERT_UPDATE);
	assert_int_equal(f->told[1].stalls, 201);
	for (int n = 0; n <= 200; n++)
		output(f, OUT_STALL_END, &incidents[n], 0);
	pass(f, 5 * NS_PER_S);
	assert_told(f, 3, ALERT_END);
	assert_int_equal(f->told[2].total, 201);
}

static void another_place_is_another_alert(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1), *other = stalled(f, 2);

	other->verdict.where.ttl = 3;
	output(f, OUT_VERDICT, i, 0);
	output(f, OUT_VERDICT, other, 0);
	pass(f, NS_PER_S);
	assert_int_equal(f->n, 2);
}

static void a_verdict_that_changes_updates_its_alert(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1);

	i->verdict.cause = CAUSE_UNKNOWN;
	i->verdict.where = (struct place){.kind = PLACE_UNKNOWN};
	output(f, OUT_VERDICT, i, 0);
	pass(f, NS_PER_S);
	*i = *stalled(f, 1);
	output(f, OUT_VERDICT, i, 0);
	pass(f, 5 * NS_PER_S);
	assert_told(f, 2, ALERT_UPDATE);
	assert_string_equal(f->told[0].id, f->told[1].id);
	assert_int_equal(f->told[1].was.cause, CAUSE_UNKNOWN);
	assert_int_equal(f->told[1].trouble.cause, CAUSE_CONNECTION_STATE_LOST);
	output(f, OUT_STALL_END, i, 0);
	pass(f, 5 * NS_PER_S);
	assert_told(f, 3, ALERT_END);
	assert_int_equal(f->told[2].was.cause, CAUSE_CONNECTION_STATE_LOST);
}

static void a_section_has_a_threshold_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1);

	f->config.watch[1] = f->config.watch[0];
	f->config.watch[1].stall_after_ns = 60 * NS_PER_S;
	f->config.n_watch = 2;
	output(f, OUT_VERDICT, i, 1);
	pass(f, 55 * NS_PER_S);
	assert_int_equal(f->n, 0);
	pass(f, NS_PER_S);
	pass(f, NS_PER_S);
	assert_told(f, 1, ALERT_BEGIN);

	i = stalled(f, 2); /* and one that does not last as long */
	i->key.remote.port = 1;
	output(f, OUT_VERDICT, i, 1);
	pass(f, 30 * NS_PER_S);
	output(f, OUT_STALL_END, i, 1);
	pass(f, 600 * NS_PER_S);
	assert_int_equal(f->told[f->n - 1].total, 1);
}

static void what_a_section_does_not_want_is_not_told(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1);

	i->verdict.cause = CAUSE_SENDER_IDLE; /* no more than info */
	output(f, OUT_VERDICT, i, 0);
	i = stalled(f, 2);
	i->bytes_at_stall = 1000;
	output(f, OUT_VERDICT, i, 0);
	i = stalled(f, 3);
	i->slow = true;
	output(f, OUT_VERDICT, i, 0);
	pass(f, 600 * NS_PER_S);
	assert_int_equal(f->n, 0);
	f->config.watch[0].alert = ALERT_NOTHING;
	output(f, OUT_VERDICT, stalled(f, 4), 0);
	pass(f, 600 * NS_PER_S);
	assert_int_equal(f->n, 0);
	f->config.watch[0].alert = ALERT_ALL;
	output(f, OUT_VERDICT, i, 0);
	pass(f, NS_PER_S);
	assert_told(f, 1, ALERT_BEGIN);
}

static void a_reset_is_told_although_it_is_over_at_once(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1);

	i->last_progress_ns = f->now_ns - NS_PER_MS;
	i->verdict.cause = CAUSE_CONNECTION_RESET;
	i->outcome = OUTCOME_RESET;
	i->ended_ns = f->now_ns;
	output(f, OUT_VERDICT, i, 0);
	output(f, OUT_STALL_END, i, 0);
	pass(f, NS_PER_S);
	assert_told(f, 1, ALERT_BEGIN);
	pass(f, 5 * NS_PER_S);
	assert_told(f, 2, ALERT_END);
}

static void too_many_are_counted_and_the_next_one_says_so(void **state)
{
	struct fixture *f = *state;

	f->config.alerts.per_hour = 3;
	for (int n = 0; n < 10; n++) {
		struct incident *i = stalled(f, n);

		i->verdict.where.ttl = (uint8_t)(n + 1);
		output(f, OUT_VERDICT, i, 0);
	}
	pass(f, NS_PER_S);
	assert_int_equal(f->n, 3);
	assert_int_equal(groups_counts(f->groups).unsaid, 7);
	for (int n = 0; n < 10; n++)
		output(f, OUT_STALL_END, &incidents[n], 0);
	pass(f, 5 * NS_PER_S);
	assert_int_equal(f->n, 6); /* nothing ends that was never told */
	pass(f, 3600 * NS_PER_S);
	output(f, OUT_VERDICT, stalled(f, 20), 0);
	pass(f, NS_PER_S);
	assert_told(f, 7, ALERT_BEGIN);
	assert_int_equal(f->told[6].unsaid, 7);
}

static void the_next_process_goes_on_with_what_was_told(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1);
	struct groups *next;
	json_t *saved;

	output(f, OUT_VERDICT, i, 0);
	output(f, OUT_VERDICT, stalled(f, 2), 0);
	pass(f, NS_PER_S);
	i->outcome = OUTCOME_WATCH_ENDED;
	output(f, OUT_STALL_END, i, 0); /* we stop; the stall does not */
	saved = groups_save(f->groups);
	assert_non_null(saved);
	assert_int_equal(groups_new(&f->config, tell, f, &next), 0);
	assert_int_equal(groups_load(next, saved, f->now_ns, 20 * NS_PER_S), 0);
	json_decref(saved);
	groups_free(f->groups);
	f->groups = next;
	assert_int_equal(groups_counts(next).stalls, 2);

	*i = *stalled(f, 1);
	strcpy(i->id, "20260102T030505-0001"); /* it is another incident to the engine */
	output(f, OUT_VERDICT, i, 0);
	pass(f, 19 * NS_PER_S);
	assert_int_equal(f->n, 1);
	pass(f, 60 * NS_PER_S); /* the other one was not seen again */
	assert_told(f, 2, ALERT_UPDATE);
	assert_int_equal(f->told[1].stalls, 1);
	assert_string_equal(f->told[1].id, f->told[0].id);
	output(f, OUT_STALL_END, i, 0);
	pass(f, 5 * NS_PER_S);
	assert_told(f, 3, ALERT_END);
}

static void what_was_taken_over_ends_although_it_is_not_told_again(void **state)
{
	struct fixture *f = *state;
	struct incident *i = stalled(f, 1);
	json_t *saved;

	output(f, OUT_VERDICT, i, 0);
	pass(f, NS_PER_S);
	assert_told(f, 1, ALERT_BEGIN);
	saved = groups_save(f->groups);
	groups_free(f->groups);
	assert_int_equal(groups_new(&f->config, tell, f, &f->groups), 0);
	assert_int_equal(groups_load(f->groups, saved, f->now_ns, 20 * NS_PER_S), 0);
	json_decref(saved);

	strcpy(i->id, "20260102T030505-0001");
	i->verdict.cause = CAUSE_SENDER_IDLE; /* as far as could be seen this time */
	i->outcome = OUTCOME_RECOVERED;
	output(f, OUT_VERDICT, i, 0);
	output(f, OUT_STALL_END, i, 0);
	pass(f, 5 * NS_PER_S);
	assert_told(f, 2, ALERT_END);
	assert_false(f->told[1].lost_sight);
}

static void a_damaged_file_is_refused_as_a_whole(void **state)
{
	static const char *const damaged[] = {
		"{}",
		"[1]",
		"[{}]",
		"[{\"id\":\"x\",\"trouble\":{\"cause\":\"none such\"}}]",
		"[{\"id\":\"x\",\"members\":[{\"incident\":7}]}]",
		"[{\"id\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}]"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		json_t *saved = json_loads(damaged[i], 0, NULL);

		assert_non_null(saved);
		assert_int_equal(groups_load(f->groups, saved, f->now_ns, NS_PER_S), -EINVAL);
		assert_int_equal(groups_counts(f->groups).alerts, 0);
		json_decref(saved);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_stall_is_told_once_and_ends_when_it_recovers),
		TEST(many_stalls_at_one_place_are_one_alert),
		TEST(another_place_is_another_alert),
		TEST(a_verdict_that_changes_updates_its_alert),
		TEST(a_section_has_a_threshold_of_its_own),
		TEST(what_a_section_does_not_want_is_not_told),
		TEST(a_reset_is_told_although_it_is_over_at_once),
		TEST(too_many_are_counted_and_the_next_one_says_so),
		TEST(the_next_process_goes_on_with_what_was_told),
		TEST(what_was_taken_over_ends_although_it_is_not_told_again),
		TEST(a_damaged_file_is_refused_as_a_whole),
	};

	return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
