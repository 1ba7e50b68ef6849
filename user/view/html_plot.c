/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plots as inline SVG: sequence numbers over time in the manner of tcptrace, and rates. A plot has
 * as many points as it has columns, however many packets there were. Time counts from the last
 * progress. What a colour says, a shape or a dash pattern says as well.
 */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "view/format.h"
#include "view/html_impl.h"

#define WIDTH  960
#define HEIGHT 380
#define LEFT   84
#define RIGHT  (WIDTH - 12)
#define TOP    26
#define BOTTOM (HEIGHT - 34)
#define TICKS  20 /* on an axis, at most */
#define OTHERS 3  /* drawn apart; the rest is added up */

struct axes {
	uint64_t from_ns, to_ns, zero_ns;
	double low, high;
};

/* The span of a plot, less what comes after the capture's last packet. */
static struct axes axes_of(const struct html_report *r, const struct trail_plot *p)
{
	uint64_t spare_ns = (p->to_ns - p->from_ns) / 50;
	struct axes a = {
		.from_ns = p->from_ns,
		.to_ns = p->to_ns,
		.zero_ns = r->incident->last_progress_ns,
	};
	uint64_t last_ns = r->trail->last_ns > r->incident->ended_ns ? r->trail->last_ns
								     : r->incident->ended_ns;

	if (last_ns > a.from_ns && last_ns + spare_ns < a.to_ns)
		a.to_ns = last_ns + spare_ns;
	return a;
}

static double x_at(const struct axes *a, double ns)
{
	return LEFT + (ns - (double)a->from_ns) / (double)(a->to_ns - a->from_ns) * (RIGHT - LEFT);
}

static double y_at(const struct axes *a, double value)
{
	double y = BOTTOM - (value - a->low) / (a->high - a->low) * (BOTTOM - TOP);

	/* A renderer need not cope with coordinates far outside of the picture. */
	return y < TOP - HEIGHT ? TOP - HEIGHT : y > BOTTOM + HEIGHT ? BOTTOM + HEIGHT : y;
}

/* 1, 2 or 5 times a power of ten, so that about n steps fit. */
static double step_of(double span, int n)
{
	double raw = span / n, ten = pow(10, floor(log10(raw))), f = raw / ten;

	return ten * (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10);
}

static void time_axis(FILE *out, const struct axes *a)
{
	const double zero = (double)a->zero_ns;
	const double step = step_of((double)(a->to_ns - a->from_ns), 8);
	const char *unit = step >= 1e9 ? "s" : step >= 1e6 ? "ms" : "us";
	const double scale = step >= 1e9 ? 1e9 : step >= 1e6 ? 1e6 : 1e3;

	const double first = ceil(((double)a->from_ns - zero) / step);

	for (int k = 0; k < TICKS; k++) {
		const double t = (first + k) * step;
		double x = x_at(a, zero + t);

		if (zero + t > (double)a->to_ns)
			break;
		fprintf(out,
			"<path class=\"grid\" d=\"M%.1f %dV%d\"/>"
			"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f %s</text>\n",
			x, TOP, BOTTOM,
			x < LEFT + 20	 ? LEFT + 20
			: x > RIGHT - 24 ? RIGHT - 24
					 : x,
			BOTTOM + 20, step / scale < 1 ? 1 : 0, t / scale + 0.0, unit);
	}
}

/* In the unit of the step: neighbours that differ must not read the same. */
static void sequence_label(double value, double step, char text[FORMAT_LEN])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
	int unit = 0;

	for (; unit < 3 && step >= 1024; unit++) {
		step /= 1024;
		value /= 1024;
	}
	snprintf(text, FORMAT_LEN, "%.0f %s", value + 0.0, units[unit]);
}

static void rate_label(double value, double step, char text[FORMAT_LEN])
{
	(void)step;
	format_rate((uint64_t)value, text);
}

static void value_axis(FILE *out, const struct axes *a, double step,
		       void (*label)(double value, double step, char text[FORMAT_LEN]))
{
	const double first = ceil(a->low / step);

	for (int k = 0; k < TICKS && (first + k) * step <= a->high; k++) {
		const double v = (first + k) * step, y = y_at(a, v);
		char text[FORMAT_LEN];

		label(v, step, text);
		fprintf(out,
			"<path class=\"grid\" d=\"M%d %.1fH%d\"/>"
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			LEFT, y, RIGHT, LEFT - 6, y + 4, text);
	}
}

static void vertical(FILE *out, const struct axes *a, uint64_t at_ns, const char *name)
{
	double x = x_at(a, (double)at_ns);
	bool left = x > (LEFT + RIGHT) / 2.0;

	if (at_ns < a->from_ns || at_ns > a->to_ns)
		return;
	fprintf(out,
		"<path class=\"mark\" d=\"M%.1f %dV%d\"/>"
		"<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
		x, TOP, BOTTOM, left ? x + 2 : x - 2, TOP - 8, left ? "end" : "start", name);
}

/* The silence as a band. */
static void silence(FILE *out, const struct axes *a, const struct incident *i)
{
	uint64_t end_ns = i->ended_ns ? i->ended_ns : a->to_ns;
	double x1 = x_at(a, (double)i->last_progress_ns), x2;

	if (i->slow)
		return;
	if (end_ns > a->to_ns)
		end_ns = a->to_ns;
	x2 = x_at(a, (double)end_ns);
	if (x1 < LEFT)
		x1 = LEFT;
	if (x2 > x1)
		fprintf(out,
			"<rect class=\"quiet\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
			"height=\"%d\"/>\n",
			x1, TOP, x2 - x1, BOTTOM - TOP);
}

static void events(FILE *out, const struct axes *a, const struct incident *i)
{
	vertical(out, a, i->last_progress_ns, i->slow ? "begin" : "last progress");
	if (i->ended_ns)
		vertical(out, a, i->ended_ns, i->slow ? "end" : outcome_id(i->outcome));
}

static void svg_open(FILE *out, const char *title)
{
	fprintf(out,
		"<div class=\"plot\"><svg viewBox=\"0 0 %d %d\" role=\"img\" "
		"aria-label=\"%s\">\n",
		WIDTH, HEIGHT, title);
}

static void svg_close(FILE *out)
{
	fputs("</svg></div>\n", out);
}

/* id differs between plots: it is looked up in the whole page. */
static void clip(FILE *out, int id)
{
	fprintf(out,
		"<clipPath id=\"c%d\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
		"</clipPath>\n<g clip-path=\"url(#c%d)\">\n",
		id, LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP, id);
}

static void legend_open(FILE *out)
{
	fputs("<ul class=\"legend\">\n", out);
}

static void legend(FILE *out, const char *class, bool bar, const char *text)
{
	fprintf(out,
		"<li><svg viewBox=\"0 0 32 12\" aria-hidden=\"true\"><path class=\"%s\" "
		"d=\"%s\"/></svg>",
		class, bar ? "M6 11V1M14 11V1M22 11V1" : "M0 6H32");
	html_text(out, text);
	fputs("</li>\n", out);
}

static double column_ns(const struct trail_plot *p, int column)
{
	return (double)p->from_ns +
	       (column + 0.5) * (double)(p->to_ns - p->from_ns) / TRAIL_COLUMNS;
}

/* What comes before the first packet says nothing of sequence numbers. */
static void begin_at_first(const struct trail_plot *p, struct axes *a)
{
	const uint64_t column = (p->to_ns - p->from_ns) / TRAIL_COLUMNS;
	uint64_t from_ns, margin_ns;
	int first = 0;

	while (first < TRAIL_COLUMNS && !p->marks[TRAIL_DATA][first].count &&
	       !p->marks[TRAIL_AGAIN][first].count && !p->marks[TRAIL_ACK][first].count)
		first++;
	if (first == TRAIL_COLUMNS)
		return;
	from_ns = p->from_ns + (uint64_t)first * column;
	if (from_ns > a->zero_ns)
		from_ns = a->zero_ns;
	margin_ns = from_ns < a->to_ns ? (a->to_ns - from_ns) / 25 : 0;
	if (from_ns > a->from_ns + margin_ns)
		a->from_ns = from_ns - margin_ns;
}

/* A bar for each column that has something, never shorter than can be seen. */
static void bars(FILE *out, const struct axes *a, const struct trail_plot *p, enum trail_mark kind,
		 const char *class, double shortest)
{
	if (!p->counts[kind])
		return;
	fprintf(out, "<path class=\"%s\" d=\"", class);
	for (int k = 0; k < TRAIL_COLUMNS; k++) {
		const struct trail_column *c = &p->marks[kind][k];
		double top, bottom, more;

		if (!c->count)
			continue;
		top = y_at(a, (double)c->high);
		bottom = y_at(a, (double)c->low);
		more = bottom - top < shortest ? (shortest - (bottom - top)) / 2 : 0;
		fprintf(out, "M%.1f %.1fV%.1f", x_at(a, column_ns(p, k)), bottom + more,
			top - more);
	}
	fputs("\"/>\n", out);
}

/* The last column in which anything was heard; what lines know ends there. -1: none. */
static int last_column(const struct trail_plot *p)
{
	for (int k = TRAIL_COLUMNS - 1; k >= 0; k--)
		for (int kind = 0; kind < TRAIL_MARKS; kind++)
			if (p->marks[kind][k].count)
				return k;
	return -1;
}

/* A line that keeps its height until something else is heard. */
static void steps(FILE *out, const struct axes *a, const struct trail_plot *p, enum trail_mark kind,
		  const char *class)
{
	const int last = last_column(p);
	bool begun = false;

	if (!p->counts[kind])
		return;
	fprintf(out, "<path class=\"%s\" d=\"", class);
	for (int k = 0; k <= last; k++) {
		const struct trail_column *c = &p->marks[kind][k];
		double x = x_at(a, column_ns(p, k));

		if (c->count) {
			if (begun)
				fprintf(out, "H%.1fV%.1f", x, y_at(a, (double)c->low));
			else
				fprintf(out, "M%.1f %.1f", x, y_at(a, (double)c->low));
			if (c->low != c->high)
				fprintf(out, "V%.1f", y_at(a, (double)c->high));
			if (c->last != c->high)
				fprintf(out, "V%.1f", y_at(a, (double)c->last));
			begun = true;
		} else if (k == last) {
			fprintf(out, "H%.1f", x);
		}
	}
	fputs("\"/>\n", out);
}

/*
 * The height is that of the data. A window that reaches far above it is cut off, or the data would
 * be a flat line below it.
 */
static bool sequence_range(const struct trail_plot *p, struct axes *a)
{
	double low = INFINITY, high = -INFINITY, edge = -INFINITY, span;

	for (int kind = 0; kind < TRAIL_MARKS; kind++) {
		for (int k = 0; k < TRAIL_COLUMNS; k++) {
			const struct trail_column *c = &p->marks[kind][k];

			if (!c->count)
				continue;
			if (kind == TRAIL_WINDOW) {
				edge = fmax(edge, (double)c->high);
				continue;
			}
			low = fmin(low, (double)c->low);
			high = fmax(high, (double)c->high);
		}
	}
	if (!(high >= low))
		return false;
	span = fmax(high - low, 4096);
	a->low = low - 0.04 * span;
	a->high = high + fmax(0.06 * span, fmin(edge - high + 0.05 * span, 0.5 * span));
	return true;
}

static void sequence(FILE *out, const struct html_report *r, const struct trail_plot *p, int id,
		     const char *title)
{
	const struct trail *t = r->trail;
	struct axes a = axes_of(r, p);
	char width[FORMAT_LEN];

	if (!sequence_range(p, &a))
		return;
	begin_at_first(p, &a);
	fprintf(out, "<figure><h3>%s</h3>\n", title);
	svg_open(out, title);
	silence(out, &a, r->incident);
	time_axis(out, &a);
	value_axis(out, &a, exp2(ceil(log2((a.high - a.low) / 6))), sequence_label);
	clip(out, id);
	steps(out, &a, p, TRAIL_WINDOW, "window");
	bars(out, &a, p, TRAIL_DATA, "data", 2);
	bars(out, &a, p, TRAIL_SACK, "sack", 2);
	steps(out, &a, p, TRAIL_ACK, "ack");
	bars(out, &a, p, TRAIL_AGAIN, "again", 7);
	fputs("</g>\n", out);
	events(out, &a, r->incident);
	svg_close(out);
	legend_open(out);
	legend(out, "data", true, "data, seen for the first time");
	legend(out, "again", true, "sent again, or late");
	legend(out, "ack", false, "acknowledged");
	if (p->counts[TRAIL_WINDOW])
		legend(out, "window", false, "edge of the receive window");
	if (p->counts[TRAIL_SACK])
		legend(out, "sack", true, "selectively acknowledged");
	fprintf(out,
		"</ul>\n<figcaption>Bytes since the first one captured. Segments with new data: "
		"%llu, "
		"with data sent again: %llu, acknowledgments: %llu. Drawn in columns of %s: a bar "
		"reaches from the lowest to the highest byte of its column.%s</figcaption></figure>"
		"\n",
		(unsigned long long)p->counts[TRAIL_DATA],
		(unsigned long long)p->counts[TRAIL_AGAIN],
		(unsigned long long)p->counts[TRAIL_ACK],
		format_duration((p->to_ns - p->from_ns) / TRAIL_COLUMNS, width),
		t->window_known ? ""
				: " The handshake was not captured, so the window's scale is "
				  "unknown: only a shut window is drawn.");
}

static int by_total(const void *a, const void *b)
{
	const struct trail_rate *const *x = a, *const *y = b;

	return (*x)->total < (*y)->total ? 1 : (*x)->total > (*y)->total ? -1 : 0;
}

/* Bits a second in one bin. */
static double bin_bps(const struct trail *t, const struct trail_rate *r, int bin)
{
	double seconds = (double)(t->whole.to_ns - t->whole.from_ns) / TRAIL_BINS / NS_PER_S;

	return 8.0 * (double)r->bytes[bin] / seconds;
}

static void rate_line(FILE *out, const struct axes *a, const struct trail *t,
		      const struct trail_rate *r, const char *class, bool area)
{
	const double span = (double)(t->whole.to_ns - t->whole.from_ns);

	fprintf(out, "<path class=\"%s\" d=\"M%d %.1f", class, LEFT, y_at(a, 0));
	for (int k = 0; k < TRAIL_BINS; k++) {
		fprintf(out, "V%.1fH%.1f", y_at(a, bin_bps(t, r, k)),
			x_at(a, (double)a->from_ns + (k + 1) * span / TRAIL_BINS));
	}
	if (area)
		fprintf(out, "V%.1fZ", y_at(a, 0));
	fputs("\"/>\n", out);
}

static const char *ends_text(const struct frame_ends *e, char *buf, size_t len)
{
	struct endpoint src = {.addr = frame_addr_of(&e->src, e->family), .port = e->sport};
	struct endpoint dst = {.addr = frame_addr_of(&e->dst, e->family), .port = e->dport};
	char from[ENDPOINT_TEXT_LEN], to[ENDPOINT_TEXT_LEN];

	snprintf(buf, len, "%s to %s", endpoint_text(&src, from), endpoint_text(&dst, to));
	return buf;
}

static void rates(FILE *out, const struct html_report *r)
{
	static const char *const classes[] = {"o1", "o2", "o3"};
	const struct trail *t = r->trail;
	const struct trail_rate *sorted[TRAIL_FLOWS];
	struct trail_rate rest = t->rest;
	struct axes a = axes_of(r, &t->whole);
	char text[2 * ENDPOINT_TEXT_LEN + 8];
	int n = 0;

	for (int k = 0; k < TRAIL_FLOWS; k++)
		if (t->others[k].total)
			sorted[n++] = &t->others[k];
	qsort(sorted, (size_t)n, sizeof(*sorted), by_total);
	for (int k = OTHERS; k < n; k++) {
		rest.total += sorted[k]->total;
		for (int b = 0; b < TRAIL_BINS; b++)
			rest.bytes[b] += sorted[k]->bytes[b];
	}
	n = n > OTHERS ? OTHERS : n;
	for (int b = 0; b < TRAIL_BINS; b++) {
		a.high = fmax(a.high, bin_bps(t, &t->stalled, b));
		a.high = fmax(a.high, bin_bps(t, &rest, b));
		for (int k = 0; k < n; k++)
			a.high = fmax(a.high, bin_bps(t, sorted[k], b));
	}
	if (!(a.high > 0))
		return;
	a.high *= 1.06;
	fputs("<figure><h3>Throughput</h3>\n", out);
	svg_open(out, "Throughput over time");
	silence(out, &a, r->incident);
	time_axis(out, &a);
	value_axis(out, &a, step_of(a.high, 5), rate_label);
	clip(out, 3);
	rate_line(out, &a, t, &t->stalled, "area", true);
	for (int k = 0; k < n; k++)
		rate_line(out, &a, t, sorted[k], classes[k], false);
	if (rest.total)
		rate_line(out, &a, t, &rest, "o4", false);
	fputs("</g>\n", out);
	events(out, &a, r->incident);
	svg_close(out);
	legend_open(out);
	legend(out, "area", false, "this transfer");
	for (int k = 0; k < n; k++)
		legend(out, classes[k], false, ends_text(&sorted[k]->ends, text, sizeof(text)));
	if (rest.total)
		legend(out, "o4", false, "all others together");
	if (t->averages)
		fprintf(out,
			"</ul>\n<figcaption>Averages as this host has counted them: of this "
			"transfer "
			"%s.</figcaption></figure>\n",
			r->incident->slow ? "before and in the slow phase, of others in it"
					  : "while it ran, of others in the silence");
	else
		fprintf(out,
			"</ul>\n<figcaption>New bytes of data that passed the capture point%s."
			"</figcaption></figure>\n",
			n ? "; beside this transfer, others in the same capture" : "");
}

void html_plots(FILE *out, const struct html_report *r)
{
	if (!r->trail)
		return;
	fprintf(out, "<h2>Over time</h2>\n<p class=\"dim\">Time counts from the %s%s.</p>\n",
		r->incident->slow ? "begin of the slow phase" : "last progress",
		r->incident->slow ? "" : "; the shaded part is the silence");
	rates(out, r);
	sequence(out, r, &r->trail->whole, 1, "Sequence numbers");
	if (!r->incident->slow)
		sequence(out, r, &r->trail->close, 2, "The last progress, close up");
}
