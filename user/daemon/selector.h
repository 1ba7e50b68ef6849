/* SPDX-License-Identifier: GPL-2.0-only */
/* Which [watch] section an incident belongs to. */
#ifndef TCPSTALL_DAEMON_SELECTOR_H
#define TCPSTALL_DAEMON_SELECTOR_H

#include "config/config.h"
#include "engine/verdict.h"

struct selector;

/* config is borrowed, and its filters are known to be right. -ENOMEM */
int selector_new(const struct config *config, struct selector **ret);
void selector_free(struct selector *s); /* NULL is fine */

/*
 * Index of the first named section that matches in all it asks for, or 0. A program that is not
 * known, or not yet, is none of those that a section names.
 */
int selector_match(const struct selector *s, const struct incident *incident);

/* A name or a pattern of fnmatch(3) in a list separated by commas. */
bool selector_listed(const char *list, const char *word);

#endif
