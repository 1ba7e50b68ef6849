/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A member is a stall that has a verdict. It waits until its silence is as long as its section
 * asks, then it belongs to the group of its cause and place. When its verdict changes it moves; a
 * group that it leaves alone behind takes on the new name instead, so that one trouble stays one
 * alert while it is being understood.
 */
#include "alert/groups_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/format.h"

#define HOUR_NS	   (3600 * NS_PER_S)
#define REVISED_NS (5 * NS_PER_S) /* a verdict that wavers is told no more often */

const char *alert_kind_id(enum alert_kind kind)
{
	static const char *const ids[] = {"alert_begin", "alert_update", "alert_end", "alert_test"};

	return ids[kind];
}

static bool trouble_equal(const struct trouble *a, const struct trouble *b)
{
	return a->cause == b->cause && a->kind == b->kind && a->ttl == b->ttl &&
	       addr_equal(&a->address, &b->address) && addr_equal(&a->near, &b->near) &&
	       addr_equal(&a->far, &b->far);
}

/* A place that is at one of the ends, or not known, is a different one for each peer. */
static struct trouble trouble_of(const struct incident *i)
{
	const struct place *p = &i->verdict.where;
	struct trouble t = {.cause = i->verdict.cause, .kind = p->kind};

	switch (p->kind) {
	case PLACE_SENDER_APP:
	case PLACE_SENDER_HOST:
		t.address = incident_src(i)->addr;
		break;
	case PLACE_RECEIVER_APP:
	case PLACE_RECEIVER_HOST:
		t.address = incident_dst(i)->addr;
		break;
	case PLACE_LINK:
		t.near = p->near;
		t.far = p->far;
		break;
	case PLACE_HOP:
		t.ttl = p->ttl;
		t.address = p->address;
		break;
	default:
		t.address = i->key.remote.addr;
		break;
	}
	return t;
}

static void flow_text(const struct incident *i, char *buf, size_t len)
{
	char src[ENDPOINT_TEXT_LEN], dst[ENDPOINT_TEXT_LEN], name[NAME_LEN] = "";
	const char *comm;
	uint32_t pid;

	if (incident_process(i, &pid, &comm) && *comm)
		format_name(comm, name, sizeof(name));
	snprintf(buf, len, "%s -> %s%s%s%s", endpoint_text(incident_src(i), src),
		 endpoint_text(incident_dst(i), dst), *name ? " (" : "", name, *name ? ")" : "");
}

static struct member *find_member(struct groups *g, const char *incident)
{
	for (int i = 0; i < MEMBERS_MAX; i++)
		if (g->members[i].used && !strcmp(g->members[i].incident, incident))
			return &g->members[i];
	return NULL;
}

/* The same stall, as another process saw it before us. */
static struct member *find_inherited(struct groups *g, const struct incident *i)
{
	for (int k = 0; k < MEMBERS_MAX; k++) {
		struct member *m = &g->members[k];

		if (m->used && m->until_ns && m->sends == i->local_sends &&
		    m->key.netns == i->key.netns && endpoint_equal(&m->key.local, &i->key.local) &&
		    endpoint_equal(&m->key.remote, &i->key.remote))
			return m;
	}
	return NULL;
}

static struct member *new_member(struct groups *g)
{
	for (int i = 0; i < MEMBERS_MAX; i++) {
		if (!g->members[i].used)
			return &g->members[i];
	}
	g->not_tracked++;
	return NULL;
}

struct group *groups_find(struct groups *g, const struct trouble *trouble, const char *watch)
{
	for (int i = 0; i < GROUPS_MAX; i++) {
		struct group *group = &g->groups[i];

		if (group->used && trouble_equal(&group->alert.trouble, trouble) &&
		    !strcmp(group->alert.watch, watch))
			return group;
	}
	return NULL;
}

struct group *groups_add(struct groups *g)
{
	for (int i = 0; i < GROUPS_MAX; i++) {
		if (g->groups[i].used)
			continue;
		g->groups[i] = (struct group){.used = true};
		return &g->groups[i];
	}
	g->not_tracked++;
	return NULL;
}

static const char *section_name(const struct groups *g, int watch)
{
	return g->config->watch[watch].name;
}

static void list_incident(struct alert *a, const char *id)
{
	for (int i = 0; i < a->n_incidents; i++)
		if (!strcmp(a->incidents[i], id))
			return;
	if (a->n_incidents == ALERT_INCIDENTS) {
		memmove(a->incidents[0], a->incidents[1],
			sizeof(a->incidents) - sizeof(a->incidents[0]));
		a->n_incidents--;
	}
	snprintf(a->incidents[a->n_incidents++], INCIDENT_ID, "%s", id);
}

static void leave(struct groups *g, struct member *m, uint64_t now_ns)
{
	struct group *group = m->group;

	if (!group)
		return;
	m->group = NULL;
	group->alert.stalls--;
	group->changed = true;
	if (!group->alert.stalls)
		group->empty_ns = now_ns;
	(void)g;
}

static void describe(struct alert *a, const struct member *m)
{
	a->side = m->side;
	a->cause_confidence = m->cause_confidence;
	a->confidence = m->confidence;
	memcpy(a->place, m->place, sizeof(a->place));
	memcpy(a->detail, m->detail, sizeof(a->detail));
	memcpy(a->advice, m->advice, sizeof(a->advice));
	memcpy(a->flow, m->flow, sizeof(a->flow));
}

/* The member's group, by its trouble; one that it has to itself may be renamed. */
static void enter(struct groups *g, struct member *m, uint64_t now_ns)
{
	const char *watch = section_name(g, m->watch);
	struct group *group = groups_find(g, &m->trouble, watch);

	if (group && m->group == group) {
		describe(&group->alert, m);
		return;
	}
	if (!group && m->group && m->group->alert.stalls == 1 &&
	    !strcmp(m->group->alert.watch, watch)) {
		m->group->alert.trouble = m->trouble;
		m->group->revised = m->group->changed = true;
		describe(&m->group->alert, m);
		return;
	}
	leave(g, m, now_ns);
	if (!group) {
		group = groups_add(g);
		if (!group)
			return;
		snprintf(group->alert.id, sizeof(group->alert.id), "%s", m->incident);
		snprintf(group->alert.watch, sizeof(group->alert.watch), "%s", watch);
		group->alert.trouble = group->alert.was = m->trouble;
		group->alert.begun_ns = m->begun_ns;
		group->due_ns = now_ns + g->config->alerts.group_wait_ns;
	}
	m->group = group;
	group->alert.stalls++;
	group->alert.total += !m->counted;
	m->counted = true;
	group->changed = true;
	describe(&group->alert, m);
	list_incident(&group->alert, m->incident);
}

static void note(struct member *m, const struct incident *i, int watch)
{
	const struct verdict *v = &i->verdict;

	m->watch = watch;
	m->trouble = trouble_of(i);
	m->side = v->where.side;
	m->cause_confidence = v->cause_confidence;
	m->confidence = v->where.confidence;
	format_place(&v->where, i, NULL, m->place);
	snprintf(m->detail, sizeof(m->detail), "%s", v->detail);
	snprintf(m->advice, sizeof(m->advice), "%s", v->advice);
	flow_text(i, m->flow, sizeof(m->flow));
}

static bool is_told(const struct watch_config *w, const struct incident *i)
{
	const uint64_t bytes = i->bytes_at_stall;

	return w->alert != ALERT_NOTHING && (!i->slow || w->alert == ALERT_ALL) &&
	       (int)cause_info(i->verdict.cause)->severity >= w->severity &&
	       (bytes >= w->min_bytes || i->named || !i->last.state);
}

static struct member *take_member(struct groups *g, const struct incident *i)
{
	struct member *m = find_member(g, i->id);

	if (m)
		return m;
	m = find_inherited(g, i);
	if (m) {
		snprintf(m->incident, sizeof(m->incident), "%s", i->id);
		m->until_ns = 0;
		if (m->group)
			list_incident(&m->group->alert, i->id);
		return m;
	}
	m = new_member(g);
	if (!m)
		return NULL;
	*m = (struct member){
		.used = true,
		.key = i->key,
		.sends = i->local_sends,
		.begun_ns = i->slow ? i->begun_ns : i->last_progress_ns,
	};
	snprintf(m->incident, sizeof(m->incident), "%s", i->id);
	return m;
}

void groups_output(struct groups *g, const struct output *out, int watch)
{
	const bool ended = out->kind == OUT_STALL_END || out->kind == OUT_SLOW_END;
	const struct incident *i = out->incident;
	const struct watch_config *w = &g->config->watch[watch];
	struct member *m;

	if (!i || (!ended && out->kind != OUT_VERDICT))
		return;
	/* Who stops to watch says nothing about how it goes on. */
	if (ended && i->outcome == OUTCOME_WATCH_ENDED)
		return;
	if (!is_told(w, i) || ended) {
		m = find_member(g, i->id);
		if (!m && ended) /* taken over, and over before it was worth telling again */
			m = find_inherited(g, i);
		if (!m)
			return;
		leave(g, m, out->now_ns);
		m->used = false;
		return;
	}
	m = take_member(g, i);
	if (!m)
		return;
	note(m, i, watch);
	/* A stall that is over already, as by a reset, is as long as it will ever be. */
	m->due_ns = i->slow || i->ended_ns || i->outcome != OUTCOME_OPEN
			    ? 0
			    : m->begun_ns + w->stall_after_ns;
	if (m->group || out->now_ns >= m->due_ns)
		enter(g, m, out->now_ns);
}

/* A bucket that an hour fills. */
static bool may_tell(struct groups *g, uint64_t now_ns)
{
	const uint64_t each_ns = HOUR_NS / g->config->alerts.per_hour;

	if (g->credit_ns + HOUR_NS < now_ns)
		g->credit_ns = now_ns > HOUR_NS ? now_ns - HOUR_NS : 0;
	if (g->credit_ns + each_ns > now_ns)
		return false;
	g->credit_ns += each_ns;
	return true;
}

static void tell(struct groups *g, struct group *group, enum alert_kind kind, uint64_t now_ns)
{
	struct alert *a = &group->alert;

	a->kind = kind;
	a->now_ns = now_ns;
	if (kind == ALERT_BEGIN) {
		a->was = a->trouble;
		a->unsaid = g->unsaid - g->unsaid_told;
		g->unsaid_told = g->unsaid;
	}
	g->tell(a, g->arg);
	a->unsaid = 0;
	a->was = a->trouble;
	group->told_ns = now_ns;
	group->changed = group->revised = false;
}

static void sooner(uint64_t *next_ns, uint64_t at_ns)
{
	if (at_ns < *next_ns)
		*next_ns = at_ns;
}

/* One group: what is due is told. When it is due next. */
static uint64_t run_group(struct groups *g, struct group *group, uint64_t now_ns)
{
	const struct config *c = g->config;
	uint64_t next_ns = UINT64_MAX, update_ns;

	if (!group->told && !group->muted) {
		if (now_ns < group->due_ns)
			return group->due_ns;
		group->told = may_tell(g, now_ns);
		group->muted = !group->told;
		g->unsaid += group->muted;
		if (group->told)
			tell(g, group, ALERT_BEGIN, now_ns);
	}
	if (!group->alert.stalls) {
		next_ns = group->empty_ns + c->alerts.end_wait_ns;
		if (now_ns >= next_ns) {
			if (group->told)
				tell(g, group, ALERT_END, now_ns);
			group->used = false;
			return UINT64_MAX;
		}
		return next_ns;
	}
	if (group->told && group->changed) {
		update_ns = group->told_ns + (group->revised ? REVISED_NS : c->alerts.update_ns);
		if (now_ns >= update_ns)
			tell(g, group, ALERT_UPDATE, now_ns);
		else
			next_ns = update_ns;
	}
	return next_ns;
}

uint64_t groups_run(struct groups *g, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	for (int i = 0; i < MEMBERS_MAX; i++) {
		struct member *m = &g->members[i];

		if (!m->used)
			continue;
		if (m->until_ns && now_ns >= m->until_ns) {
			if (m->group)
				m->group->alert.lost_sight = true;
			leave(g, m, now_ns);
			m->used = false;
		} else if (m->until_ns) {
			sooner(&next_ns, m->until_ns);
		} else if (!m->group && m->due_ns && now_ns >= m->due_ns) {
			enter(g, m, now_ns);
			m->due_ns = 0;
		} else if (!m->group && m->due_ns) {
			sooner(&next_ns, m->due_ns);
		}
	}
	for (int i = 0; i < GROUPS_MAX; i++) {
		if (g->groups[i].used)
			sooner(&next_ns, run_group(g, &g->groups[i], now_ns));
	}
	return next_ns;
}

struct groups_counts groups_counts(const struct groups *g)
{
	struct groups_counts counts = {.unsaid = g->unsaid, .not_tracked = g->not_tracked};

	for (int i = 0; i < GROUPS_MAX; i++) {
		counts.alerts += g->groups[i].used && g->groups[i].told;
		counts.stalls += g->groups[i].used ? g->groups[i].alert.stalls : 0;
	}
	return counts;
}

void groups_configure(struct groups *g, const struct config *config)
{
	const struct config *old = g->config;

	for (int i = 0; i < MEMBERS_MAX; i++) {
		struct member *m = &g->members[i];
		int found = 0;

		if (!m->used) /* nor touched: most never are */
			continue;
		for (int w = 1; w < config->n_watch; w++)
			if (!strcmp(config->watch[w].name, old->watch[m->watch].name))
				found = w;
		m->watch = found;
	}
	g->config = config;
}

int groups_new(const struct config *config, alert_fn fn, void *arg, struct groups **ret)
{
	struct groups *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->config = config;
	g->tell = fn;
	g->arg = arg;
	*ret = g;
	return 0;
}

void groups_free(struct groups *g)
{
	free(g);
}
