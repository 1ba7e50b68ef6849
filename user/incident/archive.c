/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is in the database may have been written by anybody who could: every state is read with the
 * bounds of the field tables, ids are checked before they become file names.
 */
#include "incident/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "incident/store.h"
#include "incident/store_impl.h"

#ifdef HAVE_SQLITE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAX (1 << 20)  /* bytes of an event that are believed; they are about 10,000 */
#define ROW_MAX	  (64 << 20) /* that are read at all */

struct archive {
	char dir[PATH_MAX];
	sqlite3 *db;
	int running_fd;
};

static int open_at(const char *path, const char *options, sqlite3 **ret)
{
	char *uri = sqlite3_mprintf("file:%s%s", path, options);
	int rc, version, err = -ENOMEM;
	sqlite3 *db = NULL;

	if (uri) {
		rc = sqlite3_open_v2(uri, &db,
				     SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
				     NULL);
		err = store_error(db, rc);
	}
	sqlite3_free(uri);
	if (!err) {
		sqlite3_busy_timeout(db, STORE_WAIT_MS);
		sqlite3_limit(db, SQLITE_LIMIT_LENGTH, ROW_MAX);
		err = store_version(db, &version);
	}
	if (err) {
		sqlite3_close(db);
		return err;
	}
	*ret = db;
	return 0;
}

/* '%', '?' and '#' mean something in a URI. */
static int uri_path(const char *path, char *buf, size_t len)
{
	size_t at = 0;

	for (; *path; path++) {
		if (at + 4 > len)
			return -ENAMETOOLONG;
		if (strchr("%?#", *path))
			at += (size_t)snprintf(buf + at, len - at, "%%%02x", (unsigned char)*path);
		else
			buf[at++] = *path;
	}
	buf[at] = '\0';
	return 0;
}

/*
 * A log can be read only with its index, and that has to be made where nobody writes at the moment.
 * On a medium that cannot be written to there is nobody to change the file either.
 */
static int open_database(const char *dir, sqlite3 **ret)
{
	char path[PATH_MAX + 32], uri[3 * PATH_MAX];
	struct stat st;
	int err;

	snprintf(path, sizeof(path), "%s/" STORE_DATABASE, dir);
	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	err = uri_path(path, uri, sizeof(uri));
	if (!err)
		err = open_at(uri, "", ret);
	if (err && err != -ENAMETOOLONG && err != -EBADMSG && access(dir, W_OK))
		err = open_at(uri, "?immutable=1", ret);
	return err;
}

/* What is there before anything has been kept. */
static int open_empty(sqlite3 **db)
{
	int err;

	sqlite3_close(*db);
	err = store_error(NULL, sqlite3_open(":memory:", db));
	return err ? err : store_migrate(*db);
}

static const char *why_not(int err)
{
	switch (err) {
	case -ENOENT:
		return "no incident has been stored there";
	case -EPROTO:
		return "written by a newer tcpstall";
	case -EBADMSG:
		return "the database is damaged; who writes to it next moves it aside";
	default:
		return strerror(-err);
	}
}

int archive_open(const char *dir, struct archive **ret, char *ret_why, size_t why_len)
{
	struct archive *a = calloc(1, sizeof(*a));
	char path[PATH_MAX + 32];
	int err = -ENOMEM, version = 0;

	if (!a)
		goto out;
	a->running_fd = -1;
	snprintf(a->dir, sizeof(a->dir), "%s", dir);
	err = open_database(dir, &a->db);
	if (!err)
		err = store_version(a->db, &version);
	if (!err && version > store_schema)
		err = -EPROTO;
	if (!err && !version) /* its writer has only just made it */
		err = open_empty(&a->db);
	if (err)
		goto out;
	snprintf(path, sizeof(path), "%s/" STORE_RUNNING, dir);
	a->running_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	*ret = a;
	return 0;
out:
	snprintf(ret_why, why_len, "%s: %s", dir, why_not(err));
	archive_close(a);
	return err;
}

void archive_close(struct archive *a)
{
	if (!a)
		return;
	sqlite3_close(a->db);
	if (a->running_fd >= 0)
		close(a->running_fd);
	free(a);
}

static const char *text_at(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text ? (const char *)text : "";
}

/* The columns that row_read() takes. */
#define ROW                                                                                        \
	"i.id, r.host, r.wall_offset_ns, i.run, i.packet_bytes, i.packets_seen, i.packets_lost,"   \
	" e.kind, e.mono_ns, e.state"
#define ROW_STATE 9

/* -EBADMSG: damaged. */
static int row_read(const struct archive *a, sqlite3_stmt *row, struct archived *ret,
		    struct output *ret_out, struct incident_state *ret_state)
{
	const int64_t run = sqlite3_column_int64(row, 3);
	json_t *object;
	int err;

	*ret = (struct archived){
		.wall_offset_ns = sqlite3_column_int64(row, 2),
		.running = store_is_alive(a->running_fd, run),
		.packets = sqlite3_column_int64(row, 4) > 0,
		.seen = (uint64_t)sqlite3_column_int64(row, 5),
		.lost = (uint64_t)sqlite3_column_int64(row, 6),
	};
	snprintf(ret->id, sizeof(ret->id), "%s", text_at(row, 0));
	snprintf(ret->host, sizeof(ret->host), "%s", text_at(row, 1));
	*ret_out = (struct output){.now_ns = (uint64_t)sqlite3_column_int64(row, 8)};
	if (store_kind_of(text_at(row, 7), &ret_out->kind) ||
	    sqlite3_column_bytes(row, ROW_STATE) > STATE_MAX)
		return -EBADMSG;
	object = json_loads(text_at(row, ROW_STATE), 0, NULL);
	err = object ? state_read(object, ret_state) : -EINVAL;
	json_decref(object);
	if (err || !store_is_id(ret->id) || strcmp(ret->id, ret_state->incident.id))
		return err == -ENOMEM ? err : -EBADMSG;
	ret_out->incident = &ret_state->incident;
	return 0;
}

/* The end of an incident whose process was killed: nobody knows more than its last event tells. */
static void interrupt(struct output *out, struct incident_state *state)
{
	out->kind = state->incident.slow ? OUT_SLOW_END : OUT_STALL_END;
	state->incident.ended_ns = out->now_ns;
	state->incident.outcome = OUTCOME_INTERRUPTED;
}

static bool in_prefix(const struct ip_addr *a, const struct ip_addr *net, unsigned int bits)
{
	if (a->family != net->family)
		return false;
	for (unsigned int k = 0; k < bits; k += 8) {
		unsigned int n = bits - k < 8 ? bits - k : 8;

		if ((a->bytes[k / 8] ^ net->bytes[k / 8]) >> (8 - n))
			return false;
	}
	return true;
}

static bool wanted(const struct archive_filter *f, const struct archived *archived,
		   const struct incident *i)
{
	const int64_t begun_ns = (int64_t)i->begun_ns + archived->wall_offset_ns;
	const char *comm = i->process.pid ? i->process.comm : i->last.comm;

	return (!f->since_ns || begun_ns >= f->since_ns) &&
	       (!f->until_ns || begun_ns <= f->until_ns) &&
	       (!f->cause || !strcmp(f->cause, cause_info(i->verdict.cause)->id)) &&
	       (!f->port || f->port == i->key.local.port || f->port == i->key.remote.port) &&
	       (!f->addr.family || in_prefix(&i->key.local.addr, &f->addr, f->bits) ||
		in_prefix(&i->key.remote.addr, &f->addr, f->bits)) &&
	       (!f->comm || !strncmp(f->comm, comm, sizeof(i->last.comm) - 1));
}

int archive_each(struct archive *a, const struct archive_filter *filter, archive_fn fn, void *arg,
		 uint64_t *ret_damaged)
{
	static const char sql[] =
		"SELECT " ROW " FROM incident i JOIN run r ON r.id = i.run"
		" JOIN event e ON e.id = i.last_event ORDER BY i.begun_ns DESC, i.id DESC";
	struct incident_state *state = malloc(sizeof(*state));
	sqlite3_stmt *row = NULL;
	uint64_t damaged = 0;
	int rc, err = -ENOMEM;

	if (!state)
		return err;
	err = store_error(a->db, sqlite3_prepare_v2(a->db, sql, -1, &row, NULL));
	while (!err && (rc = sqlite3_step(row)) != SQLITE_DONE) {
		struct archived archived;
		struct output out;

		err = store_error(a->db, rc);
		if (err)
			break;
		err = row_read(a, row, &archived, &out, state);
		if (err == -EBADMSG) {
			damaged++;
			err = 0;
			continue;
		}
		if (!err && !store_is_end(out.kind) && !archived.running)
			interrupt(&out, state);
		if (!err && wanted(filter, &archived, &state->incident))
			err = fn(&archived, &out, arg);
	}
	sqlite3_finalize(row);
	free(state);
	if (!err)
		*ret_damaged = damaged;
	return err;
}

int archive_events(struct archive *a, const char *id, archive_fn fn, void *arg)
{
	static const char sql[] = "SELECT " ROW " FROM event e JOIN incident i ON i.id = e.incident"
				  " JOIN run r ON r.id = i.run WHERE e.incident = ? ORDER BY e.id";
	struct incident_state *state = malloc(sizeof(*state));
	struct archived archived = {0};
	sqlite3_stmt *row = NULL;
	struct output out = {0};
	int rc, err = -ENOMEM;

	if (!state)
		return err;
	err = store_error(a->db, sqlite3_prepare_v2(a->db, sql, -1, &row, NULL));
	if (!err)
		sqlite3_bind_text(row, 1, id, -1, SQLITE_STATIC);
	while (!err && (rc = sqlite3_step(row)) != SQLITE_DONE) {
		err = store_error(a->db, rc);
		if (!err)
			err = row_read(a, row, &archived, &out, state);
		if (!err)
			err = fn(&archived, &out, arg);
	}
	sqlite3_finalize(row);
	if (!err && !out.incident)
		err = -ENOENT;
	if (!err && !store_is_end(out.kind) && !archived.running) {
		interrupt(&out, state);
		err = fn(&archived, &out, arg);
	}
	free(state);
	return err;
}

/* How much of their beginnings and of their ends two words share: all but a slip of the keys. */
static size_t common(const char *a, const char *b)
{
	const size_t a_len = strlen(a), b_len = strlen(b), least = a_len < b_len ? a_len : b_len;
	size_t begin = 0, end = 0;

	while (begin < least && a[begin] == b[begin])
		begin++;
	while (end < least - begin && a[a_len - 1 - end] == b[b_len - 1 - end])
		end++;
	return begin + end;
}

static size_t nearness(const char *prefix, const char *id)
{
	return strncmp(id, prefix, strlen(prefix)) ? common(prefix, id) : SIZE_MAX;
}

/* Keeps the ids that are nearest, the newest first among equals. */
static void keep_nearest(const char *prefix, const char *id, char ids[][INCIDENT_ID], int *n)
{
	int at = *n;

	while (at > 0 && nearness(prefix, id) > nearness(prefix, ids[at - 1]))
		at--;
	if (at == ARCHIVE_IDS)
		return;
	if (*n < ARCHIVE_IDS)
		(*n)++;
	memmove(ids[at + 1], ids[at], (size_t)(*n - at - 1) * INCIDENT_ID);
	snprintf(ids[at], INCIDENT_ID, "%s", id);
}

int archive_find(struct archive *a, const char *prefix, char ret_id[INCIDENT_ID],
		 char ret_ids[ARCHIVE_IDS][INCIDENT_ID], int *ret_n_ids)
{
	static const char sql[] = "SELECT id FROM incident ORDER BY begun_ns DESC, id DESC";
	const size_t len = strlen(prefix);
	sqlite3_stmt *row = NULL;
	int found = 0, n = 0, rc;
	int err = store_error(a->db, sqlite3_prepare_v2(a->db, sql, -1, &row, NULL));

	while (!err && (rc = sqlite3_step(row)) != SQLITE_DONE) {
		const char *id = rc == SQLITE_ROW ? text_at(row, 0) : "";

		err = store_error(a->db, rc);
		if (err || !store_is_id(id))
			continue;
		keep_nearest(prefix, id, ret_ids, &n);
		if (!len || strncmp(id, prefix, len))
			continue;
		found++;
		snprintf(ret_id, INCIDENT_ID, "%s", id);
		if (!id[len]) {
			found = 1;
			break;
		}
	}
	sqlite3_finalize(row);
	*ret_n_ids = found ? found : n;
	return err ? err : found == 1 ? 0 : found ? -EEXIST : -ENOENT;
}

int archive_size(struct archive *a, uint64_t *ret_incidents, uint64_t *ret_packet_bytes)
{
	static const char sql[] =
		"SELECT count(*), CAST(total(packet_bytes) AS INTEGER) FROM incident";
	sqlite3_stmt *row = NULL;
	int err = store_error(a->db, sqlite3_prepare_v2(a->db, sql, -1, &row, NULL));

	if (!err)
		err = store_error(a->db, sqlite3_step(row));
	if (!err) {
		*ret_incidents = (uint64_t)sqlite3_column_int64(row, 0);
		*ret_packet_bytes = (uint64_t)sqlite3_column_int64(row, 1);
	}
	sqlite3_finalize(row);
	return err;
}

int archive_packets(const struct archive *a, const char *id, struct kept_packet **ret,
		    size_t *ret_n)
{
	char path[PATH_MAX + 64];
	int err = store_packets_path(a->dir, id, path, sizeof(path));

	return err ? err : kept_read(path, ret, ret_n);
}

#else
int archive_size(struct archive *a, uint64_t *ret_incidents, uint64_t *ret_packet_bytes)
{
	(void)a;
	(void)ret_incidents;
	(void)ret_packet_bytes;
	return -ENOTSUP;
}

int archive_open(const char *dir, struct archive **ret, char *ret_why, size_t why_len)
{
	(void)ret;
	snprintf(ret_why, why_len, "%s: this build has no SQLite and keeps no incidents", dir);
	return -ENOTSUP;
}

void archive_close(struct archive *a)
{
	(void)a;
}

int archive_each(struct archive *a, const struct archive_filter *filter, archive_fn fn, void *arg,
		 uint64_t *ret_damaged)
{
	(void)a;
	(void)filter;
	(void)fn;
	(void)arg;
	(void)ret_damaged;
	return -ENOTSUP;
}

int archive_events(struct archive *a, const char *id, archive_fn fn, void *arg)
{
	(void)a;
	(void)id;
	(void)fn;
	(void)arg;
	return -ENOTSUP;
}

int archive_find(struct archive *a, const char *prefix, char ret_id[INCIDENT_ID],
		 char ret_ids[ARCHIVE_IDS][INCIDENT_ID], int *ret_n_ids)
{
	(void)a;
	(void)prefix;
	(void)ret_id;
	(void)ret_ids;
	(void)ret_n_ids;
	return -ENOTSUP;
}

int archive_packets(const struct archive *a, const char *id, struct kept_packet **ret,
		    size_t *ret_n)
{
	(void)a;
	(void)id;
	(void)ret;
	(void)ret_n;
	return -ENOTSUP;
}
#endif
