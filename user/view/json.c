/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Results as NDJSON. Keys, their order and their units are public: people script against them.
 * Every line stands by itself: a verdict repeats what stall_begin said, stall_end repeats both.
 */
#include "view/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "view/format.h"
#include "view/json_stream.h"
#include "view/writer_impl.h"

struct json_writer {
	struct writer writer;
	struct writer_config config;
};

static void addr(struct json *j, const char *key, const struct ip_addr *a)
{
	char buf[ADDR_TEXT_LEN];

	json_string(j, key, a->family ? addr_text(a, buf) : NULL);
}

static void line_open(struct json *j, const struct writer_config *c, const char *type,
		      uint64_t now_ns)
{
	char ts[FORMAT_LEN];

	json_open(j, NULL);
	json_u64(j, "v", 1);
	json_string(j, "type", type);
	json_string(j, "ts", format_time_ns(now_ns, c->wall_offset_ns, ts));
	json_u64(j, "mono_ns", now_ns);
	json_string(j, "host", c->host);
}

static void flow(struct json *j, const struct incident *i, uint64_t now_ns)
{
	const struct endpoint *src = incident_src(i), *dst = incident_dst(i);
	const struct flow_snapshot *s = &i->last;
	char id[FORMAT_LEN];
	const char *comm;
	uint32_t pid;
	bool known = incident_process(i, &pid, &comm);

	snprintf(id, sizeof(id), "%x-%llx", i->key.netns, (unsigned long long)i->key.cookie);
	json_open(j, "flow");
	json_string(j, "id", id);
	json_string(j, "family", src->addr.family == AF_INET6 ? "ipv6" : "ipv4");
	addr(j, "src", &src->addr);
	json_u64(j, "src_port", src->port);
	addr(j, "dst", &dst->addr);
	json_u64(j, "dst_port", dst->port);
	json_string(j, "local", s->flags & SNAP_OFFLINE ? "none" : i->local_sends ? "src" : "dst");
	json_known(j, "netns", i->key.netns);
	json_known(j, "pid", known ? pid : 0);
	json_string(j, "comm", known && *comm ? comm : NULL);
	json_u64(j, "bytes", i->local_sends ? s->snd.bytes : s->rcv.bytes);
	if (s->born_ns && s->born_ns <= now_ns)
		json_u64(j, "age_ns", now_ns - s->born_ns);
	else
		json_null(j, "age_ns");
	json_u64(j, "rate_bps", i->rate_bps);
	json_close(j);
}

/* The socket on this host, whichever direction stalls. */
static void tcp(struct json *j, const struct flow_snapshot *s)
{
	json_open(j, "tcp");
	json_string(j, "state", tcp_state_name(s->state));
	json_u64(j, "unacked_bytes", s->snd_nxt - s->snd_una);
	json_u64(j, "notsent_bytes", s->write_seq - s->snd_nxt);
	json_u64(j, "snd_wnd", s->snd_wnd);
	json_known(j, "rto_us", s->rto_us);
	json_u64(j, "backoff", s->backoff);
	json_u64(j, "retrans", s->retrans);
	json_known(j, "rtt_us", s->rtt_us);
	json_known(j, "mss", s->mss);
	json_known(j, "pmtu", s->pmtu);
	json_close(j);
}

/* The hardware address is known of the next hop only. */
static void mac(struct json *j, const struct place *p, const struct route_seen *r)
{
	static const uint8_t none[6];
	char buf[FORMAT_LEN];

	if (!p->address.family || !addr_equal(&p->address, &r->gateway) ||
	    !memcmp(r->lladdr, none, sizeof(none))) {
		json_null(j, "mac");
		return;
	}
	snprintf(buf, sizeof(buf), "%02x:%02x:%02x:%02x:%02x:%02x", r->lladdr[0], r->lladdr[1],
		 r->lladdr[2], r->lladdr[3], r->lladdr[4], r->lladdr[5]);
	json_string(j, "mac", buf);
}

static void candidate(struct json *j, const struct place *p)
{
	json_open(j, NULL);
	json_string(j, "kind", place_kind_id(p->kind));
	json_known(j, "ttl", p->ttl);
	addr(j, "address", &p->address);
	if (p->kind == PLACE_LINK) {
		addr(j, "near", &p->near);
		addr(j, "far", &p->far);
	}
	json_real(j, "confidence", p->confidence);
	json_close(j);
}

static void where(struct json *j, const struct incident *i)
{
	const struct verdict *v = &i->verdict;
	const struct place *p = &v->where;

	json_open(j, "where");
	json_string(j, "kind", place_kind_id(p->kind));
	json_known(j, "ttl", p->ttl);
	addr(j, "address", &p->address);
	json_null(j, "name"); /* only text on a terminal waits for names */
	mac(j, p, &i->route);
	addr(j, "near", &p->near);
	addr(j, "far", &p->far);
	json_real(j, "confidence", p->confidence);
	json_list_open(j, "candidates");
	for (int k = 0; k < v->n_candidates; k++)
		candidate(j, &v->candidates[k]);
	json_list_close(j);
	json_close(j);
}

static void tally(struct json *j, const char *key, const struct tally *t)
{
	json_open(j, key);
	json_u64(j, "sent", t->sent);
	json_u64(j, "answered", t->answered);
	json_close(j);
}

static void hops(struct json *j, const struct incident *i)
{
	json_list_open(j, "hops");
	for (int k = 0; k < i->n_hops; k++) {
		const struct hop *h = &i->hops[k];

		json_open(j, NULL);
		json_u64(j, "ttl", h->ttl);
		addr(j, "address", &h->address);
		json_known(j, "rtt_us", h->rtt_us);
		tally(j, "in_flow", &h->probes[PROBE_IN_FLOW]);
		tally(j, "control", &h->probes[PROBE_CONTROL]);
		tally(j, "in_flow_full_size", &h->probes[PROBE_IN_FLOW_FULL]);
		json_bool(j, "peer", h->is_peer);
		json_bool(j, "balanced", h->balanced);
		json_close(j);
	}
	json_list_close(j);
}

static void witnesses(struct json *j, const struct incident *i)
{
	json_list_open(j, "witnesses");
	for (int k = 0; k < i->n_witnesses; k++) {
		const struct witness *w = &i->witnesses[k];
		const struct endpoint *src = w->sends ? &w->key.local : &w->key.remote;
		const struct endpoint *dst = w->sends ? &w->key.remote : &w->key.local;

		json_open(j, NULL);
		addr(j, "src", &src->addr);
		json_u64(j, "src_port", src->port);
		addr(j, "dst", &dst->addr);
		json_u64(j, "dst_port", dst->port);
		json_u64(j, "shared_hops", w->shared_hops);
		json_u64(j, "rate_bps", w->rate_bps);
		json_close(j);
	}
	json_list_close(j);
}

static void evidence(struct json *j, const struct verdict *v)
{
	json_list_open(j, "evidence");
	for (int k = 0; k < v->n_evidence; k++) {
		json_open(j, NULL);
		json_string(j, "id", v->evidence[k].id);
		json_real(j, "weight", v->evidence[k].weight);
		json_string(j, "text", v->evidence[k].text);
		json_close(j);
	}
	json_list_close(j);
}

static void verdict(struct json *j, const struct incident *i)
{
	const struct verdict *v = &i->verdict;

	json_string(j, "cause", cause_info(v->cause)->id);
	json_real(j, "cause_confidence", v->cause_confidence);
	json_string(j, "detail", *v->detail ? v->detail : NULL);
	json_string(j, "direction", way_id(v->way));
	where(j, i);
	hops(j, i);
	witnesses(j, i);
	evidence(j, v);
	json_string(j, "advice", *v->advice ? v->advice : NULL);
}

static int write_output(struct writer *w, const struct output *out)
{
	const struct json_writer *jw = (struct json_writer *)w;
	static const char *const types[] = {
		[OUT_STALL_BEGIN] = "stall_begin",
		[OUT_VERDICT] = "verdict",
		[OUT_STALL_END] = "stall_end",
	};
	const struct incident *i = out->incident;
	struct json j = {.out = jw->config.out};

	line_open(&j, &jw->config, types[out->kind], out->now_ns);
	json_string(&j, "incident", i->id);
	flow(&j, i, out->now_ns);
	json_u64(&j, "silence_ns", incident_silence_ns(i, out->now_ns));
	tcp(&j, &i->last);
	if (out->kind != OUT_STALL_BEGIN)
		verdict(&j, i);
	if (out->kind == OUT_STALL_END) {
		json_string(&j, "outcome", outcome_id(i->outcome));
		json_u64(&j, "stalled_ns", incident_silence_ns(i, out->now_ns));
		json_u64(&j, "recovered_bytes", i->recovered_bytes);
	}
	json_close(&j);
	return json_line_end(&j);
}

static int write_summary(struct writer *w, const struct summary *s)
{
	const struct json_writer *jw = (struct json_writer *)w;
	struct json j = {.out = jw->config.out};

	line_open(&j, &jw->config, "summary", s->now_ns);
	json_u64(&j, "transfers", s->counts.transfers);
	json_u64(&j, "stalls", s->counts.stalls);
	json_u64(&j, "unrecovered", s->counts.unrecovered);
	json_u64(&j, "slow_phases", s->counts.slow);
	json_u64(&j, "probes_sent", s->probes_sent);
	json_open(&j, "events_lost");
	for (int i = 0; i < s->n_lost; i++)
		json_u64(&j, s->lost[i].reason, s->lost[i].count);
	json_close(&j);
	json_list_open(&j, "remarks");
	for (int i = 0; i < s->n_remarks; i++)
		json_string(&j, NULL, s->remarks[i]);
	json_list_close(&j);
	json_close(&j);
	return json_line_end(&j);
}

static const struct writer_ops ops = {write_output, write_summary};

int writer_json(const struct writer_config *config, struct writer **ret)
{
	struct json_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->writer.ops = &ops;
	w->config = *config;
	*ret = &w->writer;
	return 0;
}
