/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * line: ns that a line of the cache takes from one CPU to the next, on one line of output; the
 * median of many stretches, since other work comes between. 0: there is one CPU only. A virtual
 * machine's CPUs are moved about by its host, and what is written on one and read on the other
 * costs several times as much in one place as in another.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define STRETCHES 101
#define TURNS	  500 /* of each CPU, in a stretch */

static _Alignas(128) atomic_uint turn;

static void stay_on(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		err(1, "CPU %d", cpu);
}

/* Every other turn of a stretch, beginning with `mine`. */
static void take_turns(unsigned int mine)
{
	const unsigned int end = mine + 2 * TURNS;

	for (; mine != end; mine += 2) {
		while (atomic_load_explicit(&turn, memory_order_acquire) != mine)
			;
		atomic_store_explicit(&turn, mine + 1, memory_order_release);
	}
}

static void *second(void *arg)
{
	(void)arg;
	stay_on(1);
	for (unsigned int i = 0; i < STRETCHES; i++)
		take_turns(i * 2 * TURNS + 1);
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(void)
{
	uint64_t ns[STRETCHES];
	pthread_t thread;
	int error;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		puts("0");
		return 0;
	}
	stay_on(0);
	error = pthread_create(&thread, NULL, second, NULL);
	if (error)
		errx(1, "no thread: %s", strerror(error));
	for (unsigned int i = 0; i < STRETCHES; i++) {
		const uint64_t start = clock_ns(CLOCK_MONOTONIC);

		take_turns(i * 2 * TURNS);
		ns[i] = clock_ns(CLOCK_MONOTONIC) - start;
	}
	pthread_join(thread, NULL);
	qsort(ns, STRETCHES, sizeof(ns[0]), by_size);
	printf("%.0f\n", (double)ns[STRETCHES / 2] / (2 * TURNS));
	return 0;
}
