/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The scale of clues, in natural log-odds: 3 is twenty to one. It is chosen so that one direct
 * observation (a shut window that is answered, a drop seen here) decides, while circumstantial ones
 * need each other.
 */
#ifndef TCPSTALL_ENGINE_CLUES_H
#define TCPSTALL_ENGINE_CLUES_H

#include "engine/judge.h"

#define DECISIVE 8.0
#define STRONG	 4.0
#define CLEAR	 2.5
#define HINT	 1.0
#define PER_MISS 1.5 /* a probe unanswered where its twin was answered */

#endif
