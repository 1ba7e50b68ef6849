/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lines in and out. What is on a line is the business of the field tables; a line that is too long,
 * no JSON object or has a value that does not fit ends the reading with its number.
 */
#include "sensor/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sensor/anonymize.h"
#include "sensor/fields.h"

#define HEADER_KEY    "tcpstall_recording"
#define TYPE_KEY      "observation"

#define MAX_FLOWS     (1u << 20)
#define MAX_INCIDENTS (1u << 14)

static const struct field now_field[] = {
	{.name = "now_ns",
	 .type = FIELD_UNSIGNED,
	 .offset = offsetof(struct observation, now_ns),
	 .size = sizeof(uint64_t)},
	{.name = NULL},
};

static const struct field header_fields[] = {
	{.name = "host",
	 .type = FIELD_NAME,
	 .offset = offsetof(struct record_header, host),
	 .size = sizeof(((struct record_header *)0)->host)},
	{.name = "config",
	 .type = FIELD_STRUCT,
	 .offset = offsetof(struct record_header, config),
	 .size = sizeof(struct engine_config),
	 .fields = engine_config_fields},
	{.name = NULL},
};

struct recorder {
	FILE *file;
	bool failed;
	bool anonymous;
	struct anonymizer anonymizer;
};

struct recording {
	FILE *file;
	uint64_t line;
	uint64_t ignored;
	bool cut; /* the line read last has no end */
	size_t len;
	char text[RECORD_LINE_MAX];
};

static int write_line(struct recorder *r, const json_t *object)
{
	errno = EIO;
	if (json_dumpf(object, r->file, JSON_COMPACT) || putc('\n', r->file) == EOF)
		return -errno;
	return 0;
}

int recorder_open(const char *path, const struct record_header *header, bool anonymize,
		  struct recorder **ret)
{
	struct record_header h = *header;
	struct recorder *r = calloc(1, sizeof(*r));
	json_t *object = json_object();
	int fd = -1, error = -ENOMEM;

	if (!r || !object)
		goto out;
	r->anonymous = anonymize;
	if (anonymize) {
		error = anonymizer_init(&r->anonymizer);
		if (error)
			goto out;
		anonymize_fields(&r->anonymizer, header_fields, &h);
	}
	fd = strcmp(path, "-")
		     ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600)
		     : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		error = -errno;
		goto out;
	}
	r->file = fdopen(fd, "w");
	if (!r->file) {
		error = -errno;
		close(fd);
		goto out;
	}
	error = -ENOMEM;
	if (json_object_set_new(object, HEADER_KEY, json_integer(RECORD_VERSION)) ||
	    fields_write(header_fields, &h, object))
		goto out;
	error = write_line(r, object);
	if (!error && fflush(r->file))
		error = -errno;
	if (error)
		goto out;
	*ret = r;
	r = NULL;
out:
	json_decref(object);
	recorder_close(r);
	return error;
}

int recorder_write(struct recorder *r, const struct observation *obs)
{
	const struct observation_info *info = &observation_table[obs->type];
	struct observation nameless;
	json_t *object;
	int error = -ENOMEM;

	if (r->failed)
		return 0;
	if (r->anonymous) {
		nameless = *obs;
		anonymize_fields(&r->anonymizer, info->fields, &nameless);
		obs = &nameless;
	}
	object = json_object();
	if (object && !json_object_set_new(object, TYPE_KEY, json_string(info->name)) &&
	    !fields_write(now_field, obs, object) && !fields_write(info->fields, obs, object))
		error = write_line(r, object);
	json_decref(object);
	r->failed = error != 0;
	return error;
}

int recorder_close(struct recorder *r)
{
	int error = 0;

	if (!r)
		return 0;
	if (r->file && fclose(r->file) && !r->failed)
		error = -errno;
	free(r);
	return error;
}

/* 1: a line of len bytes in text, 0: the end, -EINVAL: too long, -EIO. */
static int read_line(struct recording *r)
{
	int c;

	r->len = 0;
	r->cut = false;
	while ((c = getc_unlocked(r->file)) != EOF && c != '\n') {
		if (r->len == sizeof(r->text))
			return -EINVAL;
		r->text[r->len++] = (char)c;
	}
	if (ferror(r->file))
		return -EIO;
	if (c == EOF && !r->len)
		return 0;
	r->cut = c == EOF;
	r->line++;
	return 1;
}

/*
 * 1 and an object (the caller's), 0: the end. A last line without its end that is no JSON was being
 * written when the recording stopped.
 */
static int read_object(struct recording *r, json_t **ret, char *ret_why, size_t why_len)
{
	json_error_t error;
	json_t *object;
	int got = read_line(r);

	ret_why[0] = '\0';
	if (got == -EINVAL)
		snprintf(ret_why, why_len, "line %llu: longer than %d bytes",
			 (unsigned long long)r->line + 1, RECORD_LINE_MAX);
	else if (got == -EIO)
		snprintf(ret_why, why_len, "cannot be read");
	if (got <= 0)
		return got;
	object = json_loadb(r->text, r->len, 0, &error);
	if (json_is_object(object)) {
		*ret = object;
		return 1;
	}
	json_decref(object);
	if (r->cut && r->line > 1) {
		snprintf(ret_why, why_len, "line %llu is cut off; the recording ends there",
			 (unsigned long long)r->line);
		return 0;
	}
	snprintf(ret_why, why_len, "line %llu: no JSON object", (unsigned long long)r->line);
	return -EINVAL;
}

/* Puts the line's number before what fields_read() says. */
static int read_members(const struct recording *r, const struct field *table, const json_t *object,
			void *base, char *ret_why, size_t why_len)
{
	char why[128];

	if (!fields_read(table, object, base, why, sizeof(why)))
		return 0;
	snprintf(ret_why, why_len, "line %llu: %s", (unsigned long long)r->line, why);
	return -EINVAL;
}

/* The engine takes all its memory at once: a recording must not make it take any amount. */
static bool is_sane(const struct engine_config *config)
{
	return config->max_flows && config->max_flows <= MAX_FLOWS && config->max_incidents &&
	       config->max_incidents <= MAX_INCIDENTS;
}

static int read_header(struct recording *r, struct record_header *ret, char *ret_why,
		       size_t why_len)
{
	struct record_header header = {0};
	json_t *object = NULL, *version;
	int got = read_object(r, &object, ret_why, why_len), error = -EINVAL;

	if (got < 0 && got != -EINVAL)
		return got;
	version = json_object_get(object, HEADER_KEY);
	if (!json_is_integer(version) || json_integer_value(version) < 1) {
		snprintf(ret_why, why_len, "line 1: no header: this is no recording of tcpstall");
	} else if (json_integer_value(version) > RECORD_VERSION) {
		snprintf(ret_why, why_len,
			 "its format is version %lld; this program reads up to version %d",
			 (long long)json_integer_value(version), RECORD_VERSION);
	} else {
		error = read_members(r, header_fields, object, &header, ret_why, why_len);
		if (!error && !is_sane(&header.config)) {
			snprintf(ret_why, why_len,
				 "line 1: \"config\" asks for too much or nothing");
			error = -EINVAL;
		}
		if (!error)
			*ret = header;
	}
	json_decref(object);
	return error;
}

int recording_open(const char *path, struct recording **ret, struct record_header *ret_header,
		   char *ret_why, size_t why_len)
{
	struct recording *r = calloc(1, sizeof(*r));
	int fd, error;

	if (!r) {
		snprintf(ret_why, why_len, "no memory");
		return -ENOMEM;
	}
	fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
			       : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	r->file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!r->file) {
		error = -errno;
		snprintf(ret_why, why_len, "%s", strerror(errno));
		if (fd >= 0)
			close(fd);
	} else {
		error = read_header(r, ret_header, ret_why, why_len);
	}
	if (error) {
		recording_close(r);
		return error;
	}
	*ret = r;
	return 0;
}

static const struct observation_info *find_type(const char *name)
{
	for (int i = 0; name && i < OBS_TYPES; i++)
		if (!strcmp(observation_table[i].name, name))
			return &observation_table[i];
	return NULL;
}

int recording_next(struct recording *r, struct observation *ret, char *ret_why, size_t why_len)
{
	const struct observation_info *info;
	struct observation obs;
	json_t *object, *type;
	int got;

	for (;;) {
		got = read_object(r, &object, ret_why, why_len);
		if (got <= 0)
			return got;
		type = json_object_get(object, TYPE_KEY);
		if (!json_is_string(type)) {
			snprintf(ret_why, why_len, "line %llu: does not say what it is in \"%s\"",
				 (unsigned long long)r->line, TYPE_KEY);
			json_decref(object);
			return -EINVAL;
		}
		info = find_type(json_string_value(type));
		if (info)
			break;
		r->ignored++;
		json_decref(object);
	}
	memset(&obs, 0, sizeof(obs));
	obs.type = (enum observation_type)(info - observation_table);
	got = read_members(r, now_field, object, &obs, ret_why, why_len);
	if (!got)
		got = read_members(r, info->fields, object, &obs, ret_why, why_len);
	json_decref(object);
	if (got)
		return got;
	memcpy(ret, &obs, sizeof(obs));
	return 1;
}

uint64_t recording_ignored(const struct recording *r)
{
	return r->ignored;
}

void recording_close(struct recording *r)
{
	if (!r)
		return;
	if (r->file)
		fclose(r->file);
	free(r);
}
