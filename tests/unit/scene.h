/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Small captures for tests, packet by packet: a tracker with the engine behind it, and what they
 * say. One sender, 192.0.2.1, and receivers that differ in their port.
 */
#ifndef TCPSTALL_TEST_SCENE_H
#define TCPSTALL_TEST_SCENE_H

#include "base/clock.h"
#include "engine/engine.h"
#include "sensor/tracker.h"

#define SCENE_MSS   1000u
#define SCENE_MS(n) ((uint64_t)(n)*NS_PER_MS)
#define SCENE_PORT  36151

struct scene {
	struct tracker *tracker;
	struct engine *engine;
	uint64_t now_ns, number;
	uint16_t ip_id, port; /* port: of the receiver */
	uint32_t base;	      /* sequence number of the sender's first byte */
	int begins, ends, slow;
	struct incident last;  /* that ended */
	struct life_seen life; /* of the largest transfer */
	uint64_t begin_ns;
};

struct scene scene_open(uint32_t base);
void scene_start(struct scene *s);
void scene_finish(struct scene *s);

/* A segment of the sender or of the receiver, to be completed. */
struct frame scene_frame(struct scene *s, bool forward);
void scene_push(struct scene *s, const struct frame *f);

/* After `ms`, `len` bytes from `at` on. */
void scene_data(struct scene *s, int ms, uint32_t at, uint32_t len);
void scene_ack(struct scene *s, int ms, uint32_t up_to, uint16_t window);
void scene_flag(struct scene *s, int ms, bool forward, uint32_t at, uint8_t flags);
/* A handshake, seen near the sender; 0xff: no window scale offered. */
void scene_connect(struct scene *s, int ms, uint8_t wscale, uint8_t answered_wscale);
/* Ten segments, all acknowledged. */
void scene_healthy(struct scene *s);

#endif
