/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What arrives again after it was acknowledged: from a peer that does not hear our ACKs, or from a
 * watcher beside it that probes the connection. Without the right to load programs the test is
 * skipped.
 */
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loopback.h"
#include "probe/craft.h"
#include "sensor/sensor.h"

#define MIN_BYTES  65536
#define SILENCE_MS 600 /* what is repeated sooner may be reordered */
#define TIMES	   4

struct world {
	struct sensor *sensor;
	struct pair pair;
	uint64_t client, server; /* cookies */
	struct flow_snapshot of_client, of_server;
};

static uint32_t netns;

static void see(const struct observation *obs, void *arg)
{
	struct world *w = arg;

	if (obs->type != OBS_SNAPSHOT)
		return;
	if (obs->snapshot.key.cookie == w->client)
		w->of_client = obs->snapshot;
	if (obs->snapshot.key.cookie == w->server)
		w->of_server = obs->snapshot;
}

static void watch(struct world *w)
{
	const struct sensor_config config = {
		.min_bytes = MIN_BYTES, .suspect_after_ns = NS_PER_S, .netns = netns};
	char why[512] = "no network namespace of our own";

	if (!netns || sensor_open(&config, NULL, see, w, &w->sensor, why, sizeof(why))) {
		print_message("%s\n", why);
		skip();
	}
}

/* Old data of the client's, of the size of an IP packet; as_kernel: with the ACK of its kernel. */
static void repeat(const struct world *w, int raw, uint16_t size, bool as_kernel)
{
	const struct look look = {.seen = true, .window = 500};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct segment s = {0};
	uint8_t packet[2048];

	for (uint32_t i = 0; i < TIMES; i++) {
		int len;

		assert_int_equal(craft_in_flow(&w->of_client, &look, size, i, mono_ns(), &s), 0);
		s.ttl = 64;
		if (as_kernel)
			s.ack = w->of_client.rcv_nxt;
		len = packet_write(&s, packet, sizeof(packet));
		assert_true(len > 0);
		assert_int_equal(
			sendto(raw, packet, (size_t)len, 0, (struct sockaddr *)&to, sizeof(to)),
			len);
	}
}

static uint32_t repeated(struct world *w)
{
	assert_int_equal(sensor_scan(w->sensor, true), 0);
	return w->of_server.old_segs;
}

static void a_watchers_probes_are_no_repeats(void **state)
{
	struct world w = {.pair = NO_PAIR};
	int raw;

	(void)state;
	watch(&w);
	raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	assert_true(raw >= 0);
	connect_both(&w.pair);
	w.client = cookie_of(w.pair.client);
	w.server = cookie_of(w.pair.server);
	move(&w.pair, 2 * MIN_BYTES);
	poll(NULL, 0, SILENCE_MS);
	assert_int_equal(repeated(&w), 0);
	assert_int_not_equal(w.of_client.key.local.port, 0);
	repeat(&w, raw, 0, false);
	repeat(&w, raw, 1000, false);
	assert_int_equal(repeated(&w), 0);
	repeat(&w, raw, 1000, true);
	assert_int_equal(repeated(&w), TIMES);
	sensor_close(w.sensor);
	hang_up(&w.pair);
	close(raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watchers_probes_are_no_repeats),
	};

	netns = loopback_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
