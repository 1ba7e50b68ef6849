/* SPDX-License-Identifier: GPL-2.0-only */
#include "verb.h"

#include <ctype.h>
#include <string.h>

/* What every verb that prints results takes. */
#define RESULTS (OPTION(JSON) | OPTION(NUMERIC) | OPTION(QUIET) | OPTION(VERBOSE))

const struct verb verb_table[] = {
	{
		.name = "trace",
		.run = cmd_trace,
		.options = OPTION(JSON) | OPTION(NUMERIC) | OPTION(NETNS) | OPTION(FLOW) |
			   OPTION(MAX_HOPS) | OPTION(COUNT),
		.max_operands = 1,
		.operands = "[HOST[:PORT]]",
		.summary = "the path to a peer, hop by hop, also inside a live connection",
	},
	{
		.name = "version",
		.run = cmd_version,
		.options = OPTION(JSON),
		.operands = "",
		.summary = "version of tcpstall, of the kernel and of the libraries in use",
	},
	{
		.name = "help",
		.run = cmd_help,
		.max_operands = 1,
		.operands = "[VERB]",
		.summary = "this list, or the options of one verb",
	},
};
const int n_verbs = sizeof(verb_table) / sizeof(verb_table[0]);

/* Words that a pcap-filter(7) expression over addresses and ports may begin with. */
static const char *const filter_words[] = {
	"host", "net", "port", "portrange", "src",  "dst",     "tcp",	"ip",
	"ip6",	"not", "and",  "or",	    "less", "greater", "proto",
};
#define N_FILTER_WORDS ((int)(sizeof(filter_words) / sizeof(filter_words[0])))

const struct verb *verb_find(const char *name)
{
	for (int i = 0; i < n_verbs; i++) {
		if (!strcmp(verb_table[i].name, name))
			return &verb_table[i];
	}
	return NULL;
}

/* A filter word, an address, or several words in one argument. No verb looks like that. */
bool looks_like_filter(const char *word)
{
	if (isdigit((unsigned char)*word) || strpbrk(word, " .:()![]=<>&|"))
		return true;
	for (int i = 0; i < N_FILTER_WORDS; i++) {
		if (!strcmp(filter_words[i], word))
			return true;
	}
	return false;
}

static const char *verb_or_filter_word(int i, const void *arg)
{
	(void)arg;
	return i < n_verbs ? verb_table[i].name : filter_words[i - n_verbs];
}

const char *verb_nearest(const char *word)
{
	return nearest_name(word, n_verbs + N_FILTER_WORDS, verb_or_filter_word, NULL);
}

static void option_usage(const struct option_info *info, FILE *to)
{
	char left[48];

	snprintf(left, sizeof(left), "%c%c%s--%s%s%s", info->letter ? '-' : ' ',
		 info->letter ? info->letter : ' ', info->letter ? ", " : "  ", info->name,
		 info->value ? " " : "", info->value ? info->value : "");
	fprintf(to, "  %-26s %s\n", left, info->help);
}

void verb_usage(const struct verb *verb, FILE *to)
{
	fprintf(to, "Usage: tcpstall %s%s%s%s\n\n%c%s.\n\nOptions:\n", verb->name,
		verb->options ? " [OPTION]..." : "", *verb->operands ? " " : "", verb->operands,
		toupper((unsigned char)verb->summary[0]), verb->summary + 1);
	for (int i = 0; i < OPTIONS; i++) {
		if ((verb->options | OPTION(HELP)) & 1ull << i)
			option_usage(&option_table[i], to);
	}
	if (verb->notes)
		fprintf(to, "\n%s", verb->notes);
}
