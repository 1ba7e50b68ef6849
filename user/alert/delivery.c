/* SPDX-License-Identifier: GPL-2.0-only */
/* Which kind of sink does what. */
#include "alert/delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SENDMAIL "/usr/sbin/sendmail -i -t"

static void failed(struct delivery *d, int err)
{
	snprintf(d->why, sizeof(d->why), "%s", strerror(-err));
	d->state = DELIVERY_LATER;
}

static int begin_mail(struct delivery *d, const struct sink_config *sink, const struct message *m)
{
	char *mail = message_mail(m, sink->to, sink->from);
	int err = mail ? program_begin(*sink->command ? sink->command : SENDMAIL, mail, &d->program)
		       : -ENOMEM;

	free(mail);
	return err;
}

static int begin_alertmanager(struct delivery *d, const struct sink_config *sink,
			      const struct message *m)
{
	char *body = message_alertmanager(m);
	int err = body ? http_begin(sink, "/api/v2/alerts", body, &d->http) : -ENOMEM;

	free(body);
	return err;
}

void delivery_begin(struct delivery *d, const struct sink_config *sink, const struct message *m)
{
	int err = 0;

	*d = (struct delivery){.until_ns = mono_ns() + sink->timeout_ns};
	switch ((enum sink_type)sink->type) {
	case SINK_JOURNAL:
		d->state = journal_deliver(m, d->why);
		break;
	case SINK_SYSLOG:
		d->state = syslog_deliver(m, d->why);
		break;
	case SINK_PROGRAM:
		err = program_begin(sink->command, m->json, &d->program);
		break;
	case SINK_MAIL:
		err = begin_mail(d, sink, m);
		break;
	case SINK_WEBHOOK:
		err = http_begin(sink, "", m->json, &d->http);
		break;
	case SINK_ALERTMANAGER:
		err = begin_alertmanager(d, sink, m);
		break;
	case SINK_TYPES:
		err = -EINVAL;
		break;
	}
	if (err)
		failed(d, err);
}

int delivery_fds(const struct delivery *d, struct pollfd fds[DELIVERY_FDS])
{
	if (d->program)
		return program_fds(d->program, fds);
	return d->http ? http_fds(d->http, fds) : 0;
}

uint64_t delivery_wake_ns(const struct delivery *d, uint64_t now_ns)
{
	const uint64_t wake_ns = d->http ? http_wake_ns(d->http, now_ns) : UINT64_MAX;

	return wake_ns < d->until_ns ? wake_ns : d->until_ns;
}

void delivery_step(struct delivery *d, uint64_t now_ns)
{
	if (d->state != DELIVERY_GOES_ON)
		return;
	if (d->program)
		d->state = program_step(d->program, d->why);
	else if (d->http)
		d->state = http_step(d->http, d->why);
	if (d->state == DELIVERY_GOES_ON && now_ns >= d->until_ns) {
		snprintf(d->why, sizeof(d->why), "no answer in time");
		d->state = DELIVERY_LATER;
	}
}

void delivery_end(struct delivery *d)
{
	program_end(d->program);
	http_end(d->http);
	d->program = NULL;
	d->http = NULL;
}
