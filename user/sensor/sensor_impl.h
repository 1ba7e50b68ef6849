/* SPDX-License-Identifier: GPL-2.0-only */
/* What a kind of sensor is made of; for nobody but those. */
#ifndef TCPSTALL_SENSOR_SENSOR_IMPL_H
#define TCPSTALL_SENSOR_SENSOR_IMPL_H

#include "sensor/blackbox.h"
#include "sensor/sensor.h"

struct sensor_ops {
	void (*close)(struct sensor *s);
	int (*seed)(struct sensor *s);
	int (*fd)(const struct sensor *s);
	int (*read)(struct sensor *s);
	int (*scan)(struct sensor *s, bool all);
	int (*listen)(struct sensor *s, const struct flow_key *key);
	int (*release)(struct sensor *s, const struct flow_key *key);
	struct sensor_counts (*counts)(const struct sensor *s);
	void (*programs)(const struct sensor *s, program_fn fn, void *arg); /* NULL: none */
	/* Both or neither. */
	int (*box)(struct sensor *s, const struct flow_key *key, box_fn take, void *arg,
		   struct box_counts *ret);
	struct box_capacity (*box_capacity)(const struct sensor *s);
};

/* First member of every sensor. */
struct sensor {
	const struct sensor_ops *ops;
};

int ebpf_open(const struct sensor_config *config, struct namespaces *namespaces, observe_fn observe,
	      void *arg, struct sensor **ret, char *ret_why, size_t why_len);
int packets_open(const struct sensor_config *config, struct namespaces *namespaces,
		 observe_fn observe, void *arg, struct sensor **ret, char *ret_why, size_t why_len);

#endif
