/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The eBPF sensor against the running kernel: connections over the loopback of a network namespace
 * of our own, which only this process lives in. Nothing sleeps; what is awaited is scanned for
 * until a deadline. Without the right to load programs every test is skipped.
 */
#include "sensor/sensor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loopback.h"
#include "sensor/filter.h"

#define ESTABLISHED 1 /* <linux/tcp.h> has all of tcp_info but no states */

#define MIN_BYTES   65536
#define SUSPECT_NS  (100 * NS_PER_MS)
#define DEADLINE_NS (10 * NS_PER_S)
#define SEEN_MAX    256

static uint32_t netns; /* ours; 0: we could not make one */

struct world {
	struct sensor *sensor;
	struct flow_filter *filter;
	struct pair pair;
	int n_seen, n_looked;
	struct observation seen[SEEN_MAX]; /* the latest, as a ring */
};

static void see(const struct observation *obs, void *arg)
{
	struct world *w = arg;

	w->seen[w->n_seen++ % SEEN_MAX] = *obs;
}

static void watch(struct world *w, struct sensor_config config)
{
	char why[512] = "";
	int err;

	config.min_bytes = MIN_BYTES;
	config.suspect_after_ns = SUSPECT_NS;
	config.netns = netns; /* the machine may have transfers of its own */
	err = netns ? sensor_open(&config, NULL, see, w, &w->sensor, why, sizeof(why)) : -EPERM;
	if (err == -EPERM || err == -ENOTSUP) {
		print_message("%s\n",
			      *why ? why : "no network namespace of our own: no permission");
		skip();
	}
	if (err)
		fail_msg("%s", why);
}

static const struct flow_key *key_in(const struct observation *obs)
{
	switch (obs->type) {
	case OBS_SNAPSHOT:
		return &obs->snapshot.key;
	case OBS_GONE:
		return &obs->gone.last.key;
	case OBS_RESET:
		return &obs->reset.key;
	case OBS_DROP:
		return &obs->drop.key;
	default:
		return NULL;
	}
}

/* Scans until there is a new observation of this type and flow that passes, if given, fits(). */
static const struct observation *await(struct world *w, enum observation_type type, uint64_t cookie,
				       bool (*fits)(const struct observation *))
{
	uint64_t end = mono_ns() + DEADLINE_NS;

	while (mono_ns() < end) {
		struct pollfd p = {.fd = sensor_fd(w->sensor), .events = POLLIN};

		assert_int_equal(sensor_read(w->sensor), 0);
		assert_int_equal(sensor_scan(w->sensor, false), 0);
		while (w->n_looked < w->n_seen) {
			const struct observation *obs = &w->seen[w->n_looked++ % SEEN_MAX];
			const struct flow_key *key = key_in(obs);

			if (obs->type == type && key && key->cookie == cookie &&
			    (!fits || fits(obs)))
				return obs;
		}
		poll(&p, 1, 20);
	}
	fail_msg("observation %d did not come", type);
	return NULL;
}

/* The newest snapshot of a flow out of a full scan; NULL: it has no state. */
static const struct flow_snapshot *look(struct world *w, uint64_t cookie)
{
	int from = w->n_seen;

	assert_int_equal(sensor_scan(w->sensor, true), 0);
	assert_int_equal(w->seen[(w->n_seen - 1) % SEEN_MAX].type, OBS_SCANNED);
	for (int i = from; i < w->n_seen; i++) {
		const struct observation *obs = &w->seen[i % SEEN_MAX];

		if (obs->type == OBS_SNAPSHOT && obs->snapshot.key.cookie == cookie)
			return &obs->snapshot;
	}
	return NULL;
}

static bool window_shut(const struct observation *obs)
{
	const struct flow_snapshot *s = &obs->snapshot;

	return s->write_seq != s->snd_una && s->snd_wnd < s->mss && s->wnd_shut_acks;
}

static bool owes_nothing(const struct observation *obs)
{
	return obs->snapshot.write_seq == obs->snapshot.snd_una && !obs->snapshot.owe_since_ns;
}

static void a_transfer_that_is_not_read_is_reported_with_its_state(void **state)
{
	struct world *w = *state;
	const struct flow_snapshot *s;
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	uint64_t before, mine;
	struct stat st;

	watch(w, (struct sensor_config){0});
	connect_both(&w->pair);
	mine = cookie_of(w->pair.client);
	before = mono_ns();
	move(&w->pair, 4 * MIN_BYTES);
	jam(&w->pair);
	s = &await(w, OBS_SNAPSHOT, mine, window_shut)->snapshot;

	assert_int_equal(getsockopt(w->pair.client, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(fstat(w->pair.client, &st), 0);
	assert_int_equal(s->state, ESTABLISHED);
	assert_int_equal(s->key.netns, netns);
	assert_int_equal(s->key.remote.port, w->pair.port);
	assert_int_equal(s->inode, st.st_ino);
	assert_int_equal(s->snd.bytes, info.tcpi_bytes_acked);
	assert_int_equal(s->rcv.bytes, 0);
	assert_int_equal(s->mss, info.tcpi_snd_mss);
	assert_int_equal(s->pmtu, info.tcpi_pmtu);
	assert_int_equal(s->rtt_us, info.tcpi_rtt);
	assert_int_equal(s->rttvar_us, info.tcpi_rttvar);
	assert_int_equal(s->min_rtt_us, info.tcpi_min_rtt);
	assert_int_equal(s->unacked_segs, info.tcpi_unacked);
	assert_int_equal(s->write_seq - s->snd_nxt, info.tcpi_notsent_bytes);
	assert_true(s->flags & SNAP_TIMESTAMPS && s->flags & SNAP_SACK);
	assert_false(s->flags & (SNAP_NAMED | SNAP_WITNESS_ONLY | SNAP_SEEDED));
	assert_true(s->snd.progress_ns + NS_PER_S / 10 > before);
	assert_true(s->snd.progress_ns < mono_ns() - SUSPECT_NS);
	assert_int_equal(s->rcv.progress_ns, 0);
	assert_int_equal(s->ttl_in, 64);
	assert_int_equal(s->ifindex, if_nametoindex("lo"));
	assert_true(s->busy_us > 0 && s->busy_us >= s->rwnd_limited_us);
}

static void a_transfer_that_moves_again_is_reported_once_more(void **state)
{
	struct world *w = *state;
	uint64_t mine;
	int n;

	watch(w, (struct sensor_config){0});
	connect_both(&w->pair);
	mine = cookie_of(w->pair.client);
	move(&w->pair, 2 * MIN_BYTES);
	jam(&w->pair);
	await(w, OBS_SNAPSHOT, mine, window_shut);
	drain(&w->pair);
	await(w, OBS_SNAPSHOT, mine, owes_nothing);
	n = w->n_seen;
	assert_int_equal(sensor_scan(w->sensor, false), 0);
	for (; n < w->n_seen; n++)
		assert_int_not_equal(key_in(&w->seen[n % SEEN_MAX])->cookie, mine);
}

static void a_small_flow_has_no_state(void **state)
{
	struct world *w = *state;

	watch(w, (struct sensor_config){0});
	connect_both(&w->pair);
	move(&w->pair, MIN_BYTES / 4);
	assert_null(look(w, cookie_of(w->pair.client)));
	move(&w->pair, 2 * MIN_BYTES);
	assert_non_null(look(w, cookie_of(w->pair.client)));
	assert_non_null(look(w, cookie_of(w->pair.server)));
}

static void an_older_connection_is_seeded(void **state)
{
	struct world *w = *state;
	const struct flow_snapshot *s;
	uint64_t since_ns;

	connect_both(&w->pair);
	move(&w->pair, 2 * MIN_BYTES);
	watch(w, (struct sensor_config){0});
	assert_true(sensor_seed(w->sensor) >= 2);
	s = look(w, cookie_of(w->pair.client));
	assert_non_null(s);
	assert_true(s->flags & SNAP_SEEDED);
	assert_int_equal(s->snd.progress_ns, s->snd.run_start_ns);
	assert_int_equal(s->snd.bytes, s->snd.run_start_bytes);

	/* Once more finds what others on this host began meanwhile, but leaves this flow alone. */
	since_ns = s->snd.run_start_ns;
	assert_true(sensor_seed(w->sensor) >= 0);
	assert_int_equal(look(w, cookie_of(w->pair.client))->snd.run_start_ns, since_ns);
}

static void a_reset_is_seen_and_ends_the_flow(void **state)
{
	const struct linger abort = {.l_onoff = 1};
	struct world *w = *state;
	const struct observation *obs;
	uint64_t mine;

	watch(w, (struct sensor_config){0});
	connect_both(&w->pair);
	mine = cookie_of(w->pair.client);
	move(&w->pair, 2 * MIN_BYTES);
	assert_int_equal(setsockopt(w->pair.server, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)),
			 0);
	close(w->pair.server);
	w->pair.server = -1;

	obs = await(w, OBS_RESET, mine, NULL);
	assert_true(obs->reset.inbound);
	assert_int_equal(obs->reset.ttl, 64);
	assert_int_equal(obs->reset.ttl_usual, 64);
	w->n_looked = 0; /* the end may have come with it */
	obs = await(w, OBS_GONE, mine, NULL);
	assert_int_equal(obs->gone.reason, GONE_RESET);
	assert_int_equal(obs->gone.error, ECONNRESET);
	assert_int_equal(obs->gone.last.key.remote.port, w->pair.port);
	assert_true(obs->gone.last.key.local.port != 0);
	assert_null(look(w, mine));
}

/* A socket filter that takes nothing is a drop that needs no firewall. */
static void drops_are_told_while_a_flow_is_listened_to(void **state)
{
	struct sock_filter nothing = {.code = BPF_RET | BPF_K};
	const struct sock_fprog program = {.len = 1, .filter = &nothing};
	static const char nothing_much[1000];
	struct world *w = *state;
	const struct observation *obs;
	struct flow_key key;

	watch(w, (struct sensor_config){0});
	connect_both(&w->pair);
	move(&w->pair, 2 * MIN_BYTES);
	key = look(w, cookie_of(w->pair.server))->key;
	assert_int_equal(sensor_listen(w->sensor, &key), 0);
	assert_int_equal(
		setsockopt(w->pair.server, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)),
		0);
	assert_int_equal(send(w->pair.client, nothing_much, sizeof(nothing_much), 0),
			 sizeof(nothing_much));
	obs = await(w, OBS_DROP, key.cookie, NULL);
	assert_true(obs->drop.inbound);
	assert_true(obs->drop.count >= 1);
	assert_true(!strcmp(obs->drop.reason, "SOCKET_FILTER") ||
		    !strcmp(obs->drop.reason, "NOT_SPECIFIED")); /* before 5.17 */
	assert_int_equal(sensor_release(w->sensor, &key), 0);
}

static void watch_filtered(struct world *w, const char *which)
{
	char text[32], why[256] = "";

	snprintf(text, sizeof(text), "%s %u", which, w->pair.port);
	if (flow_filter_new(text, &w->filter, why, sizeof(why)))
		fail_msg("%s", why);
	watch(w, (struct sensor_config){.filter = w->filter});
}

static void a_filter_names_its_flows_from_the_first_byte(void **state)
{
	struct world *w = *state;
	const struct flow_snapshot *s;

	listen_at(&w->pair);
	watch_filtered(w, "dst port");
	connect_both(&w->pair);
	s = look(w, cookie_of(w->pair.client));
	assert_non_null(s);
	assert_true(s->flags & SNAP_NAMED);
	assert_false(s->flags & SNAP_WITNESS_ONLY);
	assert_int_equal(s->pid, getpid());
}

static void other_flows_are_witnesses_once_they_are_transfers(void **state)
{
	struct world *w = *state;
	const struct flow_snapshot *s;

	listen_at(&w->pair);
	watch_filtered(w, "not port");
	connect_both(&w->pair);
	move(&w->pair, MIN_BYTES / 4);
	assert_null(look(w, cookie_of(w->pair.client)));
	move(&w->pair, 2 * MIN_BYTES);
	s = look(w, cookie_of(w->pair.client));
	assert_non_null(s);
	assert_true(s->flags & SNAP_WITNESS_ONLY);
	assert_false(s->flags & SNAP_NAMED);
}

static void a_watched_process_names_its_flows(void **state)
{
	struct world *w = *state;
	const struct flow_snapshot *s;

	watch(w, (struct sensor_config){.root_pid = getpid()});
	connect_both(&w->pair);
	for (int i = 0; i < 2; i++) { /* the accepted end inherits it from the listener */
		s = look(w, cookie_of(i ? w->pair.server : w->pair.client));
		assert_non_null(s);
		assert_true(s->flags & SNAP_NAMED);
		assert_false(s->flags & SNAP_WITNESS_ONLY);
		assert_int_equal(s->pid, getpid());
		assert_int_equal(s->key.netns, netns);
	}
}

static void a_missing_program_costs_its_feature_only(void **state)
{
	struct world *w = *state;

	watch(w, (struct sensor_config){.without = "retransmit,drop,state,seed"});
	assert_int_equal(sensor_seed(w->sensor), 0);
	connect_both(&w->pair);
	move(&w->pair, 2 * MIN_BYTES);
	jam(&w->pair);
	await(w, OBS_SNAPSHOT, cookie_of(w->pair.client), window_shut);
}

static void without_the_essential_program_there_is_one_clear_line(void **state)
{
	const struct sensor_config config = {.min_bytes = MIN_BYTES, .without = "progress"};
	struct world *w = *state;
	char why[512] = "";
	int err;

	if (!netns)
		skip();
	err = sensor_open(&config, NULL, see, w, &w->sensor, why, sizeof(why));
	if (err == -EPERM)
		skip();
	assert_int_equal(err, -ENOTSUP);
	assert_non_null(strstr(why, "tcp_probe"));
	assert_null(strchr(why, '\n'));
	assert_null(w->sensor);
}

static void a_file_without_btf_is_refused(void **state)
{
	const struct sensor_config config = {.btf_path = "/dev/null"};
	struct world *w = *state;
	char why[512] = "";

	assert_int_equal(sensor_open(&config, NULL, see, w, &w->sensor, why, sizeof(why)),
			 -ENOTSUP);
	assert_non_null(strstr(why, "/dev/null"));
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
	flow_filter_free(w->filter);
	hang_up(&w->pair);
	free(w);
	return 0;
}

#define SENSOR_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SENSOR_TEST(a_transfer_that_is_not_read_is_reported_with_its_state),
		SENSOR_TEST(a_transfer_that_moves_again_is_reported_once_more),
		SENSOR_TEST(a_small_flow_has_no_state),
		SENSOR_TEST(an_older_connection_is_seeded),
		SENSOR_TEST(a_reset_is_seen_and_ends_the_flow),
		SENSOR_TEST(drops_are_told_while_a_flow_is_listened_to),
		SENSOR_TEST(a_filter_names_its_flows_from_the_first_byte),
		SENSOR_TEST(other_flows_are_witnesses_once_they_are_transfers),
		SENSOR_TEST(a_watched_process_names_its_flows),
		SENSOR_TEST(a_missing_program_costs_its_feature_only),
		SENSOR_TEST(without_the_essential_program_there_is_one_clear_line),
		SENSOR_TEST(a_file_without_btf_is_refused),
	};

	netns = loopback_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
