/* SPDX-License-Identifier: GPL-2.0-only */
#include "alert/message.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "view/format.h"
#include "view/json_stream.h"

static const char *severity_word(enum cause cause)
{
	static const char *const words[] = {"info", "warning", "error"};

	return words[cause_info(cause)->severity];
}

static void write_address(struct jsonw *j, const char *key, const struct ip_addr *a)
{
	char buf[ADDR_TEXT_LEN];

	jsonw_string(j, key, a && a->family ? addr_text(a, buf) : NULL);
}

static void write_time(struct jsonw *j, const char *key, const struct message *m, uint64_t at_ns)
{
	char buf[FORMAT_LEN];

	jsonw_string(j, key, format_time_ns(at_ns, m->wall_offset_ns, buf));
}

/* What is said first: "3 transfers stall at hop 2 (192.0.2.1): one hop drops ..." */
static void write_line(const struct message *m, FILE *to)
{
	const struct alert *a = &m->alert;
	char lasted[FORMAT_LEN];

	if (a->kind == ALERT_TEST)
		fputs("test: ", to);
	if (a->kind == ALERT_END) {
		fprintf(to, "%s: %s %s, after %s%s", a->lost_sight ? "no longer seen" : "over",
			cause_info(a->trouble.cause)->id, a->place,
			format_duration(a->now_ns - a->begun_ns, lasted),
			a->lost_sight ? " and a restart of tcpstall" : "");
		return;
	}
	fprintf(to, "%s %s: %s; ", cause_info(a->trouble.cause)->id, a->place,
		cause_info(a->trouble.cause)->title);
	if (a->stalls > 1)
		fprintf(to, "%" PRIu32 " transfers, the latest %s", a->stalls, a->flow);
	else
		fputs(a->flow, to);
	if (a->unsaid)
		fprintf(to, " (%" PRIu64 " other alert%s not told: too many)", a->unsaid,
			a->unsaid == 1 ? " was" : "s were");
}

static void write_text(const struct message *m, FILE *to)
{
	const struct alert *a = &m->alert;
	char time[FORMAT_LEN];

	fprintf(to, "%s\n\n", m->line);
	fprintf(to, "host        %s\n", m->host);
	if (*a->watch)
		fprintf(to, "watch       %s\n", a->watch);
	fprintf(to, "since       %s\n", format_time(a->begun_ns, m->wall_offset_ns, time));
	fprintf(to, "transfer    %s\n", a->flow);
	fprintf(to, "stalled     %" PRIu32 " now, %" PRIu64 " in all\n", a->stalls, a->total);
	fprintf(to, "cause       %s, %.0f %%%s%s\n", cause_info(a->trouble.cause)->id,
		100 * a->cause_confidence, *a->detail ? ": " : "", a->detail);
	fprintf(to, "place       %s, %.0f %%\n", a->place, 100 * a->confidence);
	for (int i = 0; i < a->n_incidents; i++)
		fprintf(to, "%s%s\n", i ? "            " : "incident    ", a->incidents[i]);
	if (*a->advice && a->kind != ALERT_END)
		fprintf(to, "\n%s\n", a->advice);
}

static void write_json(const struct message *m, FILE *to)
{
	const struct alert *a = &m->alert;
	const struct trouble *t = &a->trouble;
	const bool between = t->kind == PLACE_PATH || t->kind == PLACE_UNKNOWN;
	struct jsonw j = {.out = to};

	jsonw_open(&j, NULL);
	jsonw_u64(&j, "v", 1);
	jsonw_string(&j, "type", alert_kind_id(a->kind));
	write_time(&j, "ts", m, a->now_ns);
	jsonw_u64(&j, "mono_ns", a->now_ns);
	jsonw_string(&j, "host", m->host);
	jsonw_string(&j, "alert", a->id);
	jsonw_string(&j, "watch", *a->watch ? a->watch : NULL);
	jsonw_string(&j, "severity", severity_word(t->cause));
	jsonw_string(&j, "text", m->line);
	write_time(&j, "since", m, a->begun_ns);
	jsonw_string(&j, "cause", cause_info(t->cause)->id);
	jsonw_real(&j, "cause_confidence", a->cause_confidence);
	jsonw_string(&j, "detail", *a->detail ? a->detail : NULL);
	jsonw_open(&j, "where");
	jsonw_string(&j, "kind", place_kind_id(t->kind));
	jsonw_known(&j, "ttl", t->ttl);
	/* Of a trouble somewhere between it is the peer's, to tell it from others. */
	write_address(&j, "address", between ? NULL : &t->address);
	write_address(&j, "near", &t->near);
	write_address(&j, "far", &t->far);
	jsonw_string(&j, "side", side_id(a->side));
	jsonw_real(&j, "confidence", a->confidence);
	jsonw_close(&j);
	jsonw_string(&j, "transfer", a->flow);
	jsonw_u64(&j, "stalls", a->stalls);
	jsonw_u64(&j, "stalls_total", a->total);
	jsonw_u64(&j, "alerts_unsaid", a->unsaid);
	jsonw_bool(&j, "lost_sight", a->lost_sight);
	jsonw_list_open(&j, "incidents");
	for (int i = 0; i < a->n_incidents; i++)
		jsonw_string(&j, NULL, a->incidents[i]);
	jsonw_list_close(&j);
	jsonw_string(&j, "advice", *a->advice ? a->advice : NULL);
	jsonw_close(&j);
	jsonw_line_end(&j);
}

/* malloc()ed text of what `write` writes. */
static char *rendered(const struct message *m, void (*write)(const struct message *, FILE *))
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	write(m, to);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

/* Names that processes chose are among it. */
static char *clean(char *raw, bool lines)
{
	const size_t len = raw ? 4 * strlen(raw) + 1 : 0;
	char *text = raw ? malloc(len) : NULL;

	if (text)
		utf8_clean(raw, lines, text, len);
	free(raw);
	return text;
}

struct message *message_new(const struct alert *alert, const char *host, int64_t wall_offset_ns)
{
	struct message *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->alert = *alert;
	m->made_ns = alert->now_ns;
	m->wall_offset_ns = wall_offset_ns;
	snprintf(m->host, sizeof(m->host), "%s", host);
	m->line = clean(rendered(m, write_line), false);
	m->text = m->line ? clean(rendered(m, write_text), true) : NULL;
	m->json = m->line ? rendered(m, write_json) : NULL;
	if (m->line && m->text && m->json)
		return m;
	message_free(m);
	return NULL;
}

void message_free(struct message *m)
{
	if (!m)
		return;
	free(m->line);
	free(m->text);
	free(m->json);
	free(m);
}

/* What identifies an alert to Alertmanager must not change while it lasts. */
static void write_labels(struct jsonw *j, const struct message *m, const struct trouble *t)
{
	char where[2 * ADDR_TEXT_LEN + 8], near[ADDR_TEXT_LEN], far[ADDR_TEXT_LEN];

	if (t->kind == PLACE_LINK)
		snprintf(where, sizeof(where), "%s - %s", addr_text(&t->near, near),
			 addr_text(&t->far, far));
	else
		snprintf(where, sizeof(where), "%s",
			 t->address.family ? addr_text(&t->address, near) : "");
	jsonw_open(j, "labels");
	jsonw_string(j, "alertname", m->alert.kind == ALERT_TEST ? "TcpStallTest" : "TcpStall");
	jsonw_string(j, "instance", m->host);
	jsonw_string(j, "severity", severity_word(t->cause));
	jsonw_string(j, "cause", cause_info(t->cause)->id);
	jsonw_string(j, "place", place_kind_id(t->kind));
	jsonw_string(j, "address", where);
	if (*m->alert.watch)
		jsonw_string(j, "watch", m->alert.watch);
	jsonw_close(j);
}

static void write_posted(struct jsonw *j, const struct message *m, const struct trouble *t,
			 bool over)
{
	const struct alert *a = &m->alert;
	char incidents[ALERT_INCIDENTS * (INCIDENT_ID + 1)] = "";

	for (int i = 0; i < a->n_incidents; i++)
		snprintf(incidents + strlen(incidents), sizeof(incidents) - strlen(incidents),
			 "%s%s", i ? " " : "", a->incidents[i]);
	jsonw_open(j, NULL);
	write_labels(j, m, t);
	jsonw_open(j, "annotations");
	jsonw_string(j, "summary", m->line);
	jsonw_string(j, "description", m->text);
	jsonw_string(j, "advice", a->advice);
	jsonw_string(j, "incidents", incidents);
	jsonw_close(j);
	write_time(j, "startsAt", m, a->begun_ns);
	if (over)
		write_time(j, "endsAt", m, a->now_ns);
	jsonw_close(j);
}

static bool same_trouble(const struct trouble *a, const struct trouble *b)
{
	return a->cause == b->cause && a->kind == b->kind && addr_equal(&a->address, &b->address) &&
	       addr_equal(&a->near, &b->near) && addr_equal(&a->far, &b->far);
}

static void write_alertmanager(const struct message *m, FILE *to)
{
	const struct alert *a = &m->alert;
	struct jsonw j = {.out = to};

	jsonw_list_open(&j, NULL);
	if (!same_trouble(&a->was, &a->trouble)) /* it is known by other labels from now on */
		write_posted(&j, m, &a->was, true);
	write_posted(&j, m, &a->trouble, a->kind == ALERT_END);
	jsonw_list_close(&j);
}

char *message_alertmanager(const struct message *m)
{
	return rendered(m, write_alertmanager);
}

char *message_mail(const struct message *m, const char *to, const char *from)
{
	const time_t now = (time_t)((m->alert.now_ns + (uint64_t)m->wall_offset_ns) / NS_PER_S);
	char *mail = NULL, date[64];
	struct tm tm;
	size_t len;
	FILE *out = open_memstream(&mail, &len);

	if (!out)
		return NULL;
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	if (*from)
		fprintf(out, "From: %s\n", from);
	/* RFC 5322 2.1.1: a line has at most 998 characters; RFC 3834 5: nobody is to answer */
	fprintf(out,
		"To: %s\nDate: %s\nSubject: tcpstall on %s: %.200s\nAuto-Submitted: "
		"auto-generated\n"
		"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
		"Content-Transfer-Encoding: 8bit\n\n%s",
		to, date, m->host, m->line, m->text);
	if (fclose(out)) {
		free(mail);
		return NULL;
	}
	return mail;
}

void message_test_alert(struct alert *ret)
{
	*ret = (struct alert){
		.kind = ALERT_TEST,
		.id = "19700101T000000-0000",
		.place = "nowhere",
		.flow = "192.0.2.1:1 -> 192.0.2.2:2",
		.advice = "Nothing is wrong: somebody tried whether alerts arrive.",
		.begun_ns = mono_ns(),
		.now_ns = mono_ns(),
		.n_incidents = 0,
	};
	ret->was = ret->trouble;
}
