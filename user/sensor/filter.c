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
	}
	if (p)
		pcap_close(p);
	if (err) {
		free(f);
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
	struct tcphdr tcp = {
		.source = htons(src->port),
		.dest = htons(dst->port),
		.doff = sizeof(tcp) / 4,
		.ack = 1,
		.psh = 1,
	};
	union {
		struct iphdr v4;
		struct ip6_hdr v6;
		uint8_t bytes[sizeof(struct ip6_hdr) + sizeof(struct tcphdr) +
			      1]; /* and 1 of data */
	} packet = {0};
	struct pcap_pkthdr header = {0};
	size_t l3;

	if (!f)
		return true;
	if (src->addr.family == AF_INET) {
		l3 = sizeof(packet.v4);
		packet.v4.version = 4;
		packet.v4.ihl = sizeof(packet.v4) / 4;
		packet.v4.tot_len = htons(sizeof(packet.v4) + sizeof(tcp) + 1);
		packet.v4.ttl = 64;
		packet.v4.protocol = IPPROTO_TCP;
		memcpy(&packet.v4.saddr, src->addr.bytes, sizeof(packet.v4.saddr));
		memcpy(&packet.v4.daddr, dst->addr.bytes, sizeof(packet.v4.daddr));
	} else if (src->addr.family == AF_INET6) {
		l3 = sizeof(packet.v6);
		packet.v6.ip6_vfc = 6 << 4;
		packet.v6.ip6_plen = htons(sizeof(tcp) + 1);
		packet.v6.ip6_nxt = IPPROTO_TCP;
		packet.v6.ip6_hlim = 64;
		memcpy(&packet.v6.ip6_src, src->addr.bytes, sizeof(packet.v6.ip6_src));
		memcpy(&packet.v6.ip6_dst, dst->addr.bytes, sizeof(packet.v6.ip6_dst));
	} else {
		return false;
	}
	memcpy(packet.bytes + l3, &tcp, sizeof(tcp));
	header.len = header.caplen = l3 + sizeof(tcp) + 1;
	return pcap_offline_filter(&f->program, &header, packet.bytes) != 0;
}
