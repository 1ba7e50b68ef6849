/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The path as a row of boxes, from the host that probed to its peer, with what answered at each hop
 * and the guilty part marked in words as well as in colour. Without probes (a capture): the two
 * ends and what lies between.
 */
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "view/format.h"
#include "view/html_impl.h"

#define FAULT "<span class=\"fault\">the fault is here</span>"

/* May be broken behind a colon, rather than anywhere. */
static void address(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		html_text(out, (const char[]){*p, '\0'});
		if (*p == ':')
			fputs("<wbr>", out);
	}
}

static void node_open(FILE *out, const char *title, const char *what, bool bad)
{
	fprintf(out, "<li class=\"node%s\"><b>", bad ? " bad" : "");
	html_text(out, title);
	fputs("</b>", out);
	address(out, what);
}

static void node_close(FILE *out, bool bad)
{
	fprintf(out, "%s</li>\n", bad ? FAULT : "");
}

/* Where the place is not one: how likely it is here. */
static void share(FILE *out, double confidence)
{
	if (confidence > 0)
		fprintf(out, "<span class=\"share\">%.0f %% here</span>", 100 * confidence);
}

/* open: nobody knows what lies there. likely: as in share(). */
static void link_to_next(FILE *out, bool bad, bool open, double likely)
{
	fprintf(out, "<li class=\"link%s%s%s\">%s", bad ? " bad" : "", open ? " open" : "",
		likely > 0 ? " maybe" : "", bad ? FAULT : "");
	share(out, likely);
	fputs("</li>\n", out);
}

static double end_share(const struct verdict *v, bool sends)
{
	const enum place_kind app = sends ? PLACE_SENDER_APP : PLACE_RECEIVER_APP;
	const enum place_kind host = sends ? PLACE_SENDER_HOST : PLACE_RECEIVER_HOST;
	double sum = 0;

	for (int k = 0; v->where.kind == PLACE_PATH && k < v->n_candidates; k++)
		if (v->candidates[k].kind == app || v->candidates[k].kind == host)
			sum += v->candidates[k].confidence;
	return sum;
}

/* One of the two ends. Whether the fault is there: for node_close(). */
static bool end_node(FILE *out, const struct incident *i, bool local)
{
	const struct endpoint *e = local ? &i->key.local : &i->key.remote;
	const enum place_kind kind = i->verdict.where.kind;
	const bool sends = local == i->local_sends;
	const bool app = kind == (sends ? PLACE_SENDER_APP : PLACE_RECEIVER_APP);
	const bool host = kind == (sends ? PLACE_SENDER_HOST : PLACE_RECEIVER_HOST);
	char text[ENDPOINT_TEXT_LEN];

	node_open(out,
		  app	  ? sends ? "sending program" : "receiving program"
		  : sends ? "sender"
			  : "receiver",
		  endpoint_text(e, text), app || host);
	if (local && !(i->last.flags & SNAP_OFFLINE))
		fputs("<br>this host", out);
	return app || host;
}

static void whole_end(FILE *out, const struct incident *i, bool local)
{
	const bool bad = end_node(out, i, local);

	share(out, end_share(&i->verdict, local == i->local_sends));
	node_close(out, bad);
}

static void tally(FILE *out, const char *name, const struct tally *t)
{
	if (t->sent)
		fprintf(out, "<br>%s %u of %u", name, t->answered, t->sent);
}

static void answers(FILE *out, const struct hop *h)
{
	char rtt[FORMAT_LEN];

	if (h->rtt_us)
		fprintf(out, "<br>%s", format_duration(h->rtt_us * NS_PER_US, rtt));
	tally(out, "in the flow:", &h->probes[PROBE_IN_FLOW]);
	tally(out, "full size:", &h->probes[PROBE_IN_FLOW_FULL]);
	tally(out, "control:", &h->probes[PROBE_CONTROL]);
	if (h->balanced)
		fputs("<br>several routers", out);
}

/* Whether the guilty link is the one between these two neighbours (family 0: unknown address). */
static bool link_is_bad(const struct place *p, const struct ip_addr *a, const struct ip_addr *b)
{
	if (p->kind != PLACE_LINK)
		return false;
	return (p->near.family && (addr_equal(&p->near, a) || addr_equal(&p->near, b)) &&
		(!p->far.family || addr_equal(&p->far, a) || addr_equal(&p->far, b))) ||
	       (!p->near.family && p->far.family &&
		(addr_equal(&p->far, a) || addr_equal(&p->far, b)));
}

static double hop_share(const struct verdict *v, uint8_t ttl)
{
	for (int k = 0; v->where.kind == PLACE_PATH && k < v->n_candidates; k++)
		if (v->candidates[k].kind == PLACE_HOP && v->candidates[k].ttl == ttl)
			return v->candidates[k].confidence;
	return 0;
}

static double link_share(const struct verdict *v, const struct ip_addr *a, const struct ip_addr *b)
{
	for (int k = 0; v->where.kind == PLACE_PATH && k < v->n_candidates; k++)
		if (link_is_bad(&v->candidates[k], a, b))
			return v->candidates[k].confidence;
	return 0;
}

static void probed(FILE *out, const struct incident *i)
{
	const struct verdict *v = &i->verdict;
	const struct ip_addr *last = &i->key.local.addr;
	bool peer = false;

	whole_end(out, i, true);
	for (int k = 0; k < i->n_hops && !peer; k++) {
		const struct hop *h = &i->hops[k];
		const struct ip_addr *address = hop_address(i, h);
		bool bad = hop_is_place(i, h);
		char title[32], addr[ADDR_TEXT_LEN];

		peer = h->is_peer;
		link_to_next(out, link_is_bad(&v->where, last, address), false,
			     link_share(v, last, address));
		if (peer) {
			bad = end_node(out, i, false);
		} else {
			snprintf(title, sizeof(title), "hop %u", h->ttl);
			node_open(out, title,
				  address->family ? addr_text(address, addr) : "no answer", bad);
		}
		answers(out, h);
		share(out, peer ? end_share(v, !i->local_sends) : hop_share(v, h->ttl));
		node_close(out, bad);
		last = address;
	}
	if (peer)
		return;
	link_to_next(out, link_is_bad(&v->where, last, &i->key.remote.addr), true,
		     link_share(v, last, &i->key.remote.addr));
	whole_end(out, i, false);
}

static void captured(FILE *out, const struct incident *i)
{
	static const char *const points[] = {
		[CAPTURED_UNKNOWN] = "captured at an unknown point of it",
		[CAPTURED_NEAR_SRC] = "captured near the sender",
		[CAPTURED_NEAR_DST] = "captured near the receiver",
		[CAPTURED_MIDDLE] = "captured in the middle",
	};
	const enum place_kind kind = i->verdict.where.kind;
	const bool bad = kind == PLACE_PATH || kind == PLACE_HOP || kind == PLACE_LINK;
	char place[PLACE_LEN];

	whole_end(out, i, i->local_sends);
	link_to_next(out, false, true, 0);
	node_open(out, "the path",
		  i->last.flags & SNAP_OFFLINE ? points[i->capture.position] : "not probed", bad);
	if (kind == PLACE_HOP || kind == PLACE_LINK) {
		fputs("<br>", out);
		html_text(out, format_place(&i->verdict.where, i, NULL, place));
	}
	node_close(out, bad);
	link_to_next(out, false, true, 0);
	whole_end(out, i, !i->local_sends);
}

void html_path(FILE *out, const struct incident *i)
{
	fputs("<h2>The path</h2>\n<ol class=\"path\">\n", out);
	if (i->n_hops)
		probed(out, i);
	else
		captured(out, i);
	fputs("</ol>\n", out);
	if (i->n_hops)
		fputs("<p class=\"dim\">How many probes of each kind were answered from there: "
		      "inside the stalled connection, the same in full size, and on a connection "
		      "of their own beside it.</p>\n",
		      out);
}
