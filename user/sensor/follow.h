/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the packets of some watched transfers tell of their pace, as those of a capture would. Their
 * black boxes are read again and again, and what comes new goes through one tracker: transfers that
 * share a ceiling are judged together (sensor/pace.h). Pure.
 */
#ifndef TCPSTALL_SENSOR_FOLLOW_H
#define TCPSTALL_SENSOR_FOLLOW_H

#include "sensor/blackbox.h"

struct follow;

/* -ENOMEM */
int follow_new(struct follow **ret);
void follow_free(struct follow *f); /* NULL is fine */

/* A packet of any of them, in any order within a reading. mss: bytes of data in a segment. */
void follow_packet(struct follow *f, const struct box_packet *p, uint32_t mss);

/* All boxes have been read. */
void follow_round(struct follow *f);

/* sends: the direction away from the key's local end. false: too few losses to tell. */
bool follow_look(struct follow *f, const struct flow_key *key, bool sends, struct pace_seen *ret);

#endif
