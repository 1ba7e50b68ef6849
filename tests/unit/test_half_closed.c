/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a transfer receives that is half closed passes another program than before, which is there
 * only while it is needed. Without the right to load programs the test is skipped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loopback.h"
#include "sensor/blackbox.h"
#include "sensor/sensor.h"

#define MIN_BYTES 65536

struct world {
	struct sensor *sensor;
	struct pair pair;
	struct flow_key key; /* the client's */
	uint32_t received;
};

static uint32_t netns;

static void look_for(const struct observation *obs, void *arg)
{
	struct world *w = arg;

	if (obs->type == OBS_SNAPSHOT && obs->snapshot.key.cookie == w->key.cookie)
		w->key = obs->snapshot.key;
}

static void count_received(const struct box_packet *p, void *arg)
{
	struct world *w = arg;

	w->received += !(p->flags & (BOX_OUT | BOX_RECONSTRUCTED));
}

static uint32_t received(struct world *w)
{
	struct box_counts counts;

	w->received = 0;
	assert_int_equal(sensor_box(w->sensor, &w->key, count_received, w, &counts), 0);
	return w->received;
}

/* From the end that is still open. */
static void send_one(const struct pair *p)
{
	char byte = 0;

	assert_int_equal(send(p->server, &byte, 1, 0), 1);
	assert_int_equal(recv(p->client, &byte, 1, 0), 1);
}

static void watch(struct world *w)
{
	const struct sensor_config config = {.min_bytes = MIN_BYTES,
					     .suspect_after_ns = NS_PER_S,
					     .netns = netns,
					     .box_packets = 256};
	char why[512] = "no network namespace of our own";

	if (!netns || sensor_open(&config, NULL, look_for, w, &w->sensor, why, sizeof(why))) {
		print_message("%s\n", why);
		skip();
	}
}

static void a_half_closed_transfer_is_seen_once_it_was_told(void **state)
{
	struct world *w = *state;
	uint32_t before;

	watch(w);
	connect_both(&w->pair);
	w->key.cookie = cookie_of(w->pair.client);
	move(&w->pair, 2 * MIN_BYTES);
	send_one(&w->pair);
	assert_int_equal(sensor_scan(w->sensor, true), 0);
	assert_int_not_equal(w->key.local.port, 0);
	before = received(w);
	assert_true(before > 0);
	shutdown(w->pair.client, SHUT_WR);
	send_one(&w->pair);
	assert_int_equal(received(w), before);
	assert_int_equal(sensor_read(w->sensor), 0);
	send_one(&w->pair);
	assert_int_equal(received(w), before + 1);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->pair = (struct pair)NO_PAIR;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	sensor_close(w->sensor);
	hang_up(&w->pair);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_half_closed_transfer_is_seen_once_it_was_told,
						set_up, tear_down),
	};

	netns = loopback_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
