/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes recordings: a line at a time, by the field tables. After an error nothing more is written.
 */
#include "sensor/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sensor/anonymize.h"
#include "sensor/fields.h"

struct recorder {
	FILE *file;
	bool failed;
	bool anonymous;
	struct anonymizer anonymizer;
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
		anonymize_fields(&r->anonymizer, record_header_fields, &h);
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
	if (json_object_set_new(object, RECORD_HEADER_KEY, json_integer(RECORD_VERSION)) ||
	    fields_write(record_header_fields, &h, object))
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
	if (object && !json_object_set_new(object, RECORD_TYPE_KEY, json_string(info->name)) &&
	    !fields_write(observation_time_fields, obs, object) &&
	    !fields_write(info->fields, obs, object))
		error = write_line(r, object);
	json_decref(object);
	r->failed = error != 0;
	return error;
}

int recorder_end(struct recorder *r, const struct record_end *end)
{
	json_t *object = json_object(), *lost = json_array(), *line = NULL;
	int error = 0;

	if (r->failed)
		goto out;
	error = object && lost ? fields_write(record_end_fields, end, object) : -ENOMEM;
	for (int i = 0; !error && i < end->n_lost; i++) {
		json_t *item = json_object();

		if (!item || fields_write(record_loss_fields, &end->lost[i], item) ||
		    json_array_append(lost, item))
			error = -ENOMEM;
		json_decref(item);
	}
	if (!error) {
		json_object_set(object, "lost", lost);
		line = json_pack("{s:O}", RECORD_END_KEY, object);
		error = line ? write_line(r, line) : -ENOMEM;
	}
	r->failed = error != 0;
out:
	json_decref(line);
	json_decref(lost);
	json_decref(object);
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
