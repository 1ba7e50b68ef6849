/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Recordings of real stalls, in tests/recordings. The first line of each tells what must come of
 * it: "expect":{"cause":...,"place":...,"ttl":...}, as last said of the first stall. To add one,
 * take `tcpstall watch --record FILE --anonymize` and write that into its first line.
 */
#include "sensor/record.h"

#include <glob.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "view/writer.h"

struct decided {
	enum cause cause;
	struct place where;
	char id[INCIDENT_ID]; /* of the first stall */
	int stalls;
	char *text; /* all that the writer said */
};

static void drain(struct engine *e, struct writer *w, struct decided *d)
{
	struct output out;

	while (engine_next(e, &out)) {
		if (out.kind == OUT_WANT)
			continue;
		assert_int_equal(writer_output(w, &out), 0);
		if (out.kind == OUT_STALL_BEGIN && !d->stalls++)
			memcpy(d->id, out.incident->id, sizeof(d->id));
		if (strcmp(d->id, out.incident->id) != 0)
			continue;
		d->cause = out.incident->verdict.cause;
		d->where = out.incident->verdict.where;
	}
}

/* copy: also writes an anonymous recording of what it reads; NULL: does not. */
static struct decided decide(const char *path, const char *copy)
{
	struct decided d = {.text = NULL};
	struct record_header header;
	struct recorder *recorder = NULL;
	struct recording *recording;
	struct observation obs;
	struct writer_config config = {0};
	struct engine *e;
	struct writer *w;
	char why[128];
	size_t len;
	FILE *out = open_memstream(&d.text, &len);
	int got;

	assert_int_equal(recording_open(path, &recording, &header, why, sizeof(why)), 0);
	assert_int_equal(engine_new(&header.config, &e), 0);
	if (copy)
		assert_int_equal(recorder_open(copy, &header, true, &recorder), 0);
	config.out = out;
	config.host = header.host;
	config.wall_offset_ns = header.config.wall_offset_ns;
	assert_int_equal(writer_json(&config, &w), 0);
	while ((got = recording_next(recording, &obs, why, sizeof(why))) == 1) {
		if (copy)
			assert_int_equal(recorder_write(recorder, &obs), 0);
		engine_step(e, &obs);
		drain(e, w, &d);
	}
	assert_int_equal(got, 0);
	assert_string_equal(why, "");
	assert_int_equal(recorder_close(recorder), 0);
	writer_free(w);
	fclose(out);
	engine_free(e);
	recording_close(recording);
	return d;
}

static json_t *expectation(const char *path)
{
	FILE *f = fopen(path, "re");
	json_t *header, *expect;

	assert_non_null(f);
	header = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	fclose(f);
	expect = json_incref(json_object_get(header, "expect"));
	json_decref(header);
	assert_true(json_is_object(expect));
	return expect;
}

static void assert_as_expected(const struct decided *d, const json_t *expect)
{
	const char *cause = json_string_value(json_object_get(expect, "cause"));
	const char *place = json_string_value(json_object_get(expect, "place"));

	assert_true(d->stalls > 0);
	assert_string_equal(cause_info(d->cause)->id, cause);
	assert_string_equal(place_kind_id(d->where.kind), place);
	if (d->where.kind == PLACE_HOP)
		assert_int_equal(d->where.ttl, json_integer_value(json_object_get(expect, "ttl")));
}

static void a_recorded_stall_is_decided_as_it_was(void **state)
{
	char copy[] = "/tmp/tcpstall-test-replay-XXXXXX";
	struct decided first, again, nameless;
	glob_t files;

	(void)state;
	assert_int_equal(close(mkstemp(copy)), 0);
	assert_int_equal(glob("tests/recordings/*.rec", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		json_t *expect = expectation(files.gl_pathv[i]);

		first = decide(files.gl_pathv[i], copy);
		assert_as_expected(&first, expect);

		again = decide(files.gl_pathv[i], NULL);
		assert_string_equal(first.text, again.text);

		nameless = decide(copy, NULL);
		assert_as_expected(&nameless, expect);

		free(first.text);
		free(again.text);
		free(nameless.text);
		json_decref(expect);
	}
	globfree(&files);
	unlink(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recorded_stall_is_decided_as_it_was),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
