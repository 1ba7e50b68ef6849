/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Man pages and completions, written from the tables that the program itself reads: verbs, options,
 * causes, keys of the configuration. What no table has is said once, in these files.
 */
#ifndef TCPSTALL_DOCS_H
#define TCPSTALL_DOCS_H

#include <stdio.h>

void docs_tcpstall(FILE *to); /* tcpstall(8) */
void docs_conf(FILE *to);     /* tcpstall.conf(5) */
void docs_events(FILE *to);   /* tcpstall-events(5) */
void docs_keys(FILE *to);     /* every JSON key of that page with its path, a line each */

void docs_bash(FILE *to);
void docs_zsh(FILE *to);
void docs_fish(FILE *to);

/* man(7): the head of a page, up to and with its name; summary: what it is in a few words */
void roff_begin(FILE *to, const char *name, int section, const char *summary);

/*
 * Plain text as roff: what means something to roff is escaped, `words` in backticks are bold, lines
 * are filled, and begin anew after a sentence. An empty line begins a paragraph.
 */
void roff_text(FILE *to, const char *text);

/* A word in a line that is being written; no line of its own. */
void roff_word(FILE *to, const char *word);

/* A term in bold, what is behind it in italics, and what is said of both. */
void roff_item(FILE *to, const char *term, const char *value, const char *text);

#endif
