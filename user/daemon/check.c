/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a configuration asks for and this host or this build does not have. --dry-run, the start and
 * SIGHUP all look here, so that none of them finds fault with what another called fine.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alert/sinks.h"
#include "daemon/daemon.h"
#include "daemon/http.h"

static bool is_section(const struct config *c, const char *name, size_t len)
{
	for (int i = 1; i < c->n_watch; i++)
		if (strlen(c->watch[i].name) == len && !strncmp(c->watch[i].name, name, len))
			return true;
	return false;
}

/* Alerts of a section that is not there would never come. */
static int check_watch(const struct config *c, const struct sink_config *s, char *ret_why,
		       size_t why_len)
{
	for (const char *name = s->watch; *name;) {
		const size_t len = strcspn(name, ", ");

		if (len && !is_section(c, name, len)) {
			snprintf(ret_why, why_len, "%s: watch '%.*s': there is no [watch %.*s]",
				 s->watch_at, (int)len, name, (int)len, name);
			return -EINVAL;
		}
		name += len;
		name += strspn(name, ", ");
	}
	return 0;
}

static int check_command(const struct sink_config *s, char *ret_why, size_t why_len)
{
	const int len = (int)strcspn(s->command, " \t");
	char path[sizeof(s->command)];
	struct stat st;
	int err = 0;

	if (!len || (s->type != SINK_PROGRAM && s->type != SINK_MAIL))
		return 0;
	snprintf(path, sizeof(path), "%.*s", len, s->command);
	if (stat(path, &st) || access(path, X_OK))
		err = errno;
	else if (!S_ISREG(st.st_mode))
		err = EACCES;
	if (!err)
		return 0;
	snprintf(ret_why, why_len, "%s: command '%s': %s", s->command_at, path, strerror(err));
	return -EINVAL;
}

static int check_sink(const struct config *c, const struct sink_config *s, char *ret_why,
		      size_t why_len)
{
	const char *missing = sink_missing((enum sink_type)s->type);
	int err;

	if (missing) {
		snprintf(ret_why, why_len, "[sink %s]: this build was made without %s", s->name,
			 missing);
		return -EINVAL;
	}
	err = check_watch(c, s, ret_why, why_len);
	return err ? err : check_command(s, ret_why, why_len);
}

static int check_listen(const struct metrics_config *m, char *ret_why, size_t why_len)
{
	if (!*m->listen)
		return 0;
	if (!http_supported())
		snprintf(ret_why, why_len, "%s: listen: this build was made without libmicrohttpd",
			 m->listen_at);
	else if (!http_can_listen(m->listen))
		snprintf(ret_why, why_len,
			 "%s: listen '%s' is no ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH",
			 m->listen_at, m->listen);
	else
		return 0;
	return -EINVAL;
}

int daemon_check(const struct config *c, char *ret_why, size_t why_len)
{
	int err = check_listen(&c->metrics, ret_why, why_len);

	for (int i = 0; !err && i < c->n_sinks; i++)
		err = check_sink(c, &c->sink[i], ret_why, why_len);
	if (!err && *c->daemon.group && !getgrnam(c->daemon.group)) {
		snprintf(ret_why, why_len, "%s: group '%s': there is no such group",
			 c->daemon.group_at, c->daemon.group);
		err = -EINVAL;
	}
	return err;
}
