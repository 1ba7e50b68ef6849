/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Grants WANT_PACE for the monitor: reads the black box of a transfer that crawls until nobody asks
 * for it any more, often enough that no packet is missed, and tells what its losses show.
 */
#ifndef TCPSTALL_PACING_H
#define TCPSTALL_PACING_H

#include "engine/engine.h"

struct pacing;
struct sensor;

/* -ENOMEM */
int pacing_new(observe_fn observe, void *arg, struct pacing **ret);
void pacing_free(struct pacing *p); /* NULL is fine */

/* One that finds no room, or has no box, is not followed: the engine decides without. */
void pacing_want(struct pacing *p, const struct want *want, struct sensor *sensor, uint64_t now_ns);

/* Reads what is due. Returns when to come back; UINT64_MAX: nobody is followed. */
uint64_t pacing_run(struct pacing *p, struct sensor *sensor, uint64_t now_ns);

#endif
