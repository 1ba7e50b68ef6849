/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/format.h"
#include "view/json_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "base/utf8.h"

static void quoted(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	putc('"', out);
	while (*p) {
		int len = utf8_len((const char *)p);

		if (!len) {
			fputs("\xef\xbf\xbd", out);
			p++;
			continue;
		}
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p == '\n')
			fputs("\\n", out);
		else if (*p == '\t')
			fputs("\\t", out);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(out, "\\u%04x", *p);
		else
			fwrite(p, 1, (size_t)len, out);
		p += len;
	}
	putc('"', out);
}

static void next(struct jsonw *j, const char *key)
{
	if (j->comma)
		putc(',', j->out);
	j->comma = true;
	if (key) {
		quoted(j->out, key);
		putc(':', j->out);
	}
}

static void open_with(struct jsonw *j, const char *key, char bracket)
{
	next(j, key);
	putc(bracket, j->out);
	j->comma = false;
}

static void close_with(struct jsonw *j, char bracket)
{
	putc(bracket, j->out);
	j->comma = true;
}

void jsonw_open(struct jsonw *j, const char *key)
{
	open_with(j, key, '{');
}

void jsonw_close(struct jsonw *j)
{
	close_with(j, '}');
}

void jsonw_list_open(struct jsonw *j, const char *key)
{
	open_with(j, key, '[');
}

void jsonw_list_close(struct jsonw *j)
{
	close_with(j, ']');
}

void jsonw_null(struct jsonw *j, const char *key)
{
	next(j, key);
	fputs("null", j->out);
}

void jsonw_raw(struct jsonw *j, const char *key, const char *json)
{
	next(j, key);
	fputs(json, j->out);
}

void jsonw_string(struct jsonw *j, const char *key, const char *value)
{
	if (!value) {
		jsonw_null(j, key);
		return;
	}
	next(j, key);
	quoted(j->out, value);
}

void jsonw_u64(struct jsonw *j, const char *key, uint64_t value)
{
	next(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void jsonw_known(struct jsonw *j, const char *key, uint64_t value)
{
	if (value)
		jsonw_u64(j, key, value);
	else
		jsonw_null(j, key);
}

void jsonw_real(struct jsonw *j, const char *key, double value)
{
	if (!isfinite(value)) {
		jsonw_null(j, key);
		return;
	}
	next(j, key);
	fprintf(j->out, "%.4g", value);
}

void jsonw_bool(struct jsonw *j, const char *key, bool value)
{
	next(j, key);
	fputs(value ? "true" : "false", j->out);
}

void jsonw_line_open(struct jsonw *j, const char *type, uint64_t now_ns, int64_t wall_offset_ns,
		     const char *host)
{
	char ts[FORMAT_LEN];

	jsonw_open(j, NULL);
	jsonw_u64(j, "v", 1);
	jsonw_string(j, "type", type);
	jsonw_string(j, "ts", format_time_ns(now_ns, wall_offset_ns, ts));
	jsonw_u64(j, "mono_ns", now_ns);
	jsonw_string(j, "host", host);
}

int jsonw_line_end(struct jsonw *j)
{
	j->comma = false;
	errno = 0;
	putc('\n', j->out);
	if (fflush(j->out) || ferror(j->out))
		return errno ? -errno : -EIO;
	return 0;
}
