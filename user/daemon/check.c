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
#include "base/lines.h"
#include "base/list.h"
#include "daemon/daemon.h"
#include "daemon/http.h"
#include "host/host.h"

static bool is_section(const struct config *c, const char *name, size_t len)
{
	for (int i = 1; i < c->n_watch; i++)
		if (strlen(c->watch[i].name) == len && !strncmp(c->watch[i].name, name, len))
			return true;
	return false;
}

/* Alerts of a section that is not there would never come. */
static void check_watch(const struct config *c, const struct sink_config *s, char *why,
			size_t why_len)
{
	const char *list = s->watch, *name;
	size_t len;

	while (list_next(&list, &name, &len))
		if (!is_section(c, name, len))
			lines_add(why, why_len, "%s: watch '%.*s': there is no [watch %.*s]",
				  s->watch_at, (int)len, name, (int)len, name);
}

static void check_command(const struct sink_config *s, char *why, size_t why_len)
{
	const int len = (int)strcspn(s->command, " \t");
	char path[sizeof(s->command)];
	struct stat st;
	int err = 0;

	if (!len || (s->type != SINK_PROGRAM && s->type != SINK_MAIL))
		return;
	snprintf(path, sizeof(path), "%.*s", len, s->command);
	if (stat(path, &st) || access(path, X_OK))
		err = errno;
	else if (!S_ISREG(st.st_mode))
		err = EACCES;
	if (err)
		lines_add(why, why_len, "%s: command '%s': %s", s->command_at, path, strerror(err));
}

/* Who asks may be somebody else than the daemon: what it may read is seen when it does. */
static void check_file(const struct sink_config *s, const char *key, const char *path, char *why,
		       size_t why_len)
{
	if (*path && access(path, F_OK) && errno != EACCES)
		lines_add(why, why_len, "%s: [sink %s] %s '%s': %s", s->at, s->name, key, path,
			  strerror(errno));
}

static void check_sink(const struct config *c, const struct sink_config *s, char *why,
		       size_t why_len)
{
	const char *missing = sink_missing((enum sink_type)s->type);

	if (missing)
		lines_add(why, why_len, "%s: [sink %s]: this build was made without %s", s->at,
			  s->name, missing);
	check_watch(c, s, why, why_len);
	check_command(s, why, why_len);
	check_file(s, "authorization-file", s->authorization_file, why, why_len);
	check_file(s, "ca-file", s->ca_file, why, why_len);
}

/* A directory that is not there yet is made for the store; this one is somebody else's. */
static void check_textfile(const struct metrics_config *m, char *why, size_t why_len)
{
	const char *slash = strrchr(m->textfile, '/');
	char dir[sizeof(m->textfile)];

	if (!*m->textfile)
		return;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - m->textfile) : 1,
		 slash ? m->textfile : ".");
	if (access(*dir ? dir : "/", F_OK) && errno != EACCES)
		lines_add(why, why_len, "%s: textfile '%s': %s: %s", m->textfile_at, m->textfile,
			  *dir ? dir : "/", strerror(errno));
}

/* It may come and go while the daemon runs, but not before that. */
static void check_netns(const struct daemon_config *d, char *why, size_t why_len)
{
	uint32_t inode;
	int fd = -1, err;

	if (!*d->netns)
		return;
	err = namespace_open(d->netns, &fd, &inode);
	if (err == -ENOENT || err == -EINVAL)
		lines_add(why, why_len, "%s: netns '%s': %s", d->netns_at, d->netns,
			  err == -EINVAL ? "is no network namespace"
					 : "no such network namespace, file or process");
	if (fd >= 0)
		close(fd);
}

static void check_listen(const struct metrics_config *m, char *why, size_t why_len)
{
	if (!*m->listen)
		return;
	if (!http_supported())
		lines_add(why, why_len, "%s: listen: this build was made without libmicrohttpd",
			  m->listen_at);
	else if (!http_can_listen(m->listen))
		lines_add(why, why_len,
			  "%s: listen '%s' is no ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH",
			  m->listen_at, m->listen);
}

int daemon_check(const struct config *c, char *ret_why, size_t why_len)
{
	*ret_why = '\0';
	check_netns(&c->daemon, ret_why, why_len);
	if (c->store.keep && *c->store.dir != '/')
		lines_add(ret_why, why_len, "%s: dir '%s' does not begin with /", c->store.dir_at,
			  c->store.dir);
	check_listen(&c->metrics, ret_why, why_len);
	check_textfile(&c->metrics, ret_why, why_len);
	for (int i = 0; i < c->n_sinks; i++)
		check_sink(c, &c->sink[i], ret_why, why_len);
	if (*c->daemon.group && !getgrnam(c->daemon.group))
		lines_add(ret_why, why_len, "%s: group '%s': there is no such group",
			  c->daemon.group_at, c->daemon.group);
	return *ret_why ? -EINVAL : 0;
}
