/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packets of an incident as a file beside the store: appended to while the incident goes on,
 * read as a whole afterwards. A file that was cut is good up to there.
 */
#ifndef TCPSTALL_INCIDENT_KEPT_H
#define TCPSTALL_INCIDENT_KEPT_H

#include <stdio.h>
#include "sensor/blackbox.h"

#define KEPT_NAME 32
#define KEPT_MAX  (1 << 19) /* packets of an incident that are read */

enum kept_role {
	KEPT_FLOW,
	KEPT_WITNESS,
	KEPT_PROBE, /* from here on: of the prober */
	KEPT_ANSWER,
	KEPT_LEAD_PROBE, /* sent for the stall that leads this one */
	KEPT_LEAD_ANSWER,
	KEPT_ROLES
};

struct kept_packet {
	struct box_packet packet;
	char interface[KEPT_NAME]; /* "eth0@4026532000"; empty unknown */
	uint8_t role;		   /* enum kept_role */
	/* of a probe and its answer */
	uint8_t kind, ttl, answer;
};

/* Appends; if that fails the file is as it was. -ENOSPC, -EACCES ... */
int kept_append(const char *path, const struct kept_packet *packets, size_t n);

/*
 * All packets in the order of time, each once, to be freed by the caller. -ENODATA: cut off, and
 * what came before is handed over all the same; -ENOENT; -EBADMSG: no such file.
 */
int kept_read(const char *path, struct kept_packet **ret, size_t *ret_n);

#endif
