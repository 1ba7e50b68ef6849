/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every observation, whoever made it, takes one way: monitor_observe(). It is recorded, the engine
 * takes it, results go to the writer. What the engine wants to know is queued and granted from the
 * loop, never from within it: sensor and prober are not entered again while they hand over
 * observations, and the engine not while it hands over outputs.
 */
#include "monitor_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/broker.h"
#include "host/host.h"
#include "incident/store.h"
#include "inquiry.h"
#include "keeper.h"
#include "pacing.h"
#include "probe/probe.h"
#include "sensor/filter.h"
#include "sensor/record.h"
#include "view/live.h"
#include "view/names.h"

#define REDRAW_NS     NS_PER_S
#define NAMESPACES_NS (10 * NS_PER_S)	/* how long a vanished namespace may be kept alive by us */
#define LATE_NS	      (250 * NS_PER_MS) /* more than a busy machine's scheduler takes */
#define SHORTEST_NS   NS_PER_MS		/* a deadline that does not move must not spin the loop */

static void end(struct monitor *m, enum monitor_end result)
{
	if (m->ended)
		return;
	m->ended = true;
	m->result = result;
}

/* A command that we run is not ours to end. */
static void output_failed(struct monitor *m, int err)
{
	m->errors.output = err;
	if (!m->config.forward_to)
		end(m, END_OUTPUT);
	if (m->config.out_fd >= 0)
		epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, m->config.out_fd, NULL);
}

void monitor_stop(struct monitor *m)
{
	end(m, END_STOPPED);
}

static void write_result(struct monitor *m, const struct output *out)
{
	int err;

	if (m->errors.output)
		return;
	live_wipe(m->config.live);
	err = writer_output(m->config.writer, out);
	if (err)
		output_failed(m, err);
}

/* A scan is for everybody: when a thousand stalls begin at once, one of them is enough. */
static void queue_want(struct monitor *m, const struct want *want)
{
	if (want->kind == WANT_SCAN) {
		m->scan_wanted = true;
		return;
	}
	if (m->n_wants == WANTS_MAX) {
		m->wants_lost++;
		return;
	}
	m->want[(m->first_want + m->n_wants++) % WANTS_MAX] = *want;
}

static bool is_kept(const struct monitor *m, const struct incident *incident)
{
	return !incident || !m->config.keeps || m->config.keeps(incident, m->config.keeps_arg);
}

void monitor_observe(const struct observation *obs, void *arg)
{
	struct monitor *m = arg;
	struct output out;
	int err;

	err = m->recorder ? recorder_write(m->recorder, obs) : 0;
	if (err && !m->errors.record)
		m->errors.record = err;
	if (obs->type == OBS_PROBE)
		names_want(m->config.names, &obs->probe.from);

	engine_step(m->engine, obs); /* -ENOSPC is among its counts */
	while (engine_next(m->engine, &out)) {
		if (out.kind == OUT_WANT) {
			queue_want(m, &out.want);
			continue;
		}
		if (m->keeper && is_kept(m, out.incident))
			keeper_output(m->keeper, &out);
		write_result(m, &out);
	}
}

static bool may_probe(const struct monitor *m, const struct want *want)
{
	return m->config.engine.probe &&
	       (!m->config.probe_exclude ||
		!flow_filter_matches(m->config.probe_exclude, &want->key, want->local_sends));
}

static void ask_prober(struct monitor *m, const struct want *want)
{
	if (!m->prober ||
	    (want->kind != WANT_LISTEN && want->kind != WANT_RELEASE && !may_probe(m, want)))
		return;
	if (prober_want(m->prober, want, mono_ns()) == -ENOSPC)
		m->wants_lost++;
	m->prober_ns = 0;
}

static void grant(struct monitor *m, const struct want *want)
{
	switch (want->kind) {
	case WANT_SCAN: /* never queued */
		break;
	case WANT_HOST:
		inquiry_want(m->inquiry, want);
		break;
	case WANT_LISTEN:
		if (sensor_listen(m->sensor, &want->key) == -ENOSPC)
			m->not_listened++;
		ask_prober(m, want);
		break;
	case WANT_PROBE:
	case WANT_ONLINK:
		ask_prober(m, want);
		break;
	case WANT_PACE:
		pacing_want(m->pacing, want, m->sensor, mono_ns());
		m->pacing_ns = 0;
		break;
	case WANT_RELEASE:
		sensor_release(m->sensor, &want->key);
		ask_prober(m, want);
		break;
	}
}

static void grant_all(struct monitor *m)
{
	/* What is granted may lead to new wants; those that come now wait for the next round. */
	for (unsigned int n = m->n_wants; n; n--) {
		struct want want = m->want[m->first_want];

		m->first_want = (m->first_want + 1) % WANTS_MAX;
		m->n_wants--;
		grant(m, &want);
	}
	if (!m->n_wants) /* always the same memory, where a little will do */
		m->first_want = 0;
	if (m->scan_wanted) {
		m->scan_wanted = false;
		sensor_scan(m->sensor, true);
		m->scanned_ns = mono_ns();
	}
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next_run_ns(const struct monitor *m)
{
	uint64_t next = min_u64(m->end_ns, m->scanned_ns + engine_scan_period_ns(m->engine));

	if (m->n_wants || m->scan_wanted || inquiry_busy(m->inquiry))
		return 0;
	if (m->config.live)
		next = min_u64(next, m->drawn_ns + REDRAW_NS);
	if (m->prober)
		next = min_u64(next, m->prober_ns);
	next = min_u64(next, m->pacing_ns);
	return min_u64(next, engine_deadline(m->engine));
}

/* Until it wakes, or ought to. */
static int arm(struct monitor *m)
{
	uint64_t now = mono_ns(), at = next_run_ns(m);
	struct itimerspec spec = {0};

	if (at < now + SHORTEST_NS)
		at = now + (m->n_wants || m->scan_wanted ? 1 : SHORTEST_NS);
	m->due_ns = at;
	spec.it_value.tv_sec = (time_t)(at / NS_PER_S);
	spec.it_value.tv_nsec = (long)(at % NS_PER_S);
	return timerfd_settime(m->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) ? -errno : 0;
}

/* On a starved machine, or one that was paused, the timer's end is long past. */
static void tell_if_late(struct monitor *m)
{
	struct observation obs = {
		.type = OBS_LATE, .now_ns = mono_ns(), .late_since_ns = m->due_ns};

	if (obs.now_ns > m->due_ns + LATE_NS)
		monitor_observe(&obs, m);
}

static void run_due(struct monitor *m)
{
	uint64_t now = mono_ns();

	if (now >= m->end_ns)
		end(m, END_STOPPED);
	if (now >= m->refreshed_ns + NAMESPACES_NS) {
		namespaces_refresh(m->namespaces);
		m->refreshed_ns = now;
	}
	if (m->config.live && now >= m->drawn_ns + REDRAW_NS) {
		sensor_scan(m->sensor, true);
		live_draw(m->config.live, m->engine);
		m->scanned_ns = m->drawn_ns = now;
	} else if (now >= m->scanned_ns + engine_scan_period_ns(m->engine)) {
		sensor_scan(m->sensor, false);
		m->scanned_ns = now;
	}
	if (m->prober && now >= m->prober_ns)
		m->prober_ns = prober_run(m->prober, now);
	if (now >= m->pacing_ns)
		m->pacing_ns = pacing_run(m->pacing, m->sensor, now);
	if (inquiry_busy(m->inquiry))
		inquiry_run(m->inquiry);
	if (now >= engine_deadline(m->engine))
		monitor_observe(&(struct observation){.type = OBS_TICK, .now_ns = mono_ns()}, m);
}

/*
 * A signal from the terminal has reached the child too, as it is in our process group; one that was
 * sent to us alone is passed on.
 */
static void on_signal(struct monitor *m)
{
	struct signalfd_siginfo info;

	if (read(m->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		live_resized(m->config.live);
	else if (!m->config.forward_to)
		end(m, END_STOPPED);
	else if (info.ssi_code != SI_KERNEL)
		kill(m->config.forward_to, (int)info.ssi_signo);
}

static void on_key(struct monitor *m)
{
	char keys[64];
	ssize_t n = read(m->config.key_fd, keys, sizeof(keys));

	/* The terminal is gone, or 'q'. */
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || !n ||
	    (n > 0 && (memchr(keys, 'q', (size_t)n) || memchr(keys, 'Q', (size_t)n))))
		end(m, END_STOPPED);
}

static void on_news(struct monitor *m)
{
	char line[512];

	if (!store_news(m->store, line, sizeof(line)))
		return;
	live_wipe(m->config.live);
	m->say(line);
}

/* Without it everything goes on but what it is asked for. */
static void on_broker(struct monitor *m)
{
	if (inquiry_take(m->inquiry) != -EPIPE)
		return;
	if (m->config.say)
		m->config.say("the process that keeps the capabilities has ended: no more probes, "
			      "processes and other network namespaces until a restart");
}

static void dispatch(struct monitor *m, enum source source)
{
	uint64_t expirations;

	switch (source) {
	case FROM_SENSOR:
		sensor_read(m->sensor);
		break;
	case FROM_PROBER:
		m->prober_ns = 0;
		break;
	case FROM_TIMER:
		if (read(m->timer_fd, &expirations, sizeof(expirations)) < 0)
			break; /* re-armed in between */
		break;
	case FROM_SIGNAL:
		on_signal(m);
		break;
	case FROM_KEY:
		on_key(m);
		break;
	case FROM_PROCESS:
		end(m, END_PROCESS);
		break;
	case FROM_OUTPUT:
		output_failed(m, -EPIPE);
		break;
	case FROM_STORE:
		on_news(m);
		break;
	case FROM_BROKER:
		on_broker(m);
		break;
	case FROM_GUEST:
		m->config.guest->ready(m->config.guest);
		break;
	}
}

static void add_lost(struct summary *s, const char *reason, uint64_t count)
{
	const int max = sizeof(s->lost) / sizeof(s->lost[0]);

	if (!reason || s->n_lost == max)
		return;
	s->lost[s->n_lost].reason = reason;
	s->lost[s->n_lost++].count = count;
}

static void summarise(const struct monitor *m, uint64_t now_ns, struct summary *ret)
{
	struct sensor_counts sensor = sensor_counts(m->sensor);
	struct summary s = {.now_ns = now_ns, .counts = engine_counts(m->engine)};

	if (m->prober) {
		struct prober_counts probes = prober_counts(m->prober);

		s.probes_sent = probes.sent;
		s.answers_ignored = probes.unmatched;
		add_lost(&s, "probes-over-budget", probes.over_budget);
	}
	for (int i = 0; i < SENSOR_LOST_REASONS; i++)
		add_lost(&s, sensor.lost[i].reason, sensor.lost[i].count);
	add_lost(&s, "flow-table-full", s.counts.flows_not_tracked);
	add_lost(&s, "incident-table-full", s.counts.incidents_not_tracked);
	add_lost(&s, "results", s.counts.outputs_lost);
	add_lost(&s, "evidence-requests", m->wants_lost);
	add_lost(&s, "drops-not-listened-to", m->not_listened);
	if (m->keeper) {
		struct keeper_counts kept = keeper_counts(m->keeper);

		add_lost(&s, "packets-not-kept", kept.packets_lost);
		add_lost(&s, "incidents-without-packets", kept.without_packets);
	}
	if (m->store)
		add_lost(&s, "records-not-kept", store_counts(m->store).lost);
	*ret = s;
}

static void close_recorder(struct monitor *m, const struct summary *summary)
{
	struct record_end end = {.probes_sent = summary->probes_sent,
				 .answers_ignored = summary->answers_ignored,
				 .n_lost = summary->n_lost};
	int err, close_err;

	if (!m->recorder)
		return;
	for (int i = 0; i < end.n_lost; i++) {
		snprintf(end.lost[i].reason, sizeof(end.lost[i].reason), "%s",
			 summary->lost[i].reason);
		end.lost[i].count = summary->lost[i].count;
	}
	err = recorder_end(m->recorder, &end);
	close_err = recorder_close(m->recorder);
	m->recorder = NULL;
	if (!m->errors.record)
		m->errors.record = err ? err : close_err;
}

/*
 * What is still in the ring buffer happened before the end; and healthy transfers, which nobody had
 * a reason to look at, are to be counted. The summary is one of the moment of the last observation,
 * so that a replay prints the same.
 */
static void finish(struct monitor *m)
{
	struct observation last = {.type = OBS_END};
	struct summary summary;

	sensor_read(m->sensor);
	sensor_scan(m->sensor, true);
	last.now_ns = mono_ns();
	monitor_observe(&last, m);
	if (m->keeper)
		keeper_run(m->keeper, m->sensor);
	if (m->store) { /* the summary tells what was not kept */
		on_news(m);
		store_finish(m->store);
		on_news(m);
	}
	summarise(m, last.now_ns, &summary);
	close_recorder(m, &summary);
	if (m->errors.output)
		return;
	live_wipe(m->config.live);
	m->errors.output = writer_summary(m->config.writer, &summary);
}

int monitor_run(struct monitor *m)
{
	while (!m->ended) {
		struct epoll_event events[8];
		int n, err = arm(m);

		if (err)
			return err;
		n = epoll_wait(m->epoll_fd, events, 8, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		tell_if_late(m);
		for (int i = 0; i < n; i++)
			dispatch(m, events[i].data.u32);
		grant_all(m);
		run_due(m);
		if (m->keeper)
			keeper_run(m->keeper, m->sensor);
	}
	finish(m);
	return m->result;
}

struct monitor_errors monitor_errors(const struct monitor *m)
{
	return m->errors;
}

struct box_capacity monitor_boxes(const struct monitor *m)
{
	return sensor_box_capacity(m->sensor);
}

uint64_t monitor_engine_bytes(const struct monitor *m)
{
	return engine_bytes(m->engine);
}

struct engine_counts monitor_engine_counts(const struct monitor *m)
{
	return engine_counts(m->engine);
}

void monitor_summary(const struct monitor *m, struct summary *ret)
{
	summarise(m, mono_ns(), ret);
}

struct sensor_counts monitor_sensor_counts(const struct monitor *m)
{
	return sensor_counts(m->sensor);
}

void monitor_programs(const struct monitor *m, program_fn fn, void *arg)
{
	sensor_programs(m->sensor, fn, arg);
}

void monitor_each_transfer(const struct monitor *m,
			   bool (*fn)(const struct transfer *transfer, void *arg), void *arg)
{
	engine_each_transfer(m->engine, fn, arg);
}

uint64_t monitor_lost(const struct monitor *m)
{
	struct summary s;
	uint64_t lost = 0;

	summarise(m, mono_ns(), &s);
	for (int i = 0; i < s.n_lost; i++)
		lost += s.lost[i].count;
	return lost;
}
