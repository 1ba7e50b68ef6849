/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A recording: one JSON object a line. The first line is the header (format version, engine
 * configuration, host, wall-clock offset), every other one an observation. Field tables make writer
 * and reader one thing. A newer format is refused; an unknown key is ignored.
 */
#ifndef TCPSTALL_SENSOR_RECORD_H
#define TCPSTALL_SENSOR_RECORD_H

#include <stdio.h>
#include "engine/engine.h"

#define RECORD_VERSION 1

struct record_header {
	struct engine_config config;
	char host[NAME_LEN];
};

struct recorder;

/* Creates FILE; "-" is standard output. anonymize: prefix-preserving addresses, no process names.
 */
int recorder_open(const char *path, const struct record_header *header, bool anonymize,
		  struct recorder **ret);
/* -ENOSPC and the like once; later calls do nothing. */
int recorder_write(struct recorder *r, const struct observation *obs);
int recorder_close(struct recorder *r); /* flushes; NULL is fine */

struct recording;
/* -EINVAL: ret_why says which line and what. */
int recording_open(const char *path, struct recording **ret, struct record_header *ret_header,
		   char *ret_why, size_t why_len);
/* 1 and an observation, 0 at the end, -EINVAL. */
int recording_next(struct recording *r, struct observation *ret, char *ret_why, size_t why_len);
void recording_close(struct recording *r);

#endif
