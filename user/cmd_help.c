/* SPDX-License-Identifier: GPL-2.0-only */
/* The list of verbs, or one verb's options. */
#include <err.h>
#include <stdio.h>

#include "verb.h"

static void list_verbs(void)
{
	puts("tcpstall finds TCP transfers that stop, and says why and where.\n\n"
	     "Usage: tcpstall [VERB] [OPTION]... [OPERAND]...\n");
	for (int i = 0; i < n_verbs; i++)
		printf("  %-10s %s\n", verb_table[i].name, verb_table[i].summary);
	puts("\n`tcpstall VERB --help` lists the options of VERB. Without a verb it is watch.\n\n"
	     "Exit status:");
	for (int i = 0; i < n_statuses; i++)
		printf("  %-10d %s\n", status_table[i].status, status_table[i].meaning);
}

int cmd_help(const struct options *options, int argc, char **argv)
{
	const struct verb *verb;

	(void)options;
	if (!argc) {
		list_verbs();
		return STATUS_DONE;
	}
	verb = verb_find(argv[0]);
	if (!verb) {
		warnx("no help on '%s': there is no such verb; see tcpstall help", argv[0]);
		return STATUS_USAGE;
	}
	verb_usage(verb, stdout);
	return STATUS_DONE;
}
