/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets are written before the transaction that counts them commits; a file whose incident never
 * came to be, or no longer is, is removed when the store is opened the next time.
 */
#include "incident/store_db.h"

#ifdef HAVE_SQLITE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "incident/state.h"
#include "incident/store_impl.h"
#include "version.h"

#define WAL_PAGES      256 /* 1 MiB of log, then it goes into the database */
#define ORPHAN_S       3600 /* a file of packets younger than that may belong to an open transaction */
#define PRUNED_AT_ONCE 16

struct store_db {
	struct store_config config;
	char path[PATH_MAX];
	sqlite3 *db;
	dev_t dev; /* of the database that is open */
	ino_t ino;
	int running_fd; /* holds our lock */
	int64_t run;	/* 0: not entered yet */
	bool damaged;
};

int db_new(const struct store_config *config, struct store_db **ret)
{
	struct store_db *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->config = *config;
	d->running_fd = -1;
	snprintf(d->path, sizeof(d->path), "%s/" STORE_DATABASE, config->dir);
	*ret = d;
	return 0;
}

static void close_all(struct store_db *d)
{
	sqlite3_close(d->db);
	d->db = NULL;
	if (d->running_fd >= 0)
		close(d->running_fd);
	d->running_fd = -1;
	d->run = 0;
}

void db_free(struct store_db *d)
{
	if (!d)
		return;
	close_all(d);
	free(d);
}

void db_damaged(struct store_db *d)
{
	d->damaged = true;
}

/*
 * The log and its index belong to the database that they were written for, and go first: were we to
 * end in between, a log that is left would be taken for one of the next database.
 */
static int move_aside(struct store_db *d, char *ret_moved, size_t len)
{
	static const char *const suffixes[] = {"-shm", "-wal", ""};
	char from[PATH_MAX + 8], to[PATH_MAX + 40];
	const long now = (long)time(NULL);

	close_all(d);
	d->damaged = false; /* or, if it stays where it is, found to be so again */
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(from, sizeof(from), "%s%s", d->path, suffixes[i]);
		snprintf(to, sizeof(to), "%s.damaged-%ld%s", d->path, now, suffixes[i]);
		if (rename(from, to) && (!*suffixes[i] || errno != ENOENT))
			return -errno;
	}
	snprintf(ret_moved, len, "%s", to);
	return 0;
}

/* Prepares, binds by type (i: int64_t, t: const char *), and runs a statement to its end. */
static int run(struct store_db *d, const char *sql, const char *types, ...)
	__attribute__((sentinel(0)));

static sqlite3_stmt *prepare(struct store_db *d, const char *sql, int *ret_err)
{
	sqlite3_stmt *statement = NULL;

	*ret_err = store_error(d->db, sqlite3_prepare_v2(d->db, sql, -1, &statement, NULL));
	return statement;
}

static int run(struct store_db *d, const char *sql, const char *types, ...)
{
	int err, rc = SQLITE_DONE;
	sqlite3_stmt *statement = prepare(d, sql, &err);
	va_list args;

	if (err)
		return err;
	va_start(args, types);
	for (int k = 0; types[k]; k++) {
		if (types[k] == 'i')
			sqlite3_bind_int64(statement, k + 1, va_arg(args, int64_t));
		else
			sqlite3_bind_text(statement, k + 1, va_arg(args, const char *), -1,
					  SQLITE_STATIC);
	}
	va_end(args);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
		;
	err = store_error(d->db, rc);
	sqlite3_finalize(statement);
	return err;
}

/* One number; 0 if there is none. */
static int number(struct store_db *d, const char *sql, const char *text, int64_t *ret)
{
	int err, rc;
	sqlite3_stmt *statement = prepare(d, sql, &err);

	if (err)
		return err;
	if (text)
		sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
	rc = sqlite3_step(statement);
	err = store_error(d->db, rc);
	if (!err)
		*ret = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	sqlite3_finalize(statement);
	return err;
}

/* A byte of a file is locked for as long as this process lives, however it ends. */
static int enter_run(struct store_db *d)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	char path[PATH_MAX + 16];
	int err;

	snprintf(path, sizeof(path), "%s/" STORE_RUNNING, d->config.dir);
	d->running_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->running_fd < 0)
		return -errno;
	err = store_exec(d->db, "BEGIN IMMEDIATE");
	if (err)
		return err;
	err = run(d,
		  "INSERT INTO run (host, version, begun_ns, wall_offset_ns) VALUES (?, ?, ?, ?)",
		  "ttii", d->config.host, TCPSTALL_VERSION,
		  (int64_t)mono_ns() + d->config.wall_offset_ns, d->config.wall_offset_ns, NULL);
	d->run = err ? 0 : sqlite3_last_insert_rowid(d->db);
	lock.l_start = d->run;
	if (!err && fcntl(d->running_fd, F_OFD_SETLK, &lock))
		err = -errno;
	if (!err)
		err = store_exec(d->db, "COMMIT");
	if (err)
		store_exec(d->db, "ROLLBACK");
	return err;
}

/*
 * A rename can hit a database that another process is about to open anew: what counts is that the
 * file under the name is a sound one.
 */
static int open_database(struct store_db *d)
{
	static const char setup[] =
		"PRAGMA trusted_schema = OFF;"
		"PRAGMA auto_vacuum = FULL;" /* what is deleted leaves the disk; before any table */
		"PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = NORMAL;"
		"PRAGMA journal_size_limit = 1048576;"
		"PRAGMA cache_size = -256;"; /* KiB; it is written, and hardly read */
	char path[PATH_MAX], real[PATH_MAX];
	struct stat st;
	int64_t sound = 0;
	int err, fd;

	err = store_make_dir(d->config.dir);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/" STORE_PACKETS, d->config.dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	/* Log and index get the mode of the database. */
	fd = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EBADMSG;
	close(fd);
	if (err)
		return err;
	/* The directory may be a link, as systemd's StateDirectory= is; SQLite would take none. */
	if (!realpath(d->path, real))
		return -errno;
	err = sqlite3_open_v2(real, &d->db,
			      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				      SQLITE_OPEN_NOFOLLOW,
			      NULL);
	if (err)
		return store_error(d->db, err);
	sqlite3_busy_timeout(d->db, STORE_WAIT_MS);
	sqlite3_wal_autocheckpoint(d->db, WAL_PAGES);
	err = store_exec(d->db, setup);
	if (!err)
		err = number(d, "SELECT quick_check = 'ok' FROM pragma_quick_check(1)", NULL,
			     &sound);
	if (!err && !sound)
		err = -EBADMSG;
	if (!err)
		err = store_migrate(d->db);
	if (err)
		return err;
	if (stat(d->path, &st))
		return -errno;
	d->dev = st.st_dev;
	d->ino = st.st_ino;
	return enter_run(d);
}

static bool still_there(const struct store_db *d)
{
	struct stat st;

	return !stat(d->path, &st) && st.st_dev == d->dev && st.st_ino == d->ino;
}

static void remove_orphans(struct store_db *d);

int db_ready(struct store_db *d, char *ret_moved, size_t moved_len)
{
	int err;

	*ret_moved = '\0';
	if (d->db && !still_there(d)) { /* another process has moved it, or somebody removed it */
		close_all(d);
		d->damaged = false;
	}
	if (d->db && !d->damaged)
		return 0;
	if (d->damaged) {
		err = move_aside(d, ret_moved, moved_len);
		if (err)
			return err;
	}
	err = open_database(d);
	if (err == -EBADMSG) {
		err = move_aside(d, ret_moved, moved_len);
		if (!err)
			err = open_database(d);
	}
	if (err) {
		close_all(d);
		return err;
	}
	remove_orphans(d);
	return 0;
}

int db_begin(struct store_db *d)
{
	return store_exec(d->db, "BEGIN IMMEDIATE");
}

int db_commit(struct store_db *d)
{
	return store_exec(d->db, "COMMIT");
}

void db_rollback(struct store_db *d)
{
	store_exec(d->db, "ROLLBACK");
}

static const struct endpoint *src_of(const struct incident *i)
{
	return i->local_sends ? &i->key.local : &i->key.remote;
}

static const struct endpoint *dst_of(const struct incident *i)
{
	return i->local_sends ? &i->key.remote : &i->key.local;
}

/* Which direction of which connection: two stalls of one second may have the same id. */
static void flow_text(const struct incident *i, char *buf, size_t len)
{
	snprintf(buf, len, "%x-%llx-%c", i->key.netns, (unsigned long long)i->key.cookie,
		 i->local_sends ? 's' : 'r');
}

/* -EEXIST: another process keeps this very incident; -EINVAL: it is one of another flow. */
static int taken_by(struct store_db *d, const char *id, const char *flow)
{
	char both[INCIDENT_ID + 64];
	int64_t same = 0;
	int err;

	snprintf(both, sizeof(both), "%s %s", id, flow);
	err = number(d, "SELECT count(*) FROM incident WHERE id || ' ' || flow = ?", both, &same);
	return err ? err : same ? -EEXIST : -EINVAL;
}

static int put_incident(struct store_db *d, const struct output *out)
{
	const struct incident *i = out->incident;
	const int64_t offset = d->config.wall_offset_ns;
	char flow[64];
	int err;

	flow_text(i, flow, sizeof(flow));
	err = run(d,
		  "INSERT INTO incident (id, run, flow, begun_ns, cause, src_port, dst_port)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
		  " ON CONFLICT (id) DO UPDATE SET cause = excluded.cause"
		  " WHERE run = excluded.run AND flow = excluded.flow",
		  "tititii", i->id, d->run, flow, (int64_t)i->begun_ns + offset,
		  cause_info(i->verdict.cause)->id, (int64_t)src_of(i)->port,
		  (int64_t)dst_of(i)->port, NULL);
	if (err)
		return err;
	return sqlite3_changes(d->db) ? 0 : taken_by(d, i->id, flow);
}

int db_output(struct store_db *d, const struct output *out)
{
	const struct incident *i = out->incident;
	json_t *state = state_write(i);
	char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
	int err;

	json_decref(state);
	if (!text)
		return -ENOMEM;
	err = put_incident(d, out);
	if (!err)
		err = run(d,
			  "INSERT INTO event (incident, kind, mono_ns, state) VALUES (?, ?, ?, ?)",
			  "ttit", i->id, store_kind(out->kind), (int64_t)out->now_ns, text, NULL);
	if (!err)
		err = run(d, "UPDATE incident SET last_event = ? WHERE id = ?", "it",
			  (int64_t)sqlite3_last_insert_rowid(d->db), i->id, NULL);
	if (!err && store_is_end(out->kind))
		err = run(d, "UPDATE incident SET ended_ns = ? WHERE id = ?", "it",
			  (int64_t)out->now_ns + d->config.wall_offset_ns, i->id, NULL);
	free(text);
	return err;
}

int db_packets(struct store_db *d, const char *incident, const struct kept_packet *packets,
	       size_t n, const struct box_counts *counts)
{
	const struct box_counts none = {0};
	char path[PATH_MAX + 64];
	struct stat st = {0};
	int64_t owner = 0;
	int err = store_packets_path(d->config.dir, incident, path, sizeof(path));

	if (!err)
		err = number(d, "SELECT run FROM incident WHERE id = ?", incident, &owner);
	if (!err && owner != d->run)
		err = -EEXIST;
	if (!err)
		err = kept_append(path, packets, n);
	if (err)
		return err;
	if (!counts)
		counts = &none;
	if (stat(path, &st))
		return -errno;
	return run(d,
		   "UPDATE incident SET packet_bytes = ?1, packets_seen = max(packets_seen, ?2),"
		   " packets_lost = max(packets_lost, ?3) WHERE id = ?4",
		   "iiit", (int64_t)st.st_size, (int64_t)(counts->seen + counts->unseen),
		   (int64_t)(counts->overwritten + counts->torn + counts->unseen), incident, NULL);
}

/* The database, its log and the packets. */
static int disk_bytes(struct store_db *d, uint64_t *ret)
{
	char wal[PATH_MAX + 8];
	int64_t packets = 0, pages = 0;
	struct stat st = {0};
	int err = number(d, "SELECT total(packet_bytes) FROM incident", NULL, &packets);

	if (!err)
		err = number(
			d, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
			NULL, &pages);
	snprintf(wal, sizeof(wal), "%s-wal", d->path);
	if (stat(wal, &st))
		st.st_size = 0;
	if (!err)
		*ret = (uint64_t)(packets + pages + st.st_size);
	return err;
}

/* Ends what killed runs have left open, so that it may go when it is old. */
static int end_killed(struct store_db *d)
{
	int err;
	sqlite3_stmt *statement =
		prepare(d, "SELECT DISTINCT run FROM incident WHERE ended_ns IS NULL", &err);
	int64_t dead[64];
	int n = 0;

	while (statement && n < 64 && sqlite3_step(statement) == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(statement, 0);

		/* Our own lock does not stand in our own way. */
		if (id != d->run && !store_is_alive(d->running_fd, id))
			dead[n++] = id;
	}
	sqlite3_finalize(statement);
	for (int k = 0; k < n && !err; k++)
		err = run(d,
			  "UPDATE incident SET ended_ns = begun_ns WHERE run = ? AND ended_ns IS "
			  "NULL",
			  "i", dead[k], NULL);
	return err;
}

/* -ESTALE: none of them was there; another process was faster, or they are no ids. */
static int forget(struct store_db *d, char ids[][INCIDENT_ID], int n)
{
	char path[PATH_MAX + 64];
	int err = db_begin(d), gone = 0;

	for (int k = 0; k < n && !err; k++) {
		err = run(d, "DELETE FROM event WHERE incident = ?", "t", ids[k], NULL);
		if (!err)
			err = run(d, "DELETE FROM incident WHERE id = ?", "t", ids[k], NULL);
		gone += err ? 0 : sqlite3_changes(d->db);
	}
	if (!err && !gone)
		err = -ESTALE;
	if (!err)
		err = db_commit(d);
	if (err) {
		db_rollback(d);
		return err;
	}
	for (int k = 0; k < n; k++)
		if (!store_packets_path(d->config.dir, ids[k], path, sizeof(path)))
			unlink(path);
	return 0;
}

/* The oldest that are over: at most max of them, all begun before a time. How many, or an error. */
static int oldest(struct store_db *d, int64_t before_ns, int max, char ids[][INCIDENT_ID])
{
	int n = 0, rc, err;
	sqlite3_stmt *statement =
		prepare(d,
			"SELECT id FROM incident WHERE ended_ns IS NOT NULL AND begun_ns < ?"
			" ORDER BY begun_ns LIMIT ?",
			&err);

	if (err)
		return err;
	sqlite3_bind_int64(statement, 1, before_ns);
	sqlite3_bind_int(statement, 2, max);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *id = (const char *)sqlite3_column_text(statement, 0);

		snprintf(ids[n++], INCIDENT_ID, "%s", id ? id : "");
	}
	err = store_error(d->db, rc);
	sqlite3_finalize(statement);
	return err ? err : n;
}

/* How many of the oldest must go to make this much room. */
static int count_for(struct store_db *d, uint64_t bytes)
{
	uint64_t used = 0;
	int64_t incidents = 0;

	if (disk_bytes(d, &used) || number(d, "SELECT count(*) FROM incident", NULL, &incidents))
		return 1;
	if (!used || incidents <= 0)
		return 1;
	incidents = (int64_t)((double)bytes / (double)used * (double)incidents);
	return incidents < 1 ? 1 : incidents > PRUNED_AT_ONCE ? PRUNED_AT_ONCE : (int)incidents;
}

int db_prune(struct store_db *d)
{
	const int64_t now_ns = (int64_t)mono_ns() + d->config.wall_offset_ns;
	const int64_t too_old_ns = now_ns - (int64_t)d->config.max_age_ns;
	char ids[PRUNED_AT_ONCE][INCIDENT_ID];
	int n, err = end_killed(d);

	while (!err && (n = oldest(d, too_old_ns, PRUNED_AT_ONCE, ids)) != 0)
		err = n < 0 ? n : forget(d, ids, n);
	while (!err) {
		uint64_t used = 0;

		err = disk_bytes(d, &used);
		if (err || used <= d->config.max_bytes)
			break;
		n = oldest(d, INT64_MAX, count_for(d, used - d->config.max_bytes), ids);
		if (!n)
			break; /* all that is left goes on */
		err = n < 0 ? n : forget(d, ids, n);
		if (!err) /* or the log keeps what the database has given up */
			sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
						  NULL);
	}
	d->damaged |= err == -EBADMSG;
	return err;
}

/* A process was killed between writing packets and committing them, or deleting and unlinking. */
static void remove_orphans(struct store_db *d)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" STORE_PACKETS, d->config.dir);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		int64_t there = 0;
		struct stat st;

		if (entry->d_type != DT_REG ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    st.st_mtime > time(NULL) - ORPHAN_S)
			continue;
		if (!number(d, "SELECT count(*) FROM incident WHERE id = ?", entry->d_name,
			    &there) &&
		    !there)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}
#endif
