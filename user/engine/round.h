/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rounds of probes, for gather.c, which decides when. Those that may tell nothing have a question
 * of their own, *_tell(): whether it is worth asking.
 */
#ifndef TCPSTALL_ENGINE_ROUND_H
#define TCPSTALL_ENGINE_ROUND_H

#include "engine/judge.h"

#define PLACE_ENOUGH   0.6
#define ROUND_A_HOP    5 /* probes, in the first round */
#define ROUND_BEHIND   3 /* hops behind the frontier that later rounds ask */
#define ROUND_FRONTIER (PROBE_KINDS * (ROUND_BEHIND + 1))
#define HOP_RESTS_NS                                                                               \
	(1100 * NS_PER_MS) /* the prober asks one hop no faster after the first round */

/* An output with all that is the same for every wish of a stall (gather.c). */
struct output gather_want(const struct engine *e, const struct stall *s, enum want_kind kind);

/* Counts the probes that wait, now and then. */
void round_count(struct engine *e);
bool round_in_flow_possible(const struct stall *s);

/* After the first probes of a round. */
void round_begins(struct engine *e, struct stall *s);

/* Is the peer there, and has it more to send than we got? */
void round_peer(struct engine *e, struct stall *s);
/*
 * The whole path, or what is left to ask after another stall has asked it. Where the budget is
 * spent, what others found stands for this one as well; if nobody has found anything yet, it waits.
 */
void round_path(struct engine *e, struct stall *s);
/* A forged reset: who is so many hops away? */
void round_author(struct engine *e, struct stall *s);
/* A handshake was refused: from how far away, and who is there? Of many to one port one asks. */
void round_refuser(struct engine *e, struct stall *s);
/* From behind the last hop that this connection reaches to where others stop. */
void round_frontier(struct engine *e, struct stall *s);
/* Large packets to each hop, where they were left out. */
bool round_full_tell(const struct stall *s);
void round_full(struct engine *e, struct stall *s);
/* One more probe to each hop, given the cause so far and how sure its place is. */
bool round_loss_tells(const struct stall *s, enum cause cause, double place);
void round_loss(struct engine *e, struct stall *s);
bool round_copies_tell(const struct engine *e, const struct stall *s);
void round_copies(struct engine *e, struct stall *s);
/* The TTL to ask; 0: it would not tell. */
int round_ways_tell(const struct stall *s, const struct path_view *p);
void round_ways(struct engine *e, struct stall *s, int ttl);
/* A search between the largest size that passed and the smallest that did not. */
bool round_sizes_tell(const struct stall *s);
void round_sizes(struct engine *e, struct stall *s);
void round_sizes_narrow(struct stall *s); /* takes the answers of the last step in */

#endif
