/* SPDX-License-Identifier: GPL-2.0-only */
/* What writing and reading the store have in common; for nobody else. */
#ifndef TCPSTALL_INCIDENT_STORE_IMPL_H
#define TCPSTALL_INCIDENT_STORE_IMPL_H

#ifdef HAVE_SQLITE
#include <limits.h>
#include <sqlite3.h>
#endif
#include "engine/engine.h"

#define STORE_DATABASE "incidents.db"
#define STORE_RUNNING  "running" /* run n has byte n of it locked as long as it lives */
#define STORE_PACKETS  "packets"
#define STORE_WAIT_MS  2000 /* for another process that writes */

/* "stall_begin" ..., as in NDJSON; NULL: not kept. */
const char *store_kind(enum output_kind kind);
/* -EINVAL */
int store_kind_of(const char *word, enum output_kind *ret);

/* Of an incident. */
bool store_is_end(enum output_kind kind);

/* dir/packets/ID. -EINVAL: the id could lead elsewhere. */
int store_packets_path(const char *dir, const char *id, char *buf, size_t len);

/* The process of this run lives. fd: of STORE_RUNNING; < 0: none does. */
bool store_is_alive(int fd, int64_t run);

#ifdef HAVE_SQLITE
/* The newest schema: how many steps have been taken. */
extern const int store_schema;

/* Negative errno of what SQLite says: -ENOSPC, -EROFS, -EBUSY, -EBADMSG (damaged) ... */
int store_error(sqlite3 *db, int rc);

/* Steps that are missing. -EPROTO: the store is newer than we are. */
int store_migrate(sqlite3 *db);
int store_version(sqlite3 *db, int *ret);

/* Runs statements that have no result. */
int store_exec(sqlite3 *db, const char *sql);
#endif

#endif
