/* SPDX-License-Identifier: GPL-2.0-only */
#include "verb.h"

#include <ctype.h>
#include <string.h>

/* What every verb that prints results takes. */
#define RESULTS (OPTION(JSON) | OPTION(NUMERIC) | OPTION(QUIET) | OPTION(VERBOSE))

/* What the verbs take that watch live traffic. */
#define LIVE                                                                                       \
	(RESULTS | OPTION(STALL_AFTER) | OPTION(MIN_BYTES) | OPTION(NO_PROBE) | OPTION(SOURCE) |   \
	 OPTION(INTERFACE) | OPTION(OUTPUT) | OPTION(RECORD) | OPTION(ANONYMIZE) |                 \
	 OPTION(STRICT) | OPTION(STORE) | OPTION(NO_STORE) | OPTION(STORE_SIZE) |                  \
	 OPTION(STORE_AGE) | OPTION(BLACK_BOX))

#define STORE_NOTES                                                                                \
	"Incidents are kept in --store DIR, by default /var/lib/tcpstall for root and else\n"      \
	"$XDG_STATE_HOME/tcpstall or ~/.local/state/tcpstall.\n"

static const char watch_notes[] =
	"FILTER is pcap-filter(7) text over addresses and ports: host 192.0.2.1 and port 5432.\n"
	"A flow that matches is reported however little it has moved.\n"
	"\n"
	"A transfer that goes on, but for 10 s at less than a tenth of its own median rate while\n"
	"others go on as before, is told as SLOW. Its median is known after some 6 s.\n"
	"\n"
	"On a terminal a table of the transfers is kept below the results; q quits. On a pipe\n"
	"there is a line or a block for each result. Names are looked up only for text on a\n"
	"terminal and never waited for.\n"
	"\n"
	"--daemon attaches nothing: what is watched is the daemon's business, so it goes with -c,\n"
	"--json and --duration only.\n"
	"\n" STORE_NOTES;

static const char run_notes[] =
	"stdin, stdout and stderr are CMD's own. Text of ours goes to stderr, so a pipe behind\n"
	"CMD gets its data only. --json goes to stdout: with it, use -o FILE if CMD writes to\n"
	"stdout too. A status line is kept on stderr if that is a terminal (not with -q).\n"
	"\n"
	"Signals sent to tcpstall are passed on to CMD. If watching is not possible, CMD is not\n"
	"started and the status is 77.\n"
	"\n"
	"Exit status: CMD's, 128+N if signal N ended it, 126 or 127 if it could not be started;\n"
	"3 if CMD succeeded although a stall never recovered.\n"
	"\n" STORE_NOTES;

static const char daemon_notes[] =
	"Stays in the foreground, as service managers want it; what it has to say of itself goes\n"
	"to stderr. What is watched and who is told is said in the configuration,\n"
	"tcpstall.conf(5). SIGHUP reads it again: all of it or, after an error, nothing. --json\n"
	"writes each line to stdout as well. Exit status 0 when it is asked to end.\n";

static const char asks_notes[] =
	"The daemon answers root, its own user, and the members of the group that its\n"
	"configuration names.\n";

static const char incidents_notes[] =
	"The newest comes first; FOR is how long nothing moved, the arrow at PEER which way the\n"
	"data goes. An incident whose watching process was killed is `interrupted`. --json prints\n"
	"the last line that was told of each.\n"
	"\n" STORE_NOTES;

static const char export_notes[] =
	"-o FILE says where to; -o - | wireshark -k -i - opens them at once. Headers only, of "
	"both\n"
	"directions and of the probes, with comments on those that matter. --anonymize puts other\n"
	"addresses in the place of the real ones, which keep their prefixes, and leaves out the\n"
	"process, the link layer and everything behind the TCP header.\n"
	"\n" STORE_NOTES;

static const char show_notes[] =
	"The beginning of an ID will do if no other begins like it. --json prints every line that\n"
	"was told of the incident.\n"
	"\n" STORE_NOTES;

static const char report_notes[] =
	"ID is an incident that was kept; after FILE, a capture, one of those that `tcpstall\n"
	"analyze` finds there, the worst one if it is left out. -o FILE says where to; - is\n"
	"standard output. The page needs no network, no script and nothing beside it, so it can\n"
	"be mailed. --anonymize puts other addresses, which keep their prefixes, and names in the\n"
	"place of the real ones: others each time it is run. As in analyze, transfers of 64 KiB\n"
	"and more count, and the file may be packed.\n";

static const char replay_notes[] =
	"FILE was kept by --record; - is standard input. The configuration is the recording's "
	"own,\n"
	"and the results are those of the live run, byte for byte. With --record a copy is kept:\n"
	"together with --anonymize one that can be given away.\n";

const struct verb verb_table[] = {
	{
		.name = "watch",
		.run = cmd_watch,
		.options = LIVE | OPTION(DURATION) | OPTION(NETNS) | OPTION(PID) | OPTION(DAEMON) |
			   OPTION(CONFIG),
		.max_operands = -1,
		.operands = "[FILTER]",
		.summary = "transfers as they go, and a verdict as soon as one stalls",
		.notes = watch_notes,
	},
	{
		.name = "run",
		.run = cmd_run,
		.options = LIVE | OPTION(NETNS),
		.command_follows = true,
		.min_operands = 1,
		.max_operands = -1,
		.operands = "[--] CMD [ARG]...",
		.summary = "run CMD, watch its connections, end with its exit status",
		.notes = run_notes,
	},
	{
		.name = "daemon",
		.run = cmd_daemon,
		.options = OPTION(JSON) | OPTION(QUIET) | OPTION(VERBOSE) | OPTION(OUTPUT) |
			   OPTION(RECORD) | OPTION(ANONYMIZE) | OPTION(CONFIG) |
			   OPTION(PRINT_CONFIG) | OPTION(DRY_RUN),
		.operands = "",
		.summary = "watch day and night: alerts, incidents, metrics",
		.notes = daemon_notes,
	},
	{
		.name = "status",
		.run = cmd_status,
		.options = OPTION(JSON) | OPTION(CONFIG),
		.operands = "",
		.summary = "how the daemon is",
		.notes = asks_notes,
	},
	{
		.name = "dump",
		.run = cmd_dump,
		.options = OPTION(CONFIG),
		.operands = "",
		.summary = "every transfer that the daemon follows, as JSON",
		.notes = asks_notes,
	},
	{
		.name = "alert-test",
		.run = cmd_alert_test,
		.options = OPTION(CONFIG),
		.min_operands = 1,
		.max_operands = 1,
		.operands = "SINK",
		.summary = "send a made-up alert to one of the sinks of the configuration",
	},
	{
		.name = "incidents",
		.run = cmd_incidents,
		.options = OPTION(JSON) | OPTION(QUIET) | OPTION(STORE) | OPTION(SINCE) |
			   OPTION(UNTIL) | OPTION(CAUSE) | OPTION(ADDRESS) | OPTION(PORT) |
			   OPTION(PROCESS),
		.operands = "",
		.summary = "the incidents that were kept, the newest first",
		.notes = incidents_notes,
	},
	{
		.name = "show",
		.run = cmd_show,
		.options = OPTION(JSON) | OPTION(QUIET) | OPTION(STORE),
		.min_operands = 1,
		.max_operands = 1,
		.operands = "ID",
		.summary =
			"one incident, whole: evidence, hops, witnesses, what to do, when what was",
		.notes = show_notes,
	},
	{
		.name = "export",
		.run = cmd_export,
		.options = OPTION(OUTPUT) | OPTION(FORCE) | OPTION(WITNESSES) | OPTION(ANONYMIZE) |
			   OPTION(PCAP) | OPTION(STORE),
		.min_operands = 1,
		.max_operands = 1,
		.operands = "ID",
		.summary = "the packets of an incident, commented, for Wireshark",
		.notes = export_notes,
	},
	{
		.name = "analyze",
		.run = cmd_analyze,
		.options = RESULTS | OPTION(STALL_AFTER) | OPTION(MIN_BYTES) | OPTION(STRICT) |
			   OPTION(EXTRACT) | OPTION(ALL) | OPTION(SUMMARY) | OPTION(JOBS) |
			   OPTION(OUTPUT) | OPTION(FORCE),
		.min_operands = 1,
		.max_operands = -1,
		.operands = "FILE...",
		.summary = "the same verdicts from pcap and pcapng files; - is standard input",
		.notes = "Files may be packed with gzip or zstd. Transfers of 64 KiB and more "
			 "count;\n"
			 "see --min-bytes. Names are never looked up here.\n"
			 "\n"
			 "--extract writes the packets around one of the incidents for Wireshark: "
			 "both\n"
			 "directions, the handshake, ICMP errors that quote it, with comments on "
			 "those that\n"
			 "matter. ID is what an earlier run printed; -o - is standard output.\n",
	},
	{
		.name = "report",
		.run = cmd_report,
		.options = OPTION(STALL_AFTER) | OPTION(MIN_BYTES) | OPTION(OUTPUT) |
			   OPTION(FORCE) | OPTION(ANONYMIZE) | OPTION(STORE),
		.min_operands = 1,
		.max_operands = 2,
		.operands = "ID | FILE [ID]",
		.summary = "one HTML page about an incident: verdict, path, plots, evidence",
		.notes = report_notes,
	},
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
		.name = "replay",
		.run = cmd_replay,
		.options = RESULTS | OPTION(OUTPUT) | OPTION(RECORD) | OPTION(ANONYMIZE) |
			   OPTION(STRICT),
		.min_operands = 1,
		.max_operands = 1,
		.operands = "FILE",
		.summary = "decide again on a recording: the same verdicts",
		.notes = replay_notes,
	},
	{
		.name = "check",
		.run = cmd_check,
		.options = OPTION(JSON) | OPTION(STORE),
		.operands = "",
		.summary = "what this kernel and these privileges allow, and the fix for each no",
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

const struct status_info status_table[] = {
	{STATUS_DONE, "done, no stall"},
	{STATUS_ERROR, "an error at run time"},
	{STATUS_USAGE, "wrong usage or configuration"},
	{STATUS_STALLED, "a stall was confirmed"},
	{STATUS_INCOMPLETE, "a capture is cut off; with --strict, events were lost"},
	{STATUS_UNSUPPORTED, "not supported or not permitted here"},
};
const int n_statuses = sizeof(status_table) / sizeof(status_table[0]);

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
