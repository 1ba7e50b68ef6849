/* SPDX-License-Identifier: GPL-2.0-only */
#include "sensor/sensor_impl.h"

#include <errno.h>

int sensor_open(const struct sensor_config *config, struct namespaces *namespaces,
		observe_fn observe, void *arg, struct sensor **ret, char *ret_why, size_t why_len)
{
	if (config->interfaces)
		return packets_open(config, namespaces, observe, arg, ret, ret_why, why_len);
	return ebpf_open(config, namespaces, observe, arg, ret, ret_why, why_len);
}

void sensor_close(struct sensor *s)
{
	if (s)
		s->ops->close(s);
}

int sensor_seed(struct sensor *s)
{
	return s->ops->seed(s);
}

int sensor_fd(const struct sensor *s)
{
	return s->ops->fd(s);
}

int sensor_read(struct sensor *s)
{
	return s->ops->read(s);
}

int sensor_scan(struct sensor *s, bool all)
{
	return s->ops->scan(s, all);
}

int sensor_listen(struct sensor *s, const struct flow_key *key)
{
	return s->ops->listen(s, key);
}

int sensor_release(struct sensor *s, const struct flow_key *key)
{
	return s->ops->release(s, key);
}

struct sensor_counts sensor_counts(const struct sensor *s)
{
	return s->ops->counts(s);
}

void sensor_programs(const struct sensor *s, program_fn fn, void *arg)
{
	if (s->ops->programs)
		s->ops->programs(s, fn, arg);
}

int sensor_box(struct sensor *s, const struct flow_key *key, box_fn take, void *arg,
	       struct box_counts *ret)
{
	return s->ops->box ? s->ops->box(s, key, take, arg, ret) : -ENOTSUP;
}

struct box_capacity sensor_box_capacity(const struct sensor *s)
{
	if (!s->ops->box_capacity)
		return (struct box_capacity){.why = "this source of packets keeps none"};
	return s->ops->box_capacity(s);
}
