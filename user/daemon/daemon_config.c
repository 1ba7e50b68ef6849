/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From the configuration to what the daemon runs with: at its start, and when it is read again. All
 * of what the files say is taken then, or nothing.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "alert/sinks.h"
#include "base/lines.h"
#include "daemon/daemon_impl.h"
#include "daemon/notify.h"
#include "daemon/privilege.h"

/* The most sensitive section decides what the engine looks at. */
static void least(const struct config *c, uint64_t *ret_stall_ns, uint64_t *ret_bytes)
{
	*ret_stall_ns = c->watch[0].stall_after_ns;
	*ret_bytes = c->watch[0].min_bytes;
	for (int i = 1; i < c->n_watch; i++) {
		if (c->watch[i].stall_after_ns < *ret_stall_ns)
			*ret_stall_ns = c->watch[i].stall_after_ns;
		if (c->watch[i].min_bytes < *ret_bytes)
			*ret_bytes = c->watch[i].min_bytes;
	}
}

struct options daemon_options(const struct options *given, const struct config *c)
{
	struct options o = {
		.given = OPTION(STALL_AFTER) | OPTION(MIN_BYTES) | OPTION(BLACK_BOX),
		.json = given->json,
		.quiet = given->quiet,
		.numeric = true, /* asking for names takes a thread */
		.verbose = given->verbose,
		.output = given->output,
		.record = given->record,
		.anonymize = given->anonymize,
		.source = c->daemon.source == SOURCE_PCAP ? "pcap" : "ebpf",
		.interface = c->daemon.source == SOURCE_PCAP ? c->daemon.interface : NULL,
		.netns = *c->daemon.netns ? c->daemon.netns : NULL,
		.no_probe = !c->daemon.probe,
		.box_packets = c->daemon.black_box,
	};

	o.given |= given->given & (OPTION(OUTPUT) | OPTION(RECORD) | OPTION(ANONYMIZE));
	least(c, &o.stall_after_ns, &o.min_bytes);
	return o;
}

/* What a running monitor cannot change any more. */
static int check_fixed(const struct config *old, const struct config *new, char *ret_why,
		       size_t why_len)
{
	uint64_t old_stall, new_stall, old_bytes, new_bytes;

	least(old, &old_stall, &old_bytes);
	least(new, &new_stall, &new_bytes);
	const struct {
		bool changed;
		const char *what;
	} fixed[] = {
		{!config_same(old, new, ABOUT_DAEMON), "[daemon]"},
		{!config_same(old, new, ABOUT_STORE), "[store]"},
		{strcmp(new->metrics.listen, old->metrics.listen), "[metrics] listen"},
		{new_stall < old_stall, "a stall-after that is shorter than all before"},
		{new_bytes < old_bytes, "a min-bytes that is smaller than all before"},
		{!privilege_suits(old, new), "the first sink of type mail"},
	};

	*ret_why = '\0';
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (fixed[i].changed)
			lines_add(ret_why, why_len, "%s needs a restart", fixed[i].what);
	return *ret_why ? -EINVAL : 0;
}

static void replace(struct daemon *d, struct config *config, struct selector *selector,
		    struct sinks *sinks)
{
	groups_configure(d->groups, config);
	selector_free(d->selector);
	d->selector = selector;
	if (sinks) {
		epoll_ctl(d->guest.fd, EPOLL_CTL_DEL, sinks_fd(d->sinks), NULL);
		sinks_retire(d->sinks);
		d->sinks = sinks;
		daemon_add(d, sinks_fd(sinks), DAEMON_SINKS);
	}
	free(d->config);
	d->config = config;
}

/* All of what the files say, or nothing. */
static int reload(struct daemon *d, char *ret_why, size_t why_len)
{
	struct config *new = malloc(sizeof(*new));
	struct selector *selector = NULL;
	struct sinks *sinks = NULL;
	int err = -ENOMEM;

	snprintf(ret_why, why_len, "%s", strerror(ENOMEM));
	if (!new)
		return err;
	err = config_load(d->path, new, ret_why, why_len);
	if (!err)
		err = daemon_check(new, ret_why, why_len);
	if (!err)
		err = check_fixed(d->config, new, ret_why, why_len);
	if (!err)
		err = selector_new(new, &selector);
	if (!err && !config_same(d->config, new, ABOUT_SINKS))
		err = sinks_new(new, d->session.host, &sinks);
	if (err) {
		if (!*ret_why)
			snprintf(ret_why, why_len, "%s", strerror(-err));
		selector_free(selector);
		free(new);
		return err;
	}
	replace(d, new, selector, sinks);
	return 0;
}

void daemon_hangup(struct daemon *d)
{
	struct signalfd_siginfo info;
	char why[LINES_LEN];

	if (read(d->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	notify_reloading();
	if (reload(d, why, sizeof(why)))
		lines_warn("nothing is changed: ", why);
	else
		warnx("the configuration was read again");
	notify_ready("watching");
}
