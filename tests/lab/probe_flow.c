/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * probe_flow LADDR:LPORT-RADDR:RPORT
 *
 * Runs the prober inside a live connection without any eBPF: what a snapshot needs is read off the
 * wire. Prints "ready" once it has seen a few KB acknowledged. Then each line on standard input,
 * "FIRST-TTL LAST-TTL COUNT SIZE", is a run of probes of all kinds, SIZE bytes being the full size.
 * Prints a JSON object for each observation, and "done" behind each run. Ends with its input.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/host.h"
#include "probe/match.h"
#include "probe/probe.h"
#include "probe/wire.h"
#include "view/json_stream.h"

#define READY_BYTES 4096

struct test {
	struct prober *prober;
	struct flow_snapshot snapshot;
	bool sent_seen, acked_seen;
	int waiting;
};

static int no_other_namespace(uint32_t netns, void *arg)
{
	(void)netns;
	(void)arg;
	return -ENOENT;
}

static void on_observation(const struct observation *obs, void *arg)
{
	static const char *const kinds[] = {"in_flow", "in_flow_full", "control", "in_flow_copy"};
	static const char *const answers[] = {"none", "time_exceeded", "unreachable", "too_big",
					      "ack",  "syn_ack",       "rst",	      "not_sent"};
	const struct probe_seen *p = &obs->probe;
	struct jsonw j = {.out = stdout};
	struct test *t = arg;
	char from[ADDR_TEXT_LEN], quoted[ADDR_TEXT_LEN];

	jsonw_open(&j, NULL);
	if (obs->type == OBS_PROBE) {
		t->waiting--;
		jsonw_string(&j, "kind", kinds[p->kind]);
		jsonw_string(&j, "answer", answers[p->answer]);
		jsonw_u64(&j, "ttl", p->ttl);
		jsonw_u64(&j, "size", p->size);
		jsonw_u64(&j, "error", (uint64_t)p->error);
		jsonw_string(&j, "from", addr_text(&p->from, from));
		jsonw_string(&j, "quoted_src", addr_text(&p->quoted_src, quoted));
		jsonw_u64(&j, "answer_ttl", p->answer_ttl);
		jsonw_u64(&j, "mtu", p->mtu);
		jsonw_u64(&j, "rtt_ns", p->answered_ns ? p->answered_ns - p->sent_ns : 0);
	} else if (obs->type == OBS_ICMP) {
		jsonw_string(&j, "kind", "icmp");
		jsonw_string(&j, "from", addr_text(&obs->icmp.from, from));
		jsonw_u64(&j, "icmp_type", obs->icmp.type);
	}
	jsonw_close(&j);
	jsonw_line_end(&j);
}

/* Follows the connection as the kernel does. */
static void follow(struct test *t, const struct segment *s, bool outgoing, uint64_t now_ns)
{
	struct flow_snapshot *f = &t->snapshot;

	if (outgoing) {
		if (!endpoint_equal(&s->src, &f->key.local) ||
		    !endpoint_equal(&s->dst, &f->key.remote))
			return;
		if (t->acked_seen && seq_before(s->seq, f->snd_una))
			return; /* a probe */
		if (!t->sent_seen || seq_before(f->snd_nxt, s->seq + s->payload))
			f->snd_nxt = s->seq + s->payload;
		if (s->timestamps) {
			f->flags |= SNAP_TIMESTAMPS;
			f->tsoffset = s->tsval - (uint32_t)(now_ns / NS_PER_MS);
		}
		t->sent_seen = true;
		return;
	}
	if (!endpoint_equal(&s->src, &f->key.remote) || !endpoint_equal(&s->dst, &f->key.local) ||
	    !(s->flags & TH_ACK) || s->flags & (TH_SYN | TH_FIN | TH_RST))
		return;
	if (!t->acked_seen) {
		f->snd_una = s->ack;
		f->rcv_nxt = s->seq;
	}
	t->acked_seen = true;
	f->ts_recent = s->tsval;
	if (seq_before(f->snd_una, s->ack)) {
		f->snd.bytes += s->ack - f->snd_una;
		f->snd_una = s->ack;
	}
	if (seq_before(f->rcv_nxt, s->seq + s->payload))
		f->rcv_nxt = s->seq + s->payload;
}

static void read_wire(struct test *t, struct wire *wire)
{
	uint8_t buf[2048];
	struct wire_packet meta;
	struct packet packet;

	while (!wire_receive(wire, buf, sizeof(buf), &meta)) {
		packet_read(buf, meta.len, &packet);
		if (packet.kind == PACKET_SEGMENT)
			follow(t, &packet.segment, meta.outgoing, mono_ns());
	}
}

static void want(struct test *t, enum probe_kind kind, int first, int last, int count, int size)
{
	struct want w = {.kind = WANT_PROBE, .key = t->snapshot.key, .snapshot = t->snapshot};
	int r;

	w.probe.kind = kind;
	w.probe.first_ttl = (uint8_t)first;
	w.probe.last_ttl = (uint8_t)last;
	w.probe.count = (uint8_t)count;
	w.probe.size = (uint16_t)size;
	r = prober_want(t->prober, &w, mono_ns());
	if (r)
		errx(1, "cannot probe: %s", strerror(-r));
	t->waiting += (last - first + 1) * count;
}

static void want_all(struct test *t, const char *line)
{
	int first, last, count, size;

	if (sscanf(line, "%d %d %d %d", &first, &last, &count, &size) != 4)
		errx(2, "expected FIRST-TTL LAST-TTL COUNT SIZE");
	if (!size) {
		want(t, PROBE_IN_FLOW_COPY, first, last, count, 0);
		return;
	}
	for (int kind = 0; kind < PROBE_IN_FLOW_COPY; kind++)
		want(t, (enum probe_kind)kind, first, last, count, size);
}

static void read_endpoint(char *text, struct endpoint *ret)
{
	char *colon = strrchr(text, ':');
	uint64_t port;

	if (!colon || parse_u64(colon + 1, 1, UINT16_MAX, &port))
		errx(2, "%s: expected ADDRESS:PORT", text);
	*colon = '\0';
	if (*text == '[' && colon[-1] == ']') {
		text++;
		colon[-1] = '\0';
	}
	if (addr_parse(text, &ret->addr))
		errx(2, "%s: not an address", text);
	ret->port = (uint16_t)port;
}

int main(int argc, char **argv)
{
	struct test t = {.snapshot = {.flags = SNAP_SACK, .mss = 1448}};
	struct flow_key *key = &t.snapshot.key;
	struct want listen = {.kind = WANT_LISTEN};
	struct wire *wire = NULL;
	bool ready = false, busy = false;
	char *dash;
	uint32_t pair;
	int r;

	if (argc != 2 || !(dash = strchr(argv[1], '-')))
		errx(2, "usage: probe_flow LADDR:LPORT-RADDR:RPORT");
	*dash = '\0';
	read_endpoint(argv[1], &key->local);
	read_endpoint(dash + 1, &key->remote);
	setlinebuf(stdout);

	r = prober_new(no_other_namespace, on_observation, &t, &t.prober);
	if (!r)
		r = wire_open(-1, &wire);
	if (r == -EPERM)
		errx(77, "needs CAP_NET_RAW");
	pair = wire_pair(key->local.port, key->remote.port);
	if (!r)
		r = wire_listen(wire, &pair, 1);
	listen.key = *key;
	if (r)
		errx(1, "%s", strerror(-r));

	for (;;) {
		struct pollfd fds[] = {
			{.fd = wire_fd(wire), .events = POLLIN},
			{.fd = prober_fd(t.prober), .events = POLLIN},
			{.fd = ready && !busy ? STDIN_FILENO : -1, .events = POLLIN},
		};
		uint64_t next = prober_run(t.prober, mono_ns()), now = mono_ns();
		char line[64];

		if (busy && t.waiting == 0) {
			busy = false;
			puts("done");
			continue;
		}
		poll(fds, 3,
		     next == UINT64_MAX ? -1
		     : next <= now	? 0
					: (int)((next - now) / NS_PER_MS + 1));
		read_wire(&t, wire);
		if (!ready && t.sent_seen && t.snapshot.snd.bytes >= READY_BYTES) {
			ready = true;
			listen.snapshot = t.snapshot;
			prober_want(t.prober, &listen, mono_ns());
			puts("ready");
		}
		if (!fds[2].revents)
			continue;
		if (!fgets(line, sizeof(line), stdin))
			break;
		want_all(&t, line);
		busy = true;
	}
	prober_free(t.prober);
	wire_close(wire);
	return 0;
}
