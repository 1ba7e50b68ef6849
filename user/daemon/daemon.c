/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ties the rooms together. The daemon is a guest in the monitor's loop: everything of its own is in
 * an epoll set of its own. Outputs come while the engine is being stepped; what follows from them
 * is done from the timer, which then fires at once.
 */
#include "daemon/daemon.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "alert/sinks.h"
#include "base/clock.h"
#include "base/plural.h"
#include "daemon/daemon_impl.h"
#include "daemon/notify.h"
#include "daemon/privilege.h"
#include "daemon/runtime.h"
#include "host/broker.h"
#include "incident/store.h"
#include "sensor/filter.h"
#include "verb.h"
#include "view/format.h"

#define TAKE_OVER_NS  (15 * NS_PER_S) /* beside the threshold: to see again what stalls */
#define SINKS_WAIT_NS (3 * NS_PER_S)  /* at the end, for what is being delivered */
#define FAR_AWAY_S    (100ll * 365 * 86400)

static void say(const char *line)
{
	warnx("%s", line);
}

/* When the timer is to fire; now, if it is already past. */
static void wake_at(struct daemon *d, uint64_t at_ns)
{
	struct itimerspec spec = {0};

	if (at_ns == UINT64_MAX) /* never: disarmed */
		at_ns = 0;
	else if (!at_ns)
		at_ns = 1;
	spec.it_value.tv_sec = (time_t)(at_ns / NS_PER_S);
	spec.it_value.tv_nsec = (long)(at_ns % NS_PER_S);
	timerfd_settime(d->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static int on_result(const struct output *out, void *arg)
{
	struct daemon *d = arg;

	if (d->writer && writer_output(d->writer, out))
		d->lines_lost++;
	if (!out->incident)
		return 0;
	tallies_output(&d->tallies, out);
	groups_output(d->groups, out, selector_match(d->selector, out->incident));
	control_output(d->control, out);
	wake_at(d, 0);
	return 0;
}

static int on_summary(const struct summary *summary, void *arg)
{
	struct daemon *d = arg;

	return d->writer ? writer_summary(d->writer, summary) : 0;
}

static bool keeps(const struct incident *incident, void *arg)
{
	struct daemon *d = arg;

	return d->config->watch[selector_match(d->selector, incident)].keep;
}

static void on_alert(const struct alert *alert, void *arg)
{
	struct daemon *d = arg;

	sinks_tell(d->sinks, alert, d->wall_offset_ns);
	d->unsaved = true;
}

/* A service manager may empty the directory below /run in between; systemd names another one. */
static const char *memory_dir(const struct daemon *d)
{
	const char *state = getenv("STATE_DIRECTORY");

	return state ? state : d->config->daemon.runtime_dir;
}

static void save(struct daemon *d)
{
	int err = d->unsaved ? runtime_save(memory_dir(d), d->groups) : 0;

	if (err && err != d->save_error)
		warnx("%s: alerts are not remembered across a restart: %s", memory_dir(d),
		      strerror(-err));
	d->save_error = err;
	d->unsaved = false;
}

/* A step of the wall clock, or a suspend, which is one too. */
static void on_clock(struct daemon *d)
{
	uint64_t expirations;
	int64_t before = d->wall_offset_ns;
	char by[FORMAT_LEN];

	if (read(d->clock_fd, &expirations, sizeof(expirations)) < 0 && errno != ECANCELED)
		return;
	d->wall_offset_ns = wall_offset_ns();
	clock_watch(d->clock_fd);
	before = d->wall_offset_ns > before ? d->wall_offset_ns - before
					    : before - d->wall_offset_ns;
	if (before > (int64_t)NS_PER_S)
		warnx("the wall clock was set, or this host slept: %s",
		      format_duration((uint64_t)before, by));
}

int clock_watch(int fd)
{
	const struct itimerspec never = {.it_value.tv_sec = time(NULL) + FAR_AWAY_S};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL)
		       ? -errno
		       : 0;
}

static void on_news(struct daemon *d)
{
	char line[512];

	if (sinks_news(d->sinks, line, sizeof(line)))
		warnx("%s", line);
}

/*
 * Who knocks and cannot be let in, for want of a descriptor, goes on knocking: the doors are not
 * looked at for a while, lest the loop spins.
 */
static void rest_doors(struct daemon *d)
{
	int fd = fcntl(d->timer_fd, F_DUPFD_CLOEXEC, 0);

	if (fd >= 0) {
		close(fd);
		return;
	}
	epoll_ctl(d->guest.fd, EPOLL_CTL_DEL, control_fd(d->control), NULL);
	if (d->http)
		epoll_ctl(d->guest.fd, EPOLL_CTL_DEL, http_fd(d->http), NULL);
	d->doors_ns = mono_ns() + NS_PER_S;
}

static void watch_doors(struct daemon *d)
{
	daemon_add(d, control_fd(d->control), DAEMON_CONTROL);
	if (d->http)
		daemon_add(d, http_fd(d->http), DAEMON_HTTP);
	d->doors_ns = UINT64_MAX;
}

static void run_due(struct daemon *d)
{
	const uint64_t now_ns = mono_ns();
	uint64_t next_ns = groups_run(d->groups, now_ns);

	save(d);
	if (d->watchdog_ns != UINT64_MAX) {
		if (now_ns >= d->alive_ns) {
			notify_alive();
			d->alive_ns = now_ns + d->watchdog_ns;
		}
		next_ns = d->alive_ns < next_ns ? d->alive_ns : next_ns;
	}
	if (*d->config->metrics.textfile) {
		if (now_ns >= d->textfile_ns) {
			daemon_textfile(d);
			d->textfile_ns = now_ns + d->config->metrics.textfile_every_ns;
		}
		next_ns = d->textfile_ns < next_ns ? d->textfile_ns : next_ns;
	}
	if (d->http) {
		if (now_ns >= d->http_ns)
			d->http_ns = http_run(d->http, now_ns);
		next_ns = d->http_ns < next_ns ? d->http_ns : next_ns;
	}
	if (now_ns >= d->doors_ns)
		watch_doors(d);
	next_ns = d->doors_ns < next_ns ? d->doors_ns : next_ns;
	wake_at(d, next_ns);
}

static void on_ready(struct guest *guest)
{
	struct daemon *d = (struct daemon *)guest;
	struct epoll_event events[8];
	uint64_t expirations;
	bool knocked = false;
	int n = epoll_wait(d->guest.fd, events, 8, 0);

	for (int i = 0; i < n; i++) {
		switch ((enum daemon_source)events[i].data.u32) {
		case DAEMON_TIMER:
			if (read(d->timer_fd, &expirations, sizeof(expirations)) < 0)
				break; /* re-armed in between */
			break;
		case DAEMON_SIGNAL:
			daemon_hangup(d);
			break;
		case DAEMON_CLOCK:
			on_clock(d);
			break;
		case DAEMON_SINKS:
			on_news(d);
			break;
		case DAEMON_HTTP:
			knocked = true;
			d->http_ns = 0;
			break;
		case DAEMON_CONTROL:
			knocked = true;
			control_run(d->control);
			break;
		}
	}
	if (knocked)
		rest_doors(d);
	run_due(d);
}

int daemon_add(struct daemon *d, int fd, enum daemon_source source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};

	return epoll_ctl(d->guest.fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_loop(struct daemon *d)
{
	sigset_t hangup;
	int err;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	sigprocmask(SIG_BLOCK, &hangup, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->guest.fd = epoll_create1(EPOLL_CLOEXEC);
	d->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	d->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	d->signal_fd = signalfd(-1, &hangup, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->guest.fd < 0 || d->timer_fd < 0 || d->clock_fd < 0 || d->signal_fd < 0)
		return -errno;
	err = clock_watch(d->clock_fd);
	err = err ? err : daemon_add(d, d->timer_fd, DAEMON_TIMER);
	err = err ? err : daemon_add(d, d->clock_fd, DAEMON_CLOCK);
	return err ? err : daemon_add(d, d->signal_fd, DAEMON_SIGNAL);
}

static int open_store(struct daemon *d)
{
	const struct store_config config = {
		.dir = d->config->store.dir,
		.max_bytes = d->config->store.max_bytes,
		.max_age_ns = d->config->store.max_age_ns,
		.host = d->session.host,
		.wall_offset_ns = d->wall_offset_ns,
	};
	int err;

	if (!d->config->store.keep || !store_supported())
		return 0;
	err = store_make_dir(config.dir);
	if (!err)
		err = store_new(&config, &d->session.store);
	if (!err)
		err = monitor_keep(d->session.monitor, d->session.store, say);
	if (err)
		warnx("incidents are not kept: %s: %s", config.dir, strerror(-err));
	return err;
}

/* Another daemon would find the same stalls, and tell them again. */
static int take_lock(struct daemon *d)
{
	const char *dir = d->config->daemon.runtime_dir;
	pid_t pid = 0;
	int err = 0;

	d->lock_fd = runtime_lock(dir, &pid);
	if (d->lock_fd >= 0)
		return STATUS_DONE;
	err = d->lock_fd;
	if (err == -EBUSY)
		warnx("there is a daemon already, process %d; its lock is %s/lock", (int)pid, dir);
	else
		warnx("%s: %s", dir, strerror(-err));
	return err == -EACCES || err == -EPERM ? STATUS_UNSUPPORTED : STATUS_ERROR;
}

/* What needs no privilege but takes names and addresses that may be wrong. */
static int open_doors(struct daemon *d)
{
	const struct config *c = d->config;
	int err = control_new(c->daemon.runtime_dir, c->daemon.group, &daemon_control_ops, d,
			      &d->control);

	if (!err)
		err = daemon_add(d, control_fd(d->control), DAEMON_CONTROL);
	if (err) {
		warnx("%s/" CONTROL_SOCKET ": %s", c->daemon.runtime_dir, strerror(-err));
		return STATUS_ERROR;
	}
	if (!*c->metrics.listen)
		return STATUS_DONE;
	err = http_new(c->metrics.listen, &daemon_http_ops, d, &d->http);
	if (!err)
		err = daemon_add(d, http_fd(d->http), DAEMON_HTTP);
	if (err)
		warnx("%s: listen '%s': %s", c->metrics.listen_at, c->metrics.listen,
		      strerror(-err));
	return err ? STATUS_ERROR : STATUS_DONE;
}

static int open_monitor(struct daemon *d)
{
	struct monitor_config *m = &d->session.config;
	char why[256];
	int err = writer_call(on_result, on_summary, d, &d->session.writer);

	if (!err && *d->config->daemon.probe_exclude)
		err = flow_filter_new(d->config->daemon.probe_exclude, &d->exclude, why,
				      sizeof(why));
	if (err) {
		warnx("%s", strerror(-err));
		return STATUS_ERROR;
	}
	m->writer = d->session.writer;
	m->guest = &d->guest;
	m->say = say;
	m->probe_exclude = d->exclude;
	m->keeps = keeps;
	m->keeps_arg = d;
	m->sensor.box_packets = d->config->store.keep ? (uint32_t)d->config->daemon.black_box : 0;
	err = monitor_new(m, &d->session.monitor, why, sizeof(why));
	if (err) {
		warnx("%s%s", why, err == -EPERM || err == -ENOTSUP ? "; see tcpstall check" : "");
		return err == -EPERM || err == -ENOTSUP ? STATUS_UNSUPPORTED : STATUS_ERROR;
	}
	err = privilege_drop(d->config);
	if (!err)
		return STATUS_DONE;
	warnx("capabilities cannot be given up: %s", strerror(-err));
	return STATUS_ERROR;
}

static void take_over(struct daemon *d)
{
	int err = runtime_load(memory_dir(d), d->groups, mono_ns(),
			       d->session.config.engine.stall_after_ns + TAKE_OVER_NS);
	const uint32_t n = groups_counts(d->groups).alerts;

	if (err && err != -ENOENT)
		warnx("%s/alerts.json is damaged: alerts may be told again", memory_dir(d));
	else if (n)
		warnx("%" PRIu32 " alert%s of the process before go%s on", n, plural(n),
		      n == 1 ? "es" : "");
}

static int start(struct daemon *d)
{
	const char *doing = "memory";
	int err, status;

	status = take_lock(d);
	if (status)
		return status;
	err = open_loop(d);
	if (!err)
		err = groups_new(d->config, on_alert, d, &d->groups);
	if (!err)
		err = selector_new(d->config, &d->selector);
	if (err) {
		warnx("%s: %s", doing, strerror(-err));
		return STATUS_ERROR;
	}
	status = open_doors(d);
	if (!status && (d->options.json || options_given(&d->options, OPT_OUTPUT))) {
		status = session_writer(&d->session);
		d->writer = d->session.writer;
		d->session.writer = NULL;
	}
	if (!status)
		status = open_monitor(d);
	if (status)
		return status;
	open_store(d);
	err = sinks_new(d->config, d->session.host, &d->sinks);
	if (!err)
		err = daemon_add(d, sinks_fd(d->sinks), DAEMON_SINKS);
	if (err) {
		warnx("alerts: %s", strerror(-err));
		return STATUS_ERROR;
	}
	take_over(d);
	d->doors_ns = UINT64_MAX;
	d->watchdog_ns = notify_watchdog_ns();
	wake_at(d, 0);
	return STATUS_DONE;
}

static void stop(struct daemon *d)
{
	if (d->groups && d->sinks) {
		d->unsaved = true;
		save(d);
	}
	sinks_free(d->sinks, SINKS_WAIT_NS);
	session_close(&d->session);
	writer_free(d->writer);
	http_free(d->http);
	control_free(d->control);
	groups_free(d->groups);
	selector_free(d->selector);
	flow_filter_free(d->exclude);
	for (int i = 0; i < 5; i++) {
		const int fds[] = {d->guest.fd, d->timer_fd, d->clock_fd, d->signal_fd, d->lock_fd};

		if (fds[i] >= 0)
			close(fds[i]);
	}
	broker_stop();
	free(d->config);
	free(d);
}

int daemon_run(const struct options *options, const char *path, const struct config *config)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int status = STATUS_ERROR, end, err;

	if (d)
		d->config = malloc(sizeof(*d->config));
	if (!d || !d->config) {
		warnx("%s", strerror(ENOMEM));
		free(d);
		return status;
	}
	*d->config = *config;
	d->path = path;
	d->guest = (struct guest){-1, on_ready};
	d->timer_fd = d->clock_fd = d->signal_fd = d->lock_fd = -1;
	d->options = daemon_options(options, d->config);
	d->wall_offset_ns = wall_offset_ns();
	d->started_ns = mono_ns();
	err = privilege_part(d->config, &d->broker_may);
	if (err)
		warnx("the process that is to keep the capabilities: %s", strerror(-err));
	status = err ? STATUS_ERROR : session_prepare(&d->session, &d->options, stdout);
	if (!status)
		status = start(d);
	if (!status) {
		daemon_say_start(d);
		notify_ready("watching");
		end = END_STOPPED;
		status = session_run(&d->session, &end);
		notify_stopping();
		/* What was found is no error of a service. */
		if (status == STATUS_STALLED || status == STATUS_INCOMPLETE)
			status = STATUS_DONE;
	}
	stop(d);
	return status;
}
