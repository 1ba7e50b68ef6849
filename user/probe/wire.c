/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Listening on a packet socket has two reasons: it hears answers that the local firewall drops or
 * that a raw socket would get only after conntrack, and it works on any kind of link. It is bound
 * to no protocol until its filter is in place, so nothing unwanted is ever queued.
 */
#include "probe/wire.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/host.h"

#define SNAP_LEN     512 /* of an error or a handshake: holds all headers, a quote's too */
#define IN_MAX	     256 /* an answer of the peer: headers and options, or a little data */
#define OUT_MAX	     9216 /* not the bulk data of a healthy transfer, which leaves in larger pieces */
#define RECEIVE_BUF  (1 << 20)
#define PAIRS_A_JUMP 200 /* a conditional jump of classic BPF reaches 255 instructions */
#define CODE_MAX     (WIRE_PAIRS_MAX + WIRE_PAIRS_MAX / PAIRS_A_JUMP * 4 + 128)

struct wire {
	int packet, raw4, raw6;
	int control4[WIRE_CONTROL_PORTS], control6[WIRE_CONTROL_PORTS];
};

/* A classic BPF program in the making. */
struct code {
	struct sock_filter insns[CODE_MAX];
	int n;
};

static int emit(struct code *c, uint16_t code, uint32_t k)
{
	c->insns[c->n] = (struct sock_filter){.code = code, .k = k};
	return c->n++;
}

/* Jumps over the next `otherwise` instructions if the comparison fails. */
static void unless_equal(struct code *c, uint32_t k, uint8_t otherwise)
{
	c->insns[emit(c, BPF_JMP | BPF_JEQ | BPF_K, k)].jf = otherwise;
}

static void accept_if_equal(struct code *c, uint32_t k)
{
	unless_equal(c, k, 1);
	emit(c, BPF_RET | BPF_K, SNAP_LEN);
}

static void drop(struct code *c)
{
	emit(c, BPF_RET | BPF_K, 0);
}

static void drop_if_longer(struct code *c, uint32_t len)
{
	c->insns[emit(c, BPF_JMP | BPF_JGT | BPF_K, len)].jf = 1;
	drop(c);
}

/* Lets a forward jump, emitted as BPF_JA, land here. */
static void land(struct code *c, int jump)
{
	c->insns[jump].k = (uint32_t)(c->n - jump - 1);
}

/* Memory cells of the program. */
enum { LENGTH, PORTS };

static int emit_ip4(struct code *c)
{
	static const uint8_t errors[] = {ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED};

	emit(c, BPF_LDX | BPF_B | BPF_MSH, 0); /* X: length of the IP header */
	emit(c, BPF_LD | BPF_H | BPF_ABS, 6);
	c->insns[emit(c, BPF_JMP | BPF_JSET | BPF_K, 0x1fff)].jf = 1; /* a later fragment */
	drop(c);
	emit(c, BPF_LD | BPF_B | BPF_ABS, 9);
	unless_equal(c, IPPROTO_ICMP, 1 + 2 * sizeof(errors) + 1);
	emit(c, BPF_LD | BPF_B | BPF_IND, 0);
	for (size_t i = 0; i < sizeof(errors); i++)
		accept_if_equal(c, errors[i]);
	drop(c);
	c->insns[emit(c, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP)].jt = 1;
	drop(c);
	emit(c, BPF_LD | BPF_H | BPF_ABS, 2);
	emit(c, BPF_ST, LENGTH);
	emit(c, BPF_LD | BPF_W | BPF_IND, 0);
	return emit(c, BPF_JMP | BPF_JA, 0);
}

/* TCP behind extension headers is not looked for. */
static void emit_ip6(struct code *c)
{
	static const uint8_t errors[] = {ICMP6_DST_UNREACH, ICMP6_PACKET_TOO_BIG,
					 ICMP6_TIME_EXCEEDED, ICMP6_PARAM_PROB};

	emit(c, BPF_LD | BPF_B | BPF_ABS, 6);
	unless_equal(c, IPPROTO_ICMPV6, 1 + 2 * sizeof(errors) + 1);
	emit(c, BPF_LD | BPF_B | BPF_ABS, 40);
	for (size_t i = 0; i < sizeof(errors); i++)
		accept_if_equal(c, errors[i]);
	drop(c);
	c->insns[emit(c, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP)].jt = 1;
	drop(c);
	emit(c, BPF_LD | BPF_H | BPF_ABS, 4);
	emit(c, BPF_ST, LENGTH);
	emit(c, BPF_LD | BPF_W | BPF_ABS, 40);
}

/* In: ports in A. Out: A as wire_pair() makes it. What is too long to be of interest is dropped. */
static void emit_direction(struct code *c)
{
	int incoming, both;

	emit(c, BPF_ST, PORTS);
	emit(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE);
	unless_equal(c, PACKET_OUTGOING, 1);
	c->insns[emit(c, BPF_JMP | BPF_JA, 1)].k = 1;
	incoming = emit(c, BPF_JMP | BPF_JA, 0);
	emit(c, BPF_LD | BPF_MEM, LENGTH);
	drop_if_longer(c, OUT_MAX);
	emit(c, BPF_LD | BPF_MEM, PORTS);
	emit(c, BPF_ALU | BPF_RSH | BPF_K, 16);
	emit(c, BPF_MISC | BPF_TAX, 0);
	emit(c, BPF_LD | BPF_MEM, PORTS);
	emit(c, BPF_ALU | BPF_LSH | BPF_K, 16);
	emit(c, BPF_ALU | BPF_OR | BPF_X, 0);
	both = emit(c, BPF_JMP | BPF_JA, 0);
	land(c, incoming);
	emit(c, BPF_LD | BPF_MEM, LENGTH);
	drop_if_longer(c, IN_MAX);
	emit(c, BPF_LD | BPF_MEM, PORTS);
	land(c, both);
}

static void emit_pairs(struct code *c, const uint32_t *pairs, int n)
{
	for (int done = 0; done < n;) {
		int some = n - done < PAIRS_A_JUMP ? n - done : PAIRS_A_JUMP;

		for (int i = 0; i < some; i++) {
			int at = emit(c, BPF_JMP | BPF_JEQ | BPF_K, pairs[done + i]);

			c->insns[at].jt = (uint8_t)(some - i);
		}
		emit(c, BPF_JMP | BPF_JA, 3);
		emit(c, BPF_LD | BPF_MEM, LENGTH);
		/* IPv6 does not count its header. NOLINTNEXTLINE: both ADD and K are 0 */
		emit(c, BPF_ALU | BPF_ADD | BPF_K, sizeof(struct ip6_hdr));
		emit(c, BPF_RET | BPF_A, 0); /* whole: what goes out may have to be copied */
		done += some;
	}
}

int wire_listen(struct wire *w, const uint32_t *pairs, int n)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct code c = {0};
	struct sock_fprog program = {.filter = c.insns};
	int ip4, other, ports;

	if (n > WIRE_PAIRS_MAX)
		return -EINVAL;
	emit(&c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PROTOCOL);
	unless_equal(&c, ETH_P_IP, 1);
	ip4 = emit(&c, BPF_JMP | BPF_JA, 0);
	c.insns[emit(&c, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6)].jt = 1;
	drop(&c);
	other = emit(&c, BPF_JMP | BPF_JA, 0);
	land(&c, ip4);
	ports = emit_ip4(&c);
	land(&c, other);
	emit_ip6(&c);
	land(&c, ports);
	emit_direction(&c);
	emit_pairs(&c, pairs, n);
	emit(&c, BPF_ALU | BPF_AND | BPF_K, 0xffff);
	for (size_t f = 0; f < sizeof(families); f++) {
		for (int i = 0; i < WIRE_CONTROL_PORTS; i++) {
			uint16_t port = wire_control_port(w, families[f], i);

			if (port)
				accept_if_equal(&c, port);
		}
	}
	drop(&c);

	program.len = (uint16_t)c.n;
	if (setsockopt(w->packet, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return -errno;
	return 0;
}

/* A TCP port that is ours but neither listens nor connects: whatever reaches it gets a reset. */
static int reserve_port(int netns_fd, int family)
{
	struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
	int fd = namespace_socket(netns_fd, family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return fd;
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any,
		 family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6))) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* IPPROTO_RAW: the IP header is ours to write, see inet_create(). */
static int open_raw(int netns_fd, int family)
{
	return namespace_socket(netns_fd, family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				IPPROTO_RAW);
}

static int open_packet(struct wire *w, int netns_fd)
{
	struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int on = 1, size = RECEIVE_BUF, r;

	w->packet =
		namespace_socket(netns_fd, AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w->packet < 0)
		return w->packet;
	r = wire_listen(w, NULL, 0);
	if (r)
		return r;
	if (setsockopt(w->packet, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(w->packet, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(w->packet, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
	    bind(w->packet, (struct sockaddr *)&all, sizeof(all)))
		return -errno;
	return 0;
}

static int open_all(struct wire *w, int netns_fd)
{
	for (int i = 0; i < WIRE_CONTROL_PORTS; i++) {
		w->control4[i] = reserve_port(netns_fd, AF_INET);
		w->control6[i] = reserve_port(netns_fd, AF_INET6);
	}
	w->raw4 = open_raw(netns_fd, AF_INET);
	w->raw6 = open_raw(netns_fd, AF_INET6);
	if (w->raw4 < 0 && w->raw6 < 0)
		return w->raw4;
	return open_packet(w, netns_fd);
}

int wire_open(int netns_fd, struct wire **ret)
{
	struct wire *w = malloc(sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	memset(w, -1, sizeof(*w));
	r = open_all(w, netns_fd);
	if (r) {
		wire_close(w);
		return r;
	}
	*ret = w;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void wire_close(struct wire *w)
{
	if (!w)
		return;
	close_fd(w->packet);
	close_fd(w->raw4);
	close_fd(w->raw6);
	for (int i = 0; i < WIRE_CONTROL_PORTS; i++) {
		close_fd(w->control4[i]);
		close_fd(w->control6[i]);
	}
	free(w);
}

int wire_fd(const struct wire *w)
{
	return w->packet;
}

uint16_t wire_control_port(const struct wire *w, uint8_t family, int i)
{
	const int fd = (family == AF_INET6 ? w->control6 : w->control4)[i % WIRE_CONTROL_PORTS];
	struct sockaddr_in6 name = {0}; /* the port is where sockaddr_in has it */
	socklen_t len = sizeof(name);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&name, &len))
		return 0;
	return ntohs(name.sin6_port);
}

/* The source address goes along for policy routing, which does not look into our header. */
int wire_send(struct wire *w, const struct segment *s, const uint8_t *packet, size_t len,
	      uint32_t scope)
{
	const bool v6 = s->dst.addr.family == AF_INET6;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {0};
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	struct iovec data = {.iov_base = (void *)packet, .iov_len = len};
	struct msghdr message = {
		.msg_name = v6 ? (void *)&to6 : (void *)&to4,
		.msg_namelen = v6 ? sizeof(to6) : sizeof(to4),
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
	};
	struct in_pktinfo info4 = {0};
	struct in6_pktinfo info6 = {0};
	const size_t info_len = v6 ? sizeof(info6) : sizeof(info4);
	const int fd = v6 ? w->raw6 : w->raw4;
	struct cmsghdr *c;

	if (fd < 0)
		return fd;
	memcpy(&to4.sin_addr, s->dst.addr.bytes, sizeof(to4.sin_addr));
	memcpy(&to6.sin6_addr, s->dst.addr.bytes, sizeof(to6.sin6_addr));
	memcpy(&info4.ipi_spec_dst, s->src.addr.bytes, sizeof(info4.ipi_spec_dst));
	memcpy(&info6.ipi6_addr, s->src.addr.bytes, sizeof(info6.ipi6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&to6.sin6_addr))
		to6.sin6_scope_id = scope;

	message.msg_controllen = CMSG_SPACE(info_len);
	c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(info_len);
	memcpy(CMSG_DATA(c), v6 ? (void *)&info6 : (void *)&info4, info_len);
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int64_t timestamp(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec t;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		return (int64_t)t.tv_sec * (int64_t)NS_PER_S + t.tv_nsec;
	}
	return 0;
}

int wire_receive(struct wire *w, uint8_t *buf, size_t size, struct wire_packet *ret)
{
	char control[128];
	struct sockaddr_ll from = {0};
	struct iovec data = {.iov_base = buf, .iov_len = size};
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(w->packet, &message, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	*ret = (struct wire_packet){
		.len = (size_t)n,
		.outgoing = from.sll_pkttype == PACKET_OUTGOING,
		.realtime_ns = timestamp(&message),
	};
	return 0;
}
