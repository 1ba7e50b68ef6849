/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of the HTML report; for nobody else. */
#ifndef TCPSTALL_VIEW_HTML_IMPL_H
#define TCPSTALL_VIEW_HTML_IMPL_H

#include "view/html.h"

extern const char html_head[], html_script[];

/* Escaped for element content and quoted attributes alike. */
void html_text(FILE *out, const char *text);

void html_path(FILE *out, const struct incident *incident);
void html_plots(FILE *out, const struct html_report *report);

#endif
