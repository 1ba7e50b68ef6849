/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The schema of the database as the steps that lead to it: user_version counts those that have been
 * taken. A step is never changed once it is out; what is new is a new step.
 *
 * A run is one life of a process that writes. An event is an output of the engine: what it was and
 * the incident as it stood then. The columns of an incident are for finding it; what it was is in
 * its events alone.
 */
#include "incident/store_impl.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "incident/store.h"

static const char *const kinds[OUTPUT_KINDS] = {
	[OUT_STALL_BEGIN] = "stall_begin", [OUT_VERDICT] = "verdict",
	[OUT_STALL_END] = "stall_end",	   [OUT_SLOW_BEGIN] = "slow_begin",
	[OUT_SLOW_END] = "slow_end",
};

const char *store_kind(enum output_kind kind)
{
	return kinds[kind];
}

int store_kind_of(const char *word, enum output_kind *ret)
{
	for (int k = 0; k < OUTPUT_KINDS; k++) {
		if (kinds[k] && word && !strcmp(kinds[k], word)) {
			*ret = (enum output_kind)k;
			return 0;
		}
	}
	return -EINVAL;
}

int store_default_dir(char *buf, size_t len)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (!geteuid())
		n = snprintf(buf, len, "/var/lib/tcpstall");
	else if (state && *state == '/') /* a relative one is to be ignored: XDG base directories */
		n = snprintf(buf, len, "%s/tcpstall", state);
	else if (home && *home)
		n = snprintf(buf, len, "%s/.local/state/tcpstall", home);
	else
		return -ENOENT;
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

int store_make_dir(const char *dir)
{
	char path[PATH_MAX];
	struct stat st;

	if (strlen(dir) >= sizeof(path))
		return -ENAMETOOLONG;
	strcpy(path, dir);
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST && errno != EROFS)
			return -errno;
		*slash = '/';
	}
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (stat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

bool store_is_id(const char *word)
{
	const size_t len = strspn(word, "0123456789abcdefT-");

	return len && len < INCIDENT_ID && !word[len] && strcmp(word, "-");
}

bool store_is_end(enum output_kind kind)
{
	return kind == OUT_STALL_END || kind == OUT_SLOW_END;
}

int store_packets_path(const char *dir, const char *id, char *buf, size_t len)
{
	int n;

	if (!store_is_id(id))
		return -EINVAL;
	n = snprintf(buf, len, "%s/" STORE_PACKETS "/%s", dir, id);
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

bool store_is_alive(int fd, int64_t run)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = run, .l_len = 1};

	return fd >= 0 && !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

#ifdef HAVE_SQLITE
static const char *const steps[] = {
	"CREATE TABLE run ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" host TEXT NOT NULL,"
	" version TEXT NOT NULL,"
	" begun_ns INTEGER NOT NULL," /* since 1970, as all times of this table and the next */
	" wall_offset_ns INTEGER NOT NULL);"
	"CREATE TABLE incident ("
	" id TEXT PRIMARY KEY,"
	" run INTEGER NOT NULL REFERENCES run (id),"
	" flow TEXT NOT NULL,"
	" begun_ns INTEGER NOT NULL,"
	" ended_ns INTEGER," /* NULL: it goes on, or the run was killed */
	" cause TEXT NOT NULL,"
	" src_port INTEGER NOT NULL,"
	" dst_port INTEGER NOT NULL,"
	" last_event INTEGER NOT NULL DEFAULT 0,"
	" packet_bytes INTEGER NOT NULL DEFAULT 0," /* of its file */
	" packets_seen INTEGER NOT NULL DEFAULT 0,"
	" packets_lost INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE event ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" incident TEXT NOT NULL REFERENCES incident (id),"
	" kind TEXT NOT NULL,"
	" mono_ns INTEGER NOT NULL,"
	" state TEXT NOT NULL);"
	"CREATE INDEX event_incident ON event (incident, id);"
	"CREATE INDEX incident_begun ON incident (begun_ns);",
};
const int store_schema = sizeof(steps) / sizeof(steps[0]);

int store_error(sqlite3 *db, int rc)
{
	const int err = db ? sqlite3_system_errno(db) : 0;

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return -EINVAL;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	default: /* SQLITE_IOERR, SQLITE_CANTOPEN: the system knows why */
		return err ? -err : -EIO;
	}
}

int store_exec(sqlite3 *db, const char *sql)
{
	return store_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int store_version(sqlite3 *db, int *ret)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return store_error(db, rc);
}

/* One transaction for all of it: another process may be at it as well. */
int store_migrate(sqlite3 *db)
{
	int version = 0, err = store_version(db, &version);

	if (err || version == store_schema)
		return err;
	if (version > store_schema)
		return -EPROTO;
	err = store_exec(db, "BEGIN IMMEDIATE");
	if (err)
		return err;
	err = store_version(db, &version);
	for (; !err && version < store_schema; version++) {
		char set[48];

		snprintf(set, sizeof(set), "PRAGMA user_version = %d", version + 1);
		err = store_exec(db, steps[version]);
		if (!err)
			err = store_exec(db, set);
	}
	if (!err)
		err = store_exec(db, "COMMIT");
	if (err)
		store_exec(db, "ROLLBACK");
	return err;
}
#endif
