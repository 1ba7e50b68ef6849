/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A recording: one JSON object a line. The first line is the header (format version, engine
 * configuration, host, wall-clock offset), every other one an observation, in the order in which
 *the engine took them:
 *
 *	{"tcpstall_recording":1,"host":"db1","config":{"stall_after_ns":2000000000,...}}
 *	{"observation":"reset","now_ns":71,"key":{...},"inbound":true,"ttl":64}
 *	{"recording_end":{"probes_sent":62,"lost":[{"reason":"ring-buffer","count":0}]}}
 *
 * The last line holds what the summary tells beside what the engine has counted; it is missing if
 * the recording program was killed.
 * Members that are zero are left out. Field tables (fields.h) make writer and reader one thing. A
 * newer version is refused; an unknown key is ignored, an unknown kind of observation is ignored
 *and counted. A last line that was cut off ends the recording.
 */
#ifndef TCPSTALL_SENSOR_RECORD_H
#define TCPSTALL_SENSOR_RECORD_H

#include <stdio.h>
#include "engine/engine.h"

#define RECORD_VERSION	1
#define RECORD_LINE_MAX 65536 /* bytes; an observation needs about 2,000 */

struct record_header {
	struct engine_config config;
	char host[NAME_LEN];
};

#define RECORD_LOST_REASONS 16

struct record_loss {
	char reason[NAME_LEN];
	uint64_t count;
};

struct record_end {
	uint64_t probes_sent, answers_ignored;
	int n_lost;
	struct record_loss lost[RECORD_LOST_REASONS];
};

struct recorder;

/*
 * Creates FILE, readable by its owner only; "-" is standard output. anonymize: prefix-preserving
 * addresses, no names of the host, its interfaces and its processes, no MAC addresses.
 */
int recorder_open(const char *path, const struct record_header *header, bool anonymize,
		  struct recorder **ret);
/* -ENOSPC and the like once; later calls do nothing. */
int recorder_write(struct recorder *r, const struct observation *obs);
/* The last line; recorder_close() is still needed. Errors as recorder_write(). */
int recorder_end(struct recorder *r, const struct record_end *end);
/* Flushes. The first error that writing met and nobody was told; NULL is fine. */
int recorder_close(struct recorder *r);

struct recording;
/* "-" is standard input. -EINVAL: ret_why says which line and what; other errors are of the file.
 */
int recording_open(const char *path, struct recording **ret, struct record_header *ret_header,
		   char *ret_why, size_t why_len);
/*
 * 1 and an observation, 0 at the end, -EINVAL. At the end ret_why is empty, or says that the last
 * line was cut off.
 */
int recording_next(struct recording *r, struct observation *ret, char *ret_why, size_t why_len);
/* After the end: what recorder_end() wrote. false: there was nothing. */
bool recording_end(const struct recording *r, struct record_end *ret);
/* Observations of a kind that this program does not know. */
uint64_t recording_ignored(const struct recording *r);
void recording_close(struct recording *r);

#endif
