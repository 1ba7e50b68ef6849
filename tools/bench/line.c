/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * line: ns that a line of the cache takes from one CPU to the next, and one line of output with it.
 * 0: there is one CPU only. A virtual machine's CPUs are moved about by its host, and what is
 * written on one and read on the other costs several times as much in one place as in another.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define TURNS 50000

static _Alignas(128) atomic_uint turn;

static void stay_on(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(1, "CPU %d", cpu);
}

/* Every other turn, beginning with `mine`; when the first of them came. */
static uint64_t take_turns(unsigned int mine)
{
	uint64_t first_ns = 0;

	for (; mine < 2 * TURNS; mine += 2) {
		while (atomic_load_explicit(&turn, memory_order_acquire) != mine)
			;
		if (!first_ns)
			first_ns = clock_ns(CLOCK_MONOTONIC);
		atomic_store_explicit(&turn, mine + 1, memory_order_release);
	}
	return first_ns;
}

static void *second(void *arg)
{
	uint64_t *first_ns = arg;

	stay_on(1);
	*first_ns = take_turns(1);
	return NULL;
}

int main(void)
{
	uint64_t first_ns = 0;
	pthread_t thread;
	int error;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		puts("0");
		return 0;
	}
	stay_on(0);
	error = pthread_create(&thread, NULL, second, &first_ns);
	if (error)
		errx(1, "no thread: %s", strerror(error));
	take_turns(0);
	pthread_join(thread, NULL);
	printf("%.0f\n", (double)(clock_ns(CLOCK_MONOTONIC) - first_ns) / (2 * TURNS));
	return 0;
}
