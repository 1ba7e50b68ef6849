/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a transfer receives that is half closed passes another program than before, which is there
 * only while it is needed: from a moment later on. Without the right to load programs the test is
 * skipped.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
	struct box_counts counts;
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
	w->received = 0;
	assert_int_equal(sensor_box(w->sensor, &w->key, count_received, w, &w->counts), 0);
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

/* Segments that the client has received, as the kernel counts them. */
static uint32_t segs_in(const struct pair *p)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	assert_int_equal(getsockopt(p->client, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_segs_in;
}

static void what_comes_before_anybody_looks_is_counted(void **state)
{
	struct world w = {.pair = NO_PAIR};
	uint32_t before, segs;

	(void)state;
	watch(&w);
	connect_both(&w.pair);
	w.key.cookie = cookie_of(w.pair.client);
	move(&w.pair, 2 * MIN_BYTES);
	send_one(&w.pair);
	assert_int_equal(sensor_scan(w.sensor, true), 0);
	assert_int_not_equal(w.key.local.port, 0);
	before = received(&w);
	assert_true(before > 0);
	segs = segs_in(&w.pair);
	shutdown(w.pair.client, SHUT_WR);
	send_one(&w.pair);
	assert_int_equal(received(&w), before);
	assert_int_equal(sensor_read(w.sensor), 0);
	segs = segs_in(&w.pair) - segs;
	assert_true(segs > 0);
	send_one(&w.pair);
	assert_int_equal(received(&w), before + 1);
	assert_int_equal(w.counts.unseen, segs);
	send_one(&w.pair);
	assert_int_equal(received(&w), before + 2);
	assert_int_equal(w.counts.unseen, segs);
	sensor_close(w.sensor);
	hang_up(&w.pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_before_anybody_looks_is_counted),
	};

	netns = loopback_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
