/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FILTER by libpcap: the text is compiled for raw IP, and the program runs on a data segment made
 * up from the addresses and ports of the transfer. So every expression over addresses, networks,
 * ports and protocol means what it means to tcpdump; lengths and payload mean nothing here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sensor/filter.h"

#define SNAPLEN 65535

struct flow_filter {
	struct bpf_program program;
};

union segment {
	struct iphdr v4;
	struct ip6_hdr v6;
	uint8_t bytes[sizeof(struct ip6_hdr) + sizeof(struct tcphdr) + 1]; /* and 1 of data */
};

/* Its length; 0: of no family. */
static size_t make_segment(const struct endpoint *src, const struct endpoint *dst,
			   union segment *ret)
{
	struct tcphdr tcp = {
		.source = htons(src->port),
		.dest = htons(dst->port),
		.doff = sizeof(tcp) / 4,
		.ack = 1,
		.psh = 1,
	};
	union segment s = {0};
	size_t l3;

	if (src->addr.family == AF_INET) {
		l3 = sizeof(s.v4);
		s.v4.version = 4;
		s.v4.ihl = sizeof(s.v4) / 4;
		s.v4.tot_len = htons(sizeof(s.v4) + sizeof(tcp) + 1);
		s.v4.ttl = 64;
		s.v4.protocol = IPPROTO_TCP;
		memcpy(&s.v4.saddr, src->addr.bytes, sizeof(s.v4.saddr));
		memcpy(&s.v4.daddr, dst->addr.bytes, sizeof(s.v4.daddr));
	} else if (src->addr.family == AF_INET6) {
		l3 = sizeof(s.v6);
		s.v6.ip6_vfc = 6 << 4;
		s.v6.ip6_plen = htons(sizeof(tcp) + 1);
		s.v6.ip6_nxt = IPPROTO_TCP;
		s.v6.ip6_hlim = 64;
		memcpy(&s.v6.ip6_src, src->addr.bytes, sizeof(s.v6.ip6_src));
		memcpy(&s.v6.ip6_dst, dst->addr.bytes, sizeof(s.v6.ip6_dst));
	} else {
		return 0;
	}
	memcpy(s.bytes + l3, &tcp, sizeof(tcp));
	*ret = s;
	return l3 + sizeof(tcp) + 1;
}

/* What differs between a segment of zeros and one of ones is what may be anything. */
static bool can_match(const struct bpf_program *program)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (size_t f = 0; f < sizeof(families); f++) {
		struct endpoint zeros = {.addr.family = families[f]}, ones = zeros;
		union segment packet, unknown;
		size_t len = make_segment(&zeros, &zeros, &packet);

		memset(ones.addr.bytes, 0xff, sizeof(ones.addr.bytes));
		ones.port = UINT16_MAX;
		make_segment(&ones, &ones, &unknown);
		for (size_t i = 0; i < len; i++)
			unknown.bytes[i] ^= packet.bytes[i];
		if (filter_reaches(program, packet.bytes, unknown.bytes, len))
			return true;
	}
	return false;
}

int flow_filter_new(const char *text, struct flow_filter **ret, char *ret_why, size_t why_len)
{
	struct flow_filter *f = calloc(1, sizeof(*f));
	pcap_t *p = pcap_open_dead(DLT_RAW, SNAPLEN);
	int err = 0;

	if (!f || !p) {
		err = -ENOMEM;
		snprintf(ret_why, why_len, "%s", strerror(ENOMEM));
	} else if (pcap_compile(p, &f->program, text, 1, PCAP_NETMASK_UNKNOWN)) {
		err = -EINVAL;
		snprintf(ret_why, why_len, "%s in '%s'", pcap_geterr(p), text);
	} else if (!can_match(&f->program)) {
		err = -EINVAL;
		snprintf(ret_why, why_len, "'%s': no data segment of TCP can match", text);
	}
	if (p)
		pcap_close(p);
	if (err) {
		flow_filter_free(f);
		return err;
	}
	*ret = f;
	return 0;
}

void flow_filter_free(struct flow_filter *f)
{
	if (!f)
		return;
	pcap_freecode(&f->program);
	free(f);
}

bool flow_filter_matches(const struct flow_filter *f, const struct flow_key *key, bool local_sends)
{
	const struct endpoint *src = local_sends ? &key->local : &key->remote;
	const struct endpoint *dst = local_sends ? &key->remote : &key->local;
	struct pcap_pkthdr header = {0};
	union segment packet;
	size_t len;

	if (!f)
		return true;
	len = make_segment(src, dst, &packet);
	header.len = header.caplen = (uint32_t)len;
	return len && pcap_offline_filter(&f->program, &header, packet.bytes) != 0;
}
