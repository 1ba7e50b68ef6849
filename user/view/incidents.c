/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/incidents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "view/format.h"
#include "view/writer_impl.h"

#define BOLD  "\033[1m"
#define PLAIN "\033[0m"

static int flushed(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

void incidents_head(FILE *out, bool colour)
{
	fprintf(out, "%s%-24s  %-9s  %-11s  %-22s  %s%s\n", colour ? BOLD : "", "INCIDENT", "FOR",
		"OUTCOME", "CAUSE", "PEER", colour ? PLAIN : "");
}

/* The other end, with an arrow that shows which way the data goes, and the program here. */
int incidents_line(FILE *to, bool running, const struct output *out, bool colour)
{
	const struct incident *i = out->incident;
	const bool goes_on = running && !i->ended_ns;
	char span[FORMAT_LEN], peer[ENDPOINT_TEXT_LEN], name[32];
	const char *comm;
	uint32_t pid;

	fprintf(to, "%-24s  %-9s  %s%-11s%s  %-22s  %s %s", i->id,
		format_duration(incident_silence_ns(i, out->now_ns), span),
		colour && goes_on ? BOLD : "",
		goes_on					       ? "running"
		: i->slow && i->outcome != OUTCOME_INTERRUPTED ? "slow"
							       : outcome_id(i->outcome),
		colour && goes_on ? PLAIN : "", cause_info(i->verdict.cause)->id,
		i->local_sends ? "->" : "<-", endpoint_text(&i->key.remote, peer));
	if (incident_process(i, &pid, &comm))
		fprintf(to, " %s", format_name(comm, name, sizeof(name)));
	putc('\n', to);
	return flushed(to);
}

static int by_time(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

int incidents_timeline(FILE *to, struct moment *moments, int n, uint64_t zero_ns,
		       int64_t wall_offset_ns)
{
	qsort(moments, (size_t)n, sizeof(*moments), by_time);
	fputs("TIMELINE\n", to);
	for (int k = 0; k < n; k++) {
		const struct moment *m = &moments[k];
		const bool before = m->at_ns < zero_ns;
		char time[FORMAT_LEN], away[FORMAT_LEN];

		format_time_ns(m->at_ns, wall_offset_ns, time);
		time[strcspn(time, ".") + 4] = '\0'; /* milliseconds will do */
		time[strcspn(time, "T")] = ' ';
		format_duration(before ? zero_ns - m->at_ns : m->at_ns - zero_ns, away);
		fprintf(to, "  %sZ  %c%-12s %s\n", time, before ? '-' : '+', away, m->text);
	}
	return flushed(to);
}
