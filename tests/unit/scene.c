/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "scene.h"

#define SRC_PORT 5432

static void observe(const struct observation *obs, void *arg)
{
	struct scene *s = arg;
	struct output out;

	engine_step(s->engine, obs);
	while (engine_next(s->engine, &out)) {
		if (out.kind == OUT_WANT)
			continue;
		if (out.kind == OUT_STALL_BEGIN && !s->begins++)
			s->begin_ns = out.now_ns;
		s->ends += out.kind == OUT_STALL_END;
		s->slow += out.kind == OUT_SLOW_END;
		if (out.kind == OUT_STALL_END || out.kind == OUT_SLOW_END)
			s->last = *out.incident;
		if (out.kind == OUT_TRANSFER && out.life->bytes > s->life.bytes)
			s->life = *out.life;
	}
}

struct scene scene_open(uint32_t base)
{
	return (struct scene){.now_ns = 1, .base = base, .port = SCENE_PORT};
}

void scene_start(struct scene *s)
{
	struct engine_config config = engine_defaults();
	struct tracker_config tracking = {
		.stall_after_ns = 2 * NS_PER_S,
		.min_bytes = 1,
		.max_flows = 64,
		.observe = observe,
		.arg = s,
	};

	config.min_bytes = 0;
	config.probe = false;
	config.offline = true;
	config.max_flows = config.max_incidents = 16;
	assert_int_equal(engine_new(&config, &s->engine), 0);
	assert_int_equal(tracker_new(&tracking, &s->tracker), 0);
}

void scene_finish(struct scene *s)
{
	struct observation end = {.type = OBS_END, .now_ns = s->now_ns, .capture_end = true};

	tracker_end(s->tracker);
	observe(&end, s);
	tracker_free(s->tracker);
	engine_free(s->engine);
}

struct frame scene_frame(struct scene *s, bool forward)
{
	struct frame f = {.kind = FRAME_TCP, .family = 4, .flags = TCP_ACK, .window = 60000};
	union frame_addr a = {.bytes = {192, 0, 2, 1}}, b = {.bytes = {198, 51, 100, 7}};

	f.src = forward ? a : b;
	f.dst = forward ? b : a;
	f.sport = forward ? SRC_PORT : s->port;
	f.dport = forward ? s->port : SRC_PORT;
	f.ttl = forward ? 64 : 57;
	f.wscale = 0xff;
	f.ip_id = ++s->ip_id;
	return f;
}

void scene_push(struct scene *s, const struct frame *f)
{
	*tracker_slot(s->tracker) = *f;
	tracker_push(s->tracker, s->now_ns, ++s->number);
}

/* After `ms`, `len` bytes from `at` on. */
void scene_data(struct scene *s, int ms, uint32_t at, uint32_t len)
{
	struct frame f = scene_frame(s, true);

	s->now_ns += SCENE_MS(ms);
	f.seq = s->base + at;
	f.ack = 1;
	f.payload = len;
	f.ip_len = (uint16_t)(len + 40);
	scene_push(s, &f);
}

void scene_ack(struct scene *s, int ms, uint32_t up_to, uint16_t window)
{
	struct frame f = scene_frame(s, false);

	s->now_ns += SCENE_MS(ms);
	f.seq = 1;
	f.ack = s->base + up_to;
	f.window = window;
	scene_push(s, &f);
}

void scene_flag(struct scene *s, int ms, bool forward, uint32_t at, uint8_t flags)
{
	struct frame f = scene_frame(s, forward);

	s->now_ns += SCENE_MS(ms);
	f.seq = forward ? s->base + at : 1;
	f.ack = forward ? 1 : s->base + at;
	f.flags = flags;
	scene_push(s, &f);
}

/* Ten segments, all acknowledged. */
void scene_healthy(struct scene *s)
{
	for (uint32_t i = 0; i < 10; i++) {
		scene_data(s, 1, i * SCENE_MSS, SCENE_MSS);
		scene_ack(s, 20, (i + 1) * SCENE_MSS, 60000);
	}
}

void scene_connect(struct scene *s, int ms, uint8_t wscale, uint8_t answered_wscale)
{
	struct frame f = scene_frame(s, true);

	f.seq = s->base++;
	f.ack = 0;
	f.flags = TCP_SYN;
	f.wscale = wscale;
	scene_push(s, &f);
	f = scene_frame(s, false);
	s->now_ns += SCENE_MS(ms);
	f.seq = 0;
	f.ack = s->base;
	f.flags = TCP_SYN | TCP_ACK;
	f.wscale = answered_wscale;
	scene_push(s, &f);
	scene_data(s, 0, 0, 0);
}
