/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files to configuration, by libinih. It is fed line by line through a reader of ours, which knows
 * the number of the line, takes the blanks off its beginning (libinih would read an indented line
 * as the continuation of the one before), and refuses what libinih would cut off in silence.
 */
#include "config/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef HAVE_INIH
#include <ini.h>
#endif

#include "base/lines.h"
#include "config/table.h"

#define FILES_MAX  256
#define FILE_BYTES (1 << 20) /* nobody writes as much by hand */

void config_defaults(struct config *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < SECTIONS; i++) {
		if (!config_sections[i].named || config_sections[i].nameless)
			section_defaults(&config_sections[i],
					 (char *)ret + config_sections[i].offset);
	}
	ret->n_watch = 1;
}

bool config_supported(void)
{
#ifdef HAVE_INIH
	return true;
#else
	return false;
#endif
}

/* What comes after the kind in "watch backups"; NULL: it is no section of that kind. */
static const char *section_name(const struct section *s, const char *header)
{
	const size_t len = strlen(s->name);

	if (strncmp(header, s->name, len))
		return NULL;
	if (!header[len])
		return s->nameless ? header + len : NULL;
	if (!s->named || header[len] != ' ')
		return NULL;
	header += len + strspn(header + len, " ");
	return *header ? header : NULL;
}

/* Names appear in labels, in fields of the journal and on command lines. */
static bool is_name(const char *name)
{
	const size_t len = strlen(name);

	return len && len < CONFIG_NAME &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
		       len;
}

static void *find_watch(struct config *c, const char *name, char *ret_why, size_t why_len)
{
	if (!*name)
		return &c->watch[0];
	for (int i = 1; i < c->n_watch; i++)
		if (!strcmp(c->watch[i].name, name))
			return &c->watch[i];
	if (c->n_watch == WATCH_MAX) {
		snprintf(ret_why, why_len, "more than %d [watch] sections", WATCH_MAX - 1);
		return NULL;
	}
	section_defaults(&config_sections[SECTION_WATCH], &c->watch[c->n_watch]);
	strcpy(c->watch[c->n_watch].name, name);
	return &c->watch[c->n_watch++];
}

static void *find_sink(struct config *c, const char *name, char *ret_why, size_t why_len)
{
	for (int i = 0; i < c->n_sinks; i++)
		if (!strcmp(c->sink[i].name, name))
			return &c->sink[i];
	if (c->n_sinks == SINK_MAX) {
		snprintf(ret_why, why_len, "more than %d [sink] sections", SINK_MAX);
		return NULL;
	}
	section_defaults(&config_sections[SECTION_SINK], &c->sink[c->n_sinks]);
	strcpy(c->sink[c->n_sinks].name, name);
	return &c->sink[c->n_sinks++];
}

/* The section of this header, made if it is new; NULL: ret_why says what is wrong with it. */
static void *find_section(struct config *c, const char *header, const struct section **ret_kind,
			  char *ret_why, size_t why_len)
{
	for (int i = 0; i < SECTIONS; i++) {
		const struct section *s = &config_sections[i];
		const char *name = section_name(s, header);

		if (!name)
			continue;
		*ret_kind = s;
		if (*name && !is_name(name)) {
			snprintf(ret_why, why_len,
				 "'%s' is no name: at most %d letters, digits, - _ and .", name,
				 CONFIG_NAME - 1);
			return NULL;
		}
		if (i == SECTION_WATCH)
			return find_watch(c, name, ret_why, why_len);
		if (i == SECTION_SINK)
			return find_sink(c, name, ret_why, why_len);
		return (char *)c + s->offset;
	}
	snprintf(ret_why, why_len, "unknown section [%s]%s", header,
		 !strcmp(header, "sink") ? ": a sink needs a name, [sink NAME]" : "");
	return NULL;
}

/* What its type wants of a sink, and what it has no use for; an empty value takes a key back. */
static void check_sink(const struct sink_config *s, char *ret_why, size_t why_len)
{
	const struct section *kind = &config_sections[SECTION_SINK];
	const bool http = s->type == SINK_ALERTMANAGER || s->type == SINK_WEBHOOK;
	const bool is_url = !strncmp(s->url, "http://", 7) || !strncmp(s->url, "https://", 8);
	char type[CONFIG_NAME], text[CONFIG_FILTER];

	if (http && (!is_url || strpbrk(s->url, " \t"))) {
		lines_add(ret_why, why_len, "%s: [sink %s] needs url = http://... or https://...",
			  s->at, s->name);
	}
	if (s->type == SINK_PROGRAM && *s->command != '/') {
		lines_add(ret_why, why_len, "%s: [sink %s] needs command = /PATH ...", s->at,
			  s->name);
	}
	key_text(&kind->keys[0], s, type, sizeof(type));
	for (int i = 0; i < kind->n_keys; i++) {
		const struct key *k = &kind->keys[i];

		if (s->given >> i & 1 && k->types && !(k->types >> s->type & 1) &&
		    *key_text(k, s, text, sizeof(text)))
			lines_add(ret_why, why_len,
				  "%s: [sink %s] has no use for %s: its type is %s", s->at, s->name,
				  k->name, type);
	}
}

int config_finish(struct config *c, char *ret_why, size_t why_len)
{
	const struct section *kind = &config_sections[SECTION_WATCH];
	char text[CONFIG_FILTER], why[CONFIG_TEXT];

	*ret_why = '\0';
	for (int w = 1; w < c->n_watch; w++) {
		for (int i = 0; i < kind->n_keys; i++) {
			if (!(c->watch[w].given & 1ull << i))
				key_parse(
					&kind->keys[i],
					key_text(&kind->keys[i], &c->watch[0], text, sizeof(text)),
					&c->watch[w], why, sizeof(why));
		}
	}
	for (int i = 0; i < c->n_sinks; i++)
		check_sink(&c->sink[i], ret_why, why_len);
	return *ret_why ? -EINVAL : 0;
}

#ifdef HAVE_INIH
/* Debian's libinih lets a program say how long a line may be; elsewhere it is 200 characters. */
extern int ini_max_line __attribute__((weak)); /* NOLINT: again, if the header has it */

#define NO_LINE "neither [SECTION] nor KEY = VALUE"

struct reading {
	FILE *file;
	const char *name;
	struct config *config;
	const struct section *kind; /* of the section that the line is in; NULL: none yet */
	void *section;
	uint64_t seen[SECTIONS][WATCH_MAX > SINK_MAX ? WATCH_MAX : SINK_MAX]; /* in this file */
	unsigned int line;
	bool skipping; /* what is in a section that is none: the header was told already */
	bool told;     /* of this line */
	bool failed;
	char *why;
	size_t why_len;
};

static void fail(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct reading *r, const char *format, ...)
{
	char text[CONFIG_FILTER + CONFIG_TEXT];
	va_list args;

	if (r->told)
		return;
	r->told = r->failed = true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lines_add(r->why, r->why_len, "%s:%u: %s", r->name, r->line, text);
}

static void note_place(const struct reading *r, char at[CONFIG_TEXT])
{
	snprintf(at, CONFIG_TEXT, "%s:%u", r->name, r->line);
}

/* libinih says nothing of a section without keys, and of one that is not closed. */
static void enter(struct reading *r, const char *line)
{
	const size_t len = strcspn(line, "]");
	char header[CONFIG_TEXT], why[CONFIG_FILTER];
	struct sink_config *sink;

	r->section = NULL;
	r->skipping = true;
	if (!line[len] || len > sizeof(header)) {
		fail(r, "the section has no end: ] is missing");
		return;
	}
	snprintf(header, sizeof(header), "%.*s", (int)len - 1, line + 1);
	r->section = find_section(r->config, header, &r->kind, why, sizeof(why));
	r->skipping = !r->section;
	if (!r->section) {
		fail(r, "%s", why);
	} else if (r->kind == &config_sections[SECTION_SINK]) {
		sink = r->section;
		if (!*sink->at)
			note_place(r, sink->at);
	}
}

/* As libinih sees it: a blank and a semicolon begin a comment. It tells of the first such line
 * only. */
static bool is_assignment(const char *line)
{
	const char *comment = strstr(line, " ;"), *sign = strpbrk(line, "=:");

	return sign && (!comment || sign < comment);
}

/* A line for libinih, of which it takes num bytes; NULL: no more. */
static char *next_line(char *buf, int num, void *arg)
{
	struct reading *r = arg;
	size_t len = 0;
	int c = 0;

	if (feof(r->file))
		return NULL;
	r->line++;
	r->told = false;
	while ((c = getc(r->file)) != EOF && c != '\n') {
		if (!len && isspace(c))
			continue;
		if (!c || len + 2 >= (size_t)num) {
			fail(r, c ? "the line is too long" : "this is no text");
			return NULL;
		}
		buf[len++] = (char)c;
	}
	if (c == EOF && !len)
		return NULL;
	buf[len] = '\n';
	buf[len + 1] = '\0';
	if (*buf == '[')
		enter(r, buf);
	else if (!strchr(";#\n", *buf) && !is_assignment(buf))
		fail(r, NO_LINE);
	return buf;
}

static int section_index(const struct reading *r)
{
	if (r->kind == &config_sections[SECTION_WATCH])
		return (int)((struct watch_config *)r->section - r->config->watch);
	if (r->kind == &config_sections[SECTION_SINK])
		return (int)((struct sink_config *)r->section - r->config->sink);
	return 0;
}

/* libinih's handler. It never fails: what libinih has against a line is then the line's form. */
static int take(void *arg, const char *header, const char *name, const char *value)
{
	struct reading *r = arg;
	char why[CONFIG_FILTER];
	uint64_t *seen;

	if (!r->section) {
		if (!r->skipping)
			fail(r, "'%s' is in no section", name);
		return 1;
	}
	for (int i = 0; i < r->kind->n_keys; i++) {
		const struct key *k = &r->kind->keys[i];

		if (strcmp(k->name, name))
			continue;
		seen = &r->seen[r->kind - config_sections][section_index(r)];
		if (*seen & 1ull << i) {
			fail(r, "%s is given twice", name);
			return 1;
		}
		*seen |= 1ull << i;
		*(uint64_t *)((char *)r->section + r->kind->given) |= 1ull << i;
		if (key_parse(k, value, r->section, why, sizeof(why)))
			fail(r, "%s '%s' %s", name, value, why);
		else if (r->section == &r->config->watch[0] && i < SELECTORS && *value)
			fail(r, "%s needs a section with a name: [watch NAME]", name);
		else if (k->place)
			note_place(r, (char *)r->section + k->place);
		return 1;
	}
	fail(r, "unknown key '%s' in [%s]", name, header);
	return 1;
}

int config_read(FILE *file, const char *name, struct config *c, char *why, size_t why_len)
{
	struct reading r = {
		.file = file, .name = name, .config = c, .why = why, .why_len = why_len};
	int line;

	if (&ini_max_line)
		ini_max_line = CONFIG_FILTER + CONFIG_TEXT;
	line = ini_parse_stream(next_line, &r, take, &r);
	if (ferror(file)) {
		lines_add(why, why_len, "%s: %s", name, strerror(errno));
		return -EINVAL;
	}
	if (!r.failed && line) {
		r.line = line > 0 ? (unsigned int)line : r.line;
		r.told = false;
		fail(&r, line > 0 ? NO_LINE : "not enough memory");
	}
	return r.failed ? -EINVAL : 0;
}
#else
int config_read(FILE *file, const char *name, struct config *c, char *why, size_t why_len)
{
	(void)file;
	(void)c;
	lines_add(why, why_len, "%s: this build cannot read it: it was made without libinih", name);
	return -EINVAL;
}
#endif

static int read_path(const char *path, struct config *c, bool needed, char *ret_why, size_t why_len)
{
	FILE *file = fopen(path, "re");
	struct stat st;
	int err;

	if (!file && errno == ENOENT && !needed)
		return 0;
	if (!file) {
		lines_add(ret_why, why_len, "%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	if (fstat(fileno(file), &st) || S_ISDIR(st.st_mode) || st.st_size > FILE_BYTES) {
		lines_add(ret_why, why_len, "%s: %s", path,
			  S_ISDIR(st.st_mode) ? "is a directory"
					      : "is too large for a configuration");
		err = -EINVAL;
	} else {
		err = config_read(file, path, c, ret_why, why_len);
	}
	fclose(file);
	return err;
}

static int is_conf(const struct dirent *entry)
{
	const char *end = strrchr(entry->d_name, '.');

	return *entry->d_name != '.' && end && !strcmp(end, ".conf");
}

/* The directory beside the file: as many files as there are, in the order of their names. */
static int read_directory(const char *path, struct config *c, char *ret_why, size_t why_len)
{
	char dir[PATH_MAX], file[PATH_MAX + NAME_MAX + 2];
	struct dirent **entries = NULL;
	int err = 0, n;

	if (snprintf(dir, sizeof(dir), "%s.d", path) >= (int)sizeof(dir))
		return 0;
	n = scandir(dir, &entries, is_conf, alphasort);
	if (n < 0 && errno != ENOENT && errno != ENOTDIR) {
		lines_add(ret_why, why_len, "%s: %s", dir, strerror(errno));
		return -EINVAL;
	}
	if (n > FILES_MAX) {
		lines_add(ret_why, why_len, "%s: more than %d files", dir, FILES_MAX);
		err = -EINVAL;
	}
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, entries[i]->d_name);
		if (n <= FILES_MAX && read_path(file, c, true, ret_why, why_len))
			err = -EINVAL;
		free(entries[i]);
	}
	free(entries);
	return err;
}

int config_load(const char *path, struct config *ret, char *ret_why, size_t why_len)
{
	const char *name = path ? path : CONFIG_FILE;
	struct config *c = malloc(sizeof(*c));
	int err = 0;

	*ret_why = '\0';
	if (!c) {
		lines_add(ret_why, why_len, "%s: %s", name, strerror(ENOMEM));
		return -EINVAL;
	}
	config_defaults(c);
	if (read_path(name, c, path, ret_why, why_len))
		err = -EINVAL;
	if (read_directory(name, c, ret_why, why_len))
		err = -EINVAL;
	if (!err)
		err = config_finish(c, ret_why, why_len);
	if (!err)
		*ret = *c;
	free(c);
	return err;
}
