/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Alerts as JSON, for the next process, by the same tables of fields that incidents are kept with.
 * The file is ours, but nothing in it is trusted: what does not fit is refused as a whole.
 */
#include "alert/groups_impl.h"

#include <errno.h>
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

/* clang-format off */
static const struct field trouble_fields[] = {
	KIND(struct trouble, cause, cause_word),
	KIND(struct trouble, kind, place_word),
	NUMBER(struct trouble, ttl),
	ADDR(struct trouble, address),
	ADDR(struct trouble, near),
	ADDR(struct trouble, far),
	END,
};

static const struct field alert_fields[] = {
	TEXT(struct alert, id),
	TEXT(struct alert, watch),
	PART(struct alert, trouble, trouble_fields),
	REAL(struct alert, cause_confidence),
	REAL(struct alert, confidence),
	NAME(struct alert, place),
	NAME(struct alert, detail),
	NAME(struct alert, advice),
	NAME(struct alert, flow),
	NUMBER(struct alert, begun_ns),
	NUMBER(struct alert, total),
	END,
};

static const struct field member_fields[] = {
	TEXT(struct member, incident),
	PART(struct member, key, key_fields),
	BOOLEAN(struct member, sends),
	NUMBER(struct member, begun_ns),
	END,
};
/* clang-format on */

static int append(json_t *list, const struct field *fields, const void *base, json_t *more,
		  const char *key)
{
	json_t *object = json_object();
	int err = object ? fields_write(fields, base, object) : -ENOMEM;

	if (!err && more)
		err = json_object_set(object, key, more) ? -ENOMEM : 0;
	if (err) {
		json_decref(object);
		return err;
	}
	return json_array_append_new(list, object) ? -ENOMEM : 0;
}

static int save_group(const struct groups *g, const struct group *group, json_t *list)
{
	json_t *members = json_array();
	int err = members ? 0 : -ENOMEM;

	for (int i = 0; i < MEMBERS_MAX && !err; i++) {
		if (g->members[i].used && g->members[i].group == group)
			err = append(members, member_fields, &g->members[i], NULL, NULL);
	}
	if (!err)
		err = append(list, alert_fields, &group->alert, members, "members");
	json_decref(members);
	return err;
}

json_t *groups_save(const struct groups *g)
{
	json_t *list = json_array();

	for (int i = 0; i < GROUPS_MAX && list; i++) {
		if (!g->groups[i].used || !g->groups[i].told || !save_group(g, &g->groups[i], list))
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static int load_members(struct groups *g, struct group *group, const json_t *list,
			uint64_t until_ns)
{
	struct member read, *m = g->members;
	char why[128];
	size_t i;
	json_t *value;

	json_array_foreach (list, i, value) {
		memset(&read, 0, sizeof(read));
		if (fields_read(member_fields, value, &read, why, sizeof(why)))
			return -EINVAL;
		while (m < g->members + MEMBERS_MAX && m->used)
			m++;
		if (m == g->members + MEMBERS_MAX)
			return -EINVAL;
		*m = read;
		m->used = m->counted = true;
		m->until_ns = until_ns;
		m->group = group;
		m->trouble = group->alert.trouble;
		group->alert.stalls++;
		if (group->alert.n_incidents < ALERT_INCIDENTS)
			memcpy(group->alert.incidents[group->alert.n_incidents++], m->incident,
			       INCIDENT_ID);
	}
	return 0;
}

static int load_group(struct groups *g, const json_t *object, uint64_t now_ns, uint64_t grace_ns)
{
	struct group *group = groups_add(g);
	char why[128];
	int err;

	if (!group)
		return -EINVAL;
	err = fields_read(alert_fields, object, &group->alert, why, sizeof(why));
	if (err || !*group->alert.id)
		return -EINVAL;
	group->alert.was = group->alert.trouble;
	group->told = true;
	group->told_ns = group->empty_ns = now_ns;
	return load_members(g, group, json_object_get(object, "members"), now_ns + grace_ns);
}

int groups_load(struct groups *g, const json_t *saved, uint64_t now_ns, uint64_t grace_ns)
{
	json_t *object;
	size_t i;
	int err = json_is_array(saved) ? 0 : -EINVAL;

	json_array_foreach (saved, i, object) {
		if (!err)
			err = load_group(g, object, now_ns, grace_ns);
	}
	if (err) {
		memset(g->groups, 0, sizeof(g->groups));
		memset(g->members, 0, sizeof(g->members));
	}
	return err;
}
