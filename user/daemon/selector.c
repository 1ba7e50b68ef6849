/* SPDX-License-Identifier: GPL-2.0-only */
#include "daemon/selector.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/parse.h"
#include "sensor/filter.h"
#include "view/format.h"

#define NETNS_DIR "/run/netns"

struct selector {
	const struct config *config;
	struct flow_filter *filters[WATCH_MAX]; /* NULL: none */
};

bool selector_listed(const char *list, const char *word)
{
	char pattern[CONFIG_TEXT];
	const char *item;
	size_t len;

	while (list_next(&list, &item, &len)) {
		snprintf(pattern, sizeof(pattern), "%.*s", (int)len, item);
		if (!fnmatch(pattern, word, 0))
			return true;
	}
	return false;
}

static bool process_matches(const struct watch_config *w, const struct incident *i)
{
	const char *comm;
	uint32_t pid;

	return !*w->process ||
	       (incident_process(i, &pid, &comm) && *comm && selector_listed(w->process, comm));
}

/* A line of /proc/PID/cgroup: "0::/system.slice/x.service", "4:memory:/x". */
static bool cgroup_matches(const struct watch_config *w, const struct incident *i)
{
	char path[64], line[PATH_MAX];
	const char *comm;
	bool found = false;
	uint32_t pid;
	FILE *file;

	if (!*w->cgroup)
		return true;
	if (!incident_process(i, &pid, &comm) || !pid)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *at = strchr(line, ':');

		at = at ? strchr(at + 1, ':') : NULL;
		line[strcspn(line, "\n")] = '\0';
		found = at && !fnmatch(w->cgroup, at + 1, 0);
	}
	if (file)
		fclose(file);
	return found;
}

static bool netns_matches(const struct watch_config *w, const struct incident *i)
{
	char path[PATH_MAX];
	struct stat st;
	uint64_t inode;

	if (!*w->netns)
		return true;
	if (!parse_u64(w->netns, 0, UINT32_MAX, &inode))
		return inode == i->key.netns;
	snprintf(path, sizeof(path), "%s/%s", NETNS_DIR, w->netns);
	return !strchr(w->netns, '/') && !stat(path, &st) && st.st_ino == i->key.netns;
}

int selector_match(const struct selector *s, const struct incident *i)
{
	for (int n = 1; n < s->config->n_watch; n++) {
		const struct watch_config *w = &s->config->watch[n];

		if ((!s->filters[n] ||
		     flow_filter_matches(s->filters[n], &i->key, i->local_sends)) &&
		    netns_matches(w, i) && process_matches(w, i) && cgroup_matches(w, i))
			return n;
	}
	return 0;
}

int selector_new(const struct config *config, struct selector **ret)
{
	struct selector *s = calloc(1, sizeof(*s));
	char why[CONFIG_TEXT];

	if (!s)
		return -ENOMEM;
	s->config = config;
	for (int n = 1; n < config->n_watch; n++) {
		if (!*config->watch[n].filter)
			continue;
		if (flow_filter_new(config->watch[n].filter, &s->filters[n], why, sizeof(why))) {
			selector_free(s);
			return -ENOMEM;
		}
	}
	*ret = s;
	return 0;
}

void selector_free(struct selector *s)
{
	if (!s)
		return;
	for (int n = 0; n < WATCH_MAX; n++)
		flow_filter_free(s->filters[n]);
	free(s);
}
