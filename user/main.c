/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds the verb, reads its options, runs it. What the verbs are is said in verb.c. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verb.h"

/*
 * The verb of a command line, and how many words name it. Without one, or with a FILTER in its
 * place, it is `watch`.
 */
static const struct verb *choose(int argc, char **argv, int *ret_words)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	const struct verb *verb;

	*ret_words = 1;
	if (!word)
		return verb_find("watch");
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		return verb_find("help");
	if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		return verb_find("version");
	verb = verb_find(word);
	if (verb)
		return verb;
	*ret_words = 0;
	return word[0] == '-' || looks_like_filter(word) ? verb_find("watch") : NULL;
}

static int usage_error(const char *verb, const char *why)
{
	warnx("%s; see tcpstall help%s%s", why, *verb ? " " : "", verb);
	return STATUS_USAGE;
}

static int unknown_verb(const char *word)
{
	const char *near = verb_nearest(word);

	if (near)
		warnx("unknown verb '%s' (did you mean %s?); see tcpstall help", word, near);
	else
		warnx("unknown verb '%s'; see tcpstall help", word);
	return STATUS_USAGE;
}

/*
 * A standard stream that was closed must not become the number of some other file that we open. It
 * is opened the wrong way round, so that using it still fails.
 */
static int occupy_standard_streams(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			return -errno;
	}
	return 0;
}

/* Output that did not arrive is an error, whatever the verb thought. */
static int finished(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	if (errno == EPIPE || status != STATUS_DONE)
		return status;
	warn("standard output");
	return STATUS_ERROR;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	const struct verb *verb;
	int words = 0, operands;
	char why[256] = "";

	if (occupy_standard_streams())
		return STATUS_ERROR;
	verb = choose(argc, argv, &words);
	if (!verb)
		return unknown_verb(argv[1]);
	if (argc > 1 + words) {
		argc -= 1 + words;
		argv += 1 + words;
	} else {
		argc = 0;
	}

	operands = options_parse(verb->options, verb->command_follows, argc, argv, &options, why,
				 sizeof(why));
	if (operands < 0)
		return usage_error(verb->name, why);
	if (options.help) {
		verb_usage(verb, stdout);
		return finished(STATUS_DONE);
	}
	if (operands < verb->min_operands) {
		snprintf(why, sizeof(why), "%s needs %s", verb->name, verb->operands);
		return usage_error(verb->name, why);
	}
	if (verb->max_operands >= 0 && operands > verb->max_operands) {
		snprintf(why, sizeof(why), "%s: one word too many: '%s'", verb->name,
			 argv[verb->max_operands]);
		return usage_error(verb->name, why);
	}
	return finished(verb->run(&options, operands, argv));
}
