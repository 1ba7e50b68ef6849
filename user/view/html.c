/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/html.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/plural.h"
#include "base/utf8.h"
#include "view/brief.h"
#include "view/format.h"
#include "view/html_impl.h"

#define TEXT_MAX 4096

void html_text(FILE *out, const char *text)
{
	char clean[TEXT_MAX];

	for (const char *p = utf8_clean(text, true, clean, sizeof(clean)); *p; p++) {
		switch (*p) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\'':
			fputs("&#39;", out);
			break;
		default:
			putc(*p, out);
		}
	}
}

static void percent(FILE *out, double confidence)
{
	if (!isfinite(confidence))
		fputs("unknown", out);
	else if (confidence > 0.995)
		fputs("over 99 %", out);
	else
		fprintf(out, "%.0f %%", 100 * confidence);
}

static void head(FILE *out, const struct html_report *r, const char *sentence)
{
	const struct incident *i = r->incident;
	const struct cause_info *cause = cause_info(i->verdict.cause);

	fputs(html_head, out);
	fputs("<title>", out);
	html_text(out, cause->title);
	fputs(" - ", out);
	html_text(out, i->id);
	fputs("</title>\n</head>\n<body>\n<p class=\"dim\">", out);
	fprintf(out, "%s ", i->slow ? "Slow phase" : "Stall");
	html_text(out, i->id);
	if (r->file) {
		fputs(" in ", out);
		html_text(out, r->file);
	}
	fputs("</p>\n<h1>", out);
	putc(*cause->title >= 'a' && *cause->title <= 'z' ? *cause->title - 'a' + 'A'
							  : *cause->title,
	     out);
	html_text(out, cause->title + 1);
	fprintf(out, "</h1>\n<p class=\"verdict%s\">",
		cause->severity == SEVERITY_INFO ? " info" : "");
	html_text(out, sentence);
	fputs("</p>\n<p>", out);
	html_text(out, cause->explanation);
	fprintf(out, "</p>\n<dl><dt>cause</dt><dd><code>%s</code>, ", cause->id);
	percent(out, i->verdict.cause_confidence);
	fputs("</dd>\n<dt>place</dt><dd>", out);
}

static void places(FILE *out, const struct incident *i)
{
	const struct verdict *v = &i->verdict;
	char place[PLACE_LEN];

	html_text(out, format_place(&v->where, i, NULL, place));
	if (v->where.kind != PLACE_PATH && v->where.kind != PLACE_UNKNOWN) {
		fputs(", ", out);
		percent(out, v->where.confidence);
	}
	if (way_id(v->way))
		fprintf(out, ", %s direction", way_id(v->way));
	for (int k = 0; k < v->n_candidates; k++) {
		const char *before = format_before_candidate(v, k);

		if (!before)
			continue;
		fputs(before, out);
		html_text(out, format_place(&v->candidates[k], i, NULL, place));
		putc(' ', out);
		percent(out, v->candidates[k].confidence);
	}
	fputs("</dd>\n", out);
}

static void transfer(FILE *out, const struct html_report *r)
{
	const struct incident *i = r->incident;
	char src[ENDPOINT_TEXT_LEN], dst[ENDPOINT_TEXT_LEN], one[FORMAT_LEN], two[FORMAT_LEN];
	const char *comm;
	uint32_t pid;

	fprintf(out, "<dt>transfer</dt><dd>%s to %s, %s%s moved",
		endpoint_text(incident_src(i), src), endpoint_text(incident_dst(i), dst),
		capture_is_partial(&i->capture) ? "at least " : "",
		format_bytes(i->local_sends ? i->last.snd.bytes : i->last.rcv.bytes, one));
	if (i->rate_bps)
		fprintf(out, ", %s%s", format_rate(i->rate_bps, two),
			i->slow ? "" : " before it stopped");
	fputs("</dd>\n", out);
	if (incident_process(i, &pid, &comm)) {
		fputs("<dt>process</dt><dd>", out);
		html_text(out, comm);
		fprintf(out, "[%" PRIu32 "]</dd>\n", pid);
	}
	if (*i->capture.tunnel) {
		fputs("<dt>inside</dt><dd>", out);
		html_text(out, i->capture.tunnel);
		fputs("</dd>\n", out);
	}
	fputs("</dl>\n", out);
}

static void advice(FILE *out, const struct incident *i)
{
	if (!*i->verdict.advice)
		return;
	fputs("<h2>What to do</h2>\n<p>", out);
	html_text(out, i->verdict.advice);
	fputs("</p>\n", out);
}

static int by_weight(const void *a, const void *b)
{
	const struct evidence *const *x = a, *const *y = b;

	if ((*x)->weight != (*y)->weight)
		return (*x)->weight < (*y)->weight ? 1 : -1;
	return *x < *y ? -1 : 1; /* as the engine gave them */
}

static void evidence(FILE *out, const struct verdict *v)
{
	const struct evidence *sorted[MAX_EVIDENCE] = {NULL};

	fputs("<h2>Evidence</h2>\n", out);
	if (!v->n_evidence) {
		fputs("<p>None.</p>\n", out);
		return;
	}
	for (int k = 0; k < v->n_evidence; k++)
		sorted[k] = &v->evidence[k];
	qsort(sorted, (size_t)v->n_evidence, sizeof(*sorted), by_weight);
	fputs("<table><thead><tr><th class=\"n\">weight</th><th></th><th>what was seen</th></tr>"
	      "</thead><tbody>\n",
	      out);
	for (int k = 0; k < v->n_evidence; k++) {
		double w = isfinite(sorted[k]->weight) ? sorted[k]->weight : 0;

		fprintf(out,
			"<tr><td class=\"n\">%+.1f</td><td><meter min=\"0\" max=\"8\" "
			"value=\"%.1f\"></meter></td><td>",
			w, fmin(fabs(w), 8));
		html_text(out, sorted[k]->text);
		fputs(" <code class=\"dim\">", out);
		html_text(out, sorted[k]->id);
		fputs("</code></td></tr>\n", out);
	}
	fputs("</tbody></table>\n<p class=\"dim\">Weights are log-odds for the cause or place that "
	      "the observation speaks for; below zero it speaks against it.</p>\n",
	      out);
}

struct event {
	uint64_t now_ns, frame; /* 0: no packet */
	const char *text;
};

static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->now_ns != y->now_ns)
		return x->now_ns < y->now_ns ? -1 : 1;
	return x->frame < y->frame ? -1 : x->frame > y->frame;
}

static bool noted(const struct html_report *r, const char *text)
{
	for (int k = 0; k < r->n_notes; k++)
		if (!strncmp(r->notes[k].text, text, strlen(text)))
			return true;
	return false;
}

static void event(FILE *out, const struct html_report *r, const struct event *e)
{
	const struct incident *i = r->incident;
	const bool before = e->now_ns < i->last_progress_ns;
	const uint64_t away_ns =
		before ? i->last_progress_ns - e->now_ns : e->now_ns - i->last_progress_ns;
	char time[FORMAT_LEN], away[FORMAT_LEN];

	format_time_ns(e->now_ns, r->wall_offset_ns, time);
	time[strcspn(time, ".") + 4] = '\0'; /* milliseconds will do */
	time[strcspn(time, "T")] = ' ';
	fprintf(out, "<tr><td class=\"t\">%s</td><td class=\"n\">%s%s</td><td class=\"n\">", time,
		before ? "\u2212" : "+", format_duration(away_ns, away));
	if (e->frame)
		fprintf(out, "%" PRIu64, e->frame);
	fputs("</td><td>", out);
	html_text(out, e->text);
	fputs("</td></tr>\n", out);
}

static void timeline(FILE *out, const struct html_report *r)
{
	const struct incident *i = r->incident;
	struct event events[HTML_NOTES + 4];
	int n = 0;

	for (int k = 0; k < r->n_notes; k++)
		events[n++] =
			(struct event){r->notes[k].now_ns, r->notes[k].frame, r->notes[k].text};
	if (!i->slow && i->last.born_ns)
		events[n++] = (struct event){i->last.born_ns, 0, "the connection is first seen"};
	if (!noted(r, i->slow ? "the slow phase begins" : "last progress"))
		events[n++] = (struct event){i->last_progress_ns, 0,
					     i->slow ? "the slow phase begins" : "last progress"};
	if (!i->slow)
		events[n++] = (struct event){i->begun_ns, 0, "silent for long enough: a stall"};
	if (i->ended_ns)
		events[n++] =
			(struct event){i->ended_ns, 0,
				       i->slow ? "the slow phase is over" : outcome_id(i->outcome)};
	qsort(events, (size_t)n, sizeof(*events), by_time);
	fputs("<h2>Timeline</h2>\n<table><thead><tr><th>time (UTC)</th><th class=\"n\">since</th>"
	      "<th class=\"n\">frame</th><th>what</th></tr></thead><tbody>\n",
	      out);
	for (int k = 0; k < n; k++)
		event(out, r, &events[k]);
	fputs("</tbody></table>\n", out);
	if (r->more_notes)
		fprintf(out, "<p class=\"dim\">%" PRIu64 " more packet%s of this kind.</p>\n",
			r->more_notes, plural(r->more_notes));
	if (r->n_notes)
		fprintf(out, "<p class=\"dim\">Frames are numbered as in %s.</p>\n",
			r->file ? "Wireshark" : "what tcpstall export writes");
}

static void witnesses(FILE *out, const struct incident *i)
{
	if (!i->n_witnesses && !i->capture.same_pair && !i->capture.elsewhere)
		return;
	fputs("<h2>What went on beside it</h2>\n", out);
	if (i->capture.same_pair || i->capture.elsewhere)
		fprintf(out,
			"<p>Connections in the capture that moved in the silence: %" PRIu32
			" of the same two hosts, %" PRIu32 " more of one of them.</p>\n",
			i->capture.same_pair, i->capture.elsewhere);
	if (!i->n_witnesses)
		return;
	fputs("<table><thead><tr><th>transfer</th><th class=\"n\">rate</th>"
	      "<th class=\"n\">shared hops</th></tr></thead><tbody>\n",
	      out);
	for (int k = 0; k < i->n_witnesses; k++) {
		const struct witness *w = &i->witnesses[k];
		char local[ENDPOINT_TEXT_LEN], remote[ENDPOINT_TEXT_LEN], rate[FORMAT_LEN];

		endpoint_text(&w->key.local, local);
		endpoint_text(&w->key.remote, remote);
		fprintf(out,
			"<tr><td>%s to %s</td><td class=\"n\">%s</td><td class=\"n\">%u</td>"
			"</tr>\n",
			w->sends ? local : remote, w->sends ? remote : local,
			format_rate(w->rate_bps, rate), w->shared_hops);
	}
	fputs("</tbody></table>\n", out);
}

static void packets_command(FILE *out, const struct html_report *r)
{
	fputs(r->file ? "tcpstall analyze --extract " : "tcpstall export ", out);
	html_text(out, r->incident->id);
	fputs(" -o ", out);
	html_text(out, r->incident->id);
	fputs(".pcapng ", out);
	html_text(out, r->file ? r->file : "");
}

static void letter(FILE *out, const struct html_report *r, const char *brief)
{
	fputs("<h2>What to send</h2>\n<p>Whoever runs the part at fault (a provider, a vendor, the "
	      "other end) needs this page, the packets, and these lines:</p>\n<pre>",
	      out);
	html_text(out, brief);
	fputs("</pre>\n", out);
	if (!r->file && !r->kept)
		return;
	fputs("<p>The packets, both directions, with comments on those that matter:</p>\n<pre>",
	      out);
	packets_command(out, r);
	fputs("</pre>\n<p class=\"dim\">Packets hold addresses", out);
	fputs(r->file ? ", and content unless only headers were captured.</p>\n"
		      : "; with --anonymize other ones, that keep their prefixes.</p>\n",
	      out);
}

int html_write(FILE *out, const struct html_report *r)
{
	char *sentence = NULL, *brief = NULL;
	int err = brief_sentence(r->incident, &sentence);

	if (!err)
		err = brief_text(r->incident, r->file, r->wall_offset_ns, &brief);
	if (err)
		goto out;
	head(out, r, sentence);
	places(out, r->incident);
	transfer(out, r);
	advice(out, r->incident);
	html_path(out, r->incident);
	html_plots(out, r);
	evidence(out, &r->incident->verdict);
	witnesses(out, r->incident);
	timeline(out, r);
	letter(out, r, brief);
	fputs("<p class=\"dim\">", out);
	html_text(out, r->program);
	fputs("</p>\n", out);
	fputs(html_script, out);
	fputs("</body>\n</html>\n", out);
	errno = 0;
	if (fflush(out) || ferror(out))
		err = errno ? -errno : -EIO;
out:
	free(sentence);
	free(brief);
	return err;
}
