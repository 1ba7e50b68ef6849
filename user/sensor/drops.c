/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Drops of the flows that are listened to. The kernel adds them up by flow, reason and place; each
 * scan takes the sums away. While nobody is listened to, the kernel's side returns at once.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include "base/clock.h"
#include "sensor/ebpf.h"
#include "tcpstall.skel.h"

#define TAKEN_AT_ONCE 1024 /* as many as the map holds */

static int listened(const struct ebpf *s, uint64_t cookie)
{
	for (int i = 0; i < s->n_listening; i++)
		if (s->listening[i].cookie == cookie)
			return i;
	return -ENOENT;
}

int ebpf_listen(struct sensor *sensor, const struct flow_key *key)
{
	struct ebpf *s = (struct ebpf *)sensor;
	struct listening value = {.cookie = key->cookie, .box = boxes_find(s, key)};
	struct tuple tuple = tuple_of(key);

	if (listened(s, key->cookie) >= 0)
		return 0;
	if (s->n_listening == SENSOR_LISTEN_MAX)
		return -ENOSPC;
	if (bpf_map__update_elem(s->skel->maps.listen, &tuple, sizeof(tuple), &value, sizeof(value),
				 BPF_ANY))
		return -errno;
	s->listening[s->n_listening++] = *key;
	s->skel->bss->n_listening = s->n_listening;
	return 0;
}

int ebpf_release(struct sensor *sensor, const struct flow_key *key)
{
	struct ebpf *s = (struct ebpf *)sensor;
	int i = listened(s, key->cookie);
	struct tuple tuple;

	if (i < 0)
		return 0;
	drops_report(s);
	tuple = tuple_of(&s->listening[i]);
	bpf_map__delete_elem(s->skel->maps.listen, &tuple, sizeof(tuple), 0);
	s->listening[i] = s->listening[--s->n_listening];
	s->skel->bss->n_listening = s->n_listening;
	return 0;
}

uint64_t drops_csum_bad(const struct ebpf *s, const struct flow_key *key)
{
	struct listening value = {0};
	struct tuple tuple;

	if (listened(s, key->cookie) < 0)
		return 0;
	tuple = tuple_of(key);
	if (bpf_map__lookup_elem(s->skel->maps.listen, &tuple, sizeof(tuple), &value, sizeof(value),
				 0))
		return 0;
	return value.csum_bad;
}

void drops_report(struct ebpf *s)
{
	struct observation obs = {.type = OBS_DROP, .now_ns = mono_ns()};
	const struct bpf_map *map = s->skel->maps.drops;
	struct drop drop;
	uint64_t count;

	for (int n = 0; n < TAKEN_AT_ONCE; n++) {
		int i;

		if (bpf_map__get_next_key(map, NULL, &drop, sizeof(drop)))
			return;
		if (bpf_map__lookup_elem(map, &drop, sizeof(drop), &count, sizeof(count), 0) ||
		    bpf_map__delete_elem(map, &drop, sizeof(drop), 0))
			continue;
		i = listened(s, drop.cookie);
		if (i < 0)
			continue;
		obs.drop = (struct drop_seen){
			.key = s->listening[i],
			.inbound = drop.inbound,
			.count = count,
		};
		symbols_reason(s->symbols, drop.reason, obs.drop.reason);
		symbols_function(s->symbols, drop.location, obs.drop.function);
		s->observe(&obs, s->arg);
	}
}
