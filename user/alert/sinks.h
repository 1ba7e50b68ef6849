/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who is told. A thread of its own delivers, so that nobody waits: each sink has a bounded queue,
 * keeps the order, tries again after ever longer pauses, and counts.
 */
#ifndef TCPSTALL_ALERT_SINKS_H
#define TCPSTALL_ALERT_SINKS_H

#include "alert/alert.h"

struct sinks;

/* Of the sinks of this configuration, or, if it has none, the journal or syslog. The host's name is
 * copied. -ENOMEM, -EAGAIN */
int sinks_new(const struct config *config, const char *host, struct sinks **ret);

/* Waits for what is being delivered, wait_ns at most; the rest is lost. NULL is fine. */
void sinks_free(struct sinks *s, uint64_t wait_ns);

/* Others take over: it delivers what it has, for a while, and frees itself. NULL is fine. */
void sinks_retire(struct sinks *s);

void sinks_tell(struct sinks *s, const struct alert *alert, int64_t wall_offset_ns);

/* Readable while there is news: one line for the user about a sink that fails, or works again. */
int sinks_fd(const struct sinks *s);
bool sinks_news(struct sinks *s, char *ret_line, size_t len);

enum sink_result { SINK_SENT, SINK_RETRIED, SINK_FAILED, SINK_LOST, SINK_RESULTS };
const char *sink_result_id(enum sink_result result); /* "sent" ... */

struct sink_counts {
	char name[CONFIG_NAME];
	uint64_t results[SINK_RESULTS];
	uint32_t queued;
};

/* Of the i-th sink; false: there are no more. */
bool sinks_counts(struct sinks *s, int i, struct sink_counts *ret);

/* What this build can deliver to; NULL: it can, else what is missing. */
const char *sink_missing(enum sink_type type);

/* Delivers one message and waits, for alert-test. 0, or negative errno; ret_why says why not. */
int sink_try(const struct sink_config *sink, const struct alert *alert, const char *host,
	     int64_t wall_offset_ns, char *ret_why, size_t why_len);

#endif
