/* SPDX-License-Identifier: GPL-2.0-only */
/* tcpstall.conf(5), from the table of keys. */
#include "config/table.h"
#include "docs.h"

static void key(FILE *to, const struct key *k)
{
	static const char *const words[] = {
		[KEY_BOOL] = "yes or no",    [KEY_NUMBER] = "number", [KEY_SIZE] = "size",
		[KEY_DURATION] = "duration", [KEY_TEXT] = "text",     [KEY_FILTER] = "filter",
	};
	char value[CONFIG_TEXT];

	snprintf(value, sizeof(value), " = %s%s%s%s",
		 k->type == KEY_CHOICE ? k->choices : words[k->type],
		 *k->fallback ? " (default " : "", k->fallback, *k->fallback ? ")" : "");
	roff_item(to, k->name, value, k->help);
}

static void section(FILE *to, const struct section *s)
{
	fprintf(to, ".SH [%s%s]\n", s->name,
		s->nameless && s->named ? "] AND [watch NAME"
		: s->named		? " NAME"
					: "");
	roff_text(to, s->help);
	for (int i = 0; i < s->n_keys; i++)
		key(to, &s->keys[i]);
}

void docs_conf(FILE *to)
{
	roff_begin(to, "tcpstall.conf", 5, "what the tcpstall daemon watches, and whom it tells");
	fputs(".SH SYNOPSIS\n.nf\n" CONFIG_FILE "\n" CONFIG_FILE ".d/*.conf\n.fi\n"
	      ".SH DESCRIPTION\n",
	      to);
	roff_text(to,
		  "Sections in brackets, and in them a key and its value on each line. Lines that "
		  "begin with # or ; are comments, and so is what follows a blank and a semicolon. "
		  "Every key is optional. Files of the directory are read after the file, in the "
		  "order of their names; the later word counts. An unknown key and a bad value are "
		  "errors; so are a group, a command and a [watch NAME] for a sink that are not "
		  "there. `tcpstall daemon --dry-run` finds them.\n\n"
		  "Durations are written 500ms, 2s, 5m, 1h, 90d; sizes 64k, 1M, 2G, in powers of "
		  "1024; filters as in `pcap-filter`(7).\n\n"
		  "The daemon reads its files again on SIGHUP: all of what they say, or, if there "
		  "is an error, nothing. [daemon], [store] and [metrics] listen need a restart.");
	for (int i = 0; i < SECTIONS; i++)
		section(to, &config_sections[i]);
	fputs(".SH SEE ALSO\n.BR tcpstall (8),\n.BR tcpstall\\-events (5),\n"
	      ".BR pcap\\-filter (7)\n",
	      to);
}
