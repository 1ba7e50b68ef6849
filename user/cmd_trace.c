/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall trace: the path to a peer, hop by hop, by SYNs from a fresh port.
 *
 * The first round finds out how long the path is, a few hops at a time; the others go over what it
 * found. So no more is sent beyond the peer than those few.
 */
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/host.h"
#include "probe/probe.h"
#include "verb.h"
#include "view/trace.h"

#define DEFAULT_PORT	 443
#define DEFAULT_COUNT	 3
#define DEFAULT_MAX_HOPS 30
#define HOPS_AT_ONCE	 6 /* of the first round */
#define NAMES_WAIT_NS	 NS_PER_S

struct trace {
	struct prober *prober;
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

static void on_probe(const struct observation *obs, void *arg)
{
	struct trace *t = arg;
	const struct probe_seen *p = &obs->probe;

	if (obs->type != OBS_PROBE || !p->ttl || p->ttl > MAX_HOPS)
		return;
	t->waiting--;
	if (p->answer == ANSWER_NOT_SENT) {
		t->result.not_sent++;
		t->result.error = p->error;
		return;
	}
	t->result.sent++;
	t->result.hops[p->ttl - 1].probes[p->kind].sent++;
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

/* Probes some hops and waits for all the answers. */
static int probe_hops(struct trace *t, int first_ttl, int last_ttl, int count)
{
	int r = 0;

	if (t->result.in_flow)
		r = want(t, PROBE_IN_FLOW, first_ttl, last_ttl, count);
	if (!r)
		r = want(t, PROBE_CONTROL, first_ttl, last_ttl, count);
	if (r)
		return r;
	for (;;) {
		struct pollfd ready = {.fd = prober_fd(t->prober), .events = POLLIN};
		uint64_t next = prober_run(t->prober, mono_ns()), now = mono_ns();
		struct timespec wait = {0};

		if (t->waiting <= 0 || stopped)
			return 0;
		if (next > now) {
			uint64_t ns = next - now < NS_PER_S ? next - now : NS_PER_S;

			wait = (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
						 .tv_nsec = (long)(ns % NS_PER_S)};
		}
		if (ppoll(&ready, 1, &wait, NULL) < 0 && errno != EINTR)
			return -errno;
	}
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

/* HOST, HOST:PORT, [ADDRESS]:PORT, and ADDRESS for an IPv6 address. */
static int read_target(char *text, struct endpoint *ret)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	char *colon = strrchr(text, ':'), *host = text;
	uint64_t port = DEFAULT_PORT;
	int r;

	if (*text == '[' && strchr(text, ']')) {
		char *end = strchr(text, ']');

		*end = '\0';
		host++;
		colon = end[1] == ':' ? end + 1 : NULL;
		if (end[1] && !colon) {
			warnx("'%s': expected HOST[:PORT]", text);
			return STATUS_USAGE;
		}
	} else if (colon && strchr(text, ':') != colon) {
		colon = NULL;
	}
	if (colon) {
		*colon = '\0';
		if (parse_u64(colon + 1, 1, UINT16_MAX, &port)) {
			warnx("'%s': not a port, expected 1 to 65535", colon + 1);
			return STATUS_USAGE;
		}
	}
	r = getaddrinfo(host, NULL, &hints, &found);
	if (r) {
		warnx("%s: %s", host, gai_strerror(r));
		return r == EAI_NONAME ? STATUS_USAGE : STATUS_ERROR;
	}
	*ret = (struct endpoint){.port = (uint16_t)port};
	if (found->ai_family == AF_INET6)
		ret->addr = addr_v6(&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr);
	else
		ret->addr = addr_v4(&((struct sockaddr_in *)found->ai_addr)->sin_addr);
	freeaddrinfo(found);
	return 0;
}

/* The address that this host would use towards the peer. */
static int source_towards(const struct endpoint *peer, struct ip_addr *ret)
{
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
		*ret = v6 ? addr_v6(&to6.sin6_addr) : addr_v4(&to4.sin_addr);
	close(fd);
	return r;
}

/* Everything from here on happens in that namespace. */
static int enter(const char *netns)
{
	uint32_t inode;
	int fd, r;

	r = namespace_open(netns, &fd, &inode);
	if (r) {
		warnx("--netns %s: %s", netns,
		      r == -EINVAL ? "not a network namespace" : strerror(-r));
		return r == -EPERM ? STATUS_UNSUPPORTED : STATUS_USAGE;
	}
	if (setns(fd, CLONE_NEWNET)) {
		warn("--netns %s: cannot enter (needs CAP_SYS_ADMIN)", netns);
		close(fd);
		return STATUS_UNSUPPORTED;
	}
	close(fd);
	return 0;
}

static int no_other_namespace(uint32_t netns, void *arg)
{
	(void)netns;
	(void)arg;
	return -ENOENT;
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

int cmd_trace(const struct options *options, int argc, char **argv)
{
	const int max_hops =
		options_given(options, OPT_MAX_HOPS) ? (int)options->max_hops : DEFAULT_MAX_HOPS;
	const int count = options_given(options, OPT_COUNT) ? (int)options->count : DEFAULT_COUNT;
	struct trace *t = calloc(1, sizeof(*t));
	struct flow_key *key;
	int status = STATUS_ERROR, r;

	(void)argc;
	if (!t) {
		warn(NULL);
		return STATUS_ERROR;
	}
	key = &t->result.key;
	/* A name means what it means here, even if the path starts in another namespace. */
	status = read_target(argv[0], &key->remote);
	if (!status && options->netns)
		status = enter(options->netns);
	if (status)
		goto out;
	status = STATUS_ERROR;
	r = namespace_self(&key->netns);
	if (!r)
		r = source_towards(&key->remote, &key->local.addr);
	if (r) {
		warnx("%s: %s", argv[0], strerror(-r));
		goto out;
	}
	t->snapshot.key = *key;
	r = prober_new(no_other_namespace, on_probe, t, &t->prober);
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
		warnx("cannot probe: %s", strerror(-r));
		goto out;
	}
	status = show(options, &t->result);
out:
	prober_free(t->prober);
	free(t);
	return status;
}
