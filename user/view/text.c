/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Results for people: one line when a stall begins, a block with the verdict, one line when it
 * ends. The block says what the JSON says; flow id, namespace and weights only with -v. At most 100
 * columns. Colour repeats what the words say and carries nothing of its own.
 */
#include "view/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/plural.h"
#include "view/brief.h"
#include "view/format.h"
#include "view/names.h"
#include "view/transfer.h"
#include "view/writer_impl.h"

#define INDENT	       14 /* of what follows a label */
#define TEXT_LEN       1024
#define EVIDENCE_SHOWN 4 /* without -v */

#define BOLD	       "\033[1m"
#define RED	       "\033[1;31m"
#define GREEN	       "\033[32m"
#define YELLOW	       "\033[33m"

struct text_writer {
	struct writer writer;
	struct writer_config config;
};

struct buffer {
	char text[TEXT_LEN];
	size_t len;
};

static void add(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct buffer *b, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(b->text + b->len, sizeof(b->text) - b->len, format, args);
	va_end(args);
	if (n > 0)
		b->len = b->len + (size_t)n < sizeof(b->text) ? b->len + (size_t)n
							      : sizeof(b->text) - 1;
}

/* Text that may come from outside: names, kernel strings. */
static void add_safe(struct buffer *b, const char *text)
{
	format_name(text, b->text + b->len, sizeof(b->text) - b->len);
	b->len += strlen(b->text + b->len);
}

/* A word; a number and its unit are one. */
static int word_len(const char *text)
{
	size_t len = strcspn(text, " "), number = strspn(text, "0123456789.");

	if (number == len && text[len] && isalpha((unsigned char)text[len + 1]))
		len += 1 + strcspn(text + len + 1, " ");
	return (int)len;
}

/* Breaks at blanks; what follows the first line is indented. A word longer than a line stays whole.
 */
static void wrapped(const struct text_writer *w, int column, int indent, const char *text)
{
	FILE *out = w->config.out;

	for (bool first = true; *text; first = false) {
		int len = word_len(text);

		if (!first && column + 1 + len > w->config.columns) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		} else if (!first) {
			putc(' ', out);
			column++;
		}
		fwrite(text, 1, (size_t)len, out);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	putc('\n', out);
}

static void labelled(const struct text_writer *w, const char *label, const struct buffer *b)
{
	if (!b->len)
		return;
	fprintf(w->config.out, "  %-*s", INDENT - 2, label);
	wrapped(w, INDENT, INDENT, b->text);
}

/* "03:04:05Z STALL", then the rest of the line. */
static void headline(const struct text_writer *w, const char *colour, const char *word,
		     uint64_t now_ns, const struct buffer *b)
{
	const bool paint = w->config.colour;
	char time[FORMAT_LEN];
	int column;

	format_time(now_ns, w->config.wall_offset_ns, time);
	/* The date is in the incident's id. */
	column = fprintf(w->config.out, "%s ", strchr(time, ' ') + 1);
	fprintf(w->config.out, "%s%s%s ", paint ? colour : "", word, paint ? "\033[0m" : "");
	wrapped(w, column + (int)strlen(word) + 1, 2, b->text);
}

static void add_flow(struct buffer *b, const struct incident *i)
{
	char src[ENDPOINT_TEXT_LEN], dst[ENDPOINT_TEXT_LEN], name[32];
	const char *comm;
	uint32_t pid;

	add(b, "%s -> %s", endpoint_text(incident_src(i), src),
	    endpoint_text(incident_dst(i), dst));
	if (incident_process(i, &pid, &comm))
		add(b, " (%s[%" PRIu32 "])", format_name(comm, name, sizeof(name)), pid);
}

static uint64_t moved(const struct incident *i)
{
	return i->local_sends ? i->last.snd.bytes : i->last.rcv.bytes;
}

static void add_percent(struct buffer *b, double confidence)
{
	if (!isfinite(confidence))
		add(b, "unknown");
	else if (confidence > 0.995)
		add(b, "over 99 %%");
	else
		add(b, "%.0f %%", 100 * confidence);
}

static void add_place(const struct text_writer *w, struct buffer *b, const struct incident *i,
		      const struct place *p)
{
	char name[HOST_NAME], safe[HOST_NAME], place[PLACE_LEN];

	names_get(w->config.names, &p->address, name);
	add(b, "%s", format_place(p, i, format_name(name, safe, sizeof(safe)), place));
}

static void begin(const struct text_writer *w, const struct incident *i, uint64_t now_ns)
{
	char silence[FORMAT_LEN], bytes[FORMAT_LEN];
	struct buffer b = {0};

	add_flow(&b, i);
	add(&b, " silent for %s after %s", format_duration(incident_silence_ns(i, now_ns), silence),
	    format_bytes(moved(i), bytes));
	headline(w, YELLOW, "STALL", now_ns, &b);
}

static void transfer(const struct text_writer *w, const struct incident *i, uint64_t now_ns)
{
	const struct flow_snapshot *s = &i->last;
	const uint64_t silence_ns = i->slow ? 0 : incident_silence_ns(i, now_ns);
	char one[FORMAT_LEN];
	struct buffer b = {0};

	add_flow(&b, i);
	add(&b, ", %s%s", capture_is_partial(&i->capture) ? "at least " : "",
	    format_bytes(moved(i), one));
	if (s->born_ns && s->born_ns + silence_ns <= now_ns)
		add(&b, " in %s", format_duration(now_ns - silence_ns - s->born_ns, one));
	if (i->rate_bps)
		add(&b, ", %s%s", format_rate(i->rate_bps, one),
		    i->slow ? "" : " before it stopped");
	if (!i->slow)
		add(&b, ", then silent for %s", format_duration(silence_ns, one));
	if (s->flags & SNAP_OFFLINE)
		add(&b, w->config.file ? ", from a capture" : ", it only passes here");
	else
		add(&b, ", %s is this host", i->local_sends ? "the sender" : "the receiver");
	labelled(w, "transfer", &b);

	b = (struct buffer){0};
	add(&b, "%s", i->id);
	if (w->config.verbose > 0)
		add(&b, ", flow %x-%" PRIx64 ", network namespace %" PRIu32, i->key.netns,
		    i->key.cookie, i->key.netns);
	labelled(w, "incident", &b);
}

static void add_us(struct buffer *b, const char *name, uint32_t us)
{
	char text[FORMAT_LEN];

	if (us)
		add(b, ", %s %s", name, format_duration(us * NS_PER_US, text));
}

static void tcp(const struct text_writer *w, const struct flow_snapshot *s)
{
	char unacked[FORMAT_LEN], notsent[FORMAT_LEN], wnd[FORMAT_LEN];
	const char *state = tcp_state_name(s->state);
	struct buffer b = {0};

	add(&b, "%s, %s unacknowledged, %s not sent, window %s", state ? state : "unknown state",
	    format_bytes(s->snd_nxt - s->snd_una, unacked),
	    format_bytes(s->write_seq - s->snd_nxt, notsent), format_bytes(s->snd_wnd, wnd));
	add_us(&b, "rto", s->rto_us);
	if (s->backoff || s->retrans)
		add(&b, " (backoff %" PRIu32 ", %" PRIu32 " retransmission%s)", s->backoff,
		    s->retrans, plural(s->retrans));
	add_us(&b, "rtt", s->rtt_us);
	if (s->mss)
		add(&b, ", mss %" PRIu32, s->mss);
	if (s->pmtu)
		add(&b, ", path mtu %" PRIu32, s->pmtu);
	labelled(w, "tcp", &b);
}

static const char *tally(const struct tally *t, char buf[FORMAT_LEN])
{
	if (t->sent)
		snprintf(buf, FORMAT_LEN, "%u of %u", t->answered, t->sent);
	else
		snprintf(buf, FORMAT_LEN, "-");
	return buf;
}

/* Of the widest one, so that the table is no wider than it must be. */
static int address_width(const struct incident *i)
{
	char addr[ADDR_TEXT_LEN];
	int width = 15;

	for (int k = 0; k < i->n_hops; k++) {
		int len = (int)strlen(addr_text(hop_address(i, &i->hops[k]), addr));

		width = len > width ? len : width;
	}
	return width;
}

static void hops(const struct text_writer *w, const struct incident *i)
{
	const int width = address_width(i);
	FILE *out = w->config.out;

	if (!i->n_hops)
		return;
	fprintf(out, "  %-*s %-*s %7s  %8s  %8s  %8s\n", INDENT - 3, "hop", width, "address", "rtt",
		"in-flow", "full", "control");
	for (int k = 0; k < i->n_hops; k++) {
		const struct hop *h = &i->hops[k];
		const struct ip_addr *address = hop_address(i, h);
		char addr[ADDR_TEXT_LEN], name[HOST_NAME], safe[HOST_NAME], cell[4][FORMAT_LEN];

		if (k && h->is_peer && i->hops[k - 1].is_peer)
			continue; /* the peer answers every larger TTL as well */
		names_get(w->config.names, address, name);
		format_name(name, safe, sizeof(safe));
		if (h->rtt_us)
			format_duration(h->rtt_us * NS_PER_US, cell[3]);
		else
			snprintf(cell[3], FORMAT_LEN, "-");
		fprintf(out, "  %*u%s%-*s %-*s %7s  %8s  %8s  %8s", 3, h->ttl,
			hop_is_place(i, h) ? " *" : "  ", INDENT - 8,
			h->is_peer    ? " peer"
			: h->balanced ? " some"
				      : "",
			width, address->family ? addr_text(address, addr) : "no answer", cell[3],
			tally(&h->probes[PROBE_IN_FLOW], cell[0]),
			tally(&h->probes[PROBE_IN_FLOW_FULL], cell[1]),
			tally(&h->probes[PROBE_CONTROL], cell[2]));
		if (*safe)
			fprintf(out, "\n  %*s %s", INDENT - 3, "", safe);
		putc('\n', out);
	}
}

static void witnesses(const struct text_writer *w, const struct incident *i)
{
	for (int k = 0; k < i->n_witnesses; k++) {
		const struct witness *other = &i->witnesses[k];
		char local[ENDPOINT_TEXT_LEN], remote[ENDPOINT_TEXT_LEN], rate[FORMAT_LEN];
		struct buffer b = {0};

		endpoint_text(&other->key.local, local);
		endpoint_text(&other->key.remote, remote);
		add(&b, "%s -> %s moves on at %s, %u shared hops", other->sends ? local : remote,
		    other->sends ? remote : local, format_rate(other->rate_bps, rate),
		    other->shared_hops);
		labelled(w, k ? "" : "witness", &b);
	}
}

static int by_weight(const void *a, const void *b)
{
	const struct evidence *const *x = a, *const *y = b;

	if ((*x)->weight != (*y)->weight)
		return (*x)->weight < (*y)->weight ? 1 : -1;
	return *x < *y ? -1 : 1; /* as the engine gave them */
}

static void evidence(const struct text_writer *w, const struct verdict *v)
{
	const bool verbose = w->config.verbose > 0;
	const struct evidence *sorted[MAX_EVIDENCE] = {NULL};
	int shown = verbose || v->n_evidence <= EVIDENCE_SHOWN ? v->n_evidence : EVIDENCE_SHOWN;

	for (int k = 0; k < v->n_evidence; k++)
		sorted[k] = &v->evidence[k];
	qsort(sorted, (size_t)v->n_evidence, sizeof(sorted[0]), by_weight);
	for (int k = 0; k < shown; k++) {
		struct buffer b = {0};

		if (verbose)
			add(&b, "%+.1f %s: ", sorted[k]->weight, sorted[k]->id);
		add_safe(&b, sorted[k]->text);
		if (k == shown - 1 && shown < v->n_evidence)
			add(&b, " (%d more with -v)", v->n_evidence - shown);
		labelled(w, k ? "" : "evidence", &b);
	}
}

static void confidence(const struct text_writer *w, const struct incident *i)
{
	const struct verdict *v = &i->verdict;
	const char *way = way_id(v->way);
	struct buffer b = {0};

	add(&b, "cause ");
	add_percent(&b, v->cause_confidence);
	add(&b, ", place ");
	add_percent(&b, v->where.confidence);
	if (way)
		add(&b, ", %s direction", way);
	for (int k = 0; k < v->n_candidates; k++) {
		const char *before = format_before_candidate(v, k);

		if (!before)
			continue;
		add(&b, "%s", before);
		add_place(w, &b, i, &v->candidates[k]);
		add(&b, " ");
		add_percent(&b, v->candidates[k].confidence);
	}
	labelled(w, "confidence", &b);
}

static void captured(const struct text_writer *w, const struct incident *i)
{
	const struct capture_seen *c = &i->capture;
	struct buffer b = {0};

	add(&b, "%" PRIu64 " to %" PRIu64 ", captured %s", c->first_frame, c->last_frame,
	    c->position == CAPTURED_UNKNOWN ? "at an unknown point" : position_id(c->position));
	if (*c->tunnel)
		add(&b, ", inside %s", c->tunnel);
	labelled(w, "frames", &b);
}

/* Where the interface is more than a plain card in order. */
static void interface(const struct text_writer *w, const struct incident *i)
{
	const struct route_seen *r = &i->route;
	char tunnel[TUNNEL_LEN];
	struct buffer b = {0};
	bool inside = format_tunnel(r, tunnel);

	if (!r->ifindex || (w->config.verbose <= 0 && !inside && !*r->lower && r->carrier &&
			    !r->down && r->full_duplex))
		return;
	add_safe(&b, inside ? tunnel : r->ifname);
	if (*r->lower)
		add(&b, " over ");
	add_safe(&b, r->lower);
	if (r->down || !r->carrier)
		add(&b, ", %s", r->down ? "taken down" : "no carrier");
	else if (r->speed_mbps > 0)
		add(&b, ", %d Mbit/s, %s duplex", r->speed_mbps, r->full_duplex ? "full" : "half");
	if (r->mtu)
		add(&b, ", mtu %" PRIu32, r->mtu);
	labelled(w, inside ? "tunnel" : "interface", &b);
}

static void verdict(const struct text_writer *w, const struct incident *i, uint64_t now_ns)
{
	const struct cause_info *cause = cause_info(i->verdict.cause);
	struct buffer b = {0};

	if (w->config.verbose < 0) {
		add_flow(&b, i);
		add(&b, ": ");
	}
	add(&b, "%s", cause->id);
	if (i->verdict.where.kind != PLACE_UNKNOWN) {
		add(&b, " ");
		add_place(w, &b, i, &i->verdict.where);
	}
	add(&b, ": %s", cause->title);
	if (*i->verdict.detail) {
		add(&b, " - ");
		add_safe(&b, i->verdict.detail);
	}
	headline(w, cause->severity == SEVERITY_INFO ? BOLD : RED, "VERDICT", now_ns, &b);
	if (w->config.verbose < 0)
		return;
	transfer(w, i, now_ns);
	confidence(w, i);
	if (w->config.file)
		captured(w, i);
	if (!i->slow)
		tcp(w, &i->last);
	interface(w, i);
	hops(w, i);
	witnesses(w, i);
	evidence(w, &i->verdict);
	b = (struct buffer){0};
	add_safe(&b, i->verdict.advice);
	labelled(w, "what to do", &b);
}

static void end(const struct text_writer *w, const struct incident *i, uint64_t now_ns)
{
	const bool recovered = i->outcome == OUTCOME_RECOVERED;
	char silence[FORMAT_LEN], bytes[FORMAT_LEN];
	struct buffer b = {0};

	add_flow(&b, i);
	add(&b, " %s after %s of silence", outcome_id(i->outcome),
	    format_duration(incident_silence_ns(i, now_ns), silence));
	if (i->recovered_bytes)
		add(&b, ", %s more moved", format_bytes(i->recovered_bytes, bytes));
	headline(w, recovered ? GREEN : RED, "END", now_ns, &b);
}

static int flushed(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

static int write_output(struct writer *writer, const struct output *out)
{
	static void (*const write[])(const struct text_writer *, const struct incident *,
				     uint64_t) = {
		[OUT_STALL_BEGIN] = begin,
		[OUT_VERDICT] = verdict,
		[OUT_STALL_END] = end,
	};
	const struct text_writer *w = (struct text_writer *)writer;

	if (out->kind == OUT_SLOW_BEGIN || out->kind == OUT_SLOW_END)
		return 0; /* the verdict says it all */
	write[out->kind](w, out->incident, out->now_ns);
	return flushed(w->config.out);
}

static int write_transfer(struct writer *writer, const struct life_seen *life, uint64_t now_ns)
{
	const struct text_writer *w = (struct text_writer *)writer;

	(void)now_ns;
	transfer_text(w->config.out, life);
	return flushed(w->config.out);
}

static void live(const struct text_writer *w, const struct brief *live)
{
	struct buffer b = {0};

	add(&b, "live verdict of %s, %s -> %s: %s, %s", live->incident, live->src, live->dst,
	    live->cause, live->place);
	if (*live->moved)
		add(&b, ", after %s", live->moved);
	fputs("  ", w->config.out);
	wrapped(w, 2, 4, b.text);
}

static int write_summary(struct writer *writer, const struct summary *s)
{
	const struct text_writer *w = (struct text_writer *)writer;
	struct buffer b = {0};
	bool lost = false;

	if (w->config.verbose < 0)
		return 0;
	add(&b, "%" PRIu64 " transfer%s, %" PRIu64 " stall%s", s->counts.transfers,
	    plural(s->counts.transfers), s->counts.stalls, plural(s->counts.stalls));
	if (s->counts.stalls)
		add(&b, " (%" PRIu64 " not recovered)", s->counts.unrecovered);
	if (s->counts.slow)
		add(&b, ", %" PRIu64 " slow", s->counts.slow);
	add(&b, ", %" PRIu64 " probe%s sent", s->probes_sent, plural(s->probes_sent));
	if (s->answers_ignored)
		add(&b, ", %" PRIu64 " answer%s ignored that belong to none of them",
		    s->answers_ignored, plural(s->answers_ignored));
	add(&b, "; lost:");
	for (int i = 0; i < s->n_lost; i++) {
		if (!s->lost[i].count)
			continue;
		add(&b, "%s %" PRIu64 " %s", lost ? "," : "", s->lost[i].count, s->lost[i].reason);
		lost = true;
	}
	if (!lost)
		add(&b, " nothing");
	for (int i = 0; i < s->n_remarks; i++)
		add(&b, "%s %s", i ? "," : "; seen incompletely:", s->remarks[i]);
	headline(w, BOLD, "SUMMARY", s->now_ns, &b);
	if (s->live)
		live(w, s->live);
	return flushed(w->config.out);
}

static const struct writer_ops ops = {write_output, write_transfer, write_summary};

int writer_text(const struct writer_config *config, struct writer **ret)
{
	struct text_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->writer.ops = &ops;
	w->config = *config;
	if (config->columns <= 0 || config->columns > COLUMNS_MAX)
		w->config.columns = COLUMNS_MAX;
	*ret = &w->writer;
	return 0;
}
