/* SPDX-License-Identifier: GPL-2.0-only */
#include "target.h"

#include <err.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "verb.h"

int target_check_packets(const char *path)
{
	if (strcmp(path, "-") || !isatty(STDOUT_FILENO))
		return STATUS_DONE;
	warnx("-o -: packets are not for a terminal; pipe them, or name a file");
	return STATUS_USAGE;
}

int target_status(const char *path, int err)
{
	if (!err || err == -EPIPE)
		return STATUS_DONE;
	if (err == -EEXIST) {
		warnx("%s is there already; --force replaces it", path);
		return STATUS_USAGE;
	}
	warnx("%s: %s", path, strerror(-err));
	return STATUS_ERROR;
}
