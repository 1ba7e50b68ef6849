/* SPDX-License-Identifier: GPL-2.0-only */
/* What groups.c and groups_save.c share; for nobody else. */
#ifndef TCPSTALL_ALERT_GROUPS_IMPL_H
#define TCPSTALL_ALERT_GROUPS_IMPL_H

#include "alert/groups.h"

struct group {
	bool used, told, muted; /* muted: one too many in this hour */
	bool changed, revised;	/* since it was told last; revised: cause or place */
	uint64_t due_ns, told_ns, empty_ns;
	struct alert alert; /* as it would be told now */
};

struct member {
	bool used, counted;
	char incident[INCIDENT_ID];
	struct flow_key key;
	bool sends;
	int watch;
	uint64_t begun_ns;
	uint64_t due_ns;     /* when its silence is long enough */
	uint64_t until_ns;   /* taken over, and not seen again yet: for how long; else 0 */
	struct group *group; /* NULL: it waits */
	struct trouble trouble;
	enum side side;
	double cause_confidence, confidence;
	char place[ALERT_PLACE], detail[DETAIL_TEXT], advice[ADVICE_TEXT], flow[ALERT_FLOW];
};

struct groups {
	const struct config *config;
	alert_fn tell;
	void *arg;
	uint64_t credit_ns; /* what was told, as time on the clock that refills */
	uint64_t unsaid, unsaid_told, not_tracked;
	struct group groups[GROUPS_MAX];
	struct member members[MEMBERS_MAX];
};

struct group *groups_find(struct groups *g, const struct trouble *trouble, const char *watch);
struct group *groups_add(struct groups *g); /* NULL: there are too many */

#endif
