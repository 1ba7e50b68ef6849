/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The options of every verb, in one table: a name means the same wherever it is accepted. A verb
 * says which of them it takes (struct verb); help, completion and the man page read the table too.
 * To add an option, add an id, a member of struct options and a row in options.c.
 */
#ifndef TCPSTALL_OPTIONS_H
#define TCPSTALL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_id {
	OPT_HELP,
	OPT_JSON,
	OPT_NUMERIC,
	OPT_QUIET,
	OPT_VERBOSE,
	OPT_STALL_AFTER,
	OPT_MIN_BYTES,
	OPT_NO_PROBE,
	OPT_DURATION,
	OPT_SOURCE,
	OPT_INTERFACE,
	OPT_NETNS,
	OPT_PID,
	OPT_OUTPUT,
	OPT_RECORD,
	OPT_ANONYMIZE,
	OPT_STRICT,
	OPT_FLOW,
	OPT_MAX_HOPS,
	OPT_COUNT,
	OPT_EXTRACT,
	OPT_ALL,
	OPT_SUMMARY,
	OPT_JOBS,
	OPT_FORCE,
	OPT_STORE,
	OPT_NO_STORE,
	OPT_STORE_SIZE,
	OPT_STORE_AGE,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_CAUSE,
	OPT_ADDRESS,
	OPT_PORT,
	OPT_PROCESS,
	OPT_WITNESSES,
	OPT_PCAP,
	OPT_BLACK_BOX,
	OPT_CONFIG,
	OPT_PRINT_CONFIG,
	OPT_DRY_RUN,
	OPT_DAEMON,
	OPTIONS
};

#define OPTION(id) (1ull << OPT_##id) /* in struct verb */

enum option_type {
	OPTION_FLAG,	 /* bool */
	OPTION_U64,	 /* uint64_t, min..max */
	OPTION_SIZE,	 /* uint64_t, bytes, min..max */
	OPTION_DURATION, /* uint64_t, nanoseconds, min..max */
	OPTION_STRING,	 /* const char * */
	OPTION_CHOICE,	 /* const char *, one of the words that `value` lists: a|b */
};

/* The values. What was not given is zero; see options_given(). */
struct options {
	uint64_t given; /* a bit for each option_id */
	bool help, json, numeric, quiet, verbose, no_probe, anonymize, strict, force, no_store,
		witnesses, pcap, all, summary, print_config, dry_run, daemon;
	uint64_t stall_after_ns, min_bytes, duration_ns, pid, max_hops, count, jobs, box_packets;
	uint64_t store_bytes, store_age_ns, port;
	const char *source, *netns, *output, *record, *flow, *extract, *interface;
	const char *store, *since, *until, *cause, *address, *process, *config;
};

struct option_info {
	const char *name; /* without the dashes */
	char letter;	  /* 0: none */
	enum option_type type;
	size_t offset;	   /* in struct options */
	const char *value; /* what help calls the value; NULL: a flag */
	const char *help;
	uint64_t min, max; /* of numbers; max 0: no limit */
};

extern const struct option_info option_table[OPTIONS];

static inline bool options_given(const struct options *o, enum option_id id)
{
	return o->given & 1ull << id;
}

/*
 * Reads argv[0..argc) (no program name, no verb). Operands are moved to the front of argv in their
 * order, followed by NULL; their number is returned. "--" ends the options, and with
 * stop_at_operand so does the first operand. -EINVAL: ret_why is one line that names the option and
 * the value.
 */
int options_parse(uint64_t allowed, bool stop_at_operand, int argc, char **argv,
		  struct options *ret, char *ret_why, size_t why_len);

/*
 * Of the n names, the one that the user most probably meant, or NULL. name(i, arg) may be NULL for
 * names to leave out.
 */
const char *nearest_name(const char *word, int n, const char *(*name)(int i, const void *arg),
			 const void *arg);

#endif
