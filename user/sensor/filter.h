/* SPDX-License-Identifier: GPL-2.0-only */
/* FILTER: pcap-filter(7) text, matched against the addresses and ports of a transfer. */
#ifndef TCPSTALL_SENSOR_FILTER_H
#define TCPSTALL_SENSOR_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include "engine/observation.h"

struct flow_filter;

/* -EINVAL: it is none, or no TCP transfer can ever match it; ret_why holds that and the text. */
int flow_filter_new(const char *text, struct flow_filter **ret, char *ret_why, size_t why_len);
void flow_filter_free(struct flow_filter *f);

/* Whether a data segment of this transfer would match; NULL matches all. */
bool flow_filter_matches(const struct flow_filter *f, const struct flow_key *key, bool local_sends);

struct bpf_program;
/*
 * filter_reach.c: whether the program can match this packet if each byte that is not zero in
 * `unknown` may be anything.
 */
bool filter_reaches(const struct bpf_program *program, const uint8_t *packet,
		    const uint8_t *unknown, size_t len);

#endif
