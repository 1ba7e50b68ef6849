/* SPDX-License-Identifier: GPL-2.0-only */
#include "docs.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "version.h"

#define WIDTH 78

static void escaped(FILE *to, char c)
{
	static const char *const names[] = {
		['\\'] = "\\e",	 ['-'] = "\\-",	  ['\''] = "\\(aq",
		['^'] = "\\(ha", ['~'] = "\\(ti", ['"'] = "\\(dq",
	};

	if ((size_t)c < sizeof(names) / sizeof(names[0]) && names[(size_t)c])
		fputs(names[(size_t)c], to);
	else
		putc(c, to);
}

static void piece(FILE *to, const char *text, size_t len, bool *bold)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '`') {
			*bold = !*bold;
			fputs(*bold ? "\\fB" : "\\fR", to);
		} else {
			escaped(to, text[i]);
		}
	}
}

void roff_word(FILE *to, const char *word)
{
	bool bold = false;

	piece(to, word, strlen(word), &bold);
}

/* How many bytes piece() writes at most. */
static size_t room(const char *text, size_t len)
{
	size_t ret = 0;

	for (size_t i = 0; i < len; i++)
		ret += isalnum((unsigned char)text[i]) ? 1 : strchr(",.;:()/", text[i]) ? 1 : 4;
	return ret;
}

/* A full stop after a letter or a digit; the last of "e.g." has another two letters before. */
static bool ends_sentence(const char *text, size_t len)
{
	return len > 1 && strchr(".?!", text[len - 1]) && !(len > 3 && text[len - 3] == '.');
}

void roff_text(FILE *to, const char *text)
{
	size_t column = 0, len;
	bool bold = false, ended = false;

	for (; *text; text += len) {
		const size_t blanks = strspn(text, " \n");

		if (blanks > 1 && text[0] == '\n' && text[1] == '\n' && text[blanks]) {
			fputs(column ? "\n.PP\n" : ".PP\n", to);
			column = 0;
		}
		text += blanks;
		len = strcspn(text, " \n");
		if (!len)
			break;
		if (column && (ended || column + 1 + room(text, len) > WIDTH)) {
			putc('\n', to);
			column = 0;
		}
		if (column)
			putc(' ', to);
		else if (*text == '.')
			fputs("\\&", to);
		piece(to, text, len, &bold);
		column += room(text, len) + 1;
		ended = ends_sentence(text, len);
	}
	putc('\n', to);
}

void roff_item(FILE *to, const char *term, const char *value, const char *text)
{
	fputs(".TP\n\\fB", to);
	roff_word(to, term);
	fputs("\\fR", to);
	if (*value) {
		fputs("\\fI", to);
		roff_word(to, value);
		fputs("\\fR", to);
	}
	putc('\n', to);
	roff_text(to, text);
}

void roff_begin(FILE *to, const char *name, int section, const char *summary)
{
	fputs(".\\\" SPDX-License-Identifier: GPL-2.0-only\n.TH ", to);
	for (const char *p = name; *p; p++)
		escaped(to, (char)toupper((unsigned char)*p));
	fprintf(to, " %d %s \"tcpstall %s\"\n.SH NAME\n", section, TCPSTALL_RELEASED,
		TCPSTALL_VERSION);
	roff_word(to, name);
	fputs(" \\- ", to);
	roff_word(to, summary);
	putc('\n', to);
}
