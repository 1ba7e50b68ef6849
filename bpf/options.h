/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Options of an ACK that do not agree with what this host has sent: a box on the way rewrites
 * sequence numbers or timestamps in one place and not in the other. Off the hot path: only ACKs
 * that bring nothing new are looked at.
 */
#ifndef TCPSTALL_OPTIONS_H
#define TCPSTALL_OPTIONS_H

#define TCP_HEADER_BYTES  20
#define TCP_OPTIONS_BYTES 40
#define TCPOPT_EOL	  0
#define TCPOPT_NOP	  1
#define TCPOPT_SACK	  5
#define TCPOPT_TIMESTAMP  8
#define ECHO_SLACK_NS	  NS_PER_S

static __always_inline u32 be32_at(const u8 *options, u32 at)
{
	return (u32)options[at & 63] << 24 | (u32)options[(at + 1) & 63] << 16 |
	       (u32)options[(at + 2) & 63] << 8 | options[(at + 3) & 63];
}

/* tcp_is_sackblock_valid(), with room for D-SACKs of old segments (RFC 2883). */
static __always_inline bool sack_is_odd(const struct tcp_sock *tp, u32 start, u32 end)
{
	return before(tp->snd_nxt, end) ||
	       before(start, tp->snd_una - 2 * tp->max_window - 0x10000);
}

/* RFC 7323 3.2: the echo is one of our own timestamps, no younger than now, no older than we are.
 */
static __always_inline bool echo_is_odd(const struct flow *f, struct tcp_sock *tp, u32 echo)
{
	u64 now = clock_ns(), tick = NS_PER_S / 1000;
	u64 most = f->flags & FLOW_SEEDED ? 1ull << 62 : now - f->born_ns + ECHO_SLACK_NS;
	s64 age;

	if (counts_usec(tp))
		tick = 1000;
	age = (s32)((u32)(now / tick) + tp->tsoffset - echo) * (s64)tick;
	return age < -(s64)ECHO_SLACK_NS || age > (s64)most;
}

/*
 * A D-SACK (RFC 2883) of what was acknowledged before the silence began. The kernel sends none of
 * that again, and what it had sent needlessly is answered within a round trip. So it answers a
 * watcher's probe, of this host or another, and tells nothing of the peer by itself.
 */
static __always_inline bool answers_probe(const struct flow *f, const struct tcp_sock *tp, u32 end)
{
	u64 late_ns = 2 * (u64)(tp->srtt_us >> 3) * (NS_PER_S / 1000000);

	if (late_ns < NS_PER_S / 2)
		late_ns = NS_PER_S / 2;
	return !before(tp->snd_una, end) &&
	       (s64)(f->last_in_ns - f->snd.progress_ns) >= (s64)late_ns;
}

/* Counts what is odd. Whether the ACK answers a watcher's probe. */
static __noinline int odd_options(struct flow *f, const struct sk_buff *skb, struct tcp_sock *tp)
{
	u8 options[64] = {};
	u32 at = 0, len;
	bool asked = false;
	u8 offset = 0;

	if (!f || !skb || !tp || bpf_probe_read_kernel(&offset, sizeof(offset), skb->data + 12))
		return 0;
	len = (offset >> 4) * 4;
	if (len <= TCP_HEADER_BYTES || len > TCP_HEADER_BYTES + TCP_OPTIONS_BYTES)
		return 0;
	len -= TCP_HEADER_BYTES;
	if (bpf_probe_read_kernel(options, TCP_OPTIONS_BYTES, skb->data + TCP_HEADER_BYTES))
		return 0;
	for (int i = 0; i < 8 && at + 1 < len; i++) {
		u8 kind = options[at & 63], size = options[(at + 1) & 63];

		if (kind == TCPOPT_EOL)
			break;
		if (kind == TCPOPT_NOP) {
			at++;
			continue;
		}
		if (size < 2 || at + size > len)
			break;
		if (kind == TCPOPT_SACK && size >= 10 &&
		    sack_is_odd(tp, be32_at(options, at + 2), be32_at(options, at + 6)))
			f->bad_sacks++;
		if (kind == TCPOPT_SACK && size >= 10 &&
		    answers_probe(f, tp, be32_at(options, at + 6)))
			asked = true;
		if (kind == TCPOPT_TIMESTAMP && size == 10 &&
		    echo_is_odd(f, tp, be32_at(options, at + 6)))
			f->bad_echoes++;
		at += size;
	}
	return asked;
}

#endif
