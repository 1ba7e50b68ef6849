/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads recordings. What is on a line is the business of the field tables; a line that is too long,
 * no JSON object or has a value that does not fit ends the reading with its number.
 */
#include "sensor/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sensor/fields.h"

#define MAX_FLOWS     (1u << 18)
#define MAX_INCIDENTS (1u << 13)

struct recording {
	FILE *file;
	uint64_t line;
	uint64_t ignored;
	bool cut;   /* the line read last has no end */
	bool ended; /* `end` has been read */
	struct record_end end;
	size_t len;
	char text[RECORD_LINE_MAX];
};

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
	version = json_object_get(object, RECORD_HEADER_KEY);
	if (!json_is_integer(version) || json_integer_value(version) < 1) {
		snprintf(ret_why, why_len, "line 1: no header: this is no recording of tcpstall");
	} else if (json_integer_value(version) > RECORD_VERSION) {
		snprintf(ret_why, why_len,
			 "its format is version %lld; this program reads up to version %d",
			 (long long)json_integer_value(version), RECORD_VERSION);
	} else {
		error = read_members(r, record_header_fields, object, &header, ret_why, why_len);
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

static int read_end(struct recording *r, const json_t *object, char *ret_why, size_t why_len)
{
	const json_t *lost = json_object_get(object, "lost");
	struct record_end end = {0};
	int error = read_members(r, record_end_fields, object, &end, ret_why, why_len);

	for (size_t i = 0; !error && i < json_array_size(lost) && i < RECORD_LOST_REASONS; i++) {
		error = read_members(r, record_loss_fields, json_array_get(lost, i), &end.lost[i],
				     ret_why, why_len);
		end.n_lost++;
	}
	if (error)
		return error;
	r->end = end;
	r->ended = true;
	return 0;
}

static const struct observation_info *find_type(const char *name)
{
	for (int i = 0; name && i < OBS_TYPES; i++)
		if (!strcmp(observation_table[i].name, name))
			return &observation_table[i];
	return NULL;
}

/* 1 and an observation, 0: the line holds something else, -EINVAL. */
static int read_observation(struct recording *r, const json_t *object, struct observation *ret,
			    char *ret_why, size_t why_len)
{
	const json_t *type = json_object_get(object, RECORD_TYPE_KEY), *end;
	const struct observation_info *info;
	struct observation obs;
	int error;

	end = json_object_get(object, RECORD_END_KEY);
	if (end)
		return read_end(r, end, ret_why, why_len);
	if (!json_is_string(type)) {
		snprintf(ret_why, why_len, "line %llu: does not say what it is in \"%s\"",
			 (unsigned long long)r->line, RECORD_TYPE_KEY);
		return -EINVAL;
	}
	info = find_type(json_string_value(type));
	if (!info) {
		r->ignored++;
		return 0;
	}
	memset(&obs, 0, sizeof(obs));
	obs.type = (enum observation_type)(info - observation_table);
	error = read_members(r, observation_time_fields, object, &obs, ret_why, why_len);
	if (!error)
		error = read_members(r, info->fields, object, &obs, ret_why, why_len);
	if (error)
		return error;
	memcpy(ret, &obs, sizeof(obs));
	return 1;
}

int recording_next(struct recording *r, struct observation *ret, char *ret_why, size_t why_len)
{
	json_t *object;
	int got;

	do {
		got = read_object(r, &object, ret_why, why_len);
		if (got <= 0)
			return got;
		got = read_observation(r, object, ret, ret_why, why_len);
		json_decref(object);
	} while (!got);
	return got;
}

bool recording_end(const struct recording *r, struct record_end *ret)
{
	if (r->ended)
		*ret = r->end;
	return r->ended;
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
