/* SPDX-License-Identifier: GPL-2.0-only */
/* A table and a sentence for people, an object a hop and a summary for scripts. */
#include "view/trace.h"

#include <errno.h>
#include <string.h>

#include "base/plural.h"
#include "view/format.h"
#include "view/json_stream.h"

#define CONCLUSION_LEN 320
#define REACH_LEN      88

static const char *hop_text(const struct trace_result *t, int ttl, char *buf, size_t len)
{
	char addr[ADDR_TEXT_LEN];

	if (!t->hops[ttl - 1].address.family)
		snprintf(buf, len, "hop %d", ttl);
	else
		snprintf(buf, len, "hop %d (%s)", ttl, addr_text(&t->hops[ttl - 1].address, addr));
	return buf;
}

/* How far packets of one kind got. */
static const char *reach_text(const struct trace_result *t, enum probe_kind kind, char *buf,
			      size_t len)
{
	if (t->reached[kind])
		snprintf(buf, len, "reach the peer");
	else if (!t->frontier[kind])
		snprintf(buf, len, "get no answer from anybody");
	else {
		char hop[ADDR_TEXT_LEN + 24];

		snprintf(buf, len, "get no further than %s",
			 hop_text(t, t->frontier[kind], hop, sizeof(hop)));
	}
	return buf;
}

/* Where packets of this connection and of a new one part. */
static const char *conclusion(const struct trace_result *t, char buf[CONCLUSION_LEN])
{
	const int own = t->frontier[PROBE_IN_FLOW], fresh = t->frontier[PROBE_CONTROL];
	char reach[2][REACH_LEN], hop[ADDR_TEXT_LEN + 24], addr[ADDR_TEXT_LEN];

	reach_text(t, PROBE_IN_FLOW, reach[0], sizeof(reach[0]));
	reach_text(t, PROBE_CONTROL, reach[1], sizeof(reach[1]));
	if (!t->in_flow)
		snprintf(buf, CONCLUSION_LEN, "packets of a new connection %s", reach[1]);
	else if (t->reached[PROBE_IN_FLOW] && t->reached[PROBE_CONTROL])
		snprintf(buf, CONCLUSION_LEN,
			 "packets of this connection and of a new one reach the peer");
	else if (own && fresh > own && !t->reached[PROBE_IN_FLOW])
		snprintf(buf, CONCLUSION_LEN,
			 "packets of a new connection %s, those of this one are lost at %s or "
			 "right behind it",
			 reach[1], hop_text(t, own, hop, sizeof(hop)));
	else if (own == fresh && t->reached[PROBE_IN_FLOW] == t->reached[PROBE_CONTROL])
		snprintf(buf, CONCLUSION_LEN, "packets of this connection and of a new one %s",
			 reach[0]);
	else
		snprintf(buf, CONCLUSION_LEN,
			 "packets of this connection %s, those of a new one %s", reach[0],
			 reach[1]);
	if (t->unreachable.family)
		snprintf(buf + strlen(buf), CONCLUSION_LEN - strlen(buf),
			 "; %s says that the peer cannot be reached",
			 addr_text(&t->unreachable, addr));
	return buf;
}

static void tally_text(const struct tally *t, char buf[FORMAT_LEN])
{
	snprintf(buf, FORMAT_LEN, "%u/%u", t->answered, t->sent);
}

static void hop_line(const struct trace_view *v, const struct trace_result *t, const struct hop *h)
{
	char addr[ADDR_TEXT_LEN], name[HOST_NAME] = "", rtt[FORMAT_LEN] = "-";
	char own[FORMAT_LEN] = "", fresh[FORMAT_LEN];

	if (h->rtt_us)
		snprintf(rtt, sizeof(rtt), "%.3f", (double)h->rtt_us / 1000);
	if (h->address.family)
		names_get(v->names, &h->address, name);
	if (t->in_flow)
		tally_text(&h->probes[PROBE_IN_FLOW], own);
	tally_text(&h->probes[PROBE_CONTROL], fresh);
	fprintf(v->out, "%3u  %-24s %9s  ", h->ttl,
		h->address.family ? addr_text(&h->address, addr) : "*", rtt);
	if (t->in_flow)
		fprintf(v->out, "%10s  ", own);
	fprintf(v->out, "%10s%s%s%s%s\n", fresh, *name ? "  " : "", name,
		h->balanced ? "  and others" : "", h->is_peer ? "  peer" : "");
}

int trace_text(const struct trace_view *v, const struct trace_result *t)
{
	char local[ENDPOINT_TEXT_LEN], remote[ENDPOINT_TEXT_LEN], text[CONCLUSION_LEN];

	if (t->in_flow)
		fprintf(v->out, "%s -> ", endpoint_text(&t->key.local, local));
	fprintf(v->out, "%s\n", endpoint_text(&t->key.remote, remote));
	fprintf(v->out, "ttl  %-24s %9s  %s%10s\n", "address", "rtt ms",
		t->in_flow ? "   in flow  " : "", "new conn.");
	for (int i = 0; i < t->n_hops; i++)
		hop_line(v, t, &t->hops[i]);
	fprintf(v->out, "%s\n", conclusion(t, text));
	if (t->not_sent)
		fprintf(v->out, "%llu probe%s could not be sent: %s\n",
			(unsigned long long)t->not_sent, plural(t->not_sent), strerror(t->error));
	if (fflush(v->out) || ferror(v->out))
		return errno ? -errno : -EIO;
	return 0;
}

static void json_begin(const struct trace_view *v, const struct trace_result *t, struct jsonw *j,
		       const char *type)
{
	char ts[FORMAT_LEN + 8];

	jsonw_open(j, NULL);
	jsonw_u64(j, "v", 1);
	jsonw_string(j, "type", type);
	jsonw_string(j, "ts", format_time_ns(t->done_ns, v->wall_offset_ns, ts));
	jsonw_u64(j, "mono_ns", t->done_ns);
	jsonw_string(j, "host", v->host);
}

static void json_tally(struct jsonw *j, const char *key, const struct tally *t)
{
	jsonw_open(j, key);
	jsonw_u64(j, "sent", t->sent);
	jsonw_u64(j, "answered", t->answered);
	jsonw_close(j);
}

static void json_address(struct jsonw *j, const char *key, const struct ip_addr *a)
{
	char text[ADDR_TEXT_LEN];

	jsonw_string(j, key, a->family ? addr_text(a, text) : NULL);
}

static int json_hop(const struct trace_view *v, const struct trace_result *t, const struct hop *h)
{
	struct jsonw j = {.out = v->out};
	char name[HOST_NAME] = "";

	if (h->address.family)
		names_get(v->names, &h->address, name);
	json_begin(v, t, &j, "hop");
	jsonw_u64(&j, "ttl", h->ttl);
	json_address(&j, "address", &h->address);
	jsonw_string(&j, "name", *name ? name : NULL);
	jsonw_known(&j, "rtt_us", h->rtt_us);
	jsonw_bool(&j, "peer", h->is_peer);
	jsonw_bool(&j, "balanced", h->balanced);
	if (t->in_flow)
		json_tally(&j, "in_flow", &h->probes[PROBE_IN_FLOW]);
	json_tally(&j, "control", &h->probes[PROBE_CONTROL]);
	jsonw_close(&j);
	return jsonw_line_end(&j);
}

int trace_json(const struct trace_view *v, const struct trace_result *t)
{
	struct jsonw j = {.out = v->out};
	char text[CONCLUSION_LEN];
	int r = 0;

	for (int i = 0; i < t->n_hops && !r; i++)
		r = json_hop(v, t, &t->hops[i]);
	if (r)
		return r;
	json_begin(v, t, &j, "summary");
	json_address(&j, "src", &t->key.local.addr);
	jsonw_known(&j, "src_port", t->key.local.port);
	json_address(&j, "dst", &t->key.remote.addr);
	jsonw_u64(&j, "dst_port", t->key.remote.port);
	jsonw_u64(&j, "hops", (uint64_t)t->n_hops);
	jsonw_u64(&j, "probes_sent", t->sent);
	jsonw_u64(&j, "probes_not_sent", t->not_sent);
	if (t->in_flow) {
		jsonw_bool(&j, "in_flow_reached", t->reached[PROBE_IN_FLOW]);
		jsonw_known(&j, "in_flow_frontier", (uint64_t)t->frontier[PROBE_IN_FLOW]);
	}
	jsonw_bool(&j, "control_reached", t->reached[PROBE_CONTROL]);
	jsonw_known(&j, "control_frontier", (uint64_t)t->frontier[PROBE_CONTROL]);
	json_address(&j, "unreachable_from", &t->unreachable);
	jsonw_string(&j, "conclusion", conclusion(t, text));
	jsonw_close(&j);
	return jsonw_line_end(&j);
}
