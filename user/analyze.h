/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the verbs over captures share: one pass that finds the incidents, and for those that look at
 * one of them, that incident by its id and a second pass over its packets.
 */
#ifndef TCPSTALL_ANALYZE_H
#define TCPSTALL_ANALYZE_H

#include <stdio.h>

#include "engine/verdict.h"
#include "options.h"
#include "progress.h"
#include "sensor/capture.h"
#include "sensor/frame.h"

/* An incident that is over. What it points to is valid during the call only. */
struct found {
	const struct incident *incident;
	uint64_t badness; /* how much time it cost; a stall counts before a slow phase */
	uint64_t now_ns;
	int64_t first_ns; /* since 1970: when the capture begins */
};
typedef void (*found_fn)(const struct found *found, void *arg);

/*
 * The incidents of one file in the order in which they ended, with the options of `analyze`; an
 * exit status, complaints on stderr. ret_counts: of the packets read.
 */
int analyze_each(const struct options *options, const char *path, found_fn found, void *arg,
		 struct capture_counts *ret_counts);

/* Where the results of a file go. */
struct analyze_to {
	FILE *out, *err;
	struct progress *progress; /* NULL: none */
	bool named;		   /* text begins with the name of the file: there are several */
	bool alone;		   /* no other file is read beside it: it draws the progress */
};

/* A file as `analyze` shows it; an exit status. May be called by several threads. */
int analyze_file(const struct options *options, const char *path, const struct analyze_to *to);

/* One incident of some captures. */
struct pick {
	struct incident incident;
	uint64_t now_ns;
	int64_t first_ns;
	const char *path;	      /* the capture that has it */
	struct capture_counts counts; /* of that capture */
	bool cut;		      /* one of the captures is: more may have been found */
};

/*
 * The incident of this id (NULL: the worst) among those of the n captures. STATUS_DONE, or
 * another status after a line on stderr that names the nearest ids.
 */
int pick(const struct options *options, char *const *paths, int n, const char *id,
	 struct pick *ret);

/* A packet of the capture that has the incident; non-zero ends the pass. */
typedef int (*packet_fn)(const struct capture *capture, const struct captured *packet,
			 const struct frame *frame, uint64_t now_ns, void *arg);
/* All of them, then end, unless it is NULL, with packet and frame NULL. What fn returned, or -EIO
 * after a line on stderr; a capture that is cut ends early.
 */
int pick_packets(const struct pick *p, packet_fn fn, packet_fn end, void *arg);

/* `analyze --extract ID -o FILE`; an exit status, complaints on stderr. */
int extract(const struct options *options, int argc, char **argv);

#endif
