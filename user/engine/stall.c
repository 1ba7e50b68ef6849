/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a stall: suspected, confirmed, judged, ended. One incident is one direction of one
 * flow. A sender that owes data is confirmed by time alone; a receiver that hears nothing is
 * confirmed only once the peer has been asked, because a silent peer may just be idle.
 */
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/judge.h"

#define SUSPECT_MIN_NS NS_PER_S
#define VERDICT_WAIT_NS                                                                            \
	(4 * NS_PER_S)	   /* after the confirmation, for evidence that does not come              \
			    */
#define RECOVERED_SEGS	10 /* less than that may be the stuck segment trickling through */
#define DRIBBLE_LOOK_NS (200 * NS_PER_MS)
#define TIMER_MAX_NS	(NS_PER_S / 2)

/* Of a flow that is gone at most a few are left, waiting for an answer. */
struct stall *stall_of(struct engine *e, const struct flow_key *key, bool sends)
{
	const struct flow *f = flow_find(e, key);

	if (f)
		return f->stall[sends] < 0 ? NULL : &e->stalls[f->stall[sends]];
	for (uint32_t i = 0; e->closing && i < e->stall_top; i++) {
		struct stall *s = &e->stalls[i];

		if (s->phase == STALL_CLOSING && s->sends == sends &&
		    s->pub.key.cookie == key->cookie && s->pub.key.netns == key->netns)
			return s;
	}
	return NULL;
}

static struct flow *flow_of(struct engine *e, const struct stall *s)
{
	return s->flow < 0 ? NULL : &e->flows[s->flow];
}

static void push(struct engine *e, enum output_kind kind, const struct stall *s)
{
	struct output out = {.kind = kind, .now_ns = e->now_ns, .incident = &s->pub};

	output_push(e, &out);
}

struct stall *stall_slot(struct engine *e, struct flow *f, bool sends)
{
	struct stall *s = NULL;
	uint32_t i;

	for (i = e->stall_hint; i < e->config.max_incidents; i++)
		if (e->stalls[i].phase == STALL_FREE && e->stalls[i].freed_step != e->step)
			break;
	if (i == e->config.max_incidents) {
		e->counts.incidents_not_tracked++;
		return NULL;
	}
	if (i == e->stall_hint)
		e->stall_hint++;
	s = &e->stalls[i];
	memset(s, 0, sizeof(*s));
	if (i >= e->stall_top)
		e->stall_top = i + 1;
	s->phase = STALL_SUSPECT;
	s->sends = sends;
	s->flow = (int32_t)(f - e->flows);
	s->pub.key = f->last.key;
	s->pub.local_sends = sends;
	s->pub.named = f->last.flags & SNAP_NAMED;
	s->pub.suspected_ns = e->now_ns;
	s->pub.last_progress_ns = e->now_ns - flow_silence_ns(&f->last, sends, e->now_ns);
	s->pub.bytes_at_stall = flow_dir(&f->last, sends)->bytes;
	s->pub.rate_bps = f->rate_bps[sends];
	s->pub.first = s->pub.last = f->last;
	s->pub.capture = f->capture;
	s->pub.process.pid = f->last.pid;
	memcpy(s->pub.process.comm, f->last.comm, sizeof(s->pub.process.comm));
	s->distance = hops_from_ttl(f->last.ttl_in);
	s->csum_before = f->last.csum_bad;
	s->dirty = true;
	if (f->route_known)
		s->pub.route = f->route;
	e->open_stalls++;
	return s;
}

struct stall *stall_take(struct engine *e, struct flow *f, bool sends)
{
	struct stall *s = stall_slot(e, f, sends);

	if (s)
		f->stall[sends] = (int32_t)(s - e->stalls);
	return s;
}

/* The flow's other direction, or a phase that crawls, goes on and is listened to as well. */
static bool heard_by_another(const struct engine *e, const struct flow *f, const struct stall *s)
{
	for (int sends = 0; f && sends < 2; sends++) {
		int32_t stalled = f->stall[sends], slow = f->crawl[sends].stall;

		if ((stalled >= 0 && &e->stalls[stalled] != s && e->stalls[stalled].listening) ||
		    (slow >= 0 && &e->stalls[slow] != s && e->stalls[slow].listening))
			return true;
	}
	return false;
}

void stall_free(struct engine *e, struct stall *s)
{
	struct flow *f = flow_of(e, s);

	if (s->listening && !heard_by_another(e, f, s)) {
		struct output out = {.kind = OUT_WANT, .now_ns = e->now_ns};

		out.want.kind = WANT_RELEASE;
		out.want.key = s->pub.key;
		output_push(e, &out);
	}
	if (f && s->phase != STALL_SLOW)
		f->stall[s->sends] = -1;
	e->closing -= s->phase == STALL_CLOSING;
	if ((uint32_t)(s - e->stalls) < e->stall_hint)
		e->stall_hint = (uint32_t)(s - e->stalls);
	s->phase = STALL_FREE;
	s->freed_step = e->step;
	e->due_ns[s - e->stalls] = UINT64_MAX;
	e->open_stalls--;
	while (e->stall_top && e->stalls[e->stall_top - 1].phase == STALL_FREE)
		e->stall_top--;
}

/* Half of the silence that confirms, but two retransmission timeouts if those are longer. */
static uint64_t suspect_after_ns(const struct engine *e, const struct flow_snapshot *s, bool sends)
{
	uint64_t rto_ns = ((uint64_t)s->rto_us * NS_PER_US) >> (s->backoff < 16 ? s->backoff : 16);
	uint64_t t = e->config.stall_after_ns / 2;

	if (t > SUSPECT_MIN_NS)
		t = SUSPECT_MIN_NS;
	if (sends && t < 2 * rto_ns)
		t = 2 * rto_ns;
	return t < e->config.stall_after_ns ? t : e->config.stall_after_ns;
}

/*
 * The incident's name: when it was confirmed, and which flow (FNV-1a over the key). An outage
 * stalls hundreds of transfers in one second: 32 bits keep them apart.
 */
void incident_name(const struct engine *e, struct incident *i)
{
	uint64_t wall_ns = i->begun_ns + (uint64_t)e->config.wall_offset_ns;
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	uint32_t hash = 2166136261u;
	const uint8_t *p = (const uint8_t *)&i->key;
	struct tm tm;
	char when[16];

	for (size_t k = 0; k < sizeof(i->key); k++)
		hash = (hash ^ p[k]) * 16777619u;
	hash = (hash ^ i->local_sends) * 16777619u;
	if (i->slow) /* several phases may begin in one second */
		hash = (hash ^ i->pace.limit ^ (uint32_t)i->pace.first_frame << 4) * 16777619u;
	gmtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%S", &tm);
	snprintf(i->id, sizeof(i->id), "%s-%08x", when, hash);
}

static void announce(struct engine *e, struct stall *s)
{
	s->untold = false;
	e->counts.stalls++;
	e->counts.stalls_now++;
	push(e, OUT_STALL_BEGIN, s);
}

void stall_confirm(struct engine *e, struct stall *s)
{
	struct flow *f = flow_of(e, s);

	s->phase = STALL_CONFIRMED;
	s->pub.begun_ns = e->now_ns;
	s->pub.first = s->pub.last;
	s->judge_until_ns = e->now_ns + VERDICT_WAIT_NS;
	s->next_scan_ns = e->now_ns; /* witnesses, and what has changed on this host since */
	s->dirty = true;
	incident_name(e, &s->pub);
	if (f && !s->pub.rate_bps)
		s->pub.rate_bps = f->rate_bps[s->sends];
	if (!s->untold)
		announce(e, s);
}

static bool same_end(const struct ip_addr *a, const struct ip_addr *b)
{
	return !a->family || !b->family || addr_equal(a, b);
}

/* The far end of a dead link gets a name only once it lives again: that is nothing new. */
static bool same_place(const struct place *a, const struct place *b)
{
	return a->kind == b->kind && a->ttl == b->ttl && a->side == b->side &&
	       addr_equal(&a->address, &b->address) && same_end(&a->near, &b->near) &&
	       same_end(&a->far, &b->far) &&
	       (addr_equal(&a->near, &b->near) || addr_equal(&a->far, &b->far));
}

/* But for the numbers in them, which go on counting. */
static bool same_words(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "0123456789.");
		b += strspn(b, "0123456789.");
		if (*a != *b)
			return false;
		if (!*a)
			return true;
	}
}

bool verdict_same(const struct verdict *a, const struct verdict *b)
{
	return a->cause == b->cause && a->way == b->way && same_place(&a->where, &b->where) &&
	       same_words(a->detail, b->detail);
}

/*
 * The first verdict waits until what was asked for has come, since half of a round of probes
 * misleads, but not for ever. Later ones wait for whole rounds and are told only if they say
 * something else.
 */
static void conclude(struct engine *e, struct stall *s, bool now)
{
	bool overdue = !s->verdict_out && e->now_ns >= s->judge_until_ns;
	struct verdict v = {0};

	if (!s->dirty || (!now && !overdue && !gather_done(e, s)))
		return;
	if (e->config.offline && !now)
		return; /* what comes after is in the file: judged when the stall is over */
	judge(e, s, &v);
	s->dirty = false;
	if (s->untold) {
		if (v.cause != CAUSE_CONNECT_REFUSED_BY_PATH)
			return;
		announce(e, s);
	}
	if (v.cause == CAUSE_PATH_LOSS && !passes_by(s))
		loss_said(e, s);
	if (s->verdict_out && verdict_same(&v, &s->pub.verdict) &&
	    (!s->changed_at || s->change_told))
		return;
	if (s->verdict_out && v.cause == CAUSE_UNKNOWN)
		return; /* what was known does not become unknown by more of the same */
	s->place_found = v.where.confidence;
	calibrate(s, &v);
	s->pub.verdict = v;
	s->verdict_out = true;
	s->change_told = s->changed_at;
	push(e, OUT_VERDICT, s);
}

/*
 * What the first ACK covered (its last byte had been sent again, or it had arrived long before)
 * tells which way was broken.
 */
static void learn_way(struct engine *e, struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;
	struct verdict *v = &s->pub.verdict;
	enum way way = last->resume_jump > 2 * last->mss ? WAY_REVERSE : WAY_FORWARD;

	if (!s->sends || !s->verdict_out || passes_by(s) || v->way != WAY_UNKNOWN ||
	    v->cause != CAUSE_PATH_BLACKHOLE || last->retrans_ns <= s->pub.last_progress_ns)
		return;
	if (way == WAY_FORWARD && s->pub.first.unacked_segs < 3)
		return; /* all that was under way was sent again */
	v->way = way;
	if (v->n_evidence < MAX_EVIDENCE) {
		struct evidence *line = &v->evidence[v->n_evidence++];

		line->id = "first-ack";
		line->weight = 0;
		snprintf(
			line->text, sizeof(line->text),
			way == WAY_REVERSE
				? "the first ACK covered %u bytes that had not been sent again: "
				  "the "
				  "data had arrived, the ACKs were lost"
				: "the first ACK covered what had been sent again and no more: the "
				  "data was lost",
			last->resume_jump);
	}
	push(e, OUT_VERDICT, s);
}

void stall_close(struct engine *e, struct stall *s, enum outcome outcome, uint64_t ended_ns)
{
	const bool confirmed = s->phase == STALL_CONFIRMED || s->phase == STALL_CLOSING;

	if (outcome == OUTCOME_RECOVERED && s->phase == STALL_CONFIRMED)
		learn_way(e, s);
	if (confirmed && !s->verdict_out) {
		const struct stall *other = s->probing ? NULL : group_last(e, s);

		if (other)
			group_adopt(s, other);
		s->asked |= s->probing; /* what has come of the round has to do */
		s->dirty = true;
		conclude(e, s, true);
	}
	if (confirmed && !s->untold) {
		s->pub.outcome = outcome;
		s->pub.ended_ns = ended_ns;
		e->counts.stalls_now--;
		if (outcome != OUTCOME_RECOVERED)
			e->counts.unrecovered++;
		push(e, OUT_STALL_END, s);
	}
	stall_free(e, s);
}

/*
 * Silence without the time in which this program was not run: on a starved machine, or one that was
 * paused, the ends of the transfer may not have been run either.
 */
static uint64_t watched_silence_ns(const struct engine *e, const struct stall *s)
{
	uint64_t since_ns = s->pub.last_progress_ns;
	uint64_t silence_ns = e->now_ns - since_ns;

	if (e->late_since_ns > since_ns)
		since_ns = e->late_since_ns;
	if (e->late_until_ns > since_ns)
		silence_ns -= e->late_until_ns - since_ns;
	return silence_ns;
}

/*
 * Whether silence of this length means a stall: the timer has had two tries and time for an answer.
 * Doubling (RFC 6298 5.5) makes an outage of half of stall-after a silence of all of it and one
 * timeout more: that is added.
 */
static bool silent_enough(const struct engine *e, const struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;
	uint64_t silence_ns = watched_silence_ns(e, s), wait_ns = e->config.stall_after_ns;
	uint64_t tried_ns = e->now_ns - last->retrans_ns;
	uint64_t timer_ns = ((uint64_t)last->rto_us * NS_PER_US) >> (last->backoff & 31);

	if (!passes_by(s) && !flow_own_window_shut(last))
		wait_ns += timer_ns < TIMER_MAX_NS ? timer_ns : TIMER_MAX_NS;
	if (silence_ns < wait_ns)
		return false;
	if (!s->sends || !last->unacked_segs || silence_ns >= 2 * wait_ns || passes_by(s))
		return true;
	return last->retrans >= 2 && tried_ns >= 2 * NS_PER_US * last->rtt_us;
}

/* The peer was asked and said that it has nothing more to send: it is idle, the path is fine. */
static bool peer_says_idle(const struct stall *s)
{
	return !s->sends && s->peer.nxt_ns && (int32_t)(s->peer.nxt - s->pub.last.rcv_nxt) <= 0 &&
	       !s->pub.last.hole_segs && !flow_peer_repeats(&s->pub.last);
}

/*
 * What is known of a flow may be older than the decision, where the machine was too busy to look:
 * it may have moved since.
 */
static bool seen_in_time(const struct engine *e, const struct stall *s, const struct flow *f)
{
	return (f->last.flags & SNAP_OFFLINE) ||
	       f->seen_ns >= s->pub.last_progress_ns + e->config.stall_after_ns;
}

static void consider_suspect(struct engine *e, struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;
	struct flow *f = flow_of(e, s);
	bool named = last->flags & SNAP_NAMED;
	bool askable = e->config.probe && !s->pub.route.loopback && !(last->flags & SNAP_SECURED);
	bool asked = !askable || (s->rounds && !s->outstanding);

	if (!silent_enough(e, s) || !seen_in_time(e, s, f))
		return;
	if (s->sends || flow_own_window_shut(last) || flow_peer_repeats(last) || last->hole_segs) {
		stall_confirm(e, s);
	} else if (peer_says_idle(s)) {
		if (named && flow_was_steady(e, last, false)) {
			stall_confirm(e, s);
			return;
		}
		f->idle_bytes[s->sends] = last->rcv.bytes;
		stall_free(e, s);
	} else if (s->peer.nxt_ns && !peer_is_ahead(e, s)) {
		return; /* it answers, and what it has sent may be on its way */
	} else if (asked && (named || s->pub.probes_sent)) {
		/* No answer. Where nothing could be asked only who was named may be suspected. */
		stall_confirm(e, s);
	}
}

bool peer_is_ahead(const struct engine *e, const struct stall *s)
{
	uint64_t under_way_ns = NS_PER_S + 2 * NS_PER_US * s->pub.last.rtt_us; /* one timeout */

	return s->peer.nxt_ns && (int32_t)(s->peer.nxt - s->pub.last.rcv_nxt) > 0 &&
	       e->now_ns >= s->peer.nxt_ns + under_way_ns;
}

void stall_tick(struct engine *e, struct stall *s)
{
	uint64_t next_ns;

	if (s->phase == STALL_SLOW) {
		crawl_tick(e, s);
		return;
	}
	if (s->phase == STALL_SUSPECT)
		consider_suspect(e, s);
	if (s->phase == STALL_FREE)
		return;
	gather_more(e, s);
	if (s->phase == STALL_CONFIRMED)
		conclude(e, s, false);
	if (s->phase == STALL_CLOSING && (e->now_ns >= s->end_ns || gather_done(e, s))) {
		conclude(e, s, true);
		stall_close(e, s, s->end_as, s->pub.ended_ns);
		return;
	}
	next_ns = gather_deadline(e, s);
	if (s->phase == STALL_SUSPECT) {
		uint64_t t = s->pub.last_progress_ns + e->config.stall_after_ns;

		if (t <= e->now_ns)
			t = e->now_ns + e->config.stall_after_ns / 8;
		next_ns = t < next_ns ? t : next_ns;
	}
	if (s->phase == STALL_CONFIRMED && !s->verdict_out && s->judge_until_ns < next_ns)
		next_ns = s->judge_until_ns;
	if (s->phase == STALL_CLOSING && s->end_ns < next_ns)
		next_ns = s->end_ns;
	e->due_ns[s - e->stalls] = next_ns > e->now_ns ? next_ns : e->now_ns + NS_PER_MS;
}

/* The peer has closed its direction: what it had to say is said. */
static bool peer_is_done(const struct flow_snapshot *s)
{
	return s->state == TCP_CLOSE_WAIT || s->state == TCP_LAST_ACK || s->state == TCP_CLOSING ||
	       s->state == TCP_TIME_WAIT;
}

/* Progress came back. A dribble is not recovery, unless all that was owed is through. */
static bool recovered(const struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;
	uint64_t moved = flow_dir(last, s->sends)->bytes - s->pub.bytes_at_stall;
	uint64_t enough = (uint64_t)RECOVERED_SEGS * (last->mss ? last->mss : 536);

	return moved >= enough || (moved && (s->sends ? !owed_bytes(last) : peer_is_done(last)));
}

/*
 * A flow that passes by has only its packets to speak for it: the tracker of packets tells when
 * there is something to show for a stall, and live whatever moves as well.
 */
static bool may_stall(const struct engine *e, const struct flow *f, bool sends)
{
	if (!(f->last.flags & SNAP_OFFLINE))
		return true;
	if (sends == f->capture.local_receives)
		return false; /* the other direction is a flow of its own there */
	return e->config.offline || (f->capture.key.cookie && !f->capture.recovered);
}

void stall_look(struct engine *e, struct flow *f, bool sends)
{
	const struct flow_snapshot *now = &f->last;
	const struct direction *d = flow_dir(now, sends);
	uint64_t silence_ns = flow_silence_ns(now, sends, e->now_ns);
	struct stall *s = f->stall[sends] < 0 ? NULL : &e->stalls[f->stall[sends]];

	if (f->stall[sends] < 0) {
		if (!flow_is_transfer(e, now, sends) ||
		    !flow_suspicious(e, now, sends, silence_ns) ||
		    silence_ns < suspect_after_ns(e, now, sends) || !may_stall(e, f, sends) ||
		    (f->idle_bytes[sends] && f->idle_bytes[sends] == d->bytes && !now->hole_segs &&
		     !flow_peer_repeats(now)))
			return;
		s = stall_take(e, f, sends);
		if (!s)
			return;
		gather_start(e, s);
	}
	if (passes_by(s) && s->phase == STALL_CONFIRMED && f->capture.recovered &&
	    d->progress_ns > s->pub.last_progress_ns) {
		/* Whoever reads a file has seen the rest: the state in the stall is what is judged.
		 */
		s->pub.recovered_bytes = d->bytes - s->pub.bytes_at_stall;
		stall_close(e, s, OUTCOME_RECOVERED, d->progress_ns);
		return;
	}
	s->dirty |= now->state != s->pub.last.state || now->in_segs != s->pub.last.in_segs ||
		    now->retrans != s->pub.last.retrans || now->snd_wnd != s->pub.last.snd_wnd;
	s->pub.last = *now;
	if (d->bytes > s->pub.bytes_at_stall) {
		if (s->phase == STALL_SUSPECT) {
			stall_free(e, s);
			return;
		}
		s->pub.recovered_bytes = d->bytes - s->pub.bytes_at_stall;
		if (recovered(s)) {
			uint64_t back_ns = d->run_start_ns > s->pub.last_progress_ns
						   ? d->run_start_ns
						   : d->progress_ns;

			stall_close(e, s, OUTCOME_RECOVERED, back_ns);
			return;
		}
		/* The sensor leaves flows alone that move again. */
		s->next_scan_ns = e->now_ns + DRIBBLE_LOOK_NS;
	}
	stall_tick(e, s);
}
