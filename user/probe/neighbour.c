/* SPDX-License-Identifier: GPL-2.0-only */
#include "probe/neighbour.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"

#define ARP_ETHERNET 1
#define ARP_REQUEST  1
#define ARP_REPLY    2

/* RFC 826 for IPv4 over Ethernet, which linux/if_arp.h leaves to the reader. */
struct arp4 {
	uint16_t hardware, protocol;
	uint8_t hardware_len, protocol_len;
	uint16_t operation;
	uint8_t sender_mac[6], sender[4], target_mac[6], target[4];
};
_Static_assert(sizeof(struct arp4) == 28, "layout");

struct solicitation {
	struct ip6_hdr ip;
	struct nd_neighbor_solicit ns;
	uint8_t option, option_len, lladdr[6];
};
_Static_assert(sizeof(struct solicitation) == RESOLVE_BYTES, "layout");

/* RFC 8200 8.1: the pseudo-header in front. */
static uint16_t icmp6_sum(const struct ip6_hdr *ip, const void *data, size_t len)
{
	uint32_t sum = sum16(0, &ip->ip6_src, 32);

	return htons((uint16_t)~sum16(sum + (uint32_t)len + IPPROTO_ICMPV6, data, len));
}

static void ip6_header(struct ip6_hdr *ip, const struct ip_addr *source, const void *target,
		       size_t payload)
{
	memset(ip, 0, sizeof(*ip));
	ip->ip6_vfc = 6 << 4;
	ip->ip6_plen = htons((uint16_t)payload);
	ip->ip6_nxt = IPPROTO_ICMPV6;
	ip->ip6_hlim = 255; /* neighbours discard what a router has passed on */
	if (source->family == AF_INET6)
		memcpy(&ip->ip6_src, source->bytes, 16);
	memcpy(&ip->ip6_dst, target, 16);
}

static int arp_write(const struct ip_addr *target, const struct ip_addr *source,
		     const uint8_t lladdr[6], uint8_t *buf)
{
	struct arp4 arp = {
		.hardware = htons(ARP_ETHERNET),
		.protocol = htons(ETH_P_IP),
		.hardware_len = 6,
		.protocol_len = 4,
		.operation = htons(ARP_REQUEST),
	};

	memcpy(arp.sender_mac, lladdr, 6);
	if (source->family == AF_INET)
		memcpy(arp.sender, source->bytes, 4);
	memcpy(arp.target, target->bytes, 4);
	memcpy(buf, &arp, sizeof(arp));
	return sizeof(arp);
}

static int nd_write(const struct ip_addr *target, const struct ip_addr *source,
		    const uint8_t lladdr[6], uint8_t *buf)
{
	uint8_t group[16] = {0xff, 0x02, [11] = 0x01, [12] = 0xff};
	struct solicitation s = {0};
	size_t len = sizeof(s.ns);

	memcpy(group + 13, target->bytes + 13, 3);
	if (source->family) { /* who claims nothing must not tell its own either */
		s.option = ND_OPT_SOURCE_LINKADDR;
		s.option_len = 1;
		memcpy(s.lladdr, lladdr, 6);
		len += 8;
	}
	ip6_header(&s.ip, source, group, len);
	s.ns.nd_ns_type = ND_NEIGHBOR_SOLICIT;
	memcpy(&s.ns.nd_ns_target, target->bytes, 16);
	s.ns.nd_ns_cksum = icmp6_sum(&s.ip, &s.ns, len);
	memcpy(buf, &s, sizeof(s.ip) + len);
	return (int)(sizeof(s.ip) + len);
}

int resolve_write(const struct ip_addr *target, const struct ip_addr *source,
		  const uint8_t lladdr[6], uint8_t buf[RESOLVE_BYTES])
{
	if (target->family == AF_INET)
		return arp_write(target, source, lladdr, buf);
	if (target->family == AF_INET6)
		return nd_write(target, source, lladdr, buf);
	return -EINVAL;
}

void resolve_lladdr(const struct ip_addr *target, uint8_t ret[6])
{
	memset(ret, 0xff, 6);
	if (target->family != AF_INET6)
		return;
	ret[0] = ret[1] = 0x33;
	memcpy(ret + 3, target->bytes + 13, 3);
}

static int echo4(const struct ip_addr *source, const struct ip_addr *target, uint16_t id,
		 uint16_t seq, uint16_t size, uint8_t *buf)
{
	struct icmphdr icmp = {.type = ICMP_ECHO};
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(size),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = IPPROTO_ICMP,
	};

	icmp.un.echo.id = htons(id);
	icmp.un.echo.sequence = htons(seq);
	icmp.checksum = htons((uint16_t)~sum16(0, &icmp, sizeof(icmp)));
	memcpy(&ip.saddr, source->bytes, 4);
	memcpy(&ip.daddr, target->bytes, 4);
	ip.check = htons((uint16_t)~sum16(0, &ip, sizeof(ip)));
	memcpy(buf, &ip, sizeof(ip));
	memcpy(buf + sizeof(ip), &icmp, sizeof(icmp));
	return size;
}

static int echo6(const struct ip_addr *source, const struct ip_addr *target, uint16_t id,
		 uint16_t seq, uint16_t size, uint8_t *buf)
{
	struct icmp6_hdr icmp = {.icmp6_type = ICMP6_ECHO_REQUEST};
	size_t len = size - sizeof(struct ip6_hdr);
	struct ip6_hdr ip;

	ip6_header(&ip, source, target->bytes, len);
	icmp.icmp6_id = htons(id);
	icmp.icmp6_seq = htons(seq);
	memcpy(buf, &ip, sizeof(ip));
	memcpy(buf + sizeof(ip), &icmp, sizeof(icmp));
	icmp.icmp6_cksum = icmp6_sum(&ip, buf + sizeof(ip), len);
	memcpy(buf + sizeof(ip), &icmp, sizeof(icmp));
	return size;
}

int echo_write(const struct ip_addr *source, const struct ip_addr *target, uint16_t id,
	       uint16_t seq, uint16_t size, uint8_t *buf, size_t len)
{
	const size_t header = target->family == AF_INET6
				      ? sizeof(struct ip6_hdr) + sizeof(struct icmp6_hdr)
				      : sizeof(struct iphdr) + sizeof(struct icmphdr);

	if (size > len || size < header)
		return -EMSGSIZE;
	memset(buf, 0, size);
	return target->family == AF_INET6 ? echo6(source, target, id, seq, size, buf)
					  : echo4(source, target, id, seq, size, buf);
}

/* A reply, or a question: both say who the sender is. */
static enum neighbour_said read_arp(const uint8_t *buf, size_t len, struct neighbour_message *ret)
{
	struct arp4 arp;

	if (len < sizeof(arp))
		return SAID_NOTHING;
	memcpy(&arp, buf, sizeof(arp));
	if (arp.hardware != htons(ARP_ETHERNET) || arp.protocol != htons(ETH_P_IP) ||
	    arp.hardware_len != 6 || arp.protocol_len != 4 ||
	    (arp.operation != htons(ARP_REQUEST) && arp.operation != htons(ARP_REPLY)))
		return SAID_NOTHING;
	ret->addr = addr_v4(arp.sender);
	memcpy(ret->lladdr, arp.sender_mac, 6);
	return SAID_ADDRESS;
}

static enum neighbour_said read_ip4(const uint8_t *buf, size_t len, struct neighbour_message *ret)
{
	struct icmphdr icmp;
	struct iphdr ip;
	size_t header;

	if (len < sizeof(ip))
		return SAID_NOTHING;
	memcpy(&ip, buf, sizeof(ip));
	header = ip.ihl * 4u;
	if (ip.version != 4 || header < sizeof(ip) || ip.protocol != IPPROTO_ICMP ||
	    ip.frag_off & htons(IP_OFFMASK) || len < header + sizeof(icmp))
		return SAID_NOTHING;
	memcpy(&icmp, buf + header, sizeof(icmp));
	if (icmp.type != ICMP_ECHOREPLY)
		return SAID_NOTHING;
	ret->addr = addr_v4(&ip.saddr);
	ret->id = ntohs(icmp.un.echo.id);
	ret->seq = ntohs(icmp.un.echo.sequence);
	return SAID_ECHO;
}

/* The option with the hardware address may be missing where the answer goes to one only. */
static enum neighbour_said read_advert(const uint8_t *buf, size_t len,
				       struct neighbour_message *ret)
{
	size_t at = sizeof(struct nd_neighbor_advert);

	if (len < at)
		return SAID_NOTHING;
	ret->addr = addr_v6(buf + offsetof(struct nd_neighbor_advert, nd_na_target));
	while (at + 8 <= len && buf[at + 1]) {
		if (buf[at] == ND_OPT_TARGET_LINKADDR)
			memcpy(ret->lladdr, buf + at + 2, 6);
		at += 8u * buf[at + 1];
	}
	return SAID_ADDRESS;
}

static enum neighbour_said read_ip6(const uint8_t *buf, size_t len, struct neighbour_message *ret)
{
	struct icmp6_hdr icmp;
	struct ip6_hdr ip;

	if (len < sizeof(ip) + sizeof(icmp))
		return SAID_NOTHING;
	memcpy(&ip, buf, sizeof(ip));
	memcpy(&icmp, buf + sizeof(ip), sizeof(icmp));
	if (ip.ip6_vfc >> 4 != 6 || ip.ip6_nxt != IPPROTO_ICMPV6)
		return SAID_NOTHING;
	if (icmp.icmp6_type == ND_NEIGHBOR_ADVERT && ip.ip6_hlim == 255)
		return read_advert(buf + sizeof(ip), len - sizeof(ip), ret);
	if (icmp.icmp6_type != ICMP6_ECHO_REPLY)
		return SAID_NOTHING;
	ret->addr = addr_v6(&ip.ip6_src);
	ret->id = ntohs(icmp.icmp6_id);
	ret->seq = ntohs(icmp.icmp6_seq);
	return SAID_ECHO;
}

enum neighbour_said neighbour_read(uint16_t protocol, const uint8_t *buf, size_t len,
				   struct neighbour_message *ret)
{
	memset(ret, 0, sizeof(*ret));
	switch (protocol) {
	case ETH_P_ARP:
		return read_arp(buf, len, ret);
	case ETH_P_IP:
		return read_ip4(buf, len, ret);
	case ETH_P_IPV6:
		return read_ip6(buf, len, ret);
	default:
		return SAID_NOTHING;
	}
}
