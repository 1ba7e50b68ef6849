/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An incident as JSON, exactly, so that whatever shows one live shows it from the store too. The
 * tables are of the kind that recordings have: a new member of struct incident is a row in state.c.
 */
#ifndef TCPSTALL_INCIDENT_STATE_H
#define TCPSTALL_INCIDENT_STATE_H

#include <jansson.h>
#include "engine/verdict.h"
#include "sensor/anonymize.h"

#define EVIDENCE_ID 40

/* Words that the engine has in its text segment are kept beside the incident that is read back. */
struct incident_state {
	struct incident incident;
	char ids[MAX_EVIDENCE][EVIDENCE_ID];
};

extern const struct field incident_fields[];

/* A new reference, or NULL: not enough memory. */
json_t *state_write(const struct incident *incident);

/* -EINVAL: not what state_write() makes. Members that are not there are zero. */
int state_read(const json_t *object, struct incident_state *ret);

/* Addresses, names and what sentences say of them; numbers of processes go. */
void state_anonymize(const struct anonymizer *a, struct incident *incident);

#endif
