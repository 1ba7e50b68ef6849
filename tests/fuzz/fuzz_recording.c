/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes as a recording, through the engine and both writers, as `replay` does it. */
#include "fuzz.h"

#include "engine/engine.h"
#include "sensor/record.h"
#include "view/writer.h"

struct replay {
	struct engine *engine;
	struct writer *text, *json;
	int open;
};

static void take(struct replay *r, const struct observation *obs)
{
	struct output out;

	engine_step(r->engine, obs);
	while (engine_next(r->engine, &out)) {
		r->open += out.kind == OUT_STALL_BEGIN;
		r->open -= out.kind == OUT_STALL_END;
		if (out.kind == OUT_WANT)
			continue;
		writer_output(r->text, &out);
		writer_output(r->json, &out);
	}
}

static void replay(struct recording *recording, struct engine_config config)
{
	static FILE *nowhere;
	struct writer_config writing = {.host = "fuzz"};
	struct replay r = {.open = 0};
	struct observation obs;
	struct record_end end;
	uint64_t last_ns = 0;
	char why[256];

	/* What a recording may ask for is bounded; less will do here. */
	config.max_flows = config.max_flows < 64 ? config.max_flows : 64;
	config.max_incidents = config.max_incidents < 64 ? config.max_incidents : 64;
	nowhere = nowhere ? nowhere : fopen("/dev/null", "w");
	writing.out = nowhere;
	writing.wall_offset_ns = config.wall_offset_ns;
	if (!nowhere || writer_text(&writing, &r.text) || writer_json(&writing, &r.json))
		abort();
	if (!engine_new(&config, &r.engine)) {
		while (recording_next(recording, &obs, why, sizeof(why)) == 1) {
			last_ns = obs.now_ns;
			take(&r, &obs);
		}
		obs = (struct observation){.type = OBS_END, .now_ns = last_ns};
		take(&r, &obs);
		recording_end(recording, &end);
	}
	engine_free(r.engine);
	writer_free(r.text);
	writer_free(r.json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recording *recording;
	struct record_header header;
	char path[FUZZ_PATH], why[256];
	int fd = fuzz_file(data, size, path);

	if (!recording_open(path, &recording, &header, why, sizeof(why))) {
		replay(recording, header.config);
		recording_close(recording);
	}
	close(fd);
	return 0;
}
