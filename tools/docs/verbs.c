/* SPDX-License-Identifier: GPL-2.0-only */
/* tcpstall(8), from the tables of verbs and options. */
#include "docs.h"
#include "verb.h"

static const char description[] =
	"A TCP transfer has stopped, and ping says that the network is fine. `tcpstall` notices "
	"the stall in the kernel, gathers what the connection and this host know, sends a few "
	"probes through the stalled connection itself, and says what is wrong, where, how sure "
	"it is, and what to do about it.\n\n"
	"A transfer is one direction of a connection that has moved 1 MiB or that was asked for "
	"by FILTER or `run`; it stalls when it owes progress and makes none for 2 s. A probe "
	"never changes what an application receives: it lies in bytes that the peer has "
	"acknowledged already, or is a copy of the segment that the kernel has sent last. There "
	"are 40 packets a second at most and 300 for an incident, and none with --no-probe.\n\n"
	"Results go to stdout, diagnostics to stderr. Durations are written 500ms, 2s, 5m, sizes "
	"64k, 1M, 2G in powers of 1024.";

static const char capabilities[] =
	"CAP_BPF and CAP_PERFMON to see transfers, CAP_NET_RAW to probe, CAP_SYS_ADMIN to enter "
	"other network namespaces, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH to name other users' "
	"processes. Without one of them its part is missing and the rest works; `tcpstall check` "
	"tells. What reads captures and stored incidents needs none.";

static const struct {
	const char *command, *text;
} examples[] = {
	{"tcpstall", "Watch every transfer of this host."},
	{"tcpstall run -- pg_basebackup -h db2 -X stream -D /backup",
	 "Watch one command, and end as it does."},
	{"tcpstall --json host 192.0.2.1 and port 5432 | jq -c 'select(.type == \"verdict\")'",
	 "Verdicts for a script."},
	{"tcpstall analyze --summary *.pcapng.gz", "Which of many captures holds a stall."},
	{"tcpstall incidents --since 2h", "What was found while nobody looked."},
};

static const struct {
	const char *name, *text;
} files[] = {
	{"/etc/tcpstall/tcpstall.conf", "The configuration of the daemon, `tcpstall.conf`(5)."},
	{"/var/lib/tcpstall", "Incidents that were kept for root and the daemon."},
	{"~/.local/state/tcpstall",
	 "Those of other users; $XDG_STATE_HOME/tcpstall if that is set."},
	{"/run/tcpstall", "Control socket and lock of the daemon."},
};

static void option(FILE *to, int id)
{
	const struct option_info *info = &option_table[id];

	if (info->letter)
		fprintf(to, "\\-%c, ", info->letter);
	fputs("\\-\\-", to);
	roff_word(to, info->name);
}

static void verb(FILE *to, const struct verb *v)
{
	bool first = true;

	fputs(".SS \"", to);
	roff_word(to, v->name);
	fputs(*v->operands ? " " : "", to);
	roff_word(to, v->operands);
	fprintf(to, "\"\n%c", v->summary[0] - 'a' + 'A');
	roff_word(to, v->summary + 1);
	fputs(".\n.br\n", to);
	fputs("Options:", to);
	for (int i = 0; i < OPTIONS; i++) {
		if (!(v->options & 1ull << i))
			continue;
		fputs(first ? "\n.B " : ",\n.B ", to);
		option(to, i);
		first = false;
	}
	fputs(first ? "\nnone.\n" : ".\n", to);
	if (v->notes) {
		fputs(".PP\n", to);
		roff_text(to, v->notes);
	}
}

static void synopsis(FILE *to)
{
	for (int i = 0; i < n_verbs; i++) {
		const struct verb *v = &verb_table[i];

		fputs(i ? ".br\n\\fBtcpstall " : "\\fBtcpstall ", to);
		roff_word(to, v->name);
		fputs(v->options ? "\\fR [\\fIOPTION\\fR]... \\fI" : "\\fR \\fI", to);
		roff_word(to, v->operands);
		fputs("\\fR\n", to);
	}
}

void docs_tcpstall(FILE *to)
{
	roff_begin(to, "tcpstall", 8, "finds TCP transfers that stop, and says why and where");
	fputs(".SH SYNOPSIS\n", to);
	synopsis(to);
	fputs(".SH DESCRIPTION\n", to);
	roff_text(to, description);
	fputs(".SH VERBS\nWithout a verb it is\n.BR watch .\n", to);
	for (int i = 0; i < n_verbs; i++)
		verb(to, &verb_table[i]);
	fputs(".SH OPTIONS\nAn option means the same wherever it is accepted.\n", to);
	for (int i = 0; i < OPTIONS; i++) {
		fputs(".TP\n.B ", to);
		option(to, i);
		if (option_table[i].value) {
			fputs("\\fR \\fI", to);
			roff_word(to, option_table[i].value);
		}
		putc('\n', to);
		roff_text(to, option_table[i].help);
	}
	fputs(".SH EXIT STATUS\n", to);
	for (int i = 0; i < n_statuses; i++) {
		fprintf(to, ".TP\n.B %d\n", status_table[i].status);
		roff_text(to, status_table[i].meaning);
	}
	fputs(".PP\n.B run\nends with the status of its command.\n.SH ENVIRONMENT\n", to);
	roff_item(to, "NO_COLOR", "", "No colours, also on a terminal.");
	fputs(".SH FILES\n", to);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		roff_item(to, files[i].name, "", files[i].text);
	fputs(".SH CAPABILITIES\n", to);
	roff_text(to, capabilities);
	fputs(".SH EXAMPLES\n", to);
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		roff_item(to, examples[i].command, "", examples[i].text);
	fputs(".SH SEE ALSO\n.BR tcpstall.conf (5),\n.BR tcpstall\\-events (5),\n"
	      ".BR pcap\\-filter (7),\n.BR ss (8)\n",
	      to);
}
