/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes to neighbours on the first link: who has this address, and echoes of two sizes, sent to
 * hardware addresses as the kernel's table has them. So they neither wait for the kernel's own
 * resolution nor change its state.
 *
 * One job for each WANT_ONLINK. It has its own packet socket on the interface, sends in turn with
 * the path probes of all flows at their common rate, and tells everything when it is over: a second
 * answer to the same question is what an address conflict looks like.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/host.h"
#include "probe/internal.h"
#include "probe/neighbour.h"

#define WAIT_NS	    (400 * NS_PER_MS) /* for the last answer; neighbours are near */
#define TARGETS_MAX 5		      /* the next hop, ourselves, three others */
#define SMALL_SIZE  84		      /* bytes of the IP packet, as ping(8) sends by default */
#define READ_MAX    256		      /* packets in one run */

struct target {
	struct ip_addr addr;
	uint8_t lladdr[6], other_lladdr[6]; /* as answered */
	uint8_t to[6];			    /* where its echoes go */
	bool next_hop, own, reachable;
};

struct question {
	uint8_t target;
	enum onlink_kind kind;
	bool full, answered;
	int error;
	uint64_t sent_ns, answered_ns;
};

struct job {
	struct job *next;
	struct flow_key key;
	int fd; /* -1: nothing can be asked */
	uint32_t ifindex;
	uint16_t id, size;
	struct onlink link;
	struct target targets[TARGETS_MAX];
	int n_targets;
	struct question questions[ONLINK_CLOSE];
	int n, sent;
	uint64_t last_ns;
	bool released;
};

/* What the socket hears: ARP, and of ICMP what answers us. Everything else is dropped at once. */
static int listen_to_neighbours(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PROTOCOL),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 11, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 0, 9),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_ECHOREPLY, 5, 6),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6), /* IPv6, or it fails this */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 4),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 40),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP6_ECHO_REPLY, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_NEIGHBOR_ADVERT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 128),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return -errno;
	return 0;
}

/* Bound to no protocol until its filter is in place. */
static int open_job(struct job *job, int netns_fd)
{
	struct sockaddr_ll here = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)job->ifindex,
	};
	int r;

	job->fd =
		namespace_socket(netns_fd, AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (job->fd < 0)
		return job->fd;
	r = listen_to_neighbours(job->fd);
	if (!r && bind(job->fd, (struct sockaddr *)&here, sizeof(here)))
		r = -errno;
	return r;
}

static int add_target(struct job *job, const struct ip_addr *addr, const uint8_t *lladdr)
{
	struct target *t = &job->targets[job->n_targets];

	t->addr = *addr;
	t->reachable = lladdr || !job->link.ethernet;
	if (lladdr)
		memcpy(t->to, lladdr, 6);
	return job->n_targets++;
}

static void add_question(struct job *job, int target, enum onlink_kind kind, bool full)
{
	if (job->n < ONLINK_CLOSE)
		job->questions[job->n++] =
			(struct question){.target = (uint8_t)target, .kind = kind, .full = full};
}

static const uint8_t *lladdr_of(const struct job *job, const struct ip_addr *addr)
{
	for (int i = 0; i < job->link.n; i++)
		if (addr_equal(&job->link.neighbours[i].addr, addr))
			return job->link.neighbours[i].lladdr;
	return NULL;
}

static void plan_brief(struct job *job)
{
	int own = job->link.resolves ? add_target(job, &job->key.local.addr, NULL) : -1;

	if (own >= 0) {
		job->targets[own].own = true;
		add_question(job, 0, ONLINK_RESOLVE, false);
		add_question(job, own, ONLINK_CLAIM, false);
		add_question(job, 0, ONLINK_RESOLVE, false);
	}
	for (int i = 0; i < 3; i++) {
		add_question(job, 0, ONLINK_ECHO, true);
		if (i < 2)
			add_question(job, 0, ONLINK_ECHO, false);
	}
}

/* Sizes and targets by turns, so that an outage of a moment hits all of them alike. */
static void plan_close(struct job *job)
{
	for (int i = 0; i < job->link.n && job->n_targets < TARGETS_MAX - 1; i++) {
		const struct onlink_neighbour *n = &job->link.neighbours[i];

		if (!addr_equal(&n->addr, &job->targets[0].addr))
			add_target(job, &n->addr, n->lladdr);
	}
	for (int round = 0; round < 12; round++) {
		if (round < 2 && job->link.resolves)
			add_question(job, 0, ONLINK_RESOLVE, false);
		add_question(job, 0, ONLINK_ECHO, true);
		if (round < 10)
			add_question(job, 0, ONLINK_ECHO, false);
		for (int t = 1; t < job->n_targets; t++) {
			if (!round && job->link.resolves)
				add_question(job, t, ONLINK_RESOLVE, false);
			if (round < 6)
				add_question(job, t, ONLINK_ECHO, true);
			if (round < 4)
				add_question(job, t, ONLINK_ECHO, false);
		}
	}
}

/* What cannot be asked is a job without questions, which is over at once. */
static void prepare(struct prober *p, struct job *job, const struct want *want)
{
	const struct ip_addr *next = &want->onlink.next_hop;
	struct epoll_event event = {.events = EPOLLIN};
	int fd = -1;

	if (!want->onlink.ifindex || next->family != want->key.local.addr.family)
		return; /* an IPv4 route by an IPv6 gateway: our address there is not known */
	if (want->key.netns && want->key.netns != p->self_netns) {
		fd = p->netns_fd(want->key.netns, p->arg);
		if (fd < 0)
			return;
	}
	if (getrandom(&job->id, sizeof(job->id), 0) != sizeof(job->id) ||
	    host_onlink(job->ifindex, next->family, fd, &job->link) || open_job(job, fd) ||
	    epoll_ctl(p->epoll, EPOLL_CTL_ADD, job->fd, &event))
		return;
	add_target(job, next, lladdr_of(job, next));
	job->targets[0].next_hop = true;
	if (want->onlink.close)
		plan_close(job);
	else
		plan_brief(job);
}

static void job_free(struct job *job)
{
	if (job->fd >= 0)
		close(job->fd); /* leaves the epoll set by itself */
	free(job);
}

int onlink_want(struct prober *p, const struct want *want)
{
	struct job *job, **last = &p->jobs;
	int n = 0;

	for (; *last; last = &(*last)->next)
		n++;
	if (n >= JOBS_MAX)
		return -ENOSPC;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->key = want->key;
	job->fd = -1;
	job->ifindex = want->onlink.ifindex;
	job->size = want->onlink.size > SMALL_SIZE ? want->onlink.size : SMALL_SIZE + 1;
	prepare(p, job, want);
	*last = job;
	return 0;
}

void onlink_release(struct prober *p, const struct flow_key *key)
{
	for (struct job *job = p->jobs; job; job = job->next)
		if (job->key.cookie == key->cookie && job->key.netns == key->netns)
			job->released = true;
}

bool onlink_waiting(const struct prober *p)
{
	for (const struct job *job = p->jobs; job; job = job->next)
		if (!job->released && job->sent < job->n)
			return true;
	return false;
}

static int write_question(struct prober *p, const struct job *job, const struct question *q,
			  struct sockaddr_ll *to)
{
	static const struct ip_addr nobody;
	const struct target *t = &job->targets[q->target];
	bool v6 = t->addr.family == AF_INET6;

	*to = (struct sockaddr_ll){
		.sll_family = AF_PACKET,
		.sll_protocol = htons(v6 ? ETH_P_IPV6 : ETH_P_IP),
		.sll_ifindex = (int)job->ifindex,
		.sll_halen = job->link.ethernet ? 6 : 0,
	};
	if (q->kind == ONLINK_ECHO) {
		if (!t->reachable)
			return -EHOSTUNREACH;
		memcpy(to->sll_addr, t->to, 6);
		return echo_write(&job->key.local.addr, &t->addr, job->id,
				  (uint16_t)(q - job->questions), q->full ? job->size : SMALL_SIZE,
				  p->buf, sizeof(p->buf));
	}
	if (!v6)
		to->sll_protocol = htons(ETH_P_ARP);
	resolve_lladdr(&t->addr, to->sll_addr);
	return resolve_write(&t->addr, q->kind == ONLINK_CLAIM ? &nobody : &job->key.local.addr,
			     job->link.lladdr, p->buf);
}

bool onlink_send_one(struct prober *p)
{
	struct job *job = p->jobs;
	struct sockaddr_ll to;
	struct question *q;
	int len;

	while (job && (job->released || job->sent == job->n))
		job = job->next;
	if (!job)
		return false;
	q = &job->questions[job->sent++];
	len = write_question(p, job, q, &to);
	if (len < 0) {
		q->error = -len;
		return false;
	}
	q->sent_ns = job->last_ns = mono_ns();
	if (sendto(job->fd, p->buf, (size_t)len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) <
	    0) {
		q->error = errno;
		p->counts.send_errors++;
	} else {
		p->counts.sent++;
	}
	return true;
}

static void answered(struct prober *p, struct question *q, uint64_t now_ns)
{
	q->answered = true;
	q->answered_ns = now_ns;
	p->counts.answered++;
}

/* An answer, or a claim that nobody asked for: both are heard. */
static void on_address(struct prober *p, struct job *job, const struct neighbour_message *m,
		       uint64_t now_ns)
{
	static const uint8_t none[6];

	if (!memcmp(m->lladdr, none, 6) || !memcmp(m->lladdr, job->link.lladdr, 6))
		return;
	for (struct target *t = job->targets; t < job->targets + job->n_targets; t++) {
		if (!addr_equal(&t->addr, &m->addr))
			continue;
		if (!memcmp(t->lladdr, none, 6))
			memcpy(t->lladdr, m->lladdr, 6);
		else if (memcmp(t->lladdr, m->lladdr, 6))
			memcpy(t->other_lladdr, m->lladdr, 6);
		if (!t->reachable && !t->own)
			memcpy(t->to, m->lladdr, 6);
		t->reachable |= !t->own;
		for (struct question *q = job->questions; q < job->questions + job->sent; q++) {
			if (q->target == t - job->targets && q->kind != ONLINK_ECHO &&
			    !q->answered) {
				answered(p, q, now_ns);
				break;
			}
		}
	}
}

static void on_echo(struct prober *p, struct job *job, const struct neighbour_message *m,
		    uint64_t now_ns)
{
	struct question *q = &job->questions[m->seq];

	if (m->id != job->id || m->seq >= job->sent || q->kind != ONLINK_ECHO || q->answered ||
	    !addr_equal(&job->targets[q->target].addr, &m->addr))
		return;
	answered(p, q, now_ns);
}

static void hear(struct prober *p, struct job *job)
{
	for (int i = 0; i < READ_MAX && job->fd >= 0; i++) {
		struct sockaddr_ll from = {0};
		socklen_t from_len = sizeof(from);
		struct neighbour_message m;
		ssize_t len = recvfrom(job->fd, p->buf, sizeof(p->buf), MSG_DONTWAIT,
				       (struct sockaddr *)&from, &from_len);

		if (len < 0)
			return;
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		switch (neighbour_read(ntohs(from.sll_protocol), p->buf, (size_t)len, &m)) {
		case SAID_ADDRESS:
			if (from.sll_protocol == htons(ETH_P_IPV6) && from.sll_halen == 6)
				memcpy(m.lladdr, from.sll_addr, 6);
			on_address(p, job, &m, mono_ns());
			break;
		case SAID_ECHO:
			on_echo(p, job, &m, mono_ns());
			break;
		case SAID_NOTHING:
			break;
		}
	}
}

static void tell(struct prober *p, const struct job *job)
{
	struct observation obs = {.type = OBS_ONLINK};

	for (const struct question *q = job->questions; q < job->questions + job->n; q++) {
		const struct target *t = &job->targets[q->target];

		if (!q->sent_ns)
			continue;
		obs.now_ns = mono_ns();
		obs.onlink = (struct onlink_seen){
			.key = job->key,
			.kind = q->kind,
			.next_hop = t->next_hop,
			.full = q->full,
			.answered = q->answered,
			.size = q->kind != ONLINK_ECHO ? 0
				: q->full	       ? job->size
						       : SMALL_SIZE,
			.error = q->error,
			.addr = t->addr,
			.sent_ns = q->sent_ns,
			.answered_ns = q->answered_ns,
		};
		if (q->kind != ONLINK_ECHO) {
			memcpy(obs.onlink.lladdr, t->lladdr, 6);
			memcpy(obs.onlink.other_lladdr, t->other_lladdr, 6);
		}
		p->observe(&obs, p->arg);
	}
	obs.now_ns = mono_ns();
	obs.onlink = (struct onlink_seen){.key = job->key, .kind = ONLINK_DONE};
	p->observe(&obs, p->arg);
}

/* observe() may want more: a new job goes to the end of the list, so it stays whole meanwhile. */
uint64_t onlink_run(struct prober *p, uint64_t now_ns)
{
	struct job **at = &p->jobs;
	uint64_t next_ns = UINT64_MAX;

	while (*at) {
		struct job *job = *at;
		uint64_t over_ns = job->last_ns + WAIT_NS;

		hear(p, job);
		if (!job->released && job->sent < job->n) {
			at = &job->next;
			continue;
		}
		if (!job->released && job->n && now_ns < over_ns) {
			next_ns = over_ns < next_ns ? over_ns : next_ns;
			at = &job->next;
			continue;
		}
		if (!job->released)
			tell(p, job);
		*at = job->next;
		job_free(job);
	}
	return next_ns;
}

void onlink_free(struct prober *p)
{
	while (p->jobs) {
		struct job *job = p->jobs;

		p->jobs = job->next;
		job_free(job);
	}
}
