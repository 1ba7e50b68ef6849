/* SPDX-License-Identifier: GPL-2.0-only */
/* One transfer over its whole life: how fast, and what it waited for. */
#ifndef TCPSTALL_VIEW_TRANSFER_H
#define TCPSTALL_VIEW_TRANSFER_H

#include <stdio.h>

#include "engine/observation.h"

struct jsonw;

/* The members after the ones that every line has. */
void transfer_json(struct jsonw *j, const struct life_seen *l);

/* A line, or two where it is long. */
void transfer_text(FILE *out, const struct life_seen *l);

#endif
