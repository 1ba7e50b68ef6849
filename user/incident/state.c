/* SPDX-License-Identifier: GPL-2.0-only */
#include "incident/state.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/field_rows.h"

static const char *cause_word(int i)
{
	return i < CAUSES ? cause_info((enum cause)i)->id : NULL;
}

static const char *place_word(int i)
{
	return i < PLACE_KINDS ? place_kind_id((enum place_kind)i) : NULL;
}

static const char *outcome_word(int i)
{
	return i < OUTCOMES ? outcome_id((enum outcome)i) : NULL;
}

static const char *way_word(int i)
{
	return i == WAY_UNKNOWN ? "unknown" : i <= WAY_REVERSE ? way_id((enum way)i) : NULL;
}

static const char *side_word(int i)
{
	return i == SIDE_UNKNOWN ? "unknown" : i <= SIDE_BOTH ? side_id((enum side)i) : NULL;
}

/* clang-format off */
static const struct field place_fields[] = {
	KIND(struct place, kind, place_word),
	NUMBER(struct place, ttl),
	ADDR(struct place, address),
	ADDR(struct place, near),
	ADDR(struct place, far),
	KIND(struct place, side, side_word),
	REAL(struct place, confidence),
	END,
};

static const struct field tally_fields[] = {
	NUMBER(struct tally, sent),
	NUMBER(struct tally, answered),
	END,
};

static const struct field hop_fields[] = {
	NUMBER(struct hop, ttl),
	ADDR(struct hop, address),
	BOOLEAN(struct hop, is_peer),
	BOOLEAN(struct hop, balanced),
	NUMBER(struct hop, rtt_us),
	LIST(struct hop, probes, tally_fields),
	END,
};

static const struct field neighbour_fields[] = {
	ADDR(struct neighbour, addr),
	BOOLEAN(struct neighbour, next_hop),
	BOOLEAN(struct neighbour, own),
	PART(struct neighbour, resolve, tally_fields),
	PART(struct neighbour, small, tally_fields),
	PART(struct neighbour, full, tally_fields),
	MAC(struct neighbour, lladdr),
	MAC(struct neighbour, other_lladdr),
	END,
};

static const struct field witness_fields[] = {
	PART(struct witness, key, key_fields),
	BOOLEAN(struct witness, sends),
	BOOLEAN(struct witness, same_peer),
	NUMBER(struct witness, shared_hops),
	INTEGER(struct witness, new_reach),
	NUMBER(struct witness, since_ns),
	NUMBER(struct witness, rate_bps),
	END,
};

static const struct field evidence_fields[] = {
	PAD(struct evidence, id), /* a pointer: written beside it */
	REAL(struct evidence, weight),
	PROSE(struct evidence, text),
	END,
};

static const struct field verdict_fields[] = {
	KIND(struct verdict, cause, cause_word),
	REAL(struct verdict, cause_confidence),
	PROSE(struct verdict, detail),
	KIND(struct verdict, way, way_word),
	PART(struct verdict, where, place_fields),
	LIST(struct verdict, candidates, place_fields),
	INTEGER(struct verdict, n_candidates),
	LIST(struct verdict, evidence, evidence_fields),
	INTEGER(struct verdict, n_evidence),
	PROSE(struct verdict, advice),
	END,
};

const struct field incident_fields[] = {
	TEXT(struct incident, id),
	PART(struct incident, key, key_fields),
	PART(struct incident, lead, key_fields),
	BOOLEAN(struct incident, local_sends),
	BOOLEAN(struct incident, named),
	NUMBER(struct incident, suspected_ns),
	NUMBER(struct incident, begun_ns),
	NUMBER(struct incident, ended_ns),
	NUMBER(struct incident, last_progress_ns),
	NUMBER(struct incident, bytes_at_stall),
	NUMBER(struct incident, recovered_bytes),
	NUMBER(struct incident, rate_bps),
	PAD(struct incident, first), /* observations: these have their own tables, below */
	PAD(struct incident, last),
	PAD(struct incident, process),
	PAD(struct incident, route),
	LIST(struct incident, neighbours, neighbour_fields),
	INTEGER(struct incident, n_neighbours),
	PAD(struct incident, capture),
	PAD(struct incident, pace),
	BOOLEAN(struct incident, slow),
	LIST(struct incident, hops, hop_fields),
	INTEGER(struct incident, n_hops),
	LIST(struct incident, witnesses, witness_fields),
	INTEGER(struct incident, n_witnesses),
	NUMBER(struct incident, probes_sent),
	PART(struct incident, verdict, verdict_fields),
	KIND(struct incident, outcome, outcome_word),
	END,
};

/* Members that came to the engine as observations. */
static const struct part {
	const char *key;
	enum observation_type type;
	size_t offset, size;
} parts[] = {
#define OBSERVED(m, t) {#m, t, offsetof(struct incident, m), sizeof(((struct incident *)0)->m)}
	OBSERVED(first, OBS_SNAPSHOT),
	OBSERVED(last, OBS_SNAPSHOT),
	OBSERVED(process, OBS_PROCESS),
	OBSERVED(route, OBS_ROUTE),
	OBSERVED(capture, OBS_CAPTURE),
	OBSERVED(pace, OBS_PACE),
#undef OBSERVED
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))
/* clang-format on */

/* The tables of observations count from struct observation, whose union begins at its first. */
static void *observed(struct observation *obs)
{
	return &obs->snapshot;
}

static int write_part(const struct part *p, const struct incident *i, json_t *object)
{
	struct observation obs = {.type = p->type};
	json_t *part = json_object();

	memcpy(observed(&obs), (const char *)i + p->offset, p->size);
	if (!part || fields_write(observation_table[p->type].fields, &obs, part)) {
		json_decref(part);
		return -ENOMEM;
	}
	return json_object_set_new(object, p->key, part) ? -ENOMEM : 0;
}

static int read_part(const struct part *p, const json_t *object, struct incident *i)
{
	const json_t *part = json_object_get(object, p->key);
	struct observation obs = {.type = p->type};
	char why[64];

	if (!part)
		return 0;
	if (!json_is_object(part) ||
	    fields_read(observation_table[p->type].fields, part, &obs, why, sizeof(why)))
		return -EINVAL;
	memcpy((char *)i + p->offset, observed(&obs), p->size);
	return 0;
}

json_t *state_write(const struct incident *i)
{
	json_t *object = json_object(), *ids = json_array();
	int err = object && ids ? 0 : -ENOMEM;

	if (!err)
		err = fields_write(incident_fields, i, object);
	for (size_t k = 0; k < PARTS && !err; k++)
		err = write_part(&parts[k], i, object);
	for (int k = 0; k < i->verdict.n_evidence && !err; k++)
		err = json_array_append_new(ids, json_string(i->verdict.evidence[k].id));
	if (!err)
		err = json_object_set(object, "evidence_ids", ids);
	json_decref(ids);
	if (!err)
		return object;
	json_decref(object);
	return NULL;
}

static bool within(int n, int max)
{
	return n >= 0 && n <= max;
}

/* What others take for granted of an incident. */
static bool is_sound(const struct incident *i)
{
	const struct verdict *v = &i->verdict;

	return *i->id && within(i->n_hops, MAX_HOPS) && within(i->n_witnesses, MAX_WITNESSES) &&
	       within(i->n_neighbours, MAX_NEIGHBOURS) && within(v->n_candidates, MAX_CANDIDATES) &&
	       within(v->n_evidence, MAX_EVIDENCE);
}

int state_read(const json_t *object, struct incident_state *ret)
{
	struct incident_state *s = calloc(1, sizeof(*s));
	const json_t *ids = json_object_get(object, "evidence_ids");
	char why[64];
	int err = s ? 0 : -ENOMEM;

	if (!err)
		err = fields_read(incident_fields, object, &s->incident, why, sizeof(why));
	for (size_t k = 0; k < PARTS && !err; k++)
		err = read_part(&parts[k], object, &s->incident);
	if (!err && !is_sound(&s->incident))
		err = -EINVAL;
	if (err)
		goto out;
	for (int k = 0; k < s->incident.verdict.n_evidence; k++) {
		const char *id = json_string_value(json_array_get(ids, (size_t)k));

		snprintf(s->ids[k], sizeof(s->ids[k]), "%s", id ? id : "unknown");
	}
	*ret = *s;
	for (int k = 0; k < MAX_EVIDENCE; k++)
		ret->incident.verdict.evidence[k].id = ret->ids[k];
out:
	free(s);
	return err;
}

/* Letters that a name may have in it: where it borders on one it is part of another word. */
static bool in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Every `name` in a text becomes what it is called now; what does not fit is cut off. */
static void rename_in(char *text, size_t size, const char *name, const char *now)
{
	const size_t name_len = strlen(name), now_len = strlen(now);
	char *at = text;

	while (name_len && (at = strstr(at, name))) {
		size_t used = (size_t)(at - text) + now_len + 1, room, rest;

		if ((at > text && in_word(at[-1]) && in_word(*name)) ||
		    (in_word(at[name_len]) && in_word(name[name_len - 1]))) {
			at++;
			continue;
		}
		if (used > size) {
			*at = '\0';
			return;
		}
		room = size - used;
		rest = strlen(at + name_len);
		if (rest > room)
			rest = room;
		memmove(at + now_len, at + name_len, rest);
		memcpy(at, now, now_len);
		at[now_len + rest] = '\0';
		at += now_len;
	}
}

static void rename_in_verdict(struct verdict *v, const char *name, const char *now)
{
	rename_in(v->detail, sizeof(v->detail), name, now);
	rename_in(v->advice, sizeof(v->advice), name, now);
	for (int k = 0; k < v->n_evidence; k++)
		rename_in(v->evidence[k].text, sizeof(v->evidence[k].text), name, now);
}

void state_anonymize(const struct anonymizer *a, struct incident *i)
{
	const struct process_seen process = i->process;
	const struct route_seen route = i->route;
	char pid[16];

	anonymize_fields(a, incident_fields, i);
	for (size_t k = 0; k < PARTS; k++) {
		struct observation obs = {.type = parts[k].type};

		memcpy(observed(&obs), (char *)i + parts[k].offset, parts[k].size);
		anonymize_fields(a, observation_table[obs.type].fields, &obs);
		memcpy((char *)i + parts[k].offset, observed(&obs), parts[k].size);
	}
	i->process.pid = i->first.pid = i->last.pid = 0;
	snprintf(pid, sizeof(pid), " (%" PRIu32 ")", process.pid);
	rename_in_verdict(&i->verdict, pid, "");
	rename_in_verdict(&i->verdict, process.comm, i->process.comm);
	rename_in_verdict(&i->verdict, route.ifname, i->route.ifname);
	rename_in_verdict(&i->verdict, route.lower, i->route.lower);
}
