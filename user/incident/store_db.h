/* SPDX-License-Identifier: GPL-2.0-only */
/* The database as the store's thread writes it; for nobody else. Calls may take as long as disks
 * do. */
#ifndef TCPSTALL_INCIDENT_STORE_DB_H
#define TCPSTALL_INCIDENT_STORE_DB_H

#include "incident/store.h"

struct store_db;

/* -ENOMEM. Nothing is touched before db_ready(). */
int db_new(const struct store_config *config, struct store_db **ret);
void db_free(struct store_db *d);

/*
 * Opens what is not open, or no longer what lies under its name. A damaged database is moved aside
 * and a new one begun: ret_moved has its new path, or "". -EPROTO: newer than we are; -ENOSPC,
 * -EROFS, -EACCES, -EBUSY ... : try again later.
 */
int db_ready(struct store_db *d, char *ret_moved, size_t moved_len);
/* It turned out to be damaged: db_ready() will move it aside. */
void db_damaged(struct store_db *d);

/* A transaction: all of what is put between these, or nothing. */
int db_begin(struct store_db *d);
int db_commit(struct store_db *d);
void db_rollback(struct store_db *d);

/* -EINVAL: this can never be stored, or its id is another flow's; -EEXIST: another process keeps
 * this incident. */
int db_output(struct store_db *d, const struct output *out);
int db_packets(struct store_db *d, const char *incident, const struct kept_packet *packets,
	       size_t n, const struct box_counts *counts);

/* The oldest go until the limits hold, in transactions of its own; runs that were killed end. */
int db_prune(struct store_db *d);

#endif
