/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues to a connection that does not come about, from a capture. A host that is down, a rule that
 * drops and a full table all look like silence; what else the two ends did in it tells them apart,
 * and where nothing does, the cause stays unknown.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "engine/clues.h"

static void refused_by_another(struct judgement *j)
{
	const struct reset_seen *r = &j->s->reset_seen;

	if (!j->s->reset || !j->s->reset_forged)
		return;
	j->cause[CAUSE_CONNECTION_RESET] -= DECISIVE;
	j->cause[CAUSE_CONNECT_REFUSED_BY_PATH] += DECISIVE;
	evidence(j, "refused-elsewhere", DECISIVE,
		 "the reset that refused it came with TTL %u, what the peer sends on its other "
		 "connections with %u",
		 r->ttl, r->ttl_usual);
}

/* RFC 792 codes 9, 10 and 13, RFC 4443 code 1: a rule of a router. */
static void forbidden_by_router(struct judgement *j)
{
	const struct icmp_seen *i = &j->s->icmp;
	bool v6 = i->from.family == AF_INET6;
	char from[ADDR_TEXT_LEN];

	if (!j->s->icmp_count || i->type != (v6 ? 1 : 3) ||
	    addr_equal(&i->from, &j->s->pub.key.remote.addr))
		return;
	if (v6 ? i->code != 1 : i->code != 9 && i->code != 10 && i->code != 13)
		return;
	j->cause[CAUSE_CONNECT_REFUSED_BY_PATH] += DECISIVE;
	evidence(j, "forbidden", DECISIVE, "%s answered that this is administratively prohibited",
		 addr_text(&i->from, from));
}

static void nobody_answers(struct judgement *j)
{
	const struct capture_seen *c = &j->s->pub.capture;

	if (j->s->pub.last.state != TCP_SYN_SENT || c->recovered || j->s->reset)
		return;
	evidence(j, "syn-unanswered", 0,
		 "%u SYNs, the first in frame %llu, and no answer: the host is down, or they or "
		 "their answers are dropped",
		 c->tries + 1, (unsigned long long)c->first_frame);
	if (c->same_pair) {
		j->cause[CAUSE_CONNECT_REFUSED_BY_PATH] += STRONG;
		evidence(j, "old-ones-live", STRONG,
			 "%u established connection%s of the two hosts moved data meanwhile: new "
			 "ones are dropped on the way, or find no room in the peer's listen queue",
			 c->same_pair, plural(c->same_pair));
	} else if (c->elsewhere && c->stuck_elsewhere && !c->opened) {
		j->cause[CAUSE_CONNECT_REFUSED_BY_PATH] += CLEAR;
		evidence(j, "new-ones-fail", CLEAR,
			 "%u handshake%s with other hosts had no answer either and none came "
			 "about, while %u established connection%s moved data",
			 c->stuck_elsewhere, plural(c->stuck_elsewhere), c->elsewhere,
			 plural(c->elsewhere));
	} else if (c->elsewhere) {
		evidence(j, "others-live", 0,
			 "%u connection%s of one of the hosts moved data meanwhile", c->elsewhere,
			 plural(c->elsewhere));
	}
}

static void answer_is_lost(struct judgement *j)
{
	const struct capture_seen *c = &j->s->pub.capture;

	if (j->s->pub.last.state != TCP_SYN_RECV || c->recovered || j->s->reset)
		return;
	j->cause[CAUSE_PATH_BLACKHOLE] += CLEAR;
	j->way = WAY_FORWARD;
	evidence(j, "syn-ack-lost", CLEAR,
		 "the SYN-ACK came past the capture point %u times and the other end went on "
		 "sending SYNs, %u of them: it is lost behind the capture point",
		 c->tries + 1, c->heard);
}

static void came_about_late(struct judgement *j)
{
	const struct capture_seen *c = &j->s->pub.capture;

	if (!c->recovered || !c->tries)
		return;
	j->cause[CAUSE_PATH_LOSS] += STRONG;
	evidence(j, "handshake-repeated", STRONG,
		 "the handshake went on after %u repetition%s: a SYN, or its answer, was lost or "
		 "had to wait",
		 c->tries, plural(c->tries));
}

void weigh_handshake(struct judgement *j)
{
	refused_by_another(j);
	forbidden_by_router(j);
	nobody_answers(j);
	answer_is_lost(j);
	came_about_late(j);
}
