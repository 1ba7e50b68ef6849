/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether what one finds in the morning would have arrived. */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alert/message.h"
#include "alert/sinks.h"
#include "base/clock.h"
#include "base/lines.h"
#include "config/config.h"
#include "verb.h"

static int try(const struct sink_config *sink)
{
	const char *missing = sink_missing((enum sink_type)sink->type);
	char host[NAME_LEN] = "", why[256] = "";
	struct alert alert;

	if (missing) {
		warnx("sink %s: this build was made without %s", sink->name, missing);
		return STATUS_UNSUPPORTED;
	}
	signal(SIGPIPE, SIG_IGN); /* a program may not read what it is told, a peer may close */
	gethostname(host, sizeof(host) - 1);
	message_test_alert(&alert);
	if (sink_try(sink, &alert, host, wall_offset_ns(), why, sizeof(why))) {
		warnx("sink %s: %s", sink->name, why);
		return STATUS_ERROR;
	}
	printf("sink %s: delivered\n", sink->name);
	return STATUS_DONE;
}

static int find(const struct config *c, const char *name)
{
	char names[SINK_MAX * (CONFIG_NAME + 2)] = "";

	for (int i = 0; i < c->n_sinks; i++) {
		if (!strcmp(c->sink[i].name, name))
			return try(&c->sink[i]);
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i ? ", " : "", c->sink[i].name);
	}
	warnx("there is no sink '%s' in the configuration%s%s", name, *names ? "; there are: " : "",
	      names);
	return STATUS_USAGE;
}

int cmd_alert_test(const struct options *options, int argc, char **argv)
{
	struct config *c = malloc(sizeof(*c));
	int status = STATUS_USAGE;
	char why[LINES_LEN];

	(void)argc;
	if (!c) {
		warnx("%s", strerror(ENOMEM));
		return STATUS_ERROR;
	}
	if (config_load(options->config, c, why, sizeof(why)))
		lines_warn("", why);
	else
		status = find(c, argv[0]);
	free(c);
	return status;
}
