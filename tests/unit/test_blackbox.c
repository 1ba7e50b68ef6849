/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Black boxes against the running kernel, over loopback: what a packet socket sees must be in them,
 * in this order, once, and at this time. Without the right to load programs every test is skipped.
 */
#include "sensor/blackbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loopback.h"
#include "sensor/filter.h"
#include "sensor/frame.h"
#include "sensor/sensor.h"

#define MIN_BYTES 65536
#define SEEN_MAX  4096
#define LATE_NS	  (100 * NS_PER_MS) /* between two stamps of one packet, on a busy machine */
#define BOX_PAIRS 100
#define LARGE	  4096

static uint32_t netns;

struct seen {
	struct frame frame;
	uint64_t time_ns;
	uint32_t length;
	uint8_t flags;
	uint8_t captured;
};

struct world {
	struct sensor *sensor;
	struct flow_filter *filter;
	struct pair pair;
	int wire;	     /* packet socket */
	struct flow_key key; /* of the flow looked for, and then found */
	int n_gone;
	uint64_t gone[BOX_PAIRS * 2];
	struct box_counts counts;
	int n_box, n_wire;
	struct seen box[SEEN_MAX], on_wire[SEEN_MAX];
};

static void look_for(const struct observation *obs, void *arg)
{
	const struct flow_key *key = NULL;
	struct world *w = arg;

	if (obs->type == OBS_SNAPSHOT)
		key = &obs->snapshot.key;
	else if (obs->type == OBS_GONE && w->n_gone < BOX_PAIRS * 2)
		w->gone[w->n_gone++] = obs->gone.last.key.cookie;
	if (key && key->cookie == w->key.cookie)
		w->key = *key;
}

static void watch(struct world *w, uint32_t packets, const char *filter)
{
	struct sensor_config config = {.min_bytes = MIN_BYTES,
				       .suspect_after_ns = NS_PER_S,
				       .netns = netns,
				       .box_packets = packets};
	char why[512] = "", text[64];
	int err;

	if (filter) {
		snprintf(text, sizeof(text), "%s %u", filter, w->pair.port);
		assert_int_equal(flow_filter_new(text, &w->filter, why, sizeof(why)), 0);
		config.filter = w->filter;
	}
	err = netns ? sensor_open(&config, NULL, look_for, w, &w->sensor, why, sizeof(why))
		    : -EPERM;
	if (err == -EPERM || err == -ENOTSUP) {
		print_message("%s\n", *why ? why : "no network namespace of our own");
		skip();
	}
	if (err)
		fail_msg("%s", why);
}

/* On loopback a packet is seen leaving and coming; only the former is taken. */
static void listen_on_wire(struct world *w)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex("lo")};
	const int size = 16 << 20, on = 1;

	w->wire = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(w->wire >= 0);
	setsockopt(w->wire, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(w->wire, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	assert_int_equal(bind(w->wire, (struct sockaddr *)&at, sizeof(at)), 0);
}

static bool ours(const struct world *w, const struct frame *f)
{
	uint16_t local = w->key.local.port, remote = w->key.remote.port;

	return f->kind == FRAME_TCP && ((f->sport == local && f->dport == remote) ||
					(f->sport == remote && f->dport == local));
}

/* What has passed so far, of the flow that was found. */
static void read_wire(struct world *w)
{
	static uint8_t data[65536 + 128];
	const int64_t wall = wall_offset_ns();

	for (;;) {
		struct seen *s = &w->on_wire[w->n_wire];
		struct sockaddr_ll from;
		char control[256];
		struct iovec iov = {data, sizeof(data)};
		struct msghdr m = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(w->wire, &m, 0);
		const struct cmsghdr *stamp;
		struct timespec t;

		if (n < 0)
			break;
		stamp = CMSG_FIRSTHDR(&m);
		if (from.sll_pkttype != PACKET_OUTGOING || !stamp)
			continue;
		memcpy(&t, CMSG_DATA(stamp), sizeof(t));
		*s = (struct seen){.length = (uint32_t)n};
		s->time_ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec - (uint64_t)wall;
		frame_decode(1, data, (uint32_t)n, (uint32_t)n, &s->frame);
		if (!ours(w, &s->frame))
			continue;
		assert_true(++w->n_wire < SEEN_MAX);
	}
}

static void keep(const struct box_packet *p, void *arg)
{
	struct world *w = arg;
	struct seen *s = &w->box[w->n_box++];

	assert_true(w->n_box < SEEN_MAX);
	*s = (struct seen){.time_ns = p->time_ns,
			   .length = p->length,
			   .flags = p->flags,
			   .captured = p->captured};
	frame_decode(p->linktype, p->data, p->captured, p->length, &s->frame);
	assert_int_equal(p->netns, netns);
}

static int open_box(struct world *w)
{
	w->n_box = 0;
	return sensor_box(w->sensor, &w->key, keep, w, &w->counts);
}

/* Finds the flow of this socket. */
static void find(struct world *w, uint64_t cookie)
{
	w->key = (struct flow_key){.cookie = cookie};
	assert_int_equal(sensor_read(w->sensor), 0);
	assert_int_equal(sensor_scan(w->sensor, true), 0);
	assert_int_not_equal(w->key.local.port, 0);
}

static bool is_gone(const struct world *w, uint64_t cookie)
{
	for (int i = 0; i < w->n_gone; i++)
		if (w->gone[i] == cookie)
			return true;
	return false;
}

/* Until the flow that was found has ended. */
static void await_end(struct world *w)
{
	const uint64_t end = mono_ns() + 10 * NS_PER_S;

	while (!is_gone(w, w->key.cookie)) {
		struct pollfd p = {.fd = sensor_fd(w->sensor), .events = POLLIN};

		assert_true(mono_ns() < end);
		poll(&p, 1, 100);
		assert_int_equal(sensor_read(w->sensor), 0);
	}
}

static void assert_same(const struct world *w, int from_box, int from_wire, int n)
{
	assert_true(from_box + n <= w->n_box && from_wire + n <= w->n_wire);
	for (int i = 0; i < n; i++) {
		const struct seen *b = &w->box[from_box + i], *k = &w->on_wire[from_wire + i];
		const bool out = k->frame.sport == w->key.local.port;

		if (b->frame.seq != k->frame.seq || b->frame.flags != k->frame.flags ||
		    b->frame.sport != k->frame.sport)
			fail_msg("packet %d of %d: %u:%u in the box, %u:%u on the wire", i, n,
				 b->frame.sport, b->frame.seq, k->frame.sport, k->frame.seq);
		assert_int_equal(b->frame.ack, k->frame.ack);
		assert_int_equal(b->frame.window, k->frame.window);
		assert_int_equal(b->frame.payload, k->frame.payload);
		assert_int_equal(b->frame.ip_id, k->frame.ip_id);
		assert_int_equal(b->frame.tsval, k->frame.tsval);
		assert_int_equal(b->length, k->length);
		assert_int_equal(b->captured, k->length - k->frame.payload);
		assert_int_equal(!!(b->flags & BOX_OUT), out);
		assert_int_equal(b->flags & ~(BOX_OUT | BOX_AGAIN), 0);
		assert_in_range(b->time_ns, k->time_ns - LATE_NS, k->time_ns + LATE_NS);
	}
}

/* Whatever the packets say, for the order in which both directions cross at one time. */
static void a_named_flow_is_in_its_box_from_handshake_to_end(void **state)
{
	struct world *w = *state;
	struct flow_key theirs;
	uint64_t client, server;

	listen_at(&w->pair);
	watch(w, LARGE, "port");
	listen_on_wire(w);
	connect_both(&w->pair);
	client = cookie_of(w->pair.client);
	server = cookie_of(w->pair.server);
	for (int i = 0; i < 50; i++)
		move(&w->pair, 1000);
	shutdown(w->pair.client, SHUT_WR); /* half closed: out of tcp_probe's sight */
	find(w, server);
	theirs = w->key;
	find(w, client);
	hang_up(&w->pair);

	await_end(w);
	read_wire(w);
	assert_int_equal(open_box(w), 0);
	assert_true(w->n_wire > 100);
	assert_int_equal(w->n_box, w->n_wire);
	assert_same(w, 0, 0, w->n_wire);
	assert_int_equal(w->counts.seen, w->n_wire);
	assert_int_equal(w->counts.overwritten + w->counts.torn, 0);

	/* The one that accepted had no socket yet when the handshake passed. */
	w->key = theirs;
	await_end(w);
	assert_int_equal(open_box(w), 0);
	assert_true(w->box[0].flags & w->box[1].flags & w->box[2].flags & BOX_RECONSTRUCTED);
	assert_true(w->box[0].frame.flags == TCP_SYN && !(w->box[0].flags & BOX_OUT));
}

static void the_last_packets_stay_the_rest_is_counted(void **state)
{
	struct world *w = *state;

	watch(w, 16, NULL);
	connect_both(&w->pair);
	move(&w->pair, 2 * MIN_BYTES);
	find(w, cookie_of(w->pair.client));
	assert_int_equal(open_box(w), 0);
	w->counts.torn = w->counts.seen; /* so far */
	listen_on_wire(w);
	for (int i = 0; i < 200; i++)
		move(&w->pair, 100);
	read_wire(w);
	assert_true(w->n_wire > 100);
	{
		uint64_t before = w->counts.torn;

		assert_int_equal(open_box(w), 0);
		assert_int_equal(w->counts.seen - before, w->n_wire);
	}
	assert_int_equal(w->counts.overwritten, w->counts.seen - 16);
	assert_int_equal(w->counts.torn, 0);
	assert_int_equal(w->n_box, 3 + 16); /* a handshake comes first */
	assert_same(w, 3, w->n_wire - 16, 16);
}

static void the_handshake_of_an_older_box_is_reconstructed(void **state)
{
	const struct seen *syn, *reply, *ack;
	struct world *w = *state;

	listen_on_wire(w);
	connect_both(&w->pair);
	watch(w, 64, NULL);
	move(&w->pair, 4 * MIN_BYTES);
	find(w, cookie_of(w->pair.client));
	read_wire(w);
	assert_int_equal(open_box(w), 0);
	assert_true(w->n_box > 3);
	for (int i = 0; i < w->n_box; i++)
		assert_int_equal(!!(w->box[i].flags & BOX_RECONSTRUCTED), i < 3);
	syn = &w->box[0];
	reply = &w->box[1];
	ack = &w->box[2];

	/* The ports are random both: who connected is not known for certain. */
	assert_int_equal(syn->frame.flags, TCP_SYN);
	assert_int_equal(reply->frame.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(ack->frame.flags, TCP_ACK);
	assert_int_equal(reply->frame.ack, syn->frame.seq + 1);
	assert_int_equal(ack->frame.ack, reply->frame.seq + 1);
	assert_true(syn->time_ns <= reply->time_ns && reply->time_ns <= ack->time_ns &&
		    ack->time_ns <= w->box[3].time_ns);
	for (int i = 0; i < 2; i++) {
		const struct frame *made = &w->box[i].frame, *real = &w->on_wire[0].frame;

		if (made->sport != real->sport)
			real = &w->on_wire[1].frame;
		assert_int_equal(made->sport, real->sport);
		assert_int_equal(made->wscale, real->wscale);
		assert_int_equal(made->mss, real->mss);
		assert_int_equal(made->has & (HAS_SACK_OK | HAS_TIMESTAMPS),
				 real->has & (HAS_SACK_OK | HAS_TIMESTAMPS));
	}
	for (int i = 3; i < w->n_box; i++) { /* all of it lies behind the handshake */
		const struct frame *f = &w->box[i].frame;
		const struct seen *begin = f->sport == syn->frame.sport ? syn : reply;

		assert_true((int32_t)(f->seq - begin->frame.seq) > 0);
	}
}

static void a_reset_either_way_is_kept_though_the_socket_is_gone(void **state)
{
	const struct linger abort = {.l_onoff = 1};
	struct world *w = *state;
	struct flow_key keys[2];

	watch(w, LARGE, NULL);
	connect_both(&w->pair);
	move(&w->pair, 2 * MIN_BYTES);
	shutdown(w->pair.client, SHUT_WR); /* what comes in after that is seen once it was told */
	for (int i = 0; i < 2; i++) {
		find(w, cookie_of(i ? w->pair.client : w->pair.server));
		keys[i] = w->key;
	}
	assert_int_equal(setsockopt(w->pair.server, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)),
			 0);
	hang_up(&w->pair);
	for (int i = 0; i < 2; i++) {
		w->key = keys[i];
		await_end(w);
		assert_int_equal(open_box(w), 0);
		assert_true(w->box[w->n_box - 1].frame.flags & TCP_RST);
		assert_int_equal(w->box[w->n_box - 1].flags, i ? 0 : BOX_OUT);
	}
}

/* Data that comes when nobody will read it any more: the kernel answers beside the socket. */
static void a_reset_in_reply_is_seen_once_or_reconstructed(void **state)
{
	const struct frame *made, *real;
	struct world *w = *state;
	struct pair back;

	watch(w, LARGE, NULL);
	connect_both(&w->pair);
	move(&w->pair, 2 * MIN_BYTES);
	back = (struct pair){-1, w->pair.server, w->pair.client, 0};
	jam(&back); /* so that it cannot close at once */
	find(w, cookie_of(w->pair.server));
	listen_on_wire(w);
	close(w->pair.server);
	w->pair.server = -1;
	assert_int_equal(send(w->pair.client, "x", 1, 0), 1);
	await_end(w);
	read_wire(w);
	assert_int_equal(open_box(w), 0);
	made = &w->box[w->n_box - 1].frame;
	real = &w->on_wire[w->n_wire - 1].frame;
	assert_int_equal(made->flags, TCP_RST);
	assert_int_equal(made->flags, real->flags);
	assert_int_equal(made->sport, real->sport);
	assert_int_equal(made->seq, real->seq);
	assert_false(w->box[w->n_box - 2].frame.flags & TCP_RST);
}

/* A tail loss probe (RFC 8985) may come where the machine is busy: that is marked, the rest is not.
 */
static void only_repeats_are_marked(const struct world *w)
{
	uint32_t top = 0;
	bool begun = false;

	for (int i = 0; i < w->n_box; i++) {
		const struct seen *p = &w->box[i];
		const uint32_t end = p->frame.seq + p->frame.payload;

		if (!(p->flags & BOX_OUT) || !p->frame.payload)
			continue;
		if (begun)
			assert_int_equal(!!(p->flags & BOX_AGAIN), (int32_t)(end - top) <= 0);
		if (!begun || (int32_t)(end - top) > 0)
			top = end;
		begun = true;
	}
	assert_true(begun);
}

static void what_is_sent_again_is_marked(void **state)
{
	struct sock_filter nothing = {.code = BPF_RET | BPF_K};
	const struct sock_fprog program = {.len = 1, .filter = &nothing};
	const uint64_t end = mono_ns() + 10 * NS_PER_S;
	struct world *w = *state;
	uint64_t client, server;
	int again = 0;

	watch(w, LARGE, NULL);
	connect_both(&w->pair);
	client = cookie_of(w->pair.client);
	server = cookie_of(w->pair.server);
	move(&w->pair, 2 * MIN_BYTES);
	find(w, client);
	assert_int_equal(open_box(w), 0);
	only_repeats_are_marked(w);
	find(w, server);
	assert_int_equal(sensor_listen(w->sensor, &w->key), 0);
	assert_int_equal(
		setsockopt(w->pair.server, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)),
		0);
	assert_int_equal(send(w->pair.client, "lost", 4, 0), 4);
	find(w, client);
	while (again < 2 && mono_ns() < end) {
		poll(NULL, 0, 20);
		assert_int_equal(open_box(w), 0);
		again = 0;
		for (int i = 0; i < w->n_box; i++)
			again += w->box[i].flags == (BOX_OUT | BOX_AGAIN) &&
				 w->box[i].frame.payload == 4;
	}
	assert_true(again >= 2);
	find(w, server); /* which drops what comes */
	assert_int_equal(open_box(w), 0);
	assert_int_equal(w->box[w->n_box - 1].flags & ~BOX_AGAIN, BOX_DROPPED);
	assert_int_equal(w->box[w->n_box - 1].frame.payload, 4);
}

static void a_box_is_reused_when_all_are_taken_the_longest_ended_first(void **state)
{
	struct flow_key keys[BOX_PAIRS * 2];
	struct world *w = *state;
	int boxes, flows = 0;

	watch(w, BOX_MAX, NULL);
	boxes = (int)sensor_box_capacity(w->sensor).boxes;
	assert_in_range(boxes, 64, BOX_PAIRS * 2 - 4);
	while (flows < boxes + 2) {
		connect_both(&w->pair);
		move(&w->pair, 2 * MIN_BYTES);
		for (int k = 0; k < 2; k++) {
			find(w, cookie_of(k ? w->pair.server : w->pair.client));
			keys[flows++] = w->key;
		}
		hang_up(&w->pair);
		for (int k = 1; k <= 2; k++) {
			w->key = keys[flows - k];
			await_end(w);
		}
	}
	for (int i = 0; i < flows; i++) {
		w->key = keys[i];
		assert_int_equal(open_box(w), i < flows - boxes ? -ENOENT : 0);
		for (int k = 0; k < w->n_box; k++)
			assert_true(ours(w, &w->box[k].frame));
	}
	assert_int_equal(sensor_box_capacity(w->sensor).without, 0);
}

static void without_boxes_there_is_a_reason(void **state)
{
	struct world *w = *state;

	watch(w, 0, NULL);
	assert_int_equal(open_box(w), -ENOTSUP);
	assert_int_equal(sensor_box_capacity(w->sensor).packets, 0);
	sensor_close(w->sensor);
	w->sensor = NULL;
	watch(w, 100, NULL);
	assert_int_equal(sensor_box_capacity(w->sensor).packets, 128);
	assert_true(sensor_box_capacity(w->sensor).bytes > 1 << 20);
	assert_int_equal(open_box(w), -ENOENT);
}

struct mover {
	struct pair *pair;
	atomic_bool stop;
};

static void *move_on(void *arg)
{
	static char block[100];
	struct mover *m = arg;

	while (!m->stop) {
		send(m->pair->client, block, sizeof(block), 0);
		recv(m->pair->server, block, sizeof(block), 0);
	}
	return NULL;
}

/* The kernel writes on while we read: what is handed over is whole, and everything adds up. */
static void a_box_that_is_being_filled_is_read_whole(void **state)
{
	struct world *w = *state;
	struct mover mover = {.pair = &w->pair};
	uint64_t torn = 0;
	pthread_t thread;

	watch(w, 16, NULL);
	connect_both(&w->pair);
	move(&w->pair, 2 * MIN_BYTES);
	find(w, cookie_of(w->pair.client));
	assert_int_equal(pthread_create(&thread, NULL, move_on, &mover), 0);
	for (int i = 0; i < 2000; i++) {
		uint64_t last_ns = 0;

		assert_int_equal(open_box(w), 0);
		for (int k = 0; k < w->n_box; k++) {
			assert_true(ours(w, &w->box[k].frame));
			assert_true(w->box[k].time_ns >= last_ns);
			last_ns = w->box[k].time_ns;
		}
		assert_int_equal(w->counts.seen, w->counts.overwritten + w->counts.torn +
							 (uint64_t)(w->n_box ? w->n_box - 3 : 0));
		torn += w->counts.torn;
	}
	mover.stop = true;
	pthread_join(thread, NULL);
	assert_true(torn > 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->pair = (struct pair)NO_PAIR;
	w->wire = -1;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	sensor_close(w->sensor);
	flow_filter_free(w->filter);
	hang_up(&w->pair);
	if (w->wire >= 0)
		close(w->wire);
	free(w);
	return 0;
}

#define BOX_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(a_named_flow_is_in_its_box_from_handshake_to_end),
		BOX_TEST(the_last_packets_stay_the_rest_is_counted),
		BOX_TEST(the_handshake_of_an_older_box_is_reconstructed),
		BOX_TEST(a_reset_either_way_is_kept_though_the_socket_is_gone),
		BOX_TEST(a_reset_in_reply_is_seen_once_or_reconstructed),
		BOX_TEST(what_is_sent_again_is_marked),
		BOX_TEST(a_box_is_reused_when_all_are_taken_the_longest_ended_first),
		BOX_TEST(without_boxes_there_is_a_reason),
		BOX_TEST(a_box_that_is_being_filled_is_read_whole),
	};

	netns = loopback_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
