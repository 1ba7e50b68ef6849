/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What can be wrong, and where: the vocabulary of every verdict. One table feeds text, JSON,
 * metrics and documentation; to add a cause, add a row there and the rules that speak for it.
 */
#ifndef TCPSTALL_ENGINE_CAUSE_H
#define TCPSTALL_ENGINE_CAUSE_H

enum cause {
	CAUSE_UNKNOWN,
	CAUSE_SENDER_IDLE,
	CAUSE_RECEIVER_NOT_READING,
	CAUSE_CONNECTION_STATE_LOST,
	CAUSE_PATH_BLACKHOLE,
	CAUSE_SIZE_BLACKHOLE,
	CAUSE_LOCAL_DROP,
	CAUSE_CONNECTION_RESET,
	CAUSE_PEER_GONE,
	CAUSE_PATH_LOSS,
	CAUSE_PATH_CORRUPTION,
	CAUSE_CONTENT_DROP,
	CAUSE_HEADER_REWRITE,
	CAUSE_RATE_LIMIT,
	CAUSE_WINDOW_LIMITED,
	CAUSE_LINK_DOWN,
	CAUSE_LINK_DEGRADED,
	CAUSE_NEIGHBOUR_UNREACHABLE,
	CAUSE_ADDRESS_CONFLICT,
	CAUSE_CONNECT_REFUSED_BY_PATH,
	CAUSES
};

enum place_kind {
	PLACE_UNKNOWN,
	PLACE_SENDER_APP,
	PLACE_SENDER_HOST,
	PLACE_LINK,
	PLACE_HOP,
	PLACE_RECEIVER_HOST,
	PLACE_RECEIVER_APP,
	PLACE_PATH,
	PLACE_KINDS
};

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR };

struct cause_info {
	const char *id; /* as in JSON */
	enum severity severity;
	const char *title;	 /* a few words */
	const char *explanation; /* one or two sentences */
	const char *advice;	 /* what to do; %s stands for the place */
};

const struct cause_info *cause_info(enum cause cause);
const char *place_kind_id(enum place_kind kind);

#endif
