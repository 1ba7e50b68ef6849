/* SPDX-License-Identifier: GPL-2.0-only */
/* An incident as JSON is the incident, and says neither who nor where if that is asked for. */
#include "incident/state.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fill.h"

#define ROUNDS	  50
#define MAC	  "52:54:00:12:34:56"
#define OTHER_MAC "52:54:00:12:34:57"

static struct incident any_incident(void)
{
	static char ids[MAX_EVIDENCE][16];
	struct incident i;

	memset(&i, 0, sizeof(i));
	fill(incident_fields, &i);
	memset(i.id, 0, sizeof(i.id));
	snprintf(i.id, sizeof(i.id), "20260102T030405-%04x", (unsigned int)any() & 0xffff);
	i.n_hops = MAX_HOPS;
	i.n_witnesses = MAX_WITNESSES;
	i.n_neighbours = MAX_NEIGHBOURS;
	i.verdict.n_candidates = 1;
	i.verdict.n_evidence = MAX_EVIDENCE;
	for (int k = 0; k < MAX_EVIDENCE; k++) {
		snprintf(ids[k], sizeof(ids[k]), "id-%u", (unsigned int)k & 0xff);
		i.verdict.evidence[k].id = ids[k];
	}
	return i;
}

static void assert_same(const struct incident *a, const struct incident *b)
{
	struct incident x = *a, y = *b;

	for (int k = 0; k < MAX_EVIDENCE; k++) {
		if (k < x.verdict.n_evidence)
			assert_string_equal(x.verdict.evidence[k].id, y.verdict.evidence[k].id);
		x.verdict.evidence[k].id = y.verdict.evidence[k].id = NULL;
	}
	assert_memory_equal(&x, &y, sizeof(x));
}

static void an_incident_is_read_back_as_it_was(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct incident i = any_incident();
		struct incident_state back;
		json_t *object = state_write(&i);

		assert_non_null(object);
		assert_int_equal(state_read(object, &back), 0);
		assert_same(&i, &back.incident);
		json_decref(object);
	}
}

/*
 * What no row covers is no longer than padding may be. (__builtin_clear_padding() of gcc 12 leaves
 * out what lies in structs as large as this.)
 */
static void assert_no_gaps(const struct field *table, size_t size)
{
	uint8_t *bare = malloc(size);
	size_t run = 0;

	memset(bare, 1, size);
	for (const struct field *f = table; f->name; f++) {
		memset(bare + f->offset, 0, f->size);
		if (f->type == FIELD_LIST || f->type == FIELD_STRUCT)
			assert_no_gaps(f->fields, f->type == FIELD_LIST ? f->unit : f->size);
	}
	for (size_t k = 0; k < size; k++) {
		run = bare[k] ? run + 1 : 0;
		if (run == 8)
			fail_msg("no row for what lies at %zu", k - 7);
	}
	free(bare);
}

static void every_member_of_an_incident_is_kept(void **state)
{
	(void)state;
	assert_no_gaps(incident_fields, sizeof(struct incident));
}

static void counts_that_do_not_fit_are_refused(void **state)
{
	static const char *const keys[] = {"n_hops", "n_witnesses", "n_neighbours"};
	struct incident i = any_incident();
	struct incident_state back;

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		for (int n = -1; n < 1000; n += 1000) {
			json_t *object = state_write(&i);

			json_object_set_new(object, keys[k], json_integer(n));
			assert_int_equal(state_read(object, &back), -EINVAL);
			json_decref(object);
		}
	}
}

/* An incident with one sentence, and what it becomes. */
struct told {
	struct incident incident;
	struct anonymizer key;
	char *text; /* of the sentence */
};

static int tell(void **state)
{
	struct told *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	t->incident.verdict.n_evidence = 1;
	t->text = t->incident.verdict.evidence[0].text;
	*state = t;
	return anonymizer_init(&t->key);
}

static int forget(void **state)
{
	free(*state);
	return 0;
}

static void sentences_tell_no_name_and_no_mac_address(void **state)
{
	struct told *t = *state;
	struct incident *i = &t->incident;

	strcpy(i->process.comm, "backupd");
	strcpy(i->route.ifname, "bond7");
	strcpy(i->route.lower, "enp3s0");
	strcpy(t->text,
	       "192.0.2.1 has " MAC ", then " OTHER_MAC ". backupd on bond7, enp3s0 below");
	state_anonymize(&t->key, i);
	assert_null(strstr(t->text, "192.0.2.1"));
	assert_null(strstr(t->text, MAC));
	assert_null(strstr(t->text, OTHER_MAC));
	assert_null(strstr(t->text, "backupd"));
	assert_null(strstr(t->text, "bond7"));
	assert_null(strstr(t->text, "enp3s0"));
	assert_non_null(strstr(t->text, i->process.comm));
	assert_non_null(strstr(t->text, i->route.lower));
}

static void what_only_looks_like_the_name_stays_and_the_process_has_no_number(void **state)
{
	struct told *t = *state;
	struct incident *i = &t->incident;

	strcpy(i->process.comm, "in");
	i->process.pid = 4711;
	strcpy(t->text, "in (4711) waits in a line in minutes, in, win, in_flow");
	state_anonymize(&t->key, i);
	assert_int_equal(i->process.pid, 0);
	assert_null(strstr(t->text, "4711"));
	assert_null(strstr(t->text, " in "));
	assert_null(strstr(t->text, " in,"));
	assert_non_null(strstr(t->text, "a line"));
	assert_non_null(strstr(t->text, "minutes"));
	assert_non_null(strstr(t->text, "win, in_flow"));
}

static void a_name_whose_pseudonym_does_not_fit_is_cut_off(void **state)
{
	struct told *t = *state;
	const size_t size = sizeof(t->incident.verdict.evidence[0].text);

	strcpy(t->incident.process.comm, "sshd");
	memset(t->text, '-', size - 1);
	strcpy(t->text + size - 5, "sshd");
	state_anonymize(&t->key, &t->incident);
	assert_null(strstr(t->text, "sshd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_incident_is_read_back_as_it_was),
		cmocka_unit_test(every_member_of_an_incident_is_kept),
		cmocka_unit_test(counts_that_do_not_fit_are_refused),
		cmocka_unit_test_setup_teardown(sentences_tell_no_name_and_no_mac_address, tell,
						forget),
		cmocka_unit_test_setup_teardown(
			what_only_looks_like_the_name_stays_and_the_process_has_no_number, tell,
			forget),
		cmocka_unit_test_setup_teardown(a_name_whose_pseudonym_does_not_fit_is_cut_off,
						tell, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
