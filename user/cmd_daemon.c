/* SPDX-License-Identifier: GPL-2.0-only */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"
#include "base/plural.h"
#include "config/config.h"
#include "daemon/daemon.h"
#include "verb.h"

int cmd_daemon(const struct options *options, int argc, char **argv)
{
	struct config *c = malloc(sizeof(*c));
	int status = STATUS_USAGE, err;
	char why[LINES_LEN];

	(void)argc;
	(void)argv;
	if (!c) {
		warnx("%s", strerror(ENOMEM));
		return STATUS_ERROR;
	}
	err = config_load(options->config, c, why, sizeof(why));
	if (!err && !options->print_config)
		err = daemon_check(c, why, sizeof(why));
	if (err) {
		lines_warn("", why);
	} else if (options->print_config) {
		config_print(c, stdout);
		status = STATUS_DONE;
	} else if (options->dry_run) {
		if (!options->quiet)
			warnx("the configuration is fine: %d section%s of transfers, %d sink%s",
			      c->n_watch, plural((uint64_t)c->n_watch), c->n_sinks,
			      plural((uint64_t)c->n_sinks));
		status = STATUS_DONE;
	} else {
		status = daemon_run(options, options->config, c);
	}
	free(c);
	return status;
}
