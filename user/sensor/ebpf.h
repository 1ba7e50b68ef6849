/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the files of the eBPF sensor; nobody else includes it. */
#ifndef TCPSTALL_SENSOR_EBPF_H
#define TCPSTALL_SENSOR_EBPF_H

#include <linux/types.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "sensor/filter.h"
#include "sensor/sensor_impl.h"
#include "tcpstall.h"

struct tcpstall_bpf;
struct symbols;

/* The black boxes: 1 to n; heads[0] is nobody's. */
struct boxes {
	struct box *heads; /* mapped, the kernel writes */
	uint32_t n, packets;
	const char *why; /* there are none */
};

struct ebpf {
	struct sensor sensor; /* first: what the rest of the program holds */
	struct tcpstall_bpf *skel;
	struct bpf_link *scan;
	struct ring_buffer *ring;
	struct symbols *symbols;
	struct namespaces *namespaces; /* borrowed; NULL: our own namespace only */
	uint64_t min_bytes;
	uint32_t netns;
	pid_t root_pid;
	const struct flow_filter *filter; /* borrowed */
	observe_fn observe;
	void *arg;
	uint64_t events;
	uint64_t moving_ns;	 /* the last scan that told of moving transfers */
	uint64_t half_closed_ns; /* the last scan that found any transfer half closed */
	int n_listening;
	struct flow_key listening[SENSOR_LISTEN_MAX];
	struct boxes boxes;
};

/*
 * load.c: opens and loads what this kernel takes. Errors as sensor_open(). ret_no_box: why there
 * are no black boxes although they were asked for; NULL otherwise.
 */
int bpf_load(const struct sensor_config *asked, struct tcpstall_bpf **ret, const char **ret_no_box,
	     char *ret_why, size_t why_len);
bool bpf_is_iterator(const struct bpf_program *prog);

/* translate.c */
struct flow_key key_of(const struct tuple *t, uint64_t cookie);
struct tuple tuple_of(const struct flow_key *key);
void snapshot_of(const struct snapshot *in, struct flow_snapshot *ret);
enum gone_reason gone_reason_of(const struct snapshot *last, int error);

/* ebpf.c */
struct sensor_counts ebpf_counts(const struct sensor *sensor);

uint64_t ebpf_counted(const struct ebpf *s, enum count what);

/* blackbox.c. The first three before loading: packets of a box (a power of two), boxes, bytes. */
uint32_t boxes_packets(uint32_t wanted);
uint32_t boxes_number(uint32_t packets);
uint64_t boxes_bytes(uint32_t packets);
int boxes_open(struct ebpf *s, uint32_t packets);
void boxes_close(struct ebpf *s);
struct box_ref boxes_find(const struct ebpf *s, const struct flow_key *key);
int ebpf_box(struct sensor *sensor, const struct flow_key *key, box_fn take, void *arg,
	     struct box_counts *ret);
struct box_capacity ebpf_box_capacity(const struct sensor *sensor);

/* drops.c: what the kernel counted for the flows that are listened to. */
int ebpf_listen(struct sensor *sensor, const struct flow_key *key);
int ebpf_release(struct sensor *sensor, const struct flow_key *key);
void drops_report(struct ebpf *s);
uint64_t drops_csum_bad(const struct ebpf *s, const struct flow_key *key);

/*
 * symbols.c: drop reasons by the kernel's own enum, functions by /proc/kallsyms. Both are read when
 * first asked for. NULL is fine everywhere and knows nothing.
 */
int symbols_new(const char *btf_path, struct symbols **ret);
void symbols_free(struct symbols *y);
void symbols_reason(struct symbols *y, uint32_t reason, char ret[NAME_LEN]);
void symbols_function(struct symbols *y, uint64_t address, char ret[NAME_LEN]);
/* Marks the reasons that are no faults, as numbered by the kernel with this BTF. */
void symbols_harmless(const struct btf *btf, __u8 ret_harmless[BPF_DROP_REASONS]);

/* seed.c: tells the kernel what was there before. */
int ebpf_seed(struct sensor *sensor);
int seed_processes(struct ebpf *s);

#endif
