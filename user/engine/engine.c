/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The public face of the engine: memory, dispatch of observations, results. What an observation
 * means for a flow is in flows.c, for a stall in stall.c, for the verdict in judge.c.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

#define OUTPUTS	      4096 /* a power of two */
#define SCAN_CALM_NS  (500 * NS_PER_MS)
#define SCAN_ALERT_NS (100 * NS_PER_MS)
#define RATE_NS	      NS_PER_S		/* a rate is that of so long at least, */
#define RATE_MIN_NS   (100 * NS_PER_MS) /* or of a whole run that is shorter */

struct engine_config engine_defaults(void)
{
	return (struct engine_config){
		.stall_after_ns = 2 * NS_PER_S,
		.min_bytes = 1 << 20,
		.max_flows = 16384,
		.max_incidents = 1024,
		.probe = true,
	};
}

int engine_new(const struct engine_config *config, struct engine **ret)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->config = *config;
	for (e->n_buckets = 16; e->n_buckets < config->max_flows; e->n_buckets *= 2)
		;
	e->flows = calloc(config->max_flows, sizeof(*e->flows));
	e->buckets = malloc(e->n_buckets * sizeof(*e->buckets));
	e->stalls = calloc(config->max_incidents, sizeof(*e->stalls));
	e->slow = calloc(1, sizeof(*e->slow));
	e->due_ns = malloc(config->max_incidents * sizeof(*e->due_ns));
	e->mover = malloc(config->max_flows * sizeof(*e->mover));
	e->mover_bucket = malloc(e->n_buckets * sizeof(*e->mover_bucket));
	e->paths = calloc(PATHS, sizeof(*e->paths));
	e->out.slot = calloc(OUTPUTS, sizeof(*e->out.slot));
	e->out.size = OUTPUTS;
	if (!e->flows || !e->buckets || !e->stalls || !e->slow || !e->due_ns || !e->mover ||
	    !e->mover_bucket || !e->paths || !e->out.slot) {
		engine_free(e);
		return -ENOMEM;
	}
	memset(e->buckets, 0xff, e->n_buckets * sizeof(*e->buckets));
	e->free_flow = -1;
	memset(e->due_ns, 0xff, config->max_incidents * sizeof(*e->due_ns));
	*ret = e;
	return 0;
}

uint64_t engine_bytes(const struct engine *e)
{
	const uint64_t flows = e->config.max_flows, stalls = e->config.max_incidents,
		       buckets = e->n_buckets;

	return sizeof(*e) + flows * (sizeof(*e->flows) + sizeof(*e->mover)) +
	       buckets * (sizeof(*e->buckets) + sizeof(*e->mover_bucket)) +
	       stalls * (sizeof(*e->stalls) + sizeof(*e->due_ns)) + sizeof(*e->slow) +
	       PATHS * sizeof(*e->paths) + OUTPUTS * sizeof(*e->out.slot);
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	free(e->flows);
	free(e->buckets);
	free(e->stalls);
	free(e->slow);
	free(e->due_ns);
	free(e->mover);
	free(e->mover_bucket);
	free(e->paths);
	free(e->out.slot);
	free(e);
}

/* A verdict or the end of a stall must not get lost behind wishes: those keep a reserve free. */
void output_push(struct engine *e, const struct output *out)
{
	uint32_t used = e->out.head - e->out.tail;
	uint32_t room = out->kind == OUT_WANT ? e->out.size / 2 : e->out.size;

	if (used >= room) {
		e->counts.outputs_lost++;
		return;
	}
	e->out.slot[e->out.head++ & (e->out.size - 1)] = *out;
}

bool engine_next(struct engine *e, struct output *ret)
{
	if (e->out.head == e->out.tail)
		return false;
	*ret = e->out.slot[e->out.tail++ & (e->out.size - 1)];
	if (e->out.tail == e->out.head) /* always the same memory, where a little will do */
		e->out.tail = e->out.head = 0;
	return true;
}

/*
 * Bits a second while it last moved: up to the last progress, not up to this look, which may come
 * long after. From the last rate on, which is a second ago at least; at the beginning of a run from
 * there on.
 */
static void note_rate(struct flow *f, const struct flow_snapshot *s)
{
	for (int sends = 0; sends < 2; sends++) {
		const struct direction *is = flow_dir(s, sends);
		bool goes_on = f->rated_ns[sends] > is->run_start_ns &&
			       f->rated_ns[sends] - is->run_start_ns >= RATE_NS;
		uint64_t since_ns = goes_on ? f->rated_ns[sends] : is->run_start_ns;
		uint64_t since_bytes = goes_on ? f->rated_bytes[sends] : is->run_start_bytes;

		if (is->bytes <= since_bytes || is->progress_ns <= since_ns ||
		    is->progress_ns - since_ns < (goes_on ? RATE_NS : RATE_MIN_NS))
			continue;
		f->rate_bps[sends] = rate_bps(is->bytes - since_bytes, is->progress_ns - since_ns);
		f->rated_ns[sends] = is->progress_ns;
		f->rated_bytes[sends] = is->bytes;
	}
}

static int step_snapshot(struct engine *e, const struct flow_snapshot *s)
{
	struct flow *f = flow_find(e, &s->key);

	if (!f) {
		if (!flow_is_transfer(e, s, true) && !flow_is_transfer(e, s, false) &&
		    !(s->flags & SNAP_WITNESS_ONLY))
			return 0;
		f = flow_take(e, &s->key);
		if (!f) {
			e->counts.flows_not_tracked++;
			return -ENOSPC;
		}
	}
	note_rate(f, s);
	f->last = *s;
	f->seen_ns = e->now_ns;
	for (int sends = 0; sends < 2; sends++) {
		if (!f->counted[sends] && flow_is_transfer(e, s, sends)) {
			f->counted[sends] = true;
			e->counts.transfers++;
		}
	}
	stall_look(e, f, true);
	stall_look(e, f, false);
	crawl_look(e, f);
	return 0;
}

static void step_gone(struct engine *e, const struct flow_gone *gone)
{
	struct flow *f = flow_find(e, &gone->last.key);

	/* A transfer may live and die without ever having been silent. */
	if ((!f || !f->last.state) && gone->reason == GONE_RESET &&
	    step_snapshot(e, &gone->last) == 0)
		f = flow_find(e, &gone->last.key);
	if (!f)
		return;
	note_rate(f, &gone->last);
	f->last = gone->last;
	stall_gone(e, f, gone);
	flow_drop(e, f);
}

/* Both directions of a flow may be stalled, or crawl: fn for each of them. */
static void each_stall(struct engine *e, const struct flow_key *key, const struct observation *obs,
		       void (*fn)(struct stall *, const struct observation *))
{
	const struct flow *f = flow_find(e, key);

	for (int sends = 0; sends < 2; sends++) {
		struct stall *both[] = {
			stall_of(e, key, sends),
			f && f->crawl[sends].stall >= 0 ? &e->stalls[f->crawl[sends].stall] : NULL,
		};

		for (int i = 0; i < 2; i++) {
			if (!both[i])
				continue;
			fn(both[i], obs);
			both[i]->dirty = true;
			stall_tick(e, both[i]);
		}
	}
}

static void take_icmp(struct stall *s, const struct observation *obs)
{
	answer_icmp(s, &obs->icmp);
}

static void take_drop(struct stall *s, const struct observation *obs)
{
	answer_drop(s, &obs->drop);
}

static void take_probe(struct stall *s, const struct observation *obs)
{
	answer_probe(s, &obs->probe);
}

static void take_route(struct stall *s, const struct observation *obs)
{
	local_route(s, &obs->route);
}

static void take_process(struct stall *s, const struct observation *obs)
{
	local_process(s, &obs->process);
}

static void take_onlink(struct stall *s, const struct observation *obs)
{
	local_onlink(s, &obs->onlink, obs->now_ns);
}

static void step_reset(struct engine *e, const struct reset_seen *r)
{
	struct flow *f = flow_find(e, &r->key);

	/* Not tracked yet: the socket's end, which follows, brings the flow. */
	if (!f)
		f = flow_take(e, &r->key);
	if (!f) {
		e->counts.flows_not_tracked++;
		return;
	}
	f->seen_ns = f->seen_ns ? f->seen_ns : e->now_ns;
	f->reset = *r;
	f->reset_known = true;
}

/* Belongs to the snapshot that follows. */
static int step_capture(struct engine *e, const struct capture_seen *c)
{
	struct flow *f = flow_find(e, &c->key);

	f = f ? f : flow_take(e, &c->key);
	if (!f) {
		e->counts.flows_not_tracked++;
		return -ENOSPC;
	}
	f->capture = *c;
	for (int sends = 0; sends < 2; sends++) {
		if (f->stall[sends] >= 0) {
			struct stall *s = &e->stalls[f->stall[sends]];
			uint64_t decided = s->pub.capture.decide_frame;

			s->pub.capture = *c;
			s->pub.capture.decide_frame = decided;
			s->dirty = true;
		}
	}
	return 0;
}

static void step_route(struct engine *e, const struct observation *obs)
{
	struct flow *f = flow_find(e, &obs->route.key);

	if (f && !obs->route.hop && !obs->route.error) {
		f->route = obs->route;
		f->route_known = true;
	}
	each_stall(e, &obs->route.key, obs, take_route);
}

static void step_probe(struct engine *e, const struct observation *obs)
{
	const struct probe_seen *p = &obs->probe;

	if (p->answer == ANSWER_TIME_EXCEEDED && p->ttl && p->ttl <= MAX_DISTANCE)
		path_learn(e, &p->key, p->ttl, &p->from);
	loss_learn(e, p);
	each_stall(e, &p->key, obs, take_probe);
}

static void step_life(struct engine *e, const struct life_seen *life)
{
	struct output out = {.kind = OUT_TRANSFER, .now_ns = e->now_ns, .life = &e->life};

	e->life = *life;
	output_push(e, &out);
}

static void step_onlink(struct engine *e, const struct observation *obs)
{
	const struct flow_key *key = &obs->onlink.key;

	each_stall(e, key, obs, take_onlink);
	for (int sends = 0; sends < 2 && obs->onlink.kind == ONLINK_DONE; sends++) {
		const struct stall *s = stall_of(e, key, sends);

		if (s && s->onlink_brief | s->onlink_close)
			local_share(e, s);
	}
}

static void step_all(struct engine *e, void (*fn)(struct engine *, struct stall *))
{
	for (uint32_t i = 0; i < e->stall_top; i++)
		if (e->stalls[i].phase != STALL_FREE)
			fn(e, &e->stalls[i]);
}

static void scanned(struct engine *e, struct stall *s)
{
	if (s->next_scan_ns < e->now_ns + SCAN_EVERY_NS && !s->pub.recovered_bytes)
		s->next_scan_ns = e->now_ns + SCAN_EVERY_NS; /* one look serves all */
	s->dirty = true;
	stall_tick(e, s);
}

static void ended(struct engine *e, struct stall *s)
{
	if (s->phase == STALL_SLOW) {
		crawl_end(e, &e->flows[s->flow], s->sends, OUTCOME_WATCH_ENDED);
		return;
	}
	stall_close(e, s, e->capture_end ? OUTCOME_CAPTURE_ENDED : OUTCOME_WATCH_ENDED, e->now_ns);
}

/* A full scan reports every living flow; one that two of them have passed over is gone unheard. */
static void expire_flows(struct engine *e)
{
	struct flow_gone gone = {.reason = GONE_CLOSED};

	for (uint32_t i = 0; i < e->flow_top; i++) {
		struct flow *f = &e->flows[i];

		if (!f->used || f->seen_ns >= e->scanned_ns[1])
			continue;
		gone.last = f->last;
		stall_gone(e, f, &gone);
		flow_drop(e, f);
	}
	e->scanned_ns[1] = e->scanned_ns[0];
	e->scanned_ns[0] = e->now_ns;
}

int engine_step(struct engine *e, const struct observation *obs)
{
	int err = 0;

	e->step++;
	if (obs->now_ns > e->now_ns)
		e->now_ns = obs->now_ns;
	switch (obs->type) {
	case OBS_SNAPSHOT:
		err = step_snapshot(e, &obs->snapshot);
		break;
	case OBS_GONE:
		step_gone(e, &obs->gone);
		break;
	case OBS_RESET:
		step_reset(e, &obs->reset);
		break;
	case OBS_ICMP:
		each_stall(e, &obs->icmp.key, obs, take_icmp);
		break;
	case OBS_DROP:
		each_stall(e, &obs->drop.key, obs, take_drop);
		break;
	case OBS_PROBE:
		step_probe(e, obs);
		break;
	case OBS_ROUTE:
		step_route(e, obs);
		break;
	case OBS_PROCESS:
		each_stall(e, &obs->process.key, obs, take_process);
		break;
	case OBS_ONLINK:
		step_onlink(e, obs);
		break;
	case OBS_NEIGH:
		local_neigh(e, &obs->neigh);
		break;
	case OBS_SCANNED:
		expire_flows(e);
		witness_look(e);
		step_all(e, scanned);
		break;
	case OBS_CAPTURE:
		err = step_capture(e, &obs->capture);
		break;
	case OBS_PACE:
		if (obs->pace.key.netns) /* it has a socket here, and is still watched */
			crawl_paced(e, &obs->pace);
		else
			slow_phase(e, &obs->pace);
		break;
	case OBS_LIFE:
		step_life(e, &obs->life);
		break;
	case OBS_END:
		e->capture_end = obs->capture_end;
		step_all(e, ended);
		break;
	case OBS_LATE:
		e->late_since_ns = obs->late_since_ns;
		e->late_until_ns = e->now_ns;
		break;
	case OBS_TICK:
	case OBS_TYPES:
		break;
	}
	for (uint32_t i = 0; i < e->stall_top; i++)
		if (e->due_ns[i] <= e->now_ns)
			stall_tick(e, &e->stalls[i]);
	return err;
}

uint64_t engine_deadline(const struct engine *e)
{
	uint64_t due_ns = UINT64_MAX;

	for (uint32_t i = 0; i < e->stall_top; i++)
		due_ns = e->due_ns[i] < due_ns ? e->due_ns[i] : due_ns;
	return due_ns;
}

uint64_t engine_scan_period_ns(const struct engine *e)
{
	return e->open_stalls ? SCAN_ALERT_NS : SCAN_CALM_NS;
}

struct engine_counts engine_counts(const struct engine *e)
{
	return e->counts;
}

void engine_each_transfer(const struct engine *e, bool (*fn)(const struct transfer *, void *),
			  void *arg)
{
	for (uint32_t i = 0; i < e->flow_top; i++) {
		const struct flow *f = &e->flows[i];

		for (int sends = 0; f->used && sends < 2; sends++) {
			const struct stall *s =
				f->stall[sends] < 0 ? NULL : &e->stalls[f->stall[sends]];
			bool confirmed = s && s->phase != STALL_SUSPECT;
			struct transfer t = {
				.last = &f->last,
				.local_sends = sends,
				.owes = sends ? owed_bytes(&f->last) > 0 : s != NULL,
				.rate_bps = f->rate_bps[sends],
				.incident = confirmed ? &s->pub : NULL,
			};

			if (!flow_is_transfer(e, &f->last, sends))
				continue;
			if (t.owes || confirmed)
				t.silence_ns = flow_silence_ns(&f->last, sends, e->now_ns);
			if (!fn(&t, arg))
				return;
		}
	}
}
