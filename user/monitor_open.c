/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Opens what the monitor works with, in the order in which one needs the other, and closes it. Each
 * brings its descriptor to the loop, and hands its observations to monitor_observe().
 */
#include "monitor_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
#include "sensor/record.h"

static int netns_fd(uint32_t netns, void *arg)
{
	struct monitor *m = arg;

	return namespaces_fd(m->namespaces, netns);
}

static int add_source(struct monitor *m, int fd, enum source source)
{
	/* Of the output only errors are of interest, and those are always told. */
	struct epoll_event event = {.events = source == FROM_OUTPUT ? 0 : EPOLLIN,
				    .data.u32 = source};

	if (fd < 0)
		return 0;
	return epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_loop(struct monitor *m)
{
	static const int handled[] = {SIGINT, SIGTERM, SIGQUIT, SIGWINCH};
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaddset(&signals, handled[i]);
	if (!m->config.guest)
		sigaddset(&signals, SIGHUP);
	if (m->config.forward_to) {
		sigaddset(&signals, SIGUSR1);
		sigaddset(&signals, SIGUSR2);
	}
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	m->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	m->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->signal_fd < 0 || m->timer_fd < 0 || m->epoll_fd < 0)
		return -errno;
	err = add_source(m, m->signal_fd, FROM_SIGNAL);
	err = err ? err : add_source(m, m->timer_fd, FROM_TIMER);
	err = err ? err : add_source(m, m->config.key_fd, FROM_KEY);
	err = err ? err : add_source(m, m->config.pidfd, FROM_PROCESS);
	if (!err && m->config.guest)
		err = add_source(m, m->config.guest->fd, FROM_GUEST);
	if (err)
		return err;
	/* A plain file cannot be polled and has no reader to lose. */
	if (add_source(m, m->config.out_fd, FROM_OUTPUT))
		m->config.out_fd = -1;
	return 0;
}

/* Without CAP_NET_RAW everything but probing works. */
static void open_prober(struct monitor *m)
{
	int err = prober_new(netns_fd, monitor_observe, m, &m->prober);

	if (!err)
		err = add_source(m, prober_fd(m->prober), FROM_PROBER);
	if (!err)
		return;
	prober_free(m->prober);
	m->prober = NULL;
	if (m->config.engine.probe)
		m->errors.probe = err;
	m->config.engine.probe = false;
}

static int open_recorder(struct monitor *m)
{
	struct record_header header = {.config = m->config.engine};

	if (!m->config.record)
		return 0;
	snprintf(header.host, sizeof(header.host), "%s", m->config.host);
	return recorder_open(m->config.record, &header, m->config.anonymize, &m->recorder);
}

int monitor_new(const struct monitor_config *config, struct monitor **ret, char *ret_why,
		size_t why_len)
{
	struct monitor *m = calloc(1, sizeof(*m));
	const char *doing = "memory";
	int err = -ENOMEM;

	*ret_why = '\0';
	if (!m)
		goto out;
	m->config = *config;
	m->epoll_fd = m->timer_fd = m->signal_fd = -1;
	m->end_ns = UINT64_MAX;

	doing = "event loop";
	err = open_loop(m);
	if (err)
		goto out;
	doing = "network namespaces";
	err = namespaces_new(&m->namespaces);
	if (err)
		goto out;
	namespaces_refresh(m->namespaces);
	m->refreshed_ns = mono_ns();
	doing = "processes";
	err = inquiry_new(m->namespaces, monitor_observe, m, &m->inquiry);
	if (!err && broker_pid())
		err = add_source(m, broker_fd(), FROM_BROKER);
	if (err)
		goto out;
	open_prober(m);
	doing = "memory";
	err = pacing_new(monitor_observe, m, &m->pacing);
	if (err)
		goto out;
	m->pacing_ns = UINT64_MAX;
	doing = "engine";
	err = engine_new(&m->config.engine, &m->engine);
	if (err)
		goto out;
	err = open_recorder(m);
	if (err) {
		snprintf(ret_why, why_len, "--record '%s': %s", config->record, strerror(-err));
		err = -EIO;
		goto out;
	}
	doing = "sensor";
	err = sensor_open(&m->config.sensor, m->namespaces, monitor_observe, m, &m->sensor, ret_why,
			  why_len);
	if (err)
		goto out;
	err = add_source(m, sensor_fd(m->sensor), FROM_SENSOR);
	if (err)
		goto out;
	sensor_seed(m->sensor); /* where it may not look shows in `check` */
	sensor_scan(m->sensor, true);
	m->scanned_ns = mono_ns();
	if (config->duration_ns)
		m->end_ns = m->scanned_ns + config->duration_ns;
	*ret = m;
	return 0;
out:
	if (!*ret_why)
		snprintf(ret_why, why_len, "%s: %s", doing, strerror(-err));
	monitor_free(m);
	return err;
}

int monitor_keep(struct monitor *m, struct store *store, void (*say)(const char *line))
{
	const struct keeper_config config = {
		.store = store,
		.prober = m->prober,
		.netns_fd = netns_fd,
		.arg = m,
	};
	int err = add_source(m, store_fd(store), FROM_STORE);

	if (!err)
		err = keeper_new(&config, &m->keeper);
	if (err)
		return err;
	m->store = store;
	m->say = say;
	return 0;
}

void monitor_free(struct monitor *m)
{
	if (!m)
		return;
	sensor_close(m->sensor);
	keeper_free(m->keeper);
	prober_free(m->prober);
	engine_free(m->engine);
	recorder_close(m->recorder);
	inquiry_free(m->inquiry);
	pacing_free(m->pacing);
	namespaces_free(m->namespaces);
	if (m->epoll_fd >= 0)
		close(m->epoll_fd);
	if (m->timer_fd >= 0)
		close(m->timer_fd);
	if (m->signal_fd >= 0)
		close(m->signal_fd);
	free(m);
}
