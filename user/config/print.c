/* SPDX-License-Identifier: GPL-2.0-only */
/* The table and a configuration as text: INI, and the commented sample. */
#include <inttypes.h>
#include <string.h>

#include "config/table.h"

#define WIDTH 78

/* type: of a sink; keys that are for others are left out. */
static void print_section(const struct section *s, const char *name, int type, const void *section,
			  FILE *to)
{
	char text[CONFIG_FILTER];

	fprintf(to, "[%s%s%s]\n", s->name, *name ? " " : "", name);
	for (int i = 0; i < s->n_keys; i++)
		if (!s->keys[i].types || s->keys[i].types >> type & 1)
			fprintf(to, "%s = %s\n", s->keys[i].name,
				key_text(&s->keys[i], section, text, sizeof(text)));
	putc('\n', to);
}

void config_print(const struct config *c, FILE *to)
{
	for (int i = 0; i < SECTIONS; i++) {
		const struct section *s = &config_sections[i];

		if (!s->named)
			print_section(s, "", 0, (const char *)c + s->offset, to);
		for (int k = 0; i == SECTION_WATCH && k < c->n_watch; k++)
			print_section(s, c->watch[k].name, 0, &c->watch[k], to);
		for (int k = 0; i == SECTION_SINK && k < c->n_sinks; k++)
			print_section(s, c->sink[k].name, c->sink[k].type, &c->sink[k], to);
	}
}

static bool same(enum section_kind kind, const void *a, const void *b)
{
	char text[2][CONFIG_FILTER];

	for (int i = 0; i < config_sections[kind].n_keys; i++) {
		const struct key *k = &config_sections[kind].keys[i];

		if (strcmp(key_text(k, a, text[0], sizeof(text[0])),
			   key_text(k, b, text[1], sizeof(text[1]))))
			return false;
	}
	return true;
}

bool config_same(const struct config *a, const struct config *b, enum config_part part)
{
	if (part == ABOUT_DAEMON)
		return same(SECTION_DAEMON, &a->daemon, &b->daemon);
	if (part == ABOUT_STORE)
		return same(SECTION_STORE, &a->store, &b->store);
	for (int i = 0; i < a->n_sinks && i < b->n_sinks; i++)
		if (strcmp(a->sink[i].name, b->sink[i].name) ||
		    !same(SECTION_SINK, &a->sink[i], &b->sink[i]))
			return false;
	return a->n_sinks == b->n_sinks;
}

/* Words in lines, each begun with this. */
static void fold(const char *text, const char *begin, FILE *to)
{
	size_t column = 0;

	while (*text) {
		const size_t len = strcspn(text, " ");

		if (column && column + 1 + len > WIDTH) {
			putc('\n', to);
			column = 0;
		}
		if (!column)
			fputs(begin, to);
		fprintf(to, "%s%.*s", column ? " " : "", (int)len, text);
		column += len + (column ? 1 : strlen(begin));
		text += len;
		text += strspn(text, " ");
	}
	putc('\n', to);
}

void config_print_sample(FILE *to)
{
	fputs("# tcpstall.conf(5): every key is optional; what is commented out is the default.\n"
	      "# Files in the directory beside this one, tcpstall.conf.d/*.conf, are read after "
	      "it.\n",
	      to);
	for (int i = 0; i < SECTIONS; i++) {
		const struct section *s = &config_sections[i];

		putc('\n', to);
		fold(s->help, "# ", to);
		fprintf(to, "%s[%s%s]\n", s->nameless ? "" : "#", s->name,
			s->nameless ? "" : " NAME");
		for (int k = 0; k < s->n_keys; k++) {
			putc('\n', to);
			fold(s->keys[k].help, "# ", to);
			fprintf(to, "#%s = %s\n", s->keys[k].name, s->keys[k].fallback);
		}
	}
}
