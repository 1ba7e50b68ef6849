/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Observations: the only way into the engine.
 *
 * A sensor, the prober and the host room each produce them; a recording is a list of them. They say
 * what was seen, never what it means. All times are CLOCK_MONOTONIC nanoseconds (offline:
 * nanoseconds since the first packet of the file, plus one); 0 means never or unknown. Sequence
 * numbers are raw (as on the wire). Addresses are in network byte order, ports and everything else
 * in host order.
 */
#ifndef TCPSTALL_ENGINE_OBSERVATION_H
#define TCPSTALL_ENGINE_OBSERVATION_H

#include <stdbool.h>
#include <stdint.h>
#include "base/addr.h"

#define PAUSE_BUCKETS 8
#define NAME_LEN      64
#define TUNNEL_TEXT   128

/* One TCP connection as one network namespace sees it. */
struct flow_key {
	uint64_t cookie; /* socket cookie; offline: number of the connection in the file */
	uint32_t netns;	 /* inode of the namespace that owns the socket; 0 offline */
	uint32_t pad;
	struct endpoint local, remote; /* offline: remote is the end that accepted, if known */
};

/* What one direction of a flow has done so far. */
struct direction {
	uint64_t bytes;	       /* in-order bytes moved since the connection began */
	uint64_t progress_ns;  /* last time `bytes` grew */
	uint64_t run_start_ns; /* start of the present run: progress without a gap of RUN_GAP_NS */
	uint64_t run_start_bytes;	/* `bytes` at that time */
	uint16_t pauses[PAUSE_BUCKETS]; /* gaps that ended; bucket i: [2^i, 2^(i+1)) * 64 ms, last
					   one open */
};

enum snapshot_flag {
	SNAP_NAMED = 1 << 0,	  /* the user asked for this flow (FILTER or run) */
	SNAP_TIMESTAMPS = 1 << 1, /* RFC 7323 timestamps were negotiated */
	SNAP_SACK = 1 << 2,
	SNAP_USEC_TS =
		1 << 3, /* timestamp clock ticks in microseconds (Linux >= 6.7, route option) */
	SNAP_OFFLINE = 1 << 4,	    /* from a capture: no socket behind it, fields may be unknown */
	SNAP_SECURED = 1 << 5,	    /* TCP-MD5 or TCP-AO: a segment of ours would not be accepted */
	SNAP_SEEDED = 1 << 6,	    /* older than the sensor: progress times start at attach */
	SNAP_WITNESS_ONLY = 1 << 7, /* outside what the user watches: never a stall of its own */
};

/* Full state of one flow at one moment. Names as in `ss -i`; see tcp_get_info(). */
struct flow_snapshot {
	struct flow_key key;
	struct direction snd, rcv; /* local -> remote, remote -> local */

	uint64_t born_ns;      /* connection established, or first seen */
	uint64_t owe_since_ns; /* data has been outstanding without a break since then; 0: nothing
				  owed */
	uint64_t last_in_ns;   /* last segment of any kind from the peer */
	uint64_t retrans_ns;   /* last retransmission */
	uint64_t inode;	       /* of the socket; 0 unknown */

	uint32_t snd_una, snd_nxt, write_seq; /* send side */
	uint32_t rcv_nxt, copied_seq; /* receive side: in order up to, read by the program up to */
	uint32_t peer_nxt; /* highest sequence number any segment of the peer has shown */
	uint32_t retrans_seq, retrans_len; /* segment that was last retransmitted */

	uint32_t snd_wnd,
		rcv_wnd;    /* bytes, scaled; rcv_wnd as last advertised less what came since */
	uint32_t mss, pmtu; /* bytes; sender maximum segment, path MTU the kernel believes in */
	uint32_t rtt_us, rttvar_us, min_rtt_us;
	uint32_t rto_us;     /* present retransmission timeout, back-off included */
	uint32_t backoff;    /* doublings of the timer (RFC 6298 5.5) */
	uint32_t retrans;    /* timeouts in a row for the segment at snd_una */
	uint32_t probes_out; /* unanswered window probes or keep-alives */
	uint32_t unacked_segs, sacked_segs, lost_segs, retrans_segs, reord_seen;
	uint32_t total_retrans; /* segments, life-long */
	uint32_t dup_acks;	/* since the last progress of snd */
	uint32_t in_segs;	/* segments from the peer since the last progress of snd */
	uint32_t wnd_shut_acks; /* of these, ACKs that keep the window shut */
	uint32_t csum_bad;	/* segments that failed the checksum, since tracking began */
	uint32_t old_segs;  /* data segments that lay wholly below RCV.NXT, since the last progress
			       of rcv */
	uint32_t hole_segs; /* data segments that lay beyond RCV.NXT, since the last progress of rcv
			     */

	uint32_t data_segs_out; /* with data, retransmissions included; life-long */
	uint32_t dsack_dups;	/* of these, that arrived twice, as the peer tells */
	uint32_t rcv_ooopack;	/* segments that came out of order; life-long */
	uint32_t retrans_runs;	/* stretches without a gap that were sent again */
	uint32_t resume_jump;	/* the ACK that ended the last pause covered so many bytes
				   beyond what was sent again in it */
	/* Bytes: the peer's window before and after its right edge moved back by much, and not to
	 * nothing; 0: it has not, or the window has opened again since. */
	uint32_t wide_wnd, cut_wnd;
	uint32_t bad_sacks, bad_echoes; /* SACK blocks and timestamp echoes of what was never sent
					 */
	uint32_t tsoffset, ts_recent; /* RFC 7323: our clock offset (ms), last value of the peer */
	uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us; /* tcp_chrono */

	uint8_t state;	  /* enum tcp_state, as in <netinet/tcp.h> */
	uint8_t ca_state; /* TCP_CA_* */
	uint8_t ttl_in;	  /* TTL of ordinary segments of the peer; 0 unknown */
	uint8_t flags;	  /* enum snapshot_flag */
	uint32_t ifindex; /* interface the peer's segments come in on; 0 unknown */
	uint32_t pid;	  /* process that opened it, where the sensor saw that happen; 0 unknown */
	char comm[16];
	uint32_t soft_error; /* errno of the last ICMP error that TCP took as soft; 0 none */
	uint8_t snd_wscale, rcv_wscale; /* shift of the peer's window and of ours (RFC 7323 2) */
	uint16_t pad;
};

enum gone_reason { GONE_CLOSED, GONE_RESET, GONE_TIMED_OUT };

/* The socket is no more. `last` is its state just before. */
struct flow_gone {
	struct flow_snapshot last;
	enum gone_reason reason;
	int error; /* errno the program got, 0 if none */
};

/* A reset of this flow. */
struct reset_seen {
	struct flow_key key;
	bool inbound;
	uint8_t ttl;	   /* of the reset; 0 unknown */
	uint8_t ttl_usual; /* of the peer's ordinary segments; 0 unknown */
	uint16_t ip_id, ip_id_usual;
	uint32_t seq;
};

/* An ICMP or ICMPv6 error that quotes a segment of this flow which the kernel itself sent. */
struct icmp_seen {
	struct flow_key key;
	struct ip_addr from;
	uint8_t type, code;
	uint32_t mtu; /* next-hop MTU of "fragmentation needed" and "packet too big"; 0 otherwise */
};

/* The kernel dropped packets of this flow on this host. */
struct drop_seen {
	struct flow_key key;
	bool inbound;
	uint32_t count;
	char reason[NAME_LEN];	 /* without SKB_DROP_REASON_ */
	char function[NAME_LEN]; /* where; empty unknown */
};

/* A neighbour entry changed (ARP, ND). */
struct neigh_seen {
	uint32_t netns, ifindex;
	struct ip_addr addr;
	uint8_t lladdr[6], old_lladdr[6];
	uint16_t nud; /* NUD_* */
};

enum probe_kind {
	PROBE_IN_FLOW,	    /* 1 byte, the flow's own addresses and ports, sequence below snd_una */
	PROBE_IN_FLOW_FULL, /* the same with `size` bytes of IP packet */
	PROBE_CONTROL,	    /* SYN to the same address and port from a fresh port */
	PROBE_IN_FLOW_COPY, /* the data segment that the kernel sent last, byte for byte */
	PROBE_KINDS
};

enum probe_answer {
	ANSWER_NONE,	      /* nothing in time */
	ANSWER_TIME_EXCEEDED, /* a router: the TTL ran out there */
	ANSWER_UNREACHABLE,   /* ICMP unreachable other than too-big */
	ANSWER_TOO_BIG,	      /* fragmentation needed, packet too big */
	ANSWER_ACK,	      /* the peer, inside the connection */
	ANSWER_SYN_ACK,	      /* the peer, on the fresh port */
	ANSWER_RST,	      /* a reset to this probe */
	ANSWER_NOT_SENT,      /* the probe could not be sent (see `error`) */
};

/* What an error quotes otherwise than it was sent: changed on the way there, not mended on the way
 * back. Ports, addresses and checksums are a NAT's business. */
enum probe_altered {
	ALTERED_SEQUENCE = 1 << 0, /* sequence or acknowledgement number */
	ALTERED_WINDOW = 1 << 1,
	ALTERED_OPTIONS = 1 << 2,
	ALTERED_PAYLOAD = 1 << 3,
};

/* One probe and what came of it. Times are when it was sent and when it was answered. */
struct probe_seen {
	struct flow_key key;
	enum probe_kind kind;
	enum probe_answer answer;
	uint8_t ttl;
	uint8_t answer_ttl; /* TTL of the answer's own IP header */
	uint8_t icmp_code;
	uint8_t altered; /* enum probe_altered */
	uint8_t way;	 /* PROBE_CONTROL: which of the fresh ports */
	uint8_t swept;	 /* of a capture: the TTL at which many of them were tried; 0 none */
	uint16_t size;	 /* bytes of the IP packet */
	int error;	 /* errno for ANSWER_NOT_SENT */
	uint32_t mtu;	 /* ANSWER_TOO_BIG */
	uint32_t seq;	 /* ANSWER_ACK: sequence number of the peer's segment (its SND.NXT) */
	struct ip_addr from;
	struct ip_addr quoted_src; /* source address in the quote: differs behind a NAT that does
				      not mend it */
	uint64_t sent_ns, answered_ns;
};

/*
 * What this host knows about the way to the peer. Told again while a stall lasts: counters count as
 * differences between the first and the latest.
 */
struct route_seen {
	struct flow_key key;
	uint8_t hop; /* 0: the flow's namespace; n: that of its n-th hop, this host too */
	int error;   /* errno of the look-up; then only the interface is told. 0: found */
	struct ip_addr gateway; /* family 0: on link */
	uint32_t ifindex;
	char ifname[16];
	char kind[16];	/* of the interface: "veth", "wireguard" ...; empty: a plain device */
	char lower[16]; /* device under a VLAN or macvlan: carrier, speed and counters are its */
	struct ip_addr tunnel_local,
		tunnel_remote; /* outer addresses of a tunnel; family 0 unknown */
	bool down;	       /* by the administrator */
	bool no_arp;	       /* point to point, or neighbours need no resolution */
	uint32_t mtu;	       /* of the interface */
	uint32_t path_mtu;     /* learnt or set for this destination; 0: that of the interface */
	uint32_t path_mtu_expires_s; /* learnt: forgotten after; 0: set, or none */
	uint16_t nud; /* state of the gateway's (or peer's) neighbour entry; 0 none */
	uint8_t lladdr[6];
	int carrier;	 /* 1, 0, -1 unknown */
	int speed_mbps;	 /* -1 unknown */
	int best_mbps;	 /* fastest that the NIC supports; 0 unknown */
	int full_duplex; /* 1, 0, -1 unknown */
	bool loopback;	 /* the peer is this host */
	uint64_t rx_packets, tx_packets;
	uint64_t rx_errors, tx_errors, rx_dropped, tx_dropped, carrier_changes;
	uint64_t rx_crc_errors, rx_missed, tx_carrier_errors, collisions;
	char qdisc[16]; /* at the root; empty: none, or not told */
	uint64_t qdisc_drops;
	uint32_t qdisc_backlog_bytes;
	uint32_t conntrack_count, conntrack_max; /* of the namespace; 0: no connection tracking */
};

/* The local program behind the flow. */
struct process_seen {
	struct flow_key key;
	uint32_t pid; /* 0: not found */
	char comm[16];
	char state;	      /* as in /proc/PID/stat: R S D T Z ...; 0 unknown */
	char wchan[NAME_LEN]; /* kernel function it waits in; empty unknown */
	uint32_t holders;     /* processes that have the socket open */
	/* CPU limit of its cgroup (cpu.stat): times that it ran into it, so far; 0 if there is none
	 */
	uint64_t throttled, throttled_us;
	/* PSI "some" over 10 s, hundredths of a percent: of the system, and of its cgroup */
	uint16_t io_pressure, cpu_pressure, memory_pressure;
	uint16_t cgroup_io_pressure, cgroup_cpu_pressure, cgroup_memory_pressure;
};

enum onlink_kind {
	ONLINK_RESOLVE, /* who has this address? ARP request or neighbour solicitation, to all */
	ONLINK_CLAIM,	/* the same for our own address: nobody should answer (RFC 5227 2.1.1) */
	ONLINK_ECHO,	/* ICMP echo to its hardware address */
	ONLINK_DONE,	/* no probe: all that was wanted has been told */
	ONLINK_KINDS
};

/* One probe to a neighbour on the first link, and what came of it. */
struct onlink_seen {
	struct flow_key key;
	enum onlink_kind kind;
	bool next_hop; /* the gateway, or the peer where it is on link */
	bool full;     /* as large as the flow's own packets */
	bool answered;
	uint16_t size; /* bytes of the IP packet; 0 for ONLINK_RESOLVE and ONLINK_CLAIM */
	int error;     /* errno, if it could not be sent */
	struct ip_addr addr;
	uint8_t lladdr[6], other_lladdr[6]; /* who answered; and who else claimed the address */
	uint64_t sent_ns, answered_ns;
};

enum capture_position { CAPTURED_UNKNOWN, CAPTURED_NEAR_SRC, CAPTURED_NEAR_DST, CAPTURED_MIDDLE };

/*
 * What only a capture shows of a silent direction: it saw both ends and knows what came after. The
 * key's local end is the sender. Packets are counted from 1 as in the file.
 */
struct capture_seen {
	struct flow_key key;
	uint64_t first_frame, last_frame;     /* last progress; the newest packet of the stall */
	uint64_t retrans_frame, decide_frame; /* first retransmission, 0 none; when confirmed */
	enum capture_position position;
	bool local_receives; /* the local end is the receiver, and asks a silent sender in vain */
	bool acks_lost;	     /* all is acknowledged and sent again all the same */
	bool on_link; /* no router between the capture point and the end that it is near to */
	bool one_way; /* nothing of the receiver was captured */
	bool missing; /* the receiver acknowledged what the capture does not have */
	bool mid_connection; /* no handshake in the capture: window scale unknown */
	bool recovered;	     /* it went on afterwards */
	bool jumped;	     /* the first ACK then covered more than was sent again */
	bool upstream;	     /* the stuck bytes never passed the capture point before */
	bool receiver_closed, sender_closed; /* a FIN of theirs came before */
	uint32_t stuck_len;		     /* bytes of the segment at snd_una; 0 unknown */
	uint32_t stuck_seen;		     /* times that it passed the capture point */
	uint32_t tries;			     /* retransmissions and window probes in the silence */
	uint32_t heard, dup_acks; /* segments of the receiver; heard: those sent in the silence */
	uint32_t repeats;	  /* of data that was acknowledged already */
	uint32_t sacked_bytes;	  /* beyond the hole */
	uint32_t sacked_longest;  /* bytes of the longest SACK block */
	uint32_t refused;	  /* timeouts that an ACK for what came before has answered */
	uint32_t unanswered;	  /* timeouts since the receiver was heard */
	uint32_t bad_sums;	  /* segments in the silence with a bad checksum, of many good */
	uint32_t passed_len;	  /* longest segment that was ever acknowledged, bytes of data */
	uint32_t resumed_len;	  /* bytes of the retransmission that got through; 0 unknown */
	uint32_t same_pair;	  /* other connections of the two hosts that moved in the silence */
	uint32_t elsewhere;	  /* those between other hosts that share one of them */
	uint32_t stuck_beside;	  /* others of the two hosts that owed and were silent as well */
	uint32_t stuck_elsewhere; /* handshakes of the sender with other hosts, in vain as well */
	uint32_t opened;	  /* connections of the sender that came about in the silence */
	char tunnel[TUNNEL_TEXT]; /* around it: "gtp-u 7, 192.0.2.1 to 192.0.2.2"; empty none */
};

/* Not all that was moved is in the capture. */
static inline bool capture_is_partial(const struct capture_seen *c)
{
	return c->mid_connection || c->missing;
}

enum pace_limit {
	PACE_UNKNOWN,
	PACE_POLICER, /* losses whenever a token bucket of this rate is empty, no queue before */
	PACE_SHAPER,  /* a queue builds up and drains at a constant rate */
	PACE_LOSS,    /* losses at no particular rate */
	PACE_WINDOW,  /* the receive window is full all the time */
	PACE_SHUT,    /* the receive window is shut again and again */
	PACE_PAUSES,  /* it waits for segments that are sent again */
};

/* How fast a direction went over a phase of its life, and what held it back. */
struct pace_seen {
	struct flow_key key; /* its local end is the sender; netns 0: from a capture */
	enum pace_limit limit;
	uint64_t begin_ns, end_ns;
	uint64_t first_frame, last_frame;
	enum capture_position position;
	uint64_t bytes;
	uint64_t rate_bps, usual_bps;		    /* in this phase; at its best, 0 unknown */
	uint64_t ceiling_bps;			    /* PACE_POLICER, PACE_SHAPER */
	uint64_t ceiling_low_bps, ceiling_high_bps; /* these explain it as well */
	uint64_t burst_bytes; /* PACE_POLICER: what passes at once; 0 unknown */
	uint32_t segs, lost_segs;
	uint32_t bad_sums;	/* segments with a bad checksum */
	uint32_t lost_upstream; /* of these, before the capture point */
	uint32_t flows;		/* that share the ceiling, this one included */
	uint32_t rtt_us, min_rtt_us, window_bytes;
	uint32_t fit_permille; /* of losses and passes that the ceiling explains */
	uint32_t pauses;       /* PACE_SHUT, PACE_PAUSES: how many, all of them, the longest */
	uint64_t paused_ns, longest_ns;
	char tunnel[TUNNEL_TEXT]; /* as in capture_seen */
	bool unscaled; /* PACE_WINDOW: one end offered window scaling, the other did not */
	bool cookie;   /* PACE_WINDOW: as a server answers that is short of room for handshakes */
	/* Of a capture; as in flow_snapshot. */
	uint8_t snd_wscale;
	uint32_t mss, bad_sacks, wide_wnd, cut_wnd;
};

/* What a transfer waits for. Method: T-RAT (Zhang et al. 2002), the kernel's tcp_chrono. */
enum limit {
	LIMIT_SENDER_APP,	 /* all is acknowledged, or less than a segment was written */
	LIMIT_RECEIVER_WINDOW,	 /* no room for another segment */
	LIMIT_CONGESTION_WINDOW, /* there is room, and no queue on the path */
	LIMIT_LOSS_RECOVERY,	 /* until all that was out at a loss is acknowledged */
	LIMIT_BOTTLENECK,	 /* a queue stretches the round trip */
	LIMITS
};

/* A transfer is over, or its capture: what held it back, and for how long, over its whole life. */
struct life_seen {
	struct flow_key key;
	uint64_t begin_ns, end_ns; /* first and last packet of the connection */
	uint64_t first_frame, last_frame;
	enum capture_position position;
	uint64_t bytes;	    /* of data that the capture has */
	uint64_t best_bps;  /* in its best second; 0: it was shorter */
	uint64_t judged_ns; /* the sum of limited_ns[]; 0: seen one way only */
	uint64_t limited_ns[LIMITS];
	uint32_t retrans, max_window_bytes, min_rtt_us, mss;
	bool mid_connection; /* no handshake in the capture: window scale unknown */
};

enum observation_type {
	OBS_TICK, /* nothing but time */
	OBS_LATE, /* the program was not run, though it should have been */
	OBS_SNAPSHOT,
	OBS_GONE,
	OBS_RESET,
	OBS_ICMP,
	OBS_DROP,
	OBS_NEIGH,
	OBS_PROBE,
	OBS_ROUTE,
	OBS_PROCESS,
	OBS_ONLINK,
	OBS_SCANNED, /* a full scan is complete: every living transfer has been reported */
	OBS_CAPTURE, /* offline: belongs to the snapshot that follows */
	OBS_PACE,    /* a phase of a transfer's life is over */
	OBS_LIFE,    /* a transfer is over */
	OBS_END,     /* no more will come: close every open stall */
	OBS_TYPES
};

struct observation {
	enum observation_type type;
	uint64_t now_ns;
	union {
		struct flow_snapshot snapshot;
		struct flow_gone gone;
		struct reset_seen reset;
		struct icmp_seen icmp;
		struct drop_seen drop;
		struct neigh_seen neigh;
		struct probe_seen probe;
		struct route_seen route;
		struct process_seen process;
		struct onlink_seen onlink;
		struct capture_seen capture;
		struct pace_seen pace;
		struct life_seen life;
		uint64_t late_since_ns; /* OBS_LATE: until now_ns */
		bool capture_end;	/* OBS_END: the capture ended, not the watch */
	};
};

/* How a source of observations hands them over. */
typedef void (*observe_fn)(const struct observation *obs, void *arg);

#endif
