/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A wire between two namespaces, in user space: two TAP interfaces, and for each direction a queue
 * with delay, jitter, rate, policer, loss, bit errors, reordering, duplication and corruption. It
 * stands in for netem where the kernel has none, and can do to one connection what netem cannot
 * (wire_rule.c).
 *
 *   wire NETNS,IFNAME NETNS,IFNAME CONTROL-SOCKET SEED
 *
 * With READY_FD in the environment it writes one byte there when all is open.
 *
 * Commands, one a line, each answered by one line, "ok" or "error":
 *   set ab|ba|both KEY=N ...   keys: see wire_shape.c
 *   rule ab|ba|both ACTION [KEY=VALUE ...]   see wire_rule.h
 *   unrule N
 *   stats
 * Every client also gets "fired N MONO_NS" when a rule hits for the first time.
 *
 * The same seed and the same packets give the same losses. Memory is bounded by QUEUE_PACKETS; a
 * packet that finds the queue full is dropped and counted, as on a real port. Wakes up only for a
 * packet, a due packet or a command.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signal.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/parse.h"
#include "wire_rule.h"
#include "wire_shape.h"

#define FRAME_MAX     9300  /* a jumbo frame with its Ethernet and VLAN headers */
#define QUEUE_PACKETS 32768 /* a direction holds no more */
#define BATCH	      64    /* frames read from one end before the other gets its turn */
#define CLIENTS_MAX   8
#define LINE_MAX_LEN  512

struct frame {
	uint64_t due_ns, order; /* the heap's key; order keeps equal times first in, first out */
	uint32_t bytes;
	uint8_t data[];
};

struct direction {
	const char *name;
	uint32_t bit;
	int in_fd, out_fd;
	struct shape shape;
	double police_left;   /* bytes that may still pass */
	uint64_t police_ns;   /* when that was so */
	uint64_t free_ns;     /* when the last queued packet has left the sender's port */
	uint64_t last_due_ns; /* packets stay in order unless reordering is asked for */
	struct frame **heap;
	uint32_t n_heap;
	uint64_t late_ns; /* the most that a packet left after it was due: this process did not run
			   */
	uint64_t passed, lost, policed, queue_full, ruled, corrupted, duplicated, reordered;
};

struct client {
	int fd; /* -1: free */
	uint32_t n_line;
	char line[LINE_MAX_LEN];
};

struct wire {
	struct direction way[2];
	struct rules rules;
	struct client client[CLIENTS_MAX];
	int epoll_fd, timer_fd, listen_fd;
	uint64_t random, order, armed_ns;
};

/* xorshift64*, Vigna 2016: small, seeded, good enough to lose packets by. */
static uint64_t random_next(struct wire *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * 0x2545f4914f6cdd1dull;
}

static bool chance(struct wire *w, uint64_t ppm)
{
	return ppm && (random_next(w) >> 32) % PPM < ppm;
}

/* Due earlier, or at the same time and read earlier. */
static bool before(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_push(struct direction *d, struct frame *f)
{
	uint32_t i = d->n_heap++;

	for (; i && before(f, d->heap[(i - 1) / 2]); i = (i - 1) / 2)
		d->heap[i] = d->heap[(i - 1) / 2];
	d->heap[i] = f;
}

static struct frame *heap_pop(struct direction *d)
{
	struct frame *top = d->heap[0], *last = d->heap[--d->n_heap];
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < d->n_heap) {
		if (child + 1 < d->n_heap && before(d->heap[child + 1], d->heap[child]))
			child++;
		if (!before(d->heap[child], last))
			break;
		d->heap[i] = d->heap[child];
		i = child;
	}
	if (d->n_heap)
		d->heap[i] = last;
	return top;
}

/* A client that does not read loses the line. */
static void client_say(struct client *c, const char *text)
{
	(void)send(c->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void tell_fired(struct wire *w, uint32_t rule, uint64_t now_ns)
{
	char text[64];
	int i;

	snprintf(text, sizeof(text), "fired %u %llu\n", rule, (unsigned long long)now_ns);
	for (i = 0; i < CLIENTS_MAX; i++)
		if (w->client[i].fd >= 0)
			client_say(&w->client[i], text);
}

/* Flips one bit of the payload and leaves the checksum as it was. */
static void corrupt(struct wire *w, struct direction *d, struct packet_view *p)
{
	if (!p->payload_bytes)
		return;
	p->payload[random_next(w) % p->payload_bytes] ^= (uint8_t)(1u << (random_next(w) >> 61));
	d->corrupted++;
}

static void queue_frame(struct wire *w, struct direction *d, const uint8_t *data, uint32_t bytes,
			uint64_t now_ns)
{
	const struct shape *s = &d->shape;
	uint64_t leave_ns = now_ns, due_ns;
	struct frame *f;

	if (d->n_heap == QUEUE_PACKETS) {
		d->queue_full++;
		return;
	}
	if (s->rate_bps) {
		uint64_t start_ns = d->free_ns > now_ns ? d->free_ns : now_ns;
		double waiting_bytes = (double)(start_ns - now_ns) * (double)s->rate_bps / 8e9;

		if (s->queue_bytes && waiting_bytes > (double)s->queue_bytes) {
			d->queue_full++;
			return;
		}
		leave_ns = start_ns + bytes * 8ull * NS_PER_S / s->rate_bps;
		d->free_ns = leave_ns;
	}
	due_ns = leave_ns + s->delay_us * NS_PER_US;
	if (s->jitter_us)
		due_ns += random_next(w) % (s->jitter_us * NS_PER_US);
	if (chance(w, s->reorder_ppm)) {
		due_ns += s->reorder_us * NS_PER_US;
		d->reordered++;
	} else {
		if (due_ns < d->last_due_ns)
			due_ns = d->last_due_ns;
		d->last_due_ns = due_ns;
	}
	if (due_ns <= now_ns && !d->n_heap) {
		d->passed++;
		(void)!write(d->out_fd, data, bytes);
		return;
	}
	f = malloc(sizeof(*f) + bytes);
	if (!f) {
		d->queue_full++;
		return;
	}
	f->due_ns = due_ns;
	f->order = w->order++;
	f->bytes = bytes;
	memcpy(f->data, data, bytes);
	heap_push(d, f);
}

/* Whether a frame arrives damaged by at least one bit, and is thrown away for its checksum. */
static bool bits_err(struct wire *w, uint64_t bit_errors_ppb, uint32_t bytes)
{
	double intact = exp(bytes * 8.0 * log1p(-1e-9 * (double)bit_errors_ppb));

	return bit_errors_ppb && (double)(random_next(w) >> 11) * 0x1p-53 >= intact;
}

/* A token bucket without a queue: what is too much is dropped, the rest is not delayed. */
static bool police(struct direction *d, uint32_t bytes, uint64_t now_ns)
{
	const struct shape *s = &d->shape;

	if (!s->police_bps) {
		d->police_left = 0;
		d->police_ns = now_ns;
		return true;
	}
	d->police_left += (double)(now_ns - d->police_ns) * (double)s->police_bps / 8e9;
	if (d->police_left > (double)s->police_bytes)
		d->police_left = (double)s->police_bytes;
	d->police_ns = now_ns;
	if (d->police_left < bytes)
		return false;
	d->police_left -= bytes;
	return true;
}

static void frame_arrived(struct wire *w, struct direction *d, uint8_t *data, uint32_t bytes,
			  uint64_t now_ns)
{
	enum rule_action action = RULE_PASS;
	const struct rule *fired = NULL;
	struct packet_view p;
	bool tcp = packet_parse(data, bytes, &p);

	if (tcp)
		action = rules_apply(&w->rules, d->bit, &p, &fired);
	if (fired)
		tell_fired(w, fired->id, now_ns);
	if (action == RULE_DROP) {
		d->ruled++;
		return;
	}
	if (chance(w, d->shape.loss_ppm) || bits_err(w, d->shape.bit_errors_ppb, bytes)) {
		d->lost++;
		return;
	}
	if (!police(d, bytes, now_ns)) {
		d->policed++;
		return;
	}
	if (tcp && (action == RULE_CORRUPT || chance(w, d->shape.corrupt_ppm)))
		corrupt(w, d, &p);
	queue_frame(w, d, data, bytes, now_ns);
	if (chance(w, d->shape.duplicate_ppm)) {
		d->duplicated++;
		queue_frame(w, d, data, bytes, now_ns);
	}
}

static void read_frames(struct wire *w, struct direction *d)
{
	uint8_t data[FRAME_MAX];
	int i;

	for (i = 0; i < BATCH; i++) {
		ssize_t n = read(d->in_fd, data, sizeof(data));

		if (n <= 0)
			return; /* EAGAIN, or the interface is down for now */
		frame_arrived(w, d, data, (uint32_t)n, mono_ns());
	}
}

static void send_due(struct direction *d, uint64_t now_ns)
{
	while (d->n_heap && d->heap[0]->due_ns <= now_ns) {
		struct frame *f = heap_pop(d);

		if (now_ns - f->due_ns > d->late_ns)
			d->late_ns = now_ns - f->due_ns;
		d->passed++;
		(void)!write(d->out_fd, f->data, f->bytes);
		free(f);
	}
}

/* One timer for both directions, set only when the next due time has changed. */
static void arm_timer(struct wire *w)
{
	uint64_t due_ns = UINT64_MAX;
	struct itimerspec t = {};
	int i;

	for (i = 0; i < 2; i++)
		if (w->way[i].n_heap && w->way[i].heap[0]->due_ns < due_ns)
			due_ns = w->way[i].heap[0]->due_ns;
	if (due_ns == w->armed_ns)
		return;
	if (due_ns != UINT64_MAX) {
		t.it_value.tv_sec = (time_t)(due_ns / NS_PER_S);
		t.it_value.tv_nsec = (long)(due_ns % NS_PER_S);
	}
	timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
	w->armed_ns = due_ns;
}

static int set_shape(struct wire *w, char *words)
{
	char *save = NULL, *word = strtok_r(words, " ", &save);
	struct shape made[2] = {w->way[0].shape, w->way[1].shape};
	bool chosen = false;
	int way, err;

	for (way = 0; word && way < 2; way++) {
		if (strcmp(word, "both") && strcmp(word, w->way[way].name))
			continue;
		chosen = true;
		err = shape_parse(&made[way], save);
		if (err)
			return err;
	}
	for (way = 0; way < 2; way++)
		w->way[way].shape = made[way];
	return chosen ? 0 : -EINVAL;
}

static void say_stats(struct wire *w, struct client *c)
{
	char text[1024];
	int i, n = snprintf(text, sizeof(text), "ok");

	for (i = 0; i < 2; i++) {
		const struct direction *d = &w->way[i];

		n += snprintf(
			text + n, sizeof(text) - (size_t)n,
			" %s passed=%llu lost=%llu policed=%llu queue_full=%llu ruled=%llu "
			"corrupted=%llu duplicated=%llu reordered=%llu waiting=%u late_us=%llu",
			d->name, (unsigned long long)d->passed, (unsigned long long)d->lost,
			(unsigned long long)d->policed, (unsigned long long)d->queue_full,
			(unsigned long long)d->ruled, (unsigned long long)d->corrupted,
			(unsigned long long)d->duplicated, (unsigned long long)d->reordered,
			d->n_heap, (unsigned long long)(d->late_ns / NS_PER_US));
	}
	snprintf(text + n, sizeof(text) - (size_t)n, "\n");
	client_say(c, text);
}

static void run_command(struct wire *w, struct client *c)
{
	char *rest = c->line, *verb = strsep(&rest, " ");
	char text[64] = "ok\n";
	uint32_t id = 0;
	uint64_t number;
	int err = -EINVAL;

	if (!strcmp(verb, "stats")) {
		say_stats(w, c);
		return;
	}
	if (!rest)
		err = -EINVAL;
	else if (!strcmp(verb, "set"))
		err = set_shape(w, rest);
	else if (!strcmp(verb, "rule"))
		err = rule_add(&w->rules, rest, &id);
	else if (!strcmp(verb, "unrule") && !(err = parse_u64(rest, 1, UINT32_MAX, &number)))
		err = rule_delete(&w->rules, (uint32_t)number);
	if (err)
		snprintf(text, sizeof(text), "error %s\n", strerror(-err));
	else if (id)
		snprintf(text, sizeof(text), "ok %u\n", id);
	client_say(c, text);
}

static void client_read(struct wire *w, struct client *c)
{
	ssize_t n = recv(c->fd, c->line + c->n_line, sizeof(c->line) - c->n_line, MSG_DONTWAIT);
	char *end;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			close(c->fd);
			*c = (struct client){.fd = -1};
		}
		return;
	}
	c->n_line += (uint32_t)n;
	while ((end = memchr(c->line, '\n', c->n_line))) {
		uint32_t used = (uint32_t)(end - c->line) + 1;

		*end = '\0';
		run_command(w, c);
		c->n_line -= used;
		memmove(c->line, c->line + used, c->n_line);
	}
	if (c->n_line == sizeof(c->line))
		c->n_line = 0; /* no command is that long */
}

static int watch_fd(struct wire *w, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void client_accept(struct wire *w)
{
	int i, fd = accept(w->listen_fd, NULL, NULL);

	if (fd < 0)
		return;
	for (i = 0; i < CLIENTS_MAX; i++) {
		if (w->client[i].fd < 0 && !watch_fd(w, fd)) {
			w->client[i].fd = fd;
			return;
		}
	}
	close(fd);
}

static void run(struct wire *w)
{
	struct epoll_event events[16];

	for (;;) {
		int i, k, n = epoll_wait(w->epoll_fd, events, 16, -1);
		uint64_t now_ns;

		if (n < 0 && errno != EINTR)
			return;
		for (i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			uint64_t expirations;

			if (fd == w->timer_fd)
				(void)!read(fd, &expirations, sizeof(expirations));
			else if (fd == w->listen_fd)
				client_accept(w);
			for (k = 0; k < 2; k++)
				if (fd == w->way[k].in_fd)
					read_frames(w, &w->way[k]);
			for (k = 0; k < CLIENTS_MAX; k++)
				if (fd == w->client[k].fd)
					client_read(w, &w->client[k]);
		}
		now_ns = mono_ns();
		send_due(&w->way[0], now_ns);
		send_due(&w->way[1], now_ns);
		arm_timer(w);
	}
}

/* A TAP interface in the namespace; the process stays there, which nothing later depends on. */
static int open_end(const char *netns_and_name)
{
	const char *name = strrchr(netns_and_name, ',');
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	char path[256];
	int netns = -1, tap = -1, err = -EINVAL;

	if (!name || strlen(name + 1) >= IFNAMSIZ ||
	    (size_t)(name - netns_and_name) >= sizeof(path))
		goto out;
	memcpy(path, netns_and_name, (size_t)(name - netns_and_name));
	path[name - netns_and_name] = '\0';
	memcpy(request.ifr_name, name + 1, strlen(name + 1));
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0 || setns(netns, CLONE_NEWNET)) {
		err = -errno;
		goto out;
	}
	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request)) {
		err = -errno;
		goto out;
	}
	err = tap;
	tap = -1;
out:
	if (netns >= 0)
		close(netns);
	if (tap >= 0)
		close(tap);
	return err;
}

static int open_control(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (void *)&addr, sizeof(addr)) || listen(fd, CLIENTS_MAX))
		return -errno;
	return fd;
}

static void tell_ready(void)
{
	const char *text = getenv("READY_FD");
	uint64_t fd;

	if (text && !parse_u64(text, 3, INT32_MAX, &fd)) {
		(void)!write((int)fd, "1", 1);
		close((int)fd);
	}
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(-err));
	return 1;
}

int main(int argc, char **argv)
{
	static struct wire w = {.armed_ns = UINT64_MAX};
	uint64_t seed = 0;
	int i;

	if (argc != 5 || parse_u64(argv[4], 0, UINT64_MAX, &seed)) {
		fprintf(stderr, "usage: wire NETNS,IFNAME NETNS,IFNAME CONTROL-SOCKET SEED\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1000);
	w.random = seed * 0x9e3779b97f4a7c15ull + 1; /* never zero for any seed that people use */
	for (i = 0; i < CLIENTS_MAX; i++)
		w.client[i].fd = -1;
	for (i = 0; i < 2; i++) {
		int fd = open_end(argv[1 + i]);

		if (fd < 0)
			return fail(argv[1 + i], fd);
		w.way[i].in_fd = w.way[1 - i].out_fd = fd;
		w.way[i].name = i ? "ba" : "ab";
		w.way[i].bit = i ? WIRE_BA : WIRE_AB;
		w.way[i].heap = calloc(QUEUE_PACKETS, sizeof(struct frame *));
		if (!w.way[i].heap)
			return fail("queue", -ENOMEM);
	}
	w.listen_fd = open_control(argv[3]);
	if (w.listen_fd < 0)
		return fail(argv[3], w.listen_fd);
	w.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	w.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w.timer_fd < 0 || w.epoll_fd < 0 || watch_fd(&w, w.timer_fd) ||
	    watch_fd(&w, w.listen_fd) || watch_fd(&w, w.way[0].in_fd) ||
	    watch_fd(&w, w.way[1].in_fd))
		return fail("epoll", -errno);
	tell_ready();
	run(&w);
	return fail("epoll_wait", -errno);
}
