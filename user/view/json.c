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

#include "view/brief.h"
#include "view/format.h"
#include "view/json_stream.h"
#include "view/transfer.h"
#include "view/writer_impl.h"

struct json_writer {
	struct writer writer;
	struct writer_config config;
};

static void addr(struct jsonw *j, const char *key, const struct ip_addr *a)
{
	char buf[ADDR_TEXT_LEN];

	jsonw_string(j, key, a->family ? addr_text(a, buf) : NULL);
}

static void flow(struct jsonw *j, const struct incident *i, uint64_t now_ns)
{
	const struct endpoint *src = incident_src(i), *dst = incident_dst(i);
	const struct flow_snapshot *s = &i->last;
	char id[FORMAT_LEN];
	const char *comm;
	uint32_t pid;
	bool known = incident_process(i, &pid, &comm);

	snprintf(id, sizeof(id), "%x-%llx", i->key.netns, (unsigned long long)i->key.cookie);
	jsonw_open(j, "flow");
	jsonw_string(j, "id", id);
	jsonw_string(j, "family", src->addr.family == AF_INET6 ? "ipv6" : "ipv4");
	addr(j, "src", &src->addr);
	jsonw_u64(j, "src_port", src->port);
	addr(j, "dst", &dst->addr);
	jsonw_u64(j, "dst_port", dst->port);
	jsonw_string(j, "local", s->flags & SNAP_OFFLINE ? "none" : i->local_sends ? "src" : "dst");
	jsonw_known(j, "netns", i->key.netns);
	jsonw_known(j, "pid", known ? pid : 0);
	jsonw_string(j, "comm", known && *comm ? comm : NULL);
	jsonw_u64(j, "bytes", i->local_sends ? s->snd.bytes : s->rcv.bytes);
	if (s->born_ns && s->born_ns <= now_ns)
		jsonw_u64(j, "age_ns", now_ns - s->born_ns);
	else
		jsonw_null(j, "age_ns");
	jsonw_u64(j, "rate_bps", i->rate_bps);
	jsonw_close(j);
}

/* The socket on this host, whichever direction stalls. */
static void tcp(struct jsonw *j, const struct flow_snapshot *s)
{
	jsonw_open(j, "tcp");
	jsonw_string(j, "state", tcp_state_name(s->state));
	jsonw_u64(j, "unacked_bytes", s->snd_nxt - s->snd_una);
	jsonw_u64(j, "notsent_bytes", s->write_seq - s->snd_nxt);
	jsonw_u64(j, "snd_wnd", s->snd_wnd);
	jsonw_known(j, "rto_us", s->rto_us);
	jsonw_u64(j, "backoff", s->backoff);
	jsonw_u64(j, "retrans", s->retrans);
	jsonw_known(j, "rtt_us", s->rtt_us);
	jsonw_known(j, "mss", s->mss);
	jsonw_known(j, "pmtu", s->pmtu);
	jsonw_close(j);
}

static void lladdr(struct jsonw *j, const char *key, const uint8_t mac[6])
{
	static const uint8_t none[6];
	char buf[FORMAT_LEN];

	if (!memcmp(mac, none, sizeof(none))) {
		jsonw_null(j, key);
		return;
	}
	snprintf(buf, sizeof(buf), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	jsonw_string(j, key, buf);
}

/* The hardware address is known of the next hop only. */
static void mac(struct jsonw *j, const struct place *p, const struct route_seen *r)
{
	if (p->address.family && addr_equal(&p->address, &r->gateway))
		lladdr(j, "mac", r->lladdr);
	else
		jsonw_null(j, "mac");
}

static void candidate(struct jsonw *j, const struct place *p)
{
	jsonw_open(j, NULL);
	jsonw_string(j, "kind", place_kind_id(p->kind));
	jsonw_known(j, "ttl", p->ttl);
	addr(j, "address", &p->address);
	if (p->kind == PLACE_LINK) {
		addr(j, "near", &p->near);
		addr(j, "far", &p->far);
	}
	jsonw_real(j, "confidence", p->confidence);
	jsonw_close(j);
}

static void where(struct jsonw *j, const struct incident *i)
{
	const struct verdict *v = &i->verdict;
	const struct place *p = &v->where;

	jsonw_open(j, "where");
	jsonw_string(j, "kind", place_kind_id(p->kind));
	jsonw_known(j, "ttl", p->ttl);
	addr(j, "address", &p->address);
	jsonw_null(j, "name"); /* only text on a terminal waits for names */
	mac(j, p, &i->route);
	addr(j, "near", &p->near);
	addr(j, "far", &p->far);
	if (p->kind == PLACE_LINK)
		jsonw_string(j, "side", side_id(p->side));
	jsonw_real(j, "confidence", p->confidence);
	jsonw_list_open(j, "candidates");
	for (int k = 0; k < v->n_candidates; k++)
		candidate(j, &v->candidates[k]);
	jsonw_list_close(j);
	jsonw_close(j);
}

static void tally(struct jsonw *j, const char *key, const struct tally *t)
{
	jsonw_open(j, key);
	jsonw_u64(j, "sent", t->sent);
	jsonw_u64(j, "answered", t->answered);
	jsonw_close(j);
}

static void hops(struct jsonw *j, const struct incident *i)
{
	jsonw_list_open(j, "hops");
	for (int k = 0; k < i->n_hops; k++) {
		const struct hop *h = &i->hops[k];

		jsonw_open(j, NULL);
		jsonw_u64(j, "ttl", h->ttl);
		addr(j, "address", hop_address(i, h));
		jsonw_known(j, "rtt_us", h->rtt_us);
		tally(j, "in_flow", &h->probes[PROBE_IN_FLOW]);
		tally(j, "control", &h->probes[PROBE_CONTROL]);
		tally(j, "in_flow_full_size", &h->probes[PROBE_IN_FLOW_FULL]);
		tally(j, "in_flow_copy", &h->probes[PROBE_IN_FLOW_COPY]);
		jsonw_bool(j, "peer", h->is_peer);
		jsonw_bool(j, "balanced", h->balanced);
		jsonw_close(j);
	}
	jsonw_list_close(j);
}

/* -1: not known. */
static void known_bool(struct jsonw *j, const char *key, int value)
{
	if (value < 0)
		jsonw_null(j, key);
	else
		jsonw_bool(j, key, value);
}

/* The interface that the flow leaves this host by. */
static void interface(struct jsonw *j, const struct route_seen *r)
{
	if (!r->ifindex) {
		jsonw_null(j, "interface");
		return;
	}
	jsonw_open(j, "interface");
	jsonw_string(j, "name", r->ifname);
	jsonw_string(j, "kind", *r->kind ? r->kind : NULL);
	jsonw_string(j, "lower", *r->lower ? r->lower : NULL);
	addr(j, "next_hop", &r->gateway);
	lladdr(j, "next_hop_mac", r->lladdr);
	jsonw_known(j, "mtu", r->mtu);
	jsonw_known(j, "path_mtu", r->path_mtu);
	known_bool(j, "carrier", r->down ? 0 : r->carrier);
	jsonw_known(j, "speed_mbps", r->speed_mbps > 0 ? (uint64_t)r->speed_mbps : 0);
	known_bool(j, "full_duplex", r->full_duplex);
	jsonw_close(j);
}

static void neighbours(struct jsonw *j, const struct incident *i)
{
	jsonw_list_open(j, "neighbours");
	for (int k = 0; k < i->n_neighbours; k++) {
		const struct neighbour *n = &i->neighbours[k];

		jsonw_open(j, NULL);
		addr(j, "address", &n->addr);
		jsonw_bool(j, "next_hop", n->next_hop);
		jsonw_bool(j, "own_address", n->own);
		lladdr(j, "mac", n->lladdr);
		lladdr(j, "other_mac", n->other_lladdr);
		tally(j, "resolve", &n->resolve);
		tally(j, "echo", &n->small);
		tally(j, "echo_full_size", &n->full);
		jsonw_close(j);
	}
	jsonw_list_close(j);
}

static void witnesses(struct jsonw *j, const struct incident *i)
{
	jsonw_list_open(j, "witnesses");
	for (int k = 0; k < i->n_witnesses; k++) {
		const struct witness *w = &i->witnesses[k];
		const struct endpoint *src = w->sends ? &w->key.local : &w->key.remote;
		const struct endpoint *dst = w->sends ? &w->key.remote : &w->key.local;

		jsonw_open(j, NULL);
		addr(j, "src", &src->addr);
		jsonw_u64(j, "src_port", src->port);
		addr(j, "dst", &dst->addr);
		jsonw_u64(j, "dst_port", dst->port);
		jsonw_u64(j, "shared_hops", w->shared_hops);
		jsonw_u64(j, "rate_bps", w->rate_bps);
		jsonw_close(j);
	}
	jsonw_list_close(j);
}

static void evidence(struct jsonw *j, const struct verdict *v)
{
	jsonw_list_open(j, "evidence");
	for (int k = 0; k < v->n_evidence; k++) {
		jsonw_open(j, NULL);
		jsonw_string(j, "id", v->evidence[k].id);
		jsonw_real(j, "weight", v->evidence[k].weight);
		jsonw_string(j, "text", v->evidence[k].text);
		jsonw_close(j);
	}
	jsonw_list_close(j);
}

static void verdict(struct jsonw *j, const struct incident *i)
{
	const struct verdict *v = &i->verdict;

	jsonw_string(j, "cause", cause_info(v->cause)->id);
	jsonw_real(j, "cause_confidence", v->cause_confidence);
	jsonw_string(j, "detail", *v->detail ? v->detail : NULL);
	jsonw_string(j, "direction", way_id(v->way));
	where(j, i);
	hops(j, i);
	if (!(i->last.flags & SNAP_OFFLINE)) {
		char tunnel[TUNNEL_LEN];

		interface(j, &i->route);
		neighbours(j, i);
		jsonw_string(j, "tunnel", format_tunnel(&i->route, tunnel));
		jsonw_u64(j, "probes_sent", i->probes_sent);
	}
	witnesses(j, i);
	evidence(j, v);
	jsonw_string(j, "advice", *v->advice ? v->advice : NULL);
}

/* Where in the file, so that one can go there in Wireshark. */
static void captured(struct jsonw *j, const char *file, const struct incident *i)
{
	const struct capture_seen *c = &i->capture;

	jsonw_string(j, "file", file);
	jsonw_known(j, "frame", c->decide_frame);
	jsonw_list_open(j, "frames");
	jsonw_u64(j, NULL, c->first_frame);
	jsonw_u64(j, NULL, c->last_frame);
	jsonw_list_close(j);
	jsonw_string(j, "captured_at", position_id(c->position));
	if (*c->tunnel)
		jsonw_string(j, "tunnel", c->tunnel);
	else
		jsonw_null(j, "tunnel");
}

static int write_output(struct writer *w, const struct output *out)
{
	const struct json_writer *jw = (struct json_writer *)w;
	static const char *const types[] = {
		[OUT_STALL_BEGIN] = "stall_begin", [OUT_VERDICT] = "verdict",
		[OUT_STALL_END] = "stall_end",	   [OUT_SLOW_BEGIN] = "slow_begin",
		[OUT_SLOW_END] = "slow_end",
	};
	const struct incident *i = out->incident;
	struct jsonw j = {.out = jw->config.out};

	jsonw_line_open(&j, types[out->kind], out->now_ns, jw->config.wall_offset_ns,
			jw->config.host);
	jsonw_string(&j, "incident", i->id);
	flow(&j, i, out->now_ns);
	if (!i->slow) {
		jsonw_u64(&j, "silence_ns", incident_silence_ns(i, out->now_ns));
		tcp(&j, &i->last);
	} else {
		jsonw_u64(&j, "rate_bps", i->pace.rate_bps);
		jsonw_known(&j, "usual_bps", i->pace.usual_bps);
		jsonw_known(&j, "ceiling_bps", i->pace.ceiling_bps);
	}
	if (jw->config.file)
		captured(&j, jw->config.file, i);
	if (out->kind != OUT_STALL_BEGIN && out->kind != OUT_SLOW_BEGIN)
		verdict(&j, i);
	if (out->kind == OUT_STALL_END) {
		jsonw_string(&j, "outcome", outcome_id(i->outcome));
		jsonw_u64(&j, "stalled_ns", incident_silence_ns(i, out->now_ns));
		jsonw_u64(&j, "recovered_bytes", i->recovered_bytes);
	}
	jsonw_close(&j);
	return jsonw_line_end(&j);
}

static int write_transfer(struct writer *w, const struct life_seen *life, uint64_t now_ns)
{
	const struct json_writer *jw = (struct json_writer *)w;
	struct jsonw j = {.out = jw->config.out};

	jsonw_line_open(&j, "transfer", now_ns, jw->config.wall_offset_ns, jw->config.host);
	if (jw->config.file)
		jsonw_string(&j, "file", jw->config.file);
	transfer_json(&j, life);
	jsonw_close(&j);
	return jsonw_line_end(&j);
}

/* An export tells what was said of it when its packets were fresh. */
static void live(struct jsonw *j, const struct brief *b)
{
	if (!b) {
		jsonw_null(j, "live");
		return;
	}
	jsonw_open(j, "live");
	jsonw_string(j, "incident", b->incident);
	jsonw_string(j, "src", b->src);
	jsonw_string(j, "dst", b->dst);
	jsonw_string(j, "cause", b->cause);
	jsonw_string(j, "where", b->place);
	jsonw_string(j, "moved", *b->moved ? b->moved : NULL);
	jsonw_close(j);
}

static int write_summary(struct writer *w, const struct summary *s)
{
	const struct json_writer *jw = (struct json_writer *)w;
	struct jsonw j = {.out = jw->config.out};

	jsonw_line_open(&j, "summary", s->now_ns, jw->config.wall_offset_ns, jw->config.host);
	if (jw->config.file)
		jsonw_string(&j, "file", jw->config.file);
	jsonw_u64(&j, "transfers", s->counts.transfers);
	jsonw_u64(&j, "stalls", s->counts.stalls);
	jsonw_u64(&j, "unrecovered", s->counts.unrecovered);
	jsonw_u64(&j, "slow_phases", s->counts.slow);
	if (s->counted) {
		jsonw_u64(&j, "segments", s->segments);
		jsonw_u64(&j, "retransmissions", s->retransmissions);
		jsonw_u64(&j, "zero_windows", s->zero_windows);
		live(&j, s->live);
	}
	jsonw_u64(&j, "probes_sent", s->probes_sent);
	jsonw_u64(&j, "answers_ignored", s->answers_ignored);
	jsonw_open(&j, "events_lost");
	for (int i = 0; i < s->n_lost; i++)
		jsonw_u64(&j, s->lost[i].reason, s->lost[i].count);
	jsonw_close(&j);
	jsonw_list_open(&j, "remarks");
	for (int i = 0; i < s->n_remarks; i++)
		jsonw_string(&j, NULL, s->remarks[i]);
	jsonw_list_close(&j);
	jsonw_close(&j);
	return jsonw_line_end(&j);
}

static const struct writer_ops ops = {write_output, write_transfer, write_summary};

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
