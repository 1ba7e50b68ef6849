/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes as a capture file, through reader, decoder, tracker and engine. The invariant is
 * that nothing breaks, that each stall that begins ends, and that verdicts point into the file.
 */
#include "fuzz.h"

#include "engine/engine.h"
#include "sensor/capture.h"
#include "sensor/feed.h"
#include "sensor/tracker.h"
#include "view/brief.h"

struct run {
	struct engine *engine;
	int open;
};

static void observe(const struct observation *obs, void *arg)
{
	struct run *run = arg;
	struct output out;

	engine_step(run->engine, obs);
	while (engine_next(run->engine, &out)) {
		run->open += out.kind == OUT_STALL_BEGIN;
		run->open -= out.kind == OUT_STALL_END;
		if (out.kind == OUT_VERDICT &&
		    out.incident->capture.first_frame > out.incident->capture.last_frame)
			abort();
	}
}

static void analyze(struct capture *capture)
{
	struct engine_config config = engine_defaults();
	struct run run = {0};
	struct tracker_config tracking = {
		.stall_after_ns = config.stall_after_ns,
		.min_bytes = 1,
		.max_flows = 64,
		.observe = observe,
		.arg = &run,
	};
	struct observation end = {.type = OBS_END, .capture_end = true};
	struct tracker *tracker;
	const struct feed_batch *batch;
	struct brief live;
	struct feed *feed;

	config.offline = true;
	config.probe = false;
	config.min_bytes = 0;
	config.max_flows = config.max_incidents = 64;
	if (engine_new(&config, &run.engine) || tracker_new(&tracking, &tracker) ||
	    feed_new(capture, &feed))
		abort();
	while (feed_next(feed, &batch) > 0) {
		tracker_work(tracker, batch->items, batch->n);
		end.now_ns = batch->items[batch->n - 1].now_ns;
	}
	brief_read(capture_comment(capture), &live);
	feed_free(feed);
	tracker_end(tracker);
	observe(&end, &run);
	if (run.open)
		abort();
	tracker_free(tracker);
	engine_free(run.engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[FUZZ_PATH], why[CAPTURE_WHY_LEN];
	struct capture *capture;
	int fd = fuzz_file(data, size, path);

	if (!capture_open(path, &capture, why, sizeof(why))) {
		analyze(capture);
		capture_close(capture);
	}
	close(fd);
	return 0;
}
