/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose packet it is, where no socket says so. */
#ifndef TCPSTALL_PARSE_H
#define TCPSTALL_PARSE_H

struct ports {
	__be16 source, dest;
};

/*
 * Reads a packet's own headers, from l3 on, as seen by its receiver. Bytes of the network layer's;
 * 0: not TCP, or behind extension headers, or a fragment.
 */
static __always_inline u32 parse(const unsigned char *l3, struct tuple *t)
{
	struct ipv6hdr h = {};
	struct ports ports;
	u32 len;

	__builtin_memset(t, 0, sizeof(*t));
	if (bpf_probe_read_kernel(&h, sizeof(struct iphdr), l3))
		return 0;
	len = *(u8 *)&h;
	if (len >> 4 == 4) {
		struct iphdr *v4 = (struct iphdr *)&h;

		if (v4->protocol != IPPROTO_TCP || v4->frag_off & bpf_htons(0x1fff))
			return 0;
		len = (len & 15) * 4;
		t->family = AF_INET;
		*(u32 *)t->remote = v4->saddr;
		*(u32 *)t->local = v4->daddr;
	} else if (len >> 4 == 6) {
		if (bpf_probe_read_kernel(&h, sizeof(h), l3) || h.nexthdr != IPPROTO_TCP)
			return 0;
		len = sizeof(h);
		t->family = AF_INET6;
		__builtin_memcpy(t->remote, h.saddr, 16);
		__builtin_memcpy(t->local, h.daddr, 16);
	} else {
		return 0;
	}
	if (bpf_probe_read_kernel(&ports, sizeof(ports), l3 + len))
		return 0;
	t->remote_port = bpf_ntohs(ports.source);
	t->local_port = bpf_ntohs(ports.dest);
	return len;
}

#endif
