/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One trouble, one alert: the stalls of one cause at one place, from the first of them until there
 * is none left for a while. groups.h says when there is something to tell, sinks.h tells it.
 */
#ifndef TCPSTALL_ALERT_ALERT_H
#define TCPSTALL_ALERT_ALERT_H

#include "config/config.h"
#include "engine/engine.h"

#define ALERT_INCIDENTS	 16
#define ALERT_FLOW	 200
#define ALERT_PLACE	 224
/* Of every message in the journal; the catalog explains it. */
#define ALERT_MESSAGE_ID "1c5e25661983aa1738f4526d4aaac996"

enum alert_kind { ALERT_BEGIN, ALERT_UPDATE, ALERT_END, ALERT_TEST, ALERT_KINDS };
const char *alert_kind_id(enum alert_kind kind); /* "alert_begin" ... */

/* What makes two stalls one trouble. */
struct trouble {
	enum cause cause;
	enum place_kind kind;
	uint8_t ttl;
	struct ip_addr address, near, far; /* of the place, or of the end that it is at */
};

/* What is told. A value: no pointers into anything that lives shorter. */
struct alert {
	enum alert_kind kind;
	char id[INCIDENT_ID];	     /* of the first incident */
	char watch[CONFIG_NAME];     /* the section; "" the nameless one */
	struct trouble trouble, was; /* was: before this message; the same if nothing changed */
	enum side side;
	double cause_confidence, confidence;
	char place[ALERT_PLACE]; /* as part of a sentence */
	char detail[DETAIL_TEXT], advice[ADVICE_TEXT];
	char flow[ALERT_FLOW]; /* the transfer that it began with, or the latest */
	uint64_t begun_ns;     /* its last progress, CLOCK_MONOTONIC */
	uint64_t now_ns;
	uint32_t stalls; /* at this moment */
	uint64_t total;	 /* since it began */
	uint64_t unsaid; /* other alerts before, that were too many to be told */
	char incidents[ALERT_INCIDENTS][INCIDENT_ID]; /* the latest */
	int n_incidents;
	bool lost_sight; /* ALERT_END: across a restart, nobody saw how it went on */
};

#endif
