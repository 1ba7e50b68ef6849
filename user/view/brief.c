/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/brief.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "view/format.h"

static const char *percent(double confidence, char buf[FORMAT_LEN])
{
	if (!isfinite(confidence))
		snprintf(buf, FORMAT_LEN, "unknown");
	else
		snprintf(buf, FORMAT_LEN, confidence > 0.995 ? "over 99 %%" : "%.0f %%",
			 100 * confidence);
	return buf;
}

static void sentence(FILE *out, const struct incident *i)
{
	const struct cause_info *cause = cause_info(i->verdict.cause);
	const uint64_t end_ns = i->ended_ns ? i->ended_ns : i->begun_ns;
	char src[ENDPOINT_TEXT_LEN], dst[ENDPOINT_TEXT_LEN], how[FORMAT_LEN], place[PLACE_LEN];
	char detail[2 * DETAIL_TEXT];

	fprintf(out, "The transfer from %s to %s %s %s", endpoint_text(incident_src(i), src),
		endpoint_text(incident_dst(i), dst), i->slow ? "crawled for" : "stood still for",
		format_duration(end_ns > i->last_progress_ns ? end_ns - i->last_progress_ns : 0,
				how));
	fprintf(out, ": %s", cause->title);
	if (i->verdict.where.kind != PLACE_UNKNOWN)
		fprintf(out, ", %s", format_place(&i->verdict.where, i, NULL, place));
	if (*i->verdict.detail)
		fprintf(out, " (%s)", utf8_clean(i->verdict.detail, false, detail, sizeof(detail)));
	fputs(".", out);
}

static int closed(FILE *out, char **text, char **ret)
{
	int bad = ferror(out);

	if (fclose(out) || bad) {
		free(*text);
		return -ENOMEM;
	}
	*ret = *text;
	return 0;
}

int brief_sentence(const struct incident *i, char **ret)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -ENOMEM;
	sentence(out, i);
	return closed(out, &text, ret);
}

static void times(FILE *out, const struct incident *i, int64_t offset_ns)
{
	char time[FORMAT_LEN];

	fprintf(out, "%s: %s\n", i->slow ? "begin" : "last progress",
		format_time_ns(i->last_progress_ns, offset_ns, time));
	if (!i->slow)
		fprintf(out, "confirmed: %s\n", format_time_ns(i->begun_ns, offset_ns, time));
	if (i->ended_ns)
		fprintf(out, "end: %s%s%s\n", format_time_ns(i->ended_ns, offset_ns, time),
			i->slow ? "" : ", ", i->slow ? "" : outcome_id(i->outcome));
}

int brief_text(const struct incident *i, const char *file, int64_t wall_offset_ns, char **ret)
{
	const struct verdict *v = &i->verdict;
	const struct capture_seen *c = &i->capture;
	char one[FORMAT_LEN], place[PLACE_LEN], *text = NULL;
	char clean[4 * ADVICE_TEXT];
	size_t len;
	FILE *out = open_memstream(&text, &len);
	const char *comm;
	uint32_t pid;

	if (!out)
		return -ENOMEM;
	sentence(out, i);
	fprintf(out, "\nincident: %s\n", i->id);
	fprintf(out, "cause: %s, %s\n", cause_info(v->cause)->id,
		percent(v->cause_confidence, one));
	fprintf(out, "place: %s", format_place(&v->where, i, NULL, place));
	if (v->where.kind != PLACE_PATH && v->where.kind != PLACE_UNKNOWN)
		fprintf(out, ", %s", percent(v->where.confidence, one));
	putc('\n', out);
	times(out, i, wall_offset_ns);
	fprintf(out, "moved before: %s\n",
		format_bytes(i->local_sends ? i->last.snd.bytes : i->last.rcv.bytes, one));
	if (incident_process(i, &pid, &comm))
		fprintf(out, "process: %s[%" PRIu32 "]\n",
			utf8_clean(comm, false, clean, sizeof(clean)), pid);
	if (file)
		fprintf(out, "capture: %s, frames %" PRIu64 " to %" PRIu64 ", captured %s\n",
			utf8_clean(file, false, clean, sizeof(clean)), c->first_frame,
			c->last_frame,
			c->position == CAPTURED_UNKNOWN ? "at an unknown point"
							: position_id(c->position));
	for (int k = 0; k < v->n_evidence; k++)
		fprintf(out, "evidence: %+.1f %s: %s\n",
			isfinite(v->evidence[k].weight) ? v->evidence[k].weight : 0,
			v->evidence[k].id,
			utf8_clean(v->evidence[k].text, false, clean, sizeof(clean)));
	if (*v->advice)
		fprintf(out, "what to do: %s\n",
			utf8_clean(v->advice, false, clean, sizeof(clean)));
	return closed(out, &text, ret);
}

/* The rest of the line that begins with this label. */
static bool line_of(const char *comment, const char *label, char *ret, size_t len)
{
	const size_t label_len = strlen(label);
	const char *line = comment;
	char raw[PLACE_LEN];

	while (strncmp(line, label, label_len) != 0) {
		line = strchr(line, '\n');
		if (!line)
			return false;
		line++;
	}
	line += label_len;
	snprintf(raw, sizeof(raw), "%.*s", (int)strcspn(line, "\n"), line);
	return *utf8_clean(raw, false, ret, len);
}

/* "hop 1 192.0.2.1, over 99 %" -> "hop 1 192.0.2.1" */
static void without_percent(char *text)
{
	const size_t len = strlen(text);
	char *comma = strrchr(text, ',');

	if (comma && text[len - 1] == '%')
		*comma = '\0';
}

bool brief_read(const char *comment, struct brief *ret)
{
	struct brief b = {0};
	char flow[2 * ENDPOINT_TEXT_LEN], *to;

	if (!line_of(comment, "The transfer from ", flow, sizeof(flow)) ||
	    !line_of(comment, "incident: ", b.incident, sizeof(b.incident)) ||
	    !line_of(comment, "cause: ", b.cause, sizeof(b.cause)) ||
	    !line_of(comment, "place: ", b.place, sizeof(b.place)))
		return false;
	to = strstr(flow, " to ");
	if (!to)
		return false;
	snprintf(b.src, sizeof(b.src), "%.*s", (int)(to - flow), flow);
	to += strlen(" to ");
	snprintf(b.dst, sizeof(b.dst), "%.*s", (int)strcspn(to, " "), to);
	line_of(comment, "moved before: ", b.moved, sizeof(b.moved));
	without_percent(b.cause);
	without_percent(b.place);
	*ret = b;
	return true;
}
