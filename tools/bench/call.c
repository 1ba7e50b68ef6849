/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * call: ns that a BPF program takes to call a function and come back, on one line of output; the
 * least of some runs. The kernel's way to a program at a tracepoint, and to what the program calls,
 * is of such calls. Where returns are kept from being guessed (mitigations of speculative
 * execution), each costs many times what it costs elsewhere.
 */
#include <bpf/bpf.h>
#include <err.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define CALLS  1000 /* in a program */
#define REPEAT 500  /* runs, of which the kernel tells the average */
#define TRIES  20

static const struct bpf_insn leave[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
	{.code = BPF_JMP | BPF_EXIT},
};

/* ns of a program that calls an empty function so often. */
static uint32_t least_ns(int calls)
{
	struct bpf_insn program[CALLS + 4];
	char packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = REPEAT);
	uint32_t least = UINT32_MAX;
	int fd;

	for (int i = 0; i < calls; i++)
		program[i] = (struct bpf_insn){.code = BPF_JMP | BPF_CALL,
					       .src_reg = BPF_PSEUDO_CALL,
					       .imm = calls - i + 1};
	for (int i = 0; i < 2; i++)
		program[calls + i] = program[calls + 2 + i] = leave[i];
	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "call", "GPL", program,
			   (size_t)calls + (calls ? 4 : 2), NULL);
	if (fd < 0)
		err(1, "a program that calls does not load");
	for (int i = 0; i < TRIES; i++) {
		if (bpf_prog_test_run_opts(fd, &run))
			err(1, "it does not run");
		if (run.duration < least)
			least = run.duration;
	}
	close(fd);
	return least;
}

int main(void)
{
	printf("%.1f\n", (least_ns(CALLS) - least_ns(0)) / (double)CALLS);
	return 0;
}
