/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall trace: the path to a peer, hop by hop, by SYNs from a fresh port; with --flow also by
 * segments inside a live connection, whose state comes from the sensor just before each of them.
 *
 * The first round finds out how long the path is, a few hops at a time; the others go over what it
 * found. So no more is sent beyond the peer than those few.
 */
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "engine/engine.h"
#include "host/host.h"
#include "probe/probe.h"
#include "sensor/sensor.h"
#include "verb.h"
#include "view/trace.h"

#define DEFAULT_PORT	 443
#define DEFAULT_COUNT	 3
#define DEFAULT_MAX_HOPS 30
#define HOPS_AT_ONCE	 6 /* of the first round */
#define NAMES_WAIT_NS	 NS_PER_S
#define NEVER_NS	 (86400 * NS_PER_S) /* the sensor need not look for stalls */

struct trace {
	struct prober *prober;
	struct namespaces *namespaces; /* NULL: see netns_fd */
	int netns_fd;		       /* the namespace asked for; -1: none */
	struct sensor *sensor;
	bool found; /* by the latest scan */
	struct flow_snapshot snapshot;
	struct trace_result result;
	int waiting; /* for so many probes */
	int peer_ttl;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

static void note_hop(struct trace *t, const struct probe_seen *p)
{
	struct trace_result *r = &t->result;
	struct hop *h = &r->hops[p->ttl - 1];
	const uint64_t rtt_us = (p->answered_ns - p->sent_ns + NS_PER_US / 2) / NS_PER_US;
	const bool is_peer = addr_equal(&p->from, &r->key.remote.addr);

	if (p->ttl > r->frontier[p->kind] && !(is_peer && r->reached[p->kind]))
		r->frontier[p->kind] = p->ttl;
	if (is_peer) {
		if (!r->reached[p->kind] || p->ttl < r->frontier[p->kind])
			r->frontier[p->kind] = p->ttl;
		r->reached[p->kind] = true;
		if (!t->peer_ttl || p->ttl < t->peer_ttl)
			t->peer_ttl = p->ttl;
	}
	h->is_peer |= is_peer;
	h->probes[p->kind].answered++;
	if (!h->address.family)
		h->address = p->from;
	else if (!addr_equal(&h->address, &p->from))
		h->balanced = true;
	if (rtt_us && (!h->rtt_us || rtt_us < h->rtt_us))
		h->rtt_us = (uint32_t)rtt_us;
}

static void on_probe(const struct probe_seen *p, struct trace *t)
{
	if (!p->ttl || p->ttl > MAX_HOPS)
		return;
	t->waiting--;
	if (p->answer == ANSWER_NOT_SENT) {
		t->result.not_sent++;
		t->result.error = p->error;
		return;
	}
	t->result.sent++;
	t->result.hops[p->ttl - 1].probes[p->kind].sent++;
	if (p->answer == ANSWER_UNREACHABLE && !addr_equal(&p->from, &t->result.key.remote.addr)) {
		t->result.unreachable = p->from;
		if (!hop_refuses(t->result.hops, p))
			return;
	}
	if (p->answer != ANSWER_NONE)
		note_hop(t, p);
}

static int want(struct trace *t, enum probe_kind kind, int first_ttl, int last_ttl, int count)
{
	struct want w = {.kind = WANT_PROBE, .key = t->result.key, .snapshot = t->snapshot};
	int r;

	w.probe.kind = kind;
	w.probe.first_ttl = (uint8_t)first_ttl;
	w.probe.last_ttl = (uint8_t)last_ttl;
	w.probe.count = (uint8_t)count;
	r = prober_want(t->prober, &w, mono_ns());
	if (!r)
		t->waiting += (last_ttl - first_ttl + 1) * count;
	return r;
}

/*
 * Brings the connection's state up to date: boxes on the way take segments for strays that are more
 * than a window old. -ENOTCONN: it has ended.
 */
static int refresh(struct trace *t)
{
	struct want listen = {.kind = WANT_LISTEN, .key = t->result.key};
	int r;

	if (!t->result.in_flow)
		return 0;
	t->found = false;
	r = sensor_scan(t->sensor, true);
	if (r < 0)
		return r;
	if (!t->found)
		return -ENOTCONN;
	listen.snapshot = t->snapshot;
	return prober_want(t->prober, &listen, mono_ns());
}

/* Probes some hops and waits for all the answers. */
static int probe_hops(struct trace *t, int first_ttl, int last_ttl, int count)
{
	uint64_t next = 0;
	int r = 0;

	if (t->result.in_flow)
		r = want(t, PROBE_IN_FLOW, first_ttl, last_ttl, count);
	if (!r)
		r = want(t, PROBE_CONTROL, first_ttl, last_ttl, count);
	while (!r && t->waiting > 0 && !stopped) {
		struct pollfd ready = {.fd = prober_fd(t->prober), .events = POLLIN};
		struct timespec wait = {0};
		uint64_t now = mono_ns();

		if (now >= next)
			r = refresh(t);
		if (r)
			break;
		next = prober_run(t->prober, mono_ns());
		if (t->waiting <= 0)
			break;
		now = mono_ns();
		if (next > now) {
			uint64_t ns = next - now < NS_PER_S ? next - now : NS_PER_S;

			wait = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
						 .tv_nsec = (long)(ns % NS_PER_S)};
		}
		if (ppoll(&ready, 1, &wait, NULL) < 0 && errno != EINTR)
			r = -errno;
	}
	return r;
}

static bool anybody_answered(const struct trace *t, int first_ttl, int last_ttl)
{
	for (int ttl = first_ttl; ttl <= last_ttl; ttl++) {
		if (t->result.hops[ttl - 1].address.family)
			return true;
	}
	return false;
}

static int run(struct trace *t, int max_hops, int count)
{
	struct trace_result *res = &t->result;
	struct want listen = {.kind = WANT_LISTEN, .key = res->key, .snapshot = t->snapshot};
	int r, last = 0, first;

	for (int i = 0; i < MAX_HOPS; i++)
		res->hops[i].ttl = (uint8_t)(i + 1);
	r = prober_want(t->prober, &listen, mono_ns());
	for (first = 1; !r && !stopped && first <= max_hops && !res->not_sent; first = last + 1) {
		last = first + HOPS_AT_ONCE - 1 < max_hops ? first + HOPS_AT_ONCE - 1 : max_hops;
		r = probe_hops(t, first, last, 1);
		if (t->peer_ttl || !anybody_answered(t, first, last))
			break;
	}
	if (r)
		return r;
	for (last = max_hops; last && !res->hops[last - 1].address.family; last--)
		;
	if (t->peer_ttl)
		last = t->peer_ttl;
	else if (last < max_hops)
		last++; /* one silent hop, to show where it ends */
	res->n_hops = last;
	if (count > 1 && !stopped && !res->not_sent)
		r = probe_hops(t, 1, last, count - 1);
	res->done_ns = mono_ns();
	return r;
}

/*
 * Takes HOST, HOST:PORT, [ADDRESS]:PORT or an IPv6 address apart; text is cut up. *ret_port stays
 * as it is if there is none.
 */
static int split_port(char *text, const char **ret_host, uint16_t *ret_port)
{
	char *colon = strrchr(text, ':'), *end = strchr(text, ']');
	const bool bracketed = *text == '[' && end;
	uint64_t port;

	*ret_host = text + bracketed;
	if (bracketed) {
		colon = end[1] == ':' ? end + 1 : NULL;
		if (end[1] && !colon)
			return -EINVAL;
	} else if (colon != strchr(text, ':')) {
		return 0;
	}
	if (colon && parse_u64(colon + 1, 1, UINT16_MAX, &port))
		return -EINVAL;
	if (bracketed)
		*end = '\0';
	if (!colon)
		return 0;
	*colon = '\0';
	*ret_port = (uint16_t)port;
	return 0;
}

/* Into an exit status. */
static int read_target(char *text, struct endpoint *ret)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	struct endpoint target = {.port = DEFAULT_PORT};
	const char *host;
	int r;

	if (split_port(text, &host, &target.port)) {
		warnx("'%s': expected HOST or HOST:PORT, ports being 1 to 65535", text);
		return STATUS_USAGE;
	}
	r = getaddrinfo(host, NULL, &hints, &found);
	if (r) {
		warnx("%s: %s", host, gai_strerror(r));
		return r == EAI_NONAME ? STATUS_USAGE : STATUS_ERROR;
	}
	if (found->ai_family == AF_INET6)
		target.addr = addr_v6(&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr);
	else
		target.addr = addr_v4(&((struct sockaddr_in *)found->ai_addr)->sin_addr);
	freeaddrinfo(found);
	*ret = target;
	return STATUS_DONE;
}

static int read_endpoint(char *text, struct endpoint *ret)
{
	const char *host;

	if (split_port(text, &host, &ret->port) || !ret->port)
		return -EINVAL;
	return addr_parse(host, &ret->addr);
}

static int read_flow(const char *text, struct flow_key *ret)
{
	char *copy = strdup(text), *dash = copy ? strchr(copy, '-') : NULL;
	struct flow_key key = {0};
	int r = copy ? -EINVAL : -ENOMEM;

	if (dash) {
		*dash = '\0';
		r = read_endpoint(copy, &key.local);
		if (!r)
			r = read_endpoint(dash + 1, &key.remote);
	}
	if (!r && key.local.addr.family != key.remote.addr.family)
		r = -EINVAL;
	if (!r)
		*ret = key;
	free(copy);
	return r;
}

/* The address that a host would use towards the peer; runs in the namespace. */
static int source_towards(void *arg)
{
	struct flow_key *key = arg;
	const struct endpoint *peer = &key->remote;
	const bool v6 = peer->addr.family == AF_INET6;
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(peer->port)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(peer->port)};
	struct sockaddr *to = v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4;
	socklen_t len = v6 ? sizeof(to6) : sizeof(to4);
	int fd = socket(peer->addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	memcpy(&to4.sin_addr, peer->addr.bytes, sizeof(to4.sin_addr));
	memcpy(&to6.sin6_addr, peer->addr.bytes, sizeof(to6.sin6_addr));
	if (connect(fd, to, len) || getsockname(fd, to, &len))
		r = -errno;
	else
		key->local.addr = v6 ? addr_v6(&to6.sin6_addr) : addr_v4(&to4.sin_addr);
	close(fd);
	return r;
}

static int netns_fd(uint32_t netns, void *arg)
{
	struct trace *t = arg;

	if (t->netns_fd >= 0)
		return t->netns_fd;
	return t->namespaces ? namespaces_fd(t->namespaces, netns) : -ENOENT;
}

static void on_observation(const struct observation *obs, void *arg)
{
	const struct flow_key *key = &obs->snapshot.key;
	struct trace *t = arg;

	if (obs->type == OBS_PROBE)
		on_probe(&obs->probe, t);
	if (obs->type != OBS_SNAPSHOT || !endpoint_equal(&key->local, &t->result.key.local) ||
	    !endpoint_equal(&key->remote, &t->result.key.remote))
		return;
	t->found = true;
	t->snapshot = obs->snapshot;
	t->result.key = *key;
}

/* Only new connections are probed: all that is to be known is our own address. */
static int prepare_target(struct trace *t, char *target)
{
	struct flow_key *key = &t->result.key;
	const uint32_t netns = key->netns;
	/* A name means what it means here, even if the path starts in another namespace. */
	int status = read_target(target, &key->remote), r;

	if (status)
		return status;
	r = t->netns_fd < 0 ? namespace_self(&key->netns) : 0;
	if (!r)
		r = namespace_call(t->netns_fd, source_towards, key);
	if (r) {
		warnx("%s: %s", target, strerror(-r));
		return r == -EPERM && netns ? STATUS_UNSUPPORTED : STATUS_ERROR;
	}
	t->snapshot.key = *key;
	return STATUS_DONE;
}

/* Finds the connection, in the namespace asked for or in any. */
static int prepare_flow(struct trace *t, const char *text)
{
	struct sensor_config config = {.suspect_after_ns = NEVER_NS, .netns = t->result.key.netns};
	char why[256] = "";
	int r;

	if (read_flow(text, &t->result.key)) {
		warnx("--flow %s: expected LADDR:LPORT-RADDR:RPORT, IPv6 addresses in brackets",
		      text);
		return STATUS_USAGE;
	}
	r = namespaces_new(&t->namespaces);
	if (!r)
		r = sensor_open(&config, t->namespaces, on_observation, t, &t->sensor, why,
				sizeof(why));
	if (r) {
		warnx("cannot watch connections: %s", *why ? why : strerror(-r));
		return r == -EPERM || r == -ENOTSUP ? STATUS_UNSUPPORTED : STATUS_ERROR;
	}
	r = sensor_seed(t->sensor);
	if (r >= 0)
		r = sensor_scan(t->sensor, true);
	if (r < 0) {
		warnx("cannot watch connections: %s", strerror(-r));
		return STATUS_ERROR;
	}
	if (!t->found) {
		warnx("--flow %s: there is no such connection, or it has moved nothing yet", text);
		return STATUS_USAGE;
	}
	t->result.in_flow = true;
	return STATUS_DONE;
}

static int catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	if (sigaction(SIGINT, &action, NULL) || sigaction(SIGTERM, &action, NULL))
		return -errno;
	return 0;
}

static int show(const struct options *options, const struct trace_result *result)
{
	struct trace_view view = {.out = stdout, .wall_offset_ns = wall_offset_ns()};
	const uint64_t until = mono_ns() + NAMES_WAIT_NS;
	struct names *names = NULL;
	char host[NAME_LEN] = "", name[HOST_NAME];
	int r;

	if (!options->numeric && !names_new(&names)) {
		for (int i = 0; i < result->n_hops; i++) {
			if (result->hops[i].address.family)
				names_want(names, &result->hops[i].address);
		}
		/* The last name asked for is the last one to come. */
		for (int i = result->n_hops; i-- && mono_ns() < until && !stopped;) {
			if (!result->hops[i].address.family)
				continue;
			while (!*names_get(names, &result->hops[i].address, name) &&
			       mono_ns() < until && !stopped)
				poll(NULL, 0, 20);
			break;
		}
	}
	gethostname(host, sizeof(host) - 1);
	view.host = host;
	view.names = names;
	r = options->json ? trace_json(&view, result) : trace_text(&view, result);
	names_free(names);
	if (r && r != -EPIPE)
		warnx("cannot write: %s", strerror(-r));
	return r ? STATUS_ERROR : STATUS_DONE;
}

static int prepare(struct trace *t, const struct options *options, int argc, char **argv)
{
	int r;

	if (!options->flow == !argc) {
		warnx("trace needs HOST[:PORT] or --flow; see tcpstall help trace");
		return STATUS_USAGE;
	}
	if (options->netns) {
		r = namespace_open(options->netns, &t->netns_fd, &t->result.key.netns);
		if (r) {
			warnx("--netns %s: %s", options->netns,
			      r == -EINVAL ? "not a network namespace" : strerror(-r));
			return r == -EPERM ? STATUS_UNSUPPORTED : STATUS_USAGE;
		}
	}
	return options->flow ? prepare_flow(t, options->flow) : prepare_target(t, argv[0]);
}

int cmd_trace(const struct options *options, int argc, char **argv)
{
	const int max_hops =
		options_given(options, OPT_MAX_HOPS) ? (int)options->max_hops : DEFAULT_MAX_HOPS;
	const int count = options_given(options, OPT_COUNT) ? (int)options->count : DEFAULT_COUNT;
	struct trace *t = calloc(1, sizeof(*t));
	int status, r;

	if (!t) {
		warn(NULL);
		return STATUS_ERROR;
	}
	t->netns_fd = -1;
	status = prepare(t, options, argc, argv);
	if (status)
		goto out;
	r = prober_new(netns_fd, on_observation, t, &t->prober);
	if (r == -EPERM) {
		warnx("cannot send probes: needs CAP_NET_RAW; run as root or "
		      "`setcap cap_net_raw+ep` the binary");
		status = STATUS_UNSUPPORTED;
		goto out;
	}
	if (!r)
		r = catch_signals();
	if (!r)
		r = run(t, max_hops, count);
	if (r) {
		warnx("cannot probe: %s",
		      r == -ENOTCONN ? "the connection has ended" : strerror(-r));
		status = STATUS_ERROR;
		goto out;
	}
	status = show(options, &t->result);
out:
	prober_free(t->prober);
	sensor_close(t->sensor);
	namespaces_free(t->namespaces);
	if (t->netns_fd >= 0)
		close(t->netns_fd);
	free(t);
	return status;
}
