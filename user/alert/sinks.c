/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The thread that delivers. Queues and counters are under the lock; a delivery that is under way is
 * the thread's own. A sink has one message on its way at a time, so that an end never overtakes its
 * begin.
 */
#include "alert/sinks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "alert/delivery.h"
#include "alert/groups.h"
#include "base/capability.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/news.h"

#define PAUSE_MIN_NS NS_PER_S
#define PAUSE_MAX_NS (300 * NS_PER_S)
#define RETIRE_NS    (30 * NS_PER_S)

struct sink {
	struct sink_config config;
	/* under the lock */
	struct message **queue; /* ring */
	uint32_t first, n;
	uint64_t results[SINK_RESULTS];
	/* the thread's own */
	struct delivery delivery;
	struct message *current; /* NULL: none is on its way */
	bool begun;
	uint64_t next_ns;		    /* no earlier */
	int failures;			    /* in a row */
	struct message *active[GROUPS_MAX]; /* that must be sent again while they last */
	uint64_t resend_ns;
};

struct sinks {
	struct sink *sink;
	int n;
	char host[NAME_LEN];
	pthread_t thread;
	int wake_fd;
	struct news news;
	pthread_mutex_t lock;
	bool stopping, retired;
	bool mails;	  /* through sendmail, which is often a set-group-ID program */
	uint64_t stop_ns; /* no longer than that */
};

const char *sink_result_id(enum sink_result result)
{
	static const char *const ids[] = {"sent", "retried", "failed", "lost"};

	return ids[result];
}

const char *sink_missing(enum sink_type type)
{
#ifndef HAVE_CURL
	if (type == SINK_WEBHOOK || type == SINK_ALERTMANAGER)
		return "libcurl";
#endif
#ifndef HAVE_SYSTEMD
	if (type == SINK_JOURNAL)
		return "libsystemd";
#endif
	(void)type;
	return NULL;
}

static void drop(struct message *m)
{
	if (m && !--m->refs)
		message_free(m);
}

static void let_go(struct sinks *s, struct message *m)
{
	pthread_mutex_lock(&s->lock);
	drop(m);
	pthread_mutex_unlock(&s->lock);
}

static bool wants(const struct sink *sink, const struct alert *a)
{
	const char *list = sink->config.watch, *name;
	size_t len;

	if (!*list || a->kind == ALERT_TEST)
		return true;
	while (list_next(&list, &name, &len)) {
		if (len == strlen(a->watch) && !strncmp(name, a->watch, len))
			return true;
	}
	return false;
}

/* Locked. The oldest makes room. */
static void enqueue(struct sink *sink, struct message *m)
{
	const uint32_t size = (uint32_t)sink->config.queue;

	if (sink->n == size) {
		drop(sink->queue[sink->first]);
		sink->first = (sink->first + 1) % size;
		sink->n--;
		sink->results[SINK_LOST]++;
	}
	sink->queue[(sink->first + sink->n++) % size] = m;
	m->refs++;
}

void sinks_tell(struct sinks *s, const struct alert *alert, int64_t wall_offset_ns)
{
	struct message *m = message_new(alert, s->host, wall_offset_ns);

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < s->n; i++) {
		if (!m)
			s->sink[i].results[SINK_LOST]++;
		else if (wants(&s->sink[i], alert))
			enqueue(&s->sink[i], m);
	}
	if (m && !m->refs)
		message_free(m);
	pthread_mutex_unlock(&s->lock);
	eventfd_write(s->wake_fd, 1);
}

/* The thread: alerts that go on are remembered for the sinks that forget them. */
static void remember(struct sinks *s, struct sink *sink, struct message *m)
{
	struct message **free_slot = NULL, **slot = NULL;

	if (sink->config.type != SINK_ALERTMANAGER || m->alert.kind == ALERT_TEST)
		return;
	for (int i = 0; i < GROUPS_MAX; i++) {
		if (!sink->active[i])
			free_slot = free_slot ? free_slot : &sink->active[i];
		else if (!strcmp(sink->active[i]->alert.id, m->alert.id))
			slot = &sink->active[i];
	}
	slot = slot ? slot : free_slot;
	if (!slot || *slot == m)
		return;
	pthread_mutex_lock(&s->lock);
	drop(*slot);
	*slot = NULL;
	if (m->alert.kind != ALERT_END) {
		m->refs++;
		*slot = m;
	}
	pthread_mutex_unlock(&s->lock);
}

/* Only while nothing waits: an end that does must not be followed by what it ended. */
static void send_again(struct sinks *s, struct sink *sink, uint64_t now_ns)
{
	bool waiting;

	if (sink->config.type != SINK_ALERTMANAGER || now_ns < sink->resend_ns)
		return;
	sink->resend_ns = now_ns + sink->config.resend_ns;
	if (sink->current)
		return;
	pthread_mutex_lock(&s->lock);
	waiting = sink->n;
	for (int i = 0; i < GROUPS_MAX && !waiting; i++) {
		if (sink->active[i] && sink->n < sink->config.queue)
			enqueue(sink, sink->active[i]);
	}
	pthread_mutex_unlock(&s->lock);
}

static void count(struct sinks *s, struct sink *sink, enum sink_result result)
{
	pthread_mutex_lock(&s->lock);
	sink->results[result]++;
	pthread_mutex_unlock(&s->lock);
}

static struct message *take(struct sinks *s, struct sink *sink)
{
	struct message *m = NULL;

	pthread_mutex_lock(&s->lock);
	if (sink->n) {
		m = sink->queue[sink->first];
		sink->first = (sink->first + 1) % (uint32_t)sink->config.queue;
		sink->n--;
	}
	pthread_mutex_unlock(&s->lock);
	return m;
}

static void finish(struct sinks *s, struct sink *sink)
{
	let_go(s, sink->current);
	sink->current = NULL;
	sink->next_ns = 0;
}

/* One of its deliveries has come to an end, this way or that. */
static void settle(struct sinks *s, struct sink *sink, uint64_t now_ns)
{
	struct delivery *d = &sink->delivery;
	uint64_t pause_ns = PAUSE_MIN_NS;

	delivery_end(d);
	sink->begun = false;
	if (d->state == DELIVERY_DONE) {
		count(s, sink, SINK_SENT);
		if (sink->failures)
			news_tell(&s->news, "sink %s works again", sink->config.name);
		sink->failures = 0;
		remember(s, sink, sink->current);
		finish(s, sink);
		return;
	}
	if (!sink->failures++)
		news_tell(&s->news, "sink %s: %s%s", sink->config.name, d->why,
			  d->state == DELIVERY_LATER ? "; it is tried again" : "");
	if (d->state == DELIVERY_NEVER ||
	    now_ns >= sink->current->made_ns + sink->config.retry_for_ns) {
		count(s, sink, SINK_FAILED);
		finish(s, sink);
		return;
	}
	count(s, sink, SINK_RETRIED);
	for (int i = 1; i < sink->failures && pause_ns < PAUSE_MAX_NS; i++)
		pause_ns *= 2;
	sink->next_ns = now_ns + (pause_ns < PAUSE_MAX_NS ? pause_ns : PAUSE_MAX_NS);
}

static void run_sink(struct sinks *s, struct sink *sink)
{
	for (;;) {
		const uint64_t now_ns = mono_ns();

		send_again(s, sink, now_ns);
		if (!sink->current)
			sink->current = take(s, sink);
		if (!sink->current || (!sink->begun && now_ns < sink->next_ns))
			return;
		if (!sink->begun) {
			delivery_begin(&sink->delivery, &sink->config, sink->current);
			sink->begun = true;
		}
		delivery_step(&sink->delivery, now_ns);
		if (sink->delivery.state == DELIVERY_GOES_ON)
			return;
		settle(s, sink, now_ns);
	}
}

/* Nothing is on its way, and nothing could be before a pause is over. */
static bool is_idle(struct sinks *s)
{
	bool idle = true;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < s->n; i++)
		idle = idle && !s->sink[i].begun &&
		       (s->sink[i].next_ns || (!s->sink[i].n && !s->sink[i].current));
	pthread_mutex_unlock(&s->lock);
	return idle;
}

static void wait_for_work(struct sinks *s, uint64_t stop_ns)
{
	struct pollfd fds[1 + SINK_MAX * DELIVERY_FDS] = {{.fd = s->wake_fd, .events = POLLIN}};
	const uint64_t now_ns = mono_ns();
	uint64_t wake_ns = stop_ns, at_ns;
	eventfd_t n_events;
	nfds_t n = 1;

	for (int i = 0; i < s->n; i++) {
		struct sink *sink = &s->sink[i];

		at_ns = sink->config.type == SINK_ALERTMANAGER ? sink->resend_ns : UINT64_MAX;
		if (sink->begun) {
			n += (nfds_t)delivery_fds(&sink->delivery, fds + n);
			at_ns = delivery_wake_ns(&sink->delivery, now_ns);
		} else if (sink->current && sink->next_ns < at_ns) {
			at_ns = sink->next_ns;
		}
		if (at_ns < wake_ns)
			wake_ns = at_ns;
	}
	at_ns = wake_ns > now_ns ? (wake_ns - now_ns) / NS_PER_MS + 1 : 0;
	poll(fds, n, wake_ns == UINT64_MAX ? -1 : at_ns > 3600000 ? 3600000 : (int)at_ns);
	if (fds[0].revents)
		eventfd_read(s->wake_fd, &n_events);
}

static void release(struct sinks *s)
{
	for (int i = 0; i < s->n; i++) {
		struct sink *sink = &s->sink[i];

		delivery_end(&sink->delivery);
		drop(sink->current);
		for (; sink->n; sink->n--) {
			drop(sink->queue[sink->first]);
			sink->first = (sink->first + 1) % (uint32_t)sink->config.queue;
		}
		for (int k = 0; k < GROUPS_MAX; k++)
			drop(sink->active[k]);
		free(sink->queue);
	}
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	news_close(&s->news);
	free(s->sink);
	free(s);
}

static void *serve(void *arg)
{
	struct sinks *s = arg;
	bool stopping, retired;
	uint64_t stop_ns;

	capability_drop(s->mails);
	for (;;) {
		for (int i = 0; i < s->n; i++)
			run_sink(s, &s->sink[i]);
		pthread_mutex_lock(&s->lock);
		stopping = s->stopping;
		retired = s->retired;
		stop_ns = s->stop_ns;
		pthread_mutex_unlock(&s->lock);
		if (stopping && (is_idle(s) || mono_ns() >= stop_ns))
			break;
		wait_for_work(s, stopping ? stop_ns : UINT64_MAX);
	}
	if (retired)
		release(s);
	return NULL;
}

static int start(struct sinks *s)
{
	sigset_t all, before;
	int err;

	/* Signals are for the thread that detects. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&s->thread, NULL, serve, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* What is told if nobody is named. */
static struct sink_config default_sink(void)
{
	struct sink_config sink = {
		.name = "default",
		.type = sink_missing(SINK_JOURNAL) || access("/run/systemd/journal/socket", W_OK)
				? SINK_SYSLOG
				: SINK_JOURNAL,
		.queue = 256,
		.timeout_ns = 10 * NS_PER_S,
		.retry_for_ns = 60 * NS_PER_S,
	};

	return sink;
}

int sinks_new(const struct config *config, const char *host, struct sinks **ret)
{
	struct sinks *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (!s)
		return err;
	pthread_mutex_init(&s->lock, NULL);
	snprintf(s->host, sizeof(s->host), "%s", host);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->sink = calloc(SINK_MAX, sizeof(*s->sink));
	if (news_open(&s->news) || s->wake_fd < 0) {
		err = -errno;
		goto out;
	}
	if (!s->sink)
		goto out;
	for (int i = 0; i < config->n_sinks || (!i && !config->n_sinks); i++) {
		s->sink[i].config = config->n_sinks ? config->sink[i] : default_sink();
		s->sink[i].queue = calloc(s->sink[i].config.queue, sizeof(*s->sink[i].queue));
		s->mails = s->mails || s->sink[i].config.type == SINK_MAIL;
		s->n++;
		if (!s->sink[i].queue)
			goto out;
	}
	err = start(s);
	if (err)
		goto out;
	*ret = s;
	return 0;
out:
	release(s);
	return err;
}

static void ask_to_stop(struct sinks *s, uint64_t wait_ns, bool retired)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	s->retired = retired;
	s->stop_ns = mono_ns() + wait_ns;
	eventfd_write(s->wake_fd, 1); /* under the lock: a retired one may free itself at once */
	pthread_mutex_unlock(&s->lock);
}

void sinks_free(struct sinks *s, uint64_t wait_ns)
{
	if (!s)
		return;
	ask_to_stop(s, wait_ns, false);
	pthread_join(s->thread, NULL);
	release(s);
}

void sinks_retire(struct sinks *s)
{
	if (!s)
		return;
	pthread_detach(s->thread);
	ask_to_stop(s, RETIRE_NS, true);
}

int sinks_fd(const struct sinks *s)
{
	return s->news.fd;
}

bool sinks_news(struct sinks *s, char *ret_line, size_t len)
{
	return news_take(&s->news, ret_line, len);
}

bool sinks_counts(struct sinks *s, int i, struct sink_counts *ret)
{
	const struct sink *sink = &s->sink[i];

	if (i >= s->n)
		return false;
	pthread_mutex_lock(&s->lock);
	memcpy(ret->name, sink->config.name, sizeof(ret->name));
	memcpy(ret->results, sink->results, sizeof(ret->results));
	ret->queued = sink->n;
	pthread_mutex_unlock(&s->lock);
	return true;
}

int sink_try(const struct sink_config *sink, const struct alert *alert, const char *host,
	     int64_t wall_offset_ns, char *ret_why, size_t why_len)
{
	struct message *m = message_new(alert, host, wall_offset_ns);
	struct delivery d;
	int err;

	if (!m)
		return -ENOMEM;
	delivery_begin(&d, sink, m);
	for (;;) {
		struct pollfd fds[DELIVERY_FDS];
		uint64_t now_ns, wake_ns;

		delivery_step(&d, mono_ns());
		if (d.state != DELIVERY_GOES_ON)
			break;
		now_ns = mono_ns();
		wake_ns = delivery_wake_ns(&d, now_ns);
		poll(fds, (nfds_t)delivery_fds(&d, fds),
		     wake_ns > now_ns ? (int)((wake_ns - now_ns) / NS_PER_MS) + 1 : 0);
	}
	err = d.state == DELIVERY_DONE ? 0 : -EIO;
	if (err)
		snprintf(ret_why, why_len, "%s", d.why);
	delivery_end(&d);
	message_free(m);
	return err;
}
