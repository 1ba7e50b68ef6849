/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live sensor. Events come through a ring buffer and are few; silence is found by running the
 * scan, which costs nothing between two scans. What the kernel reports is sorted here: flows that
 * the user's FILTER names, flows that only serve as witnesses, and flows that nobody needs to hear
 * of.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "sensor/ebpf.h"
#include "tcpstall.skel.h"

#define HALF_CLOSED_NS                                                                             \
	(10 * NS_PER_S) /* where one comes after the other: not to and fro each time */

static bool matches(const struct ebpf *s, const struct flow_key *key)
{
	return !s->filter || flow_filter_matches(s->filter, key, true) ||
	       flow_filter_matches(s->filter, key, false);
}

/* Whether anybody needs to hear of it; fills `ret` if so. */
static bool take(const struct ebpf *s, const struct snapshot *in, bool asked,
		 struct flow_snapshot *ret)
{
	bool selected;

	snapshot_of(in, ret);
	selected = in->watched && matches(s, &ret->key);
	if (!selected && (!asked || in->snd_bytes + in->rcv_bytes < s->min_bytes))
		return false;
	if (!selected)
		ret->flags |= SNAP_WITNESS_ONLY;
	else if (s->filter || s->root_pid)
		ret->flags |= SNAP_NAMED;
	ret->csum_bad += drops_csum_bad(s, &ret->key);
	return true;
}

static void on_gone(struct ebpf *s, const struct event_gone *e)
{
	struct observation obs = {.type = OBS_GONE, .now_ns = e->head.now_ns};

	if (!take(s, &e->last, e->last.flags & FLOW_SHOWN, &obs.gone.last))
		return;
	obs.gone.reason = gone_reason_of(&e->last, e->error);
	obs.gone.error = e->error;
	s->observe(&obs, s->arg);
}

static void on_reset(struct ebpf *s, const struct event_reset *e)
{
	struct observation obs = {.type = OBS_RESET, .now_ns = e->head.now_ns};

	obs.reset = (struct reset_seen){
		.key = key_of(&e->tuple, e->cookie),
		.inbound = e->inbound,
		.ttl = e->ttl,
		.ttl_usual = e->ttl_usual,
		.ip_id = e->ip_id,
		.ip_id_usual = e->ip_id_usual,
		.seq = e->seq,
	};
	if (e->watched && matches(s, &obs.reset.key))
		s->observe(&obs, s->arg);
}

static void on_neigh(struct ebpf *s, const struct event_neigh *e)
{
	struct observation obs = {.type = OBS_NEIGH, .now_ns = e->head.now_ns};

	if (s->netns && e->netns != s->netns)
		return;
	obs.neigh = (struct neigh_seen){.netns = e->netns, .ifindex = e->ifindex, .nud = e->nud};
	obs.neigh.addr = e->family == AF_INET6 ? addr_v6(e->addr) : addr_v4(e->addr);
	memcpy(obs.neigh.lladdr, e->lladdr, sizeof(obs.neigh.lladdr));
	memcpy(obs.neigh.old_lladdr, e->old_lladdr, sizeof(obs.neigh.old_lladdr));
	s->observe(&obs, s->arg);
}

/*
 * packet_in is called for each packet that the host receives, whoever it is for, and being called
 * costs as much as keeping a packet does. Boxes that are taken at the handshake need it from the
 * start; those of `watch`, taken once a transfer moves, only while one of these is half closed:
 * from a moment after that on.
 */
static bool sees_handshakes(const struct ebpf *s)
{
	return s->skel->rodata->knobs.track_all || s->skel->rodata->knobs.by_process;
}

static bool any_half_closed(const struct ebpf *s)
{
	return __atomic_load_n(&s->skel->bss->n_apart, __ATOMIC_SEQ_CST);
}

static void look_half_closed(struct ebpf *s)
{
	struct bpf_link **link = &s->skel->links.packet_in;
	const uint64_t now_ns = mono_ns();

	if (!s->boxes.packets || sees_handshakes(s) ||
	    !bpf_program__autoload(s->skel->progs.packet_in))
		return;
	if (any_half_closed(s)) {
		s->half_closed_ns = now_ns;
		if (!*link)
			*link = bpf_program__attach(s->skel->progs.packet_in);
		s->skel->bss->packet_in_there = *link != NULL;
	} else if (*link && now_ns >= s->half_closed_ns + HALF_CLOSED_NS) {
		/* One that comes from here on says so by an event. */
		__atomic_store_n(&s->skel->bss->packet_in_there, 0, __ATOMIC_SEQ_CST);
		if (any_half_closed(s)) /* the next scan has it back */
			return;
		bpf_link__destroy(*link);
		*link = NULL;
	}
}

static int on_event(void *arg, void *data, size_t size)
{
	struct ebpf *s = arg;
	const struct event *e = data;

	s->events++;
	if (e->type == EVENT_GONE && size >= sizeof(struct event_gone))
		on_gone(s, data);
	else if (e->type == EVENT_RESET && size >= sizeof(struct event_reset))
		on_reset(s, data);
	else if (e->type == EVENT_NEIGH && size >= sizeof(struct event_neigh))
		on_neigh(s, data);
	else if (e->type == EVENT_APART)
		look_half_closed(s);
	return 0;
}

/* Before attaching: the clock, and the process whose children will be watched. */
static int prepare(struct ebpf *s)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	uint32_t root = s->root_pid;
	uint8_t one = 1;
	int err = bpf_prog_test_run_opts(bpf_program__fd(s->skel->progs.set_clock), &run);

	if (!err && root)
		err = bpf_map__update_elem(s->skel->maps.tasks, &root, sizeof(root), &one,
					   sizeof(one), BPF_ANY);
	return err;
}

static int attach(struct ebpf *s)
{
	union bpf_iter_link_info info = {.map.map_fd = bpf_map__fd(s->skel->maps.flows)};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_object_skeleton *skeleton = s->skel->skeleton;

	for (int i = 0; i < skeleton->prog_cnt; i++) {
		const struct bpf_program *p = *skeleton->progs[i].prog;

		if (!bpf_program__autoload(p) || bpf_is_iterator(p) ||
		    p == s->skel->progs.set_clock ||
		    (p == s->skel->progs.packet_in && !sees_handshakes(s)))
			continue;
		*skeleton->progs[i].link = bpf_program__attach(p);
		if (!*skeleton->progs[i].link && p == s->skel->progs.progress)
			return -errno;
	}
	s->skel->bss->packet_in_there =
		sees_handshakes(s) || !bpf_program__autoload(s->skel->progs.packet_in);
	s->scan = bpf_program__attach_iter(s->skel->progs.scan, &opts);
	return s->scan ? 0 : -errno;
}

static void ebpf_close(struct sensor *sensor)
{
	struct ebpf *s = (struct ebpf *)sensor;

	ring_buffer__free(s->ring);
	bpf_link__destroy(s->scan);
	boxes_close(s);
	tcpstall_bpf__destroy(s->skel);
	symbols_free(s->symbols);
	free(s);
}

static int ebpf_fd(const struct sensor *sensor)
{
	return ring_buffer__epoll_fd(((const struct ebpf *)sensor)->ring);
}

static int ebpf_read(struct sensor *sensor)
{
	int n = ring_buffer__consume(((struct ebpf *)sensor)->ring);

	return n < 0 ? n : 0;
}

/* Rates are worth a look only so often: a thousand moving transfers must cost next to nothing. */
#define MOVING_EVERY_NS (2 * NS_PER_S)

/* A read returns what fits the kernel's 32 KiB, which is not always whole records. */
static int ebpf_scan(struct sensor *sensor, bool all)
{
	struct ebpf *s = (struct ebpf *)sensor;
	struct observation obs = {.type = OBS_SNAPSHOT};
	struct snapshot records[100];
	size_t have = 0;
	int err = 0, fd;

	s->skel->bss->scan_all = all;
	s->skel->bss->scan_moved_since_ns = 0;
	if (mono_ns() >= s->moving_ns + MOVING_EVERY_NS) {
		s->skel->bss->scan_moved_since_ns = s->moving_ns ? s->moving_ns : 1;
		s->moving_ns = mono_ns();
	}
	fd = bpf_iter_create(bpf_link__fd(s->scan));
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, (char *)records + have, sizeof(records) - have);
		size_t whole;

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			err = n ? -errno : 0;
			break;
		}
		have += n;
		whole = have / sizeof(*records);
		for (size_t i = 0; i < whole; i++) {
			obs.now_ns = records[i].now_ns;
			if (take(s, &records[i], records[i].why & WHY_ASKED, &obs.snapshot))
				s->observe(&obs, s->arg);
		}
		have -= whole * sizeof(*records);
		memmove(records, &records[whole], have);
	}
	close(fd);
	look_half_closed(s);
	if (s->n_listening)
		drops_report(s);
	if (all && !err) {
		obs = (struct observation){.type = OBS_SCANNED, .now_ns = mono_ns()};
		s->observe(&obs, s->arg);
	}
	return err;
}

uint64_t ebpf_counted(const struct ebpf *s, enum count what)
{
	const int cpus = libbpf_num_possible_cpus();
	uint64_t *each = calloc(cpus > 0 ? cpus : 1, sizeof(*each)), sum = 0;
	uint32_t key = what;

	if (each && !bpf_map__lookup_elem(s->skel->maps.counts, &key, sizeof(key), each,
					  cpus * sizeof(*each), 0))
		for (int cpu = 0; cpu < cpus; cpu++)
			sum += each[cpu];
	free(each);
	return sum;
}

struct sensor_counts ebpf_counts(const struct sensor *sensor)
{
	static const struct {
		enum count what;
		const char *reason;
	} losses[] = {
		{LOST_RING_FULL, "ring-buffer-full"},
		{LOST_NO_MEMORY, "no-memory-for-flow"},
		{LOST_DROPS_FULL, "drop-table-full"},
		{LOST_TASKS_FULL, "process-table-full"},
	};
	const struct ebpf *s = (const struct ebpf *)sensor;
	struct sensor_counts ret = {
		.tracked = ebpf_counted(s, COUNT_TRACKED),
		.visited = ebpf_counted(s, COUNT_VISITED),
		.events = s->events,
		.retransmissions = ebpf_counted(s, COUNT_RETRANS),
	};

	_Static_assert(sizeof(losses) / sizeof(losses[0]) <= SENSOR_LOST_REASONS, "room for all");
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		ret.lost[i].reason = losses[i].reason;
		ret.lost[i].count = ebpf_counted(s, losses[i].what);
	}
	return ret;
}

static void ebpf_programs(const struct sensor *sensor, program_fn fn, void *arg)
{
	const struct ebpf *s = (const struct ebpf *)sensor;
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, s->skel->obj)
	{
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);

		if (bpf_program__fd(prog) >= 0 &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			fn(bpf_program__name(prog), info.run_time_ns, arg);
	}
}

static const struct sensor_ops ops = {
	.close = ebpf_close,
	.seed = ebpf_seed,
	.fd = ebpf_fd,
	.read = ebpf_read,
	.scan = ebpf_scan,
	.listen = ebpf_listen,
	.release = ebpf_release,
	.counts = ebpf_counts,
	.programs = ebpf_programs,
	.box = ebpf_box,
	.box_capacity = ebpf_box_capacity,
};

int ebpf_open(const struct sensor_config *config, struct namespaces *namespaces, observe_fn observe,
	      void *arg, struct sensor **ret, char *ret_why, size_t why_len)
{
	struct ebpf *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		snprintf(ret_why, why_len, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	s->sensor.ops = &ops;
	s->namespaces = namespaces;
	s->observe = observe;
	s->arg = arg;
	s->min_bytes = config->min_bytes;
	s->netns = config->netns;
	s->root_pid = config->root_pid;
	s->filter = config->filter;

	err = bpf_load(config, &s->skel, &s->boxes.why, ret_why, why_len);
	if (err)
		goto out;
	err = prepare(s);
	if (!err && s->skel->rodata->knobs.box_packets)
		err = boxes_open(s, s->skel->rodata->knobs.box_packets);
	if (!err)
		err = attach(s);
	if (!err && s->root_pid)
		err = seed_processes(s);
	if (!err) {
		s->ring = ring_buffer__new(bpf_map__fd(s->skel->maps.events), on_event, s, NULL);
		err = s->ring ? 0 : -errno;
	}
	if (err) {
		snprintf(ret_why, why_len, "cannot attach the kernel programs: %s", strerror(-err));
		goto out;
	}
	symbols_new(config->btf_path, &s->symbols); /* without it drops have no names */
#ifdef __GLIBC__
	malloc_trim(0); /* the kernel's type information, megabytes of it, is not needed any more */
#endif
	*ret = &s->sensor;
	s = NULL;
out:
	if (s)
		ebpf_close(&s->sensor);
	return err;
}
