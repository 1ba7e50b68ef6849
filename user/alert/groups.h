/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which alerts there are. Pure but for memory: time comes with each call, what is to be told goes
 * to a function. Bounded: GROUPS_MAX troubles at once, MEMBERS_MAX stalls among them.
 */
#ifndef TCPSTALL_ALERT_GROUPS_H
#define TCPSTALL_ALERT_GROUPS_H

#include <jansson.h>

#include "alert/alert.h"

#define GROUPS_MAX  256
#define MEMBERS_MAX 1024

struct groups;

typedef void (*alert_fn)(const struct alert *alert, void *arg);

/* config is borrowed. -ENOMEM */
int groups_new(const struct config *config, alert_fn fn, void *arg, struct groups **ret);
void groups_free(struct groups *g); /* NULL is fine */

/* Another configuration from now on; sections are found again by their names. */
void groups_configure(struct groups *g, const struct config *config);

/* A verdict or an end. watch: the section that the incident belongs to, an index in the config. */
void groups_output(struct groups *g, const struct output *out, int watch);

/* Tells what is due. When to call again: UINT64_MAX never. */
uint64_t groups_run(struct groups *g, uint64_t now_ns);

struct groups_counts {
	uint32_t alerts, stalls; /* that go on */
	uint64_t unsaid, not_tracked;
};
struct groups_counts groups_counts(const struct groups *g);

/*
 * Alerts that go on, for the next process. What it takes over is told again only if it changes, and
 * ends if none of its stalls is seen again for grace_ns. -ENOMEM; -EINVAL: it is not what
 * groups_save() made, and nothing is taken over.
 */
json_t *groups_save(const struct groups *g);
int groups_load(struct groups *g, const json_t *saved, uint64_t now_ns, uint64_t grace_ns);

#endif
