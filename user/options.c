/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A parser of its own instead of getopt_long(): no abbreviations that a later option would make
 * ambiguous, every message names option and value, and an unknown name gets the nearest one.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/quantity.h"
#include "sensor/blackbox.h"

#define VALUE(member) offsetof(struct options, member)

const struct option_info option_table[OPTIONS] = {
	[OPT_HELP] = {"help", 'h', OPTION_FLAG, VALUE(help), NULL, "this text", 0, 0},
	[OPT_JSON] = {"json", 0, OPTION_FLAG, VALUE(json), NULL, "one JSON object a line on stdout",
		      0, 0},
	[OPT_NUMERIC] = {"numeric", 'n', OPTION_FLAG, VALUE(numeric), NULL,
			 "addresses only, no name look-ups", 0, 0},
	[OPT_QUIET] = {"quiet", 'q', OPTION_FLAG, VALUE(quiet), NULL, "results only, no remarks", 0,
		       0},
	[OPT_VERBOSE] = {"verbose", 'v', OPTION_FLAG, VALUE(verbose), NULL,
			 "every piece of evidence with its weight", 0, 0},
	[OPT_STALL_AFTER] = {"stall-after", 0, OPTION_DURATION, VALUE(stall_after_ns), "DUR",
			     "silence that makes a stall (default 2s)", 100 * NS_PER_MS,
			     86400 * NS_PER_S},
	[OPT_MIN_BYTES] = {"min-bytes", 0, OPTION_SIZE, VALUE(min_bytes), "SIZE",
			   "what moved less is no transfer (default 1M, in files 64k)", 0,
			   1ull << 50},
	[OPT_NO_PROBE] = {"no-probe", 0, OPTION_FLAG, VALUE(no_probe), NULL, "never send a packet",
			  0, 0},
	[OPT_DURATION] = {"duration", 0, OPTION_DURATION, VALUE(duration_ns), "DUR",
			  "end after this time", 1 * NS_PER_MS, 3650ull * 86400 * NS_PER_S},
	[OPT_SOURCE] = {"source", 0, OPTION_CHOICE, VALUE(source), "ebpf|pcap",
			"what to watch: the kernel's TCP, or packets (default ebpf)", 0, 0},
	[OPT_INTERFACE] = {"interface", 'i', OPTION_STRING, VALUE(interface), "IFACE[,IFACE]",
			   "packets of these, with --source pcap (default any)", 0, 0},
	[OPT_NETNS] = {"netns", 0, OPTION_STRING, VALUE(netns), "NAME|PATH|PID",
		       "this network namespace only (default: all; of trace: its own)", 0, 0},
	[OPT_PID] = {"pid", 0, OPTION_U64, VALUE(pid), "PID",
		     "connections of this process and its children only", 1, 1 << 22},
	[OPT_OUTPUT] = {"output", 'o', OPTION_STRING, VALUE(output), "FILE",
			"write results to FILE, not to stdout", 0, 0},
	[OPT_RECORD] = {"record", 0, OPTION_STRING, VALUE(record), "FILE",
			"keep all observations for `tcpstall replay`", 0, 0},
	[OPT_ANONYMIZE] = {"anonymize", 0, OPTION_FLAG, VALUE(anonymize), NULL,
			   "no real addresses and names in the recording, export or page", 0, 0},
	[OPT_STRICT] = {"strict", 0, OPTION_FLAG, VALUE(strict), NULL,
			"exit with 4 if events were lost", 0, 0},
	[OPT_FLOW] = {"flow", 0, OPTION_STRING, VALUE(flow), "LADDR:LPORT-RADDR:RPORT",
		      "probe inside this live connection as well", 0, 0},
	[OPT_MAX_HOPS] = {"max-hops", 0, OPTION_U64, VALUE(max_hops), "N",
			  "look no further (default 30)", 1, 64},
	[OPT_COUNT] = {"count", 0, OPTION_U64, VALUE(count), "N",
		       "probes of a kind for each hop (default 3)", 1, 10},
	[OPT_EXTRACT] = {"extract", 0, OPTION_STRING, VALUE(extract), "ID",
			 "the packets of this incident, as pcapng to -o FILE", 0, 0},
	[OPT_ALL] = {"all", 0, OPTION_FLAG, VALUE(all), NULL,
		     "every incident, and every transfer with what it waited for", 0, 0},
	[OPT_SUMMARY] = {"summary", 0, OPTION_FLAG, VALUE(summary), NULL, "one line a file", 0, 0},
	[OPT_JOBS] = {"jobs", 'j', OPTION_U64, VALUE(jobs), "N",
		      "read so many files at once (default 1)", 1, 256},
	[OPT_FORCE] = {"force", 0, OPTION_FLAG, VALUE(force), NULL,
		       "replace FILE if there is one already", 0, 0},
	[OPT_STORE] = {"store", 0, OPTION_STRING, VALUE(store), "DIR",
		       "where incidents are kept (see the notes)", 0, 0},
	[OPT_NO_STORE] = {"no-store", 0, OPTION_FLAG, VALUE(no_store), NULL, "keep no incidents", 0,
			  0},
	[OPT_STORE_SIZE] = {"store-size", 0, OPTION_SIZE, VALUE(store_bytes), "SIZE",
			    "the oldest incidents go beyond that (default 256M)", 1 << 20,
			    1ull << 50},
	[OPT_STORE_AGE] = {"store-age", 0, OPTION_DURATION, VALUE(store_age_ns), "DUR",
			   "and those that are older than that (default 90d)", 60 * NS_PER_S,
			   36500ull * 86400 * NS_PER_S},
	[OPT_SINCE] = {"since", 0, OPTION_STRING, VALUE(since), "TIME",
		       "that began no earlier: 2h (ago), 2026-01-02, 2026-01-02T03:04:05Z", 0, 0},
	[OPT_UNTIL] = {"until", 0, OPTION_STRING, VALUE(until), "TIME", "that began no later", 0,
		       0},
	[OPT_CAUSE] = {"cause", 0, OPTION_STRING, VALUE(cause), "CAUSE", "with this cause", 0, 0},
	[OPT_ADDRESS] = {"address", 0, OPTION_STRING, VALUE(address), "ADDR[/LEN]",
			 "with an end in this network", 0, 0},
	[OPT_PORT] = {"port", 0, OPTION_U64, VALUE(port), "N", "with this port at either end", 1,
		      65535},
	[OPT_PROCESS] = {"process", 0, OPTION_STRING, VALUE(process), "NAME",
			 "of a program of this name", 0, 0},
	[OPT_WITNESSES] = {"witnesses", 0, OPTION_FLAG, VALUE(witnesses), NULL,
			   "packets of the transfers that went on beside it as well", 0, 0},
	[OPT_PCAP] = {"pcap", 0, OPTION_FLAG, VALUE(pcap), NULL,
		      "pcap with nanoseconds, for programs that cannot read pcapng", 0, 0},
	[OPT_BLACK_BOX] = {"black-box", 0, OPTION_U64, VALUE(box_packets), "N",
			   "last packets kept of each transfer (default 256; 0: none)", 0, BOX_MAX},
	[OPT_CONFIG] = {"config", 'c', OPTION_STRING, VALUE(config), "FILE",
			"read FILE and FILE.d/*.conf (default /etc/tcpstall/tcpstall.conf)", 0, 0},
	[OPT_PRINT_CONFIG] = {"print-config", 0, OPTION_FLAG, VALUE(print_config), NULL,
			      "what the files and the defaults come to, and end", 0, 0},
	[OPT_DRY_RUN] = {"dry-run", 0, OPTION_FLAG, VALUE(dry_run), NULL,
			 "check the configuration, attach nothing, and end", 0, 0},
	[OPT_DAEMON] = {"daemon", 0, OPTION_FLAG, VALUE(daemon), NULL,
			"what the daemon finds, without privilege", 0, 0},
};

static int set_value(const struct option_info *info, const char *shown, const char *text,
		     struct options *o, char *ret_why, size_t why_len)
{
	const enum quantity kind = info->type == OPTION_SIZE	   ? QUANTITY_SIZE
				   : info->type == OPTION_DURATION ? QUANTITY_DURATION
								   : QUANTITY_NUMBER;
	void *value = (char *)o + info->offset;
	char why[128];

	switch (info->type) {
	case OPTION_FLAG:
		*(bool *)value = true;
		return 0;
	case OPTION_STRING:
		if (!*text) {
			snprintf(ret_why, why_len, "%s: empty value", shown);
			return -EINVAL;
		}
		*(const char **)value = text;
		return 0;
	case OPTION_CHOICE:
		if (choice_parse(info->value, text) < 0) {
			snprintf(ret_why, why_len, "%s '%s' is not one of %s", shown, text,
				 info->value);
			return -EINVAL;
		}
		*(const char **)value = text;
		return 0;
	default:
		if (!quantity_parse(kind, text, info->min, info->max ? info->max : UINT64_MAX,
				    value, why, sizeof(why)))
			return 0;
		snprintf(ret_why, why_len, "%s '%s' %s", shown, text, why);
		return -EINVAL;
	}
}

static const char *allowed_name(int i, const void *arg)
{
	return *(const uint64_t *)arg & 1ull << i ? option_table[i].name : NULL;
}

static int unknown(uint64_t allowed, const char *shown, const char *name, char *ret_why,
		   size_t why_len)
{
	const char *near = nearest_name(name, OPTIONS, allowed_name, &allowed);

	if (near)
		snprintf(ret_why, why_len, "unknown option '%s' (did you mean --%s?)", shown, near);
	else
		snprintf(ret_why, why_len, "unknown option '%s'", shown);
	return -EINVAL;
}

static int find_long(uint64_t allowed, const char *name, size_t len)
{
	for (int i = 0; i < OPTIONS; i++) {
		if (allowed & 1ull << i && strlen(option_table[i].name) == len &&
		    !strncmp(option_table[i].name, name, len))
			return i;
	}
	return -1;
}

static int find_letter(uint64_t allowed, char letter)
{
	for (int i = 0; i < OPTIONS; i++) {
		if (allowed & 1ull << i && option_table[i].letter == letter)
			return i;
	}
	return -1;
}

struct cursor {
	int argc, at;
	char **argv;
	uint64_t allowed;
	char *why;
	size_t why_len;
};

/* One option that needs or has a value, or a flag. `inline_value`: what follows '=' or the letter.
 */
static int take(struct cursor *c, int id, const char *shown, const char *inline_value,
		struct options *o)
{
	const struct option_info *info = &option_table[id];
	const char *text = inline_value;

	if (info->type == OPTION_FLAG && text) {
		snprintf(c->why, c->why_len, "%s takes no value ('%s')", shown, text);
		return -EINVAL;
	}
	if (info->type != OPTION_FLAG && !text) {
		if (c->at + 1 >= c->argc) {
			snprintf(c->why, c->why_len, "%s needs a value: %s", shown, info->value);
			return -EINVAL;
		}
		text = c->argv[++c->at];
	}
	o->given |= 1ull << id;
	return set_value(info, shown, text, o, c->why, c->why_len);
}

static int take_long(struct cursor *c, struct options *o)
{
	const char *arg = c->argv[c->at], *name = arg + 2;
	size_t len = strcspn(name, "=");
	char shown[64];
	int id = find_long(c->allowed, name, len);

	snprintf(shown, sizeof(shown), "--%.*s", (int)len, name);
	if (id < 0)
		return unknown(c->allowed, shown, shown + 2, c->why, c->why_len);
	return take(c, id, shown, name[len] ? name + len + 1 : NULL, o);
}

/* -nq is -n -q; -oFILE is -o FILE. */
static int take_letters(struct cursor *c, struct options *o)
{
	int err = 0;

	for (const char *p = c->argv[c->at] + 1; *p && !err; p++) {
		char shown[] = {'-', *p, '\0'};
		int id = find_letter(c->allowed, *p);

		if (id < 0)
			return unknown(c->allowed, shown, shown + 1, c->why, c->why_len);
		if (option_table[id].type == OPTION_FLAG) {
			err = take(c, id, shown, NULL, o);
			continue;
		}
		return take(c, id, shown, p[1] ? p + 1 : NULL, o);
	}
	return err;
}

int options_parse(uint64_t allowed, bool stop_at_operand, int argc, char **argv,
		  struct options *ret, char *ret_why, size_t why_len)
{
	struct cursor c = {argc, 0, argv, allowed | OPTION(HELP), ret_why, why_len};
	struct options o = {0};
	int operands = 0, err = 0;

	for (; c.at < argc && !err; c.at++) {
		const char *arg = argv[c.at];

		if (!strcmp(arg, "--")) {
			c.at++;
			break;
		}
		if (arg[0] == '-' && arg[1] == '-')
			err = take_long(&c, &o);
		else if (arg[0] == '-' && arg[1])
			err = take_letters(&c, &o);
		else if (stop_at_operand)
			break;
		else
			argv[operands++] = argv[c.at];
	}
	if (err)
		return err;
	while (c.at < argc)
		argv[operands++] = argv[c.at++];
	if (operands < argc)
		argv[operands] = NULL;
	*ret = o;
	return operands;
}

#define WORD_MAX 32

/* Edit distance with transpositions of neighbours; words longer than WORD_MAX are far from all. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[3][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		row[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned int *now = row[i % 3], *last = row[(i + 2) % 3],
			     *before = row[(i + 1) % 3];

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned int best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[n % 3][m];
}

const char *nearest_name(const char *word, int n, const char *(*name)(int i, const void *arg),
			 const void *arg)
{
	/* Up to a third of the letters may be wrong, and one in a short word. */
	unsigned int limit = 1 + (unsigned int)strlen(word) / 3, best = limit + 1;
	const char *ret = NULL;

	if (strlen(word) < 2 || strlen(word) > WORD_MAX)
		return NULL;
	for (int i = 0; i < n; i++) {
		const char *candidate = name(i, arg);
		unsigned int d = candidate ? distance(word, candidate) : WORD_MAX;

		if (d < best) {
			best = d;
			ret = candidate;
		}
	}
	return ret;
}
