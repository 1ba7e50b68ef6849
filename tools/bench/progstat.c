/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * progstat [-q] TRACEPOINT...: what the BPF programs of this machine cost, and what an empty one
 * costs.
 *
 * With -q nothing is counted: the empty programs sit there, and that is all. Otherwise, while it
 * runs, the kernel counts run time of BPF programs (BPF_ENABLE_STATS: undone when the descriptor is
 * closed, whatever happens to us), and an empty program sits at each TRACEPOINT, so that the price
 * of being called and of measuring can be subtracted. For each line on standard input it prints one
 * line of JSON: run time in ns and number of runs, of every program.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EMPTY_MAX 16

struct empty {
	const char *tracepoint;
	__u32 id;
};

/* r0 = 0; exit */
static const struct bpf_insn nothing[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
	{.code = BPF_JMP | BPF_EXIT},
};

/* Both descriptors stay open for as long as we run. */
static void attach_empty(struct empty *e)
{
	const char *tracepoint = e->tracepoint;
	int btf_id = libbpf_find_vmlinux_btf_id(tracepoint, BPF_TRACE_RAW_TP);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP,
		    .attach_btf_id = btf_id > 0 ? (__u32)btf_id : 0);
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int fd;

	if (btf_id < 0)
		errx(1, "%s: no such tracepoint in this kernel's BTF", tracepoint);
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", nothing,
			   sizeof(nothing) / sizeof(nothing[0]), &opts);
	if (fd < 0)
		err(1, "%s: an empty program does not load", tracepoint);
	if (bpf_raw_tracepoint_open(NULL, fd) < 0)
		err(1, "%s: an empty program does not attach", tracepoint);
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		err(1, "%s: no information on the program", tracepoint);
	e->id = info.id;
}

static const char *empty_at(const struct empty *empties, int n, __u32 id)
{
	for (int i = 0; i < n; i++)
		if (empties[i].id == id)
			return empties[i].tracepoint;
	return NULL;
}

static void print_all(const struct empty *empties, int n)
{
	const char *separator = "[";
	__u32 id = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);
		const char *at = empty_at(empties, n, id);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0)
			continue; /* has just gone */
		if (!bpf_obj_get_info_by_fd(fd, &info, &len)) {
			/* A program's name has letters, digits, '_' and '.' only. */
			printf("%s{\"id\":%u,\"name\":\"%s\",\"empty_at\":\"%s\",\"run_ns\":%llu,"
			       "\"runs\":%llu}",
			       separator, id, info.name, at ? at : "", info.run_time_ns,
			       info.run_cnt);
			separator = ",";
		}
		close(fd);
	}
	printf("%s]\n", *separator == '[' ? "[" : "");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct empty empties[EMPTY_MAX];
	const bool quiet = argc > 1 && !strcmp(argv[1], "-q");
	int n = argc - 1 - quiet;
	char line[64];

	if (n > EMPTY_MAX)
		errx(2, "at most %d tracepoints", EMPTY_MAX);
	if (!quiet && bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		err(1, "run-time statistics of BPF programs");
	for (int i = 0; i < n; i++) {
		empties[i].tracepoint = argv[i + 1 + quiet];
		attach_empty(&empties[i]);
	}
	print_all(empties, n);
	while (fgets(line, sizeof(line), stdin))
		print_all(empties, n);
	return 0;
}
