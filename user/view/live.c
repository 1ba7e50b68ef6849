/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/plural.h"
#include "view/format.h"
#include "view/terminal.h"

#define ROWS_MAX    200
#define FIXED_WIDTH 43 /* all columns of the table but the flow's */
#define FLOW_MIN    20
#define SILENT_NS   (500 * NS_PER_MS) /* less is the rhythm of any transfer */

enum rank { RANK_STALLED, RANK_SILENT, RANK_FINE };

struct row {
	enum rank rank;
	struct flow_key key;
	bool local_sends, owes;
	uint64_t bytes, rate_bps, silence_ns;
	uint32_t rtt_us;
	bool judged; /* the rest is valid */
	enum cause cause;
	char place[PLACE_LEN];
	char name[24]; /* of the local program, "" unknown */
};

struct live {
	FILE *out;
	bool colour, table;
	int lines;	   /* that are on the screen now */
	int columns, rows; /* of the terminal */
	struct row row[ROWS_MAX];
	int n_rows;			      /* kept: the worst ones */
	int n_transfers;		      /* seen */
	int room;			      /* how many rows fit */
	uint64_t bytes, rate_bps, silence_ns; /* all together; longest silence */
};

static void measure(struct live *l)
{
	terminal_size(fileno(l->out), &l->columns, &l->rows);
}

static int live_new(FILE *out, bool colour, bool table, struct live **ret)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->out = out;
	l->colour = colour;
	l->table = table;
	measure(l);
	*ret = l;
	return 0;
}

int live_table(FILE *out, bool colour, struct live **ret)
{
	return live_new(out, colour, true, ret);
}

int live_status(FILE *out, struct live **ret)
{
	return live_new(out, false, false, ret);
}

void live_wipe(struct live *l)
{
	if (!l || !l->lines)
		return;
	/* The cursor is at the end of the last line. */
	if (l->lines > 1)
		fprintf(l->out, "\033[%dA", l->lines - 1);
	fputs("\r\033[J", l->out);
	fflush(l->out);
	l->lines = 0;
}

void live_resized(struct live *l)
{
	if (!l)
		return;
	if (l->lines)
		putc('\n', l->out);
	l->lines = 0;
	measure(l);
}

void live_free(struct live *l)
{
	live_wipe(l);
	free(l);
}

static bool worse(const struct row *a, const struct row *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->rank == RANK_SILENT && a->silence_ns != b->silence_ns)
		return a->silence_ns > b->silence_ns;
	if (a->rate_bps != b->rate_bps)
		return a->rate_bps > b->rate_bps;
	return a->bytes > b->bytes;
}

static bool collect(const struct transfer *t, void *arg)
{
	const uint64_t silence_ns = t->silence_ns < SILENT_NS ? 0 : t->silence_ns;
	const struct flow_snapshot *s = t->last;
	struct live *l = arg;
	struct row row = {
		.rank = t->incident  ? RANK_STALLED
			: silence_ns ? RANK_SILENT
				     : RANK_FINE,
		.key = s->key,
		.local_sends = t->local_sends,
		.owes = t->owes,
		.bytes = t->local_sends ? s->snd.bytes : s->rcv.bytes,
		.rate_bps = t->rate_bps,
		.silence_ns = silence_ns,
		.rtt_us = s->rtt_us,
	};
	const char *comm = s->comm;
	uint32_t pid;
	int at;

	if (t->incident)
		incident_process(t->incident, &pid, &comm);
	if (comm && *comm)
		format_name(comm, row.name, sizeof(row.name));
	l->n_transfers++;
	l->bytes += row.bytes;
	l->rate_bps += row.rate_bps;
	if (row.silence_ns > l->silence_ns)
		l->silence_ns = row.silence_ns;
	for (at = l->n_rows; at > 0 && worse(&row, &l->row[at - 1]); at--)
		;
	if (at >= l->room)
		return true;
	if (t->incident && t->incident->verdict.cause_confidence > 0) {
		row.judged = true;
		row.cause = t->incident->verdict.cause;
		if (t->incident->verdict.where.kind != PLACE_UNKNOWN)
			format_place(&t->incident->verdict.where, t->incident, NULL, row.place);
	}
	if (l->n_rows < l->room)
		l->n_rows++;
	memmove(&l->row[at + 1], &l->row[at], (size_t)(l->n_rows - 1 - at) * sizeof(row));
	l->row[at] = row;
	return true;
}

static void new_line(struct live *l)
{
	if (l->lines)
		putc('\n', l->out);
	l->lines++;
}

/* Never wider than the terminal: a line that wraps would be two. */
static void clipped(struct live *l, const char *text)
{
	new_line(l);
	fprintf(l->out, "%.*s", l->columns - 1, text);
}

static void flow_text(const struct row *r, int width, char *buf, size_t len)
{
	char local[ENDPOINT_TEXT_LEN], remote[ENDPOINT_TEXT_LEN], both[2 * ENDPOINT_TEXT_LEN + 40];

	endpoint_text(&r->key.local, local);
	endpoint_text(&r->key.remote, remote);
	snprintf(both, sizeof(both), "%s %s %s%s%s%s", local, r->local_sends ? "->" : "<-", remote,
		 *r->name ? " (" : "", r->name, *r->name ? ")" : "");
	snprintf(buf, len, "%-*.*s", width, width, both);
	if ((int)strlen(both) > width && (size_t)width < len)
		buf[width - 1] = '~';
}

static void table_row(struct live *l, const struct row *r)
{
	static const char *const state[] = {
		[RANK_STALLED] = "STALL",
		[RANK_SILENT] = "wait",
		[RANK_FINE] = "ok",
	};
	int width =
		l->columns - 1 - FIXED_WIDTH < FLOW_MIN ? FLOW_MIN : l->columns - 1 - FIXED_WIDTH;
	const bool paint = l->colour && r->rank == RANK_STALLED;
	char flow[2 * ENDPOINT_TEXT_LEN + 8], bytes[FORMAT_LEN], rate[FORMAT_LEN], rtt[FORMAT_LEN],
		silence[FORMAT_LEN], line[512];

	if (width > (int)sizeof(flow) - 1)
		width = (int)sizeof(flow) - 1;
	flow_text(r, width, flow, sizeof(flow));
	snprintf(line, sizeof(line), "%-5s %s %9s %11s %7s %6s", state[r->rank], flow,
		 format_bytes(r->bytes, bytes), format_rate(r->rate_bps, rate),
		 r->rtt_us ? format_duration(r->rtt_us * 1000ull, rtt) : "-",
		 r->silence_ns ? format_duration(r->silence_ns, silence) : "-");
	if (paint)
		fputs("\033[1;31m", l->out);
	clipped(l, line);
	if (paint)
		fputs("\033[0m", l->out);
	if (!r->judged)
		return;
	snprintf(line, sizeof(line), "      %s %s", cause_info(r->cause)->id, r->place);
	clipped(l, line);
}

static void draw_table(struct live *l)
{
	int width =
		l->columns - 1 - FIXED_WIDTH < FLOW_MIN ? FLOW_MIN : l->columns - 1 - FIXED_WIDTH;
	char line[512];
	int used = 2;

	snprintf(line, sizeof(line), "%-5s %-*s %9s %11s %7s %6s", "state",
		 width > 120 ? 120 : width, "transfer", "bytes", "rate", "rtt", "silent");
	clipped(l, line);
	for (int i = 0; i < l->n_rows && used < l->rows - 1; i++) {
		if (used + l->row[i].judged >= l->rows - 1)
			break;
		table_row(l, &l->row[i]);
		used += 1 + l->row[i].judged;
	}
	snprintf(line, sizeof(line), "%d transfer%s, worst first; q quits", l->n_transfers,
		 plural((uint64_t)l->n_transfers));
	clipped(l, line);
}

static void draw_status(struct live *l)
{
	char bytes[FORMAT_LEN], rate[FORMAT_LEN], silence[FORMAT_LEN], line[256];

	if (!l->n_transfers)
		snprintf(line, sizeof(line), "no transfer yet");
	else
		snprintf(line, sizeof(line), "%d transfer%s  %s  %s%s%s", l->n_transfers,
			 plural((uint64_t)l->n_transfers), format_bytes(l->bytes, bytes),
			 format_rate(l->rate_bps, rate), l->silence_ns ? "  silent for " : "",
			 l->silence_ns ? format_duration(l->silence_ns, silence) : "");
	clipped(l, line);
}

void live_draw(struct live *l, const struct engine *engine)
{
	if (!l)
		return;
	live_wipe(l);
	l->n_rows = l->n_transfers = 0;
	l->bytes = l->rate_bps = l->silence_ns = 0;
	l->room = l->rows < ROWS_MAX ? l->rows : ROWS_MAX;
	engine_each_transfer(engine, collect, l);
	if (l->table)
		draw_table(l);
	else
		draw_status(l);
	fflush(l->out);
}
