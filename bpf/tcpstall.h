/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs and user space say to each other: the only header that both include.
 * Fixed widths and explicit padding, so that 32-bit user space agrees with a 64-bit kernel.
 * Times are CLOCK_MONOTONIC nanoseconds; addresses are in network byte order (IPv4 in the first
 * four bytes, the rest zero), everything else in host order.
 */
#ifndef TCPSTALL_BPF_H
#define TCPSTALL_BPF_H

#define BPF_PAUSES	 8
#define BPF_LISTEN_MAX	 64
#define BPF_DROP_REASONS 256
#define BPF_BOX_BYTES	 128
#define BPF_APART_MAX	 4096

/* Set before loading, constant from then on. */
struct knobs {
	__u64 min_bytes;	/* a flow that moved less has no state */
	__u64 suspect_after_ns; /* silence that the scan reports */
	__u32 netns;		/* only this namespace is watched; 0: all */
	__u32 jiffy_ns;
	__u8 track_all;	 /* every flow from its first segment (FILTER: user space picks) */
	__u8 by_process; /* only flows of the processes in `tasks` are watched */
	__u8 has_cast;	 /* the kernel has bpf_rdonly_cast() */
	__u8 pad[1];
	__u32 box_packets;		 /* in a black box: a power of two; 0: there are none */
	__u8 harmless[BPF_DROP_REASONS]; /* by enum skb_drop_reason: a drop that is no fault */
};
_Static_assert(sizeof(struct knobs) == 32 + BPF_DROP_REASONS, "layout");

/* One direction; as struct direction of the observations. */
struct track {
	__u64 progress_ns;
	__u64 run_start_ns;
	__u64 run_start_bytes;
	__u16 pauses[BPF_PAUSES];
};
_Static_assert(sizeof(struct track) == 40, "layout");

struct tuple {
	__u8 local[16], remote[16];
	__u32 netns;
	__u16 local_port, remote_port;
	__u8 family;
	__u8 pad[7];
};
_Static_assert(sizeof(struct tuple) == 48, "layout");

/* Why the scan reports a flow. */
enum why {
	WHY_OWES = 1 << 0,  /* data is outstanding and nothing was acknowledged for too long */
	WHY_QUIET = 1 << 1, /* it moved steadily, or has unread data, and gets no more */
	WHY_FINE = 1 << 2,  /* it was reported before and moves again */
	WHY_ASKED = 1 << 3, /* the scan is for all flows */
	WHY_MOVES = 1 << 4, /* a transfer that has moved lately: for its rate */
};

enum flow_flag {
	FLOW_MINE = 1 << 0,	 /* opened by a process in `tasks` */
	FLOW_LISTENER = 1 << 1,	 /* state of a listening socket, waiting to be cloned to children */
	FLOW_SEEDED = 1 << 2,	 /* older than we are */
	FLOW_REPORTED = 1 << 3,	 /* the last scan called it suspect */
	FLOW_SHOWN = 1 << 4,	 /* user space has heard of it */
	FLOW_RESET = 1 << 5,	 /* a reset has come in */
	FLOW_CLOSED = 1 << 6,	 /* it is over, but the socket may still send a reset */
	FLOW_CONNECTED = 1 << 7, /* this end sent the SYN */
	FLOW_ACCEPTED = 1 << 8,	 /* the other one did; neither: not known */
};

/* Which black box, and whose turn with it; index 0: none. */
struct box_ref {
	__u32 index;
	__u32 turn;
};

enum packet_flag {
	PACKET_OUT = 1 << 0,
	PACKET_AGAIN = 1 << 1, /* begins below what has passed in this direction */
	PACKET_DROPPED = 1 << 2,
	PACKET_REPLY = 1 << 3, /* not this one was sent, but a reset that answers it */
};

/* One packet. Behind its headers `data` holds whatever lay there: not to be shown to anybody. */
struct box_slot {
	__u64 time_ns;
	__u32 number; /* in its box, from 1, wraps; written last */
	__u32 ifindex;
	__u32 length; /* bytes on the wire from data[0] on */
	__u8 flags;   /* enum packet_flag */
	__u8 link;    /* bytes of link layer header in data: 14 (Ethernet) or 0 */
	__u8 pad[2];
	__u8 data[BPF_BOX_BYTES];
};
_Static_assert(sizeof(struct box_slot) == 24 + BPF_BOX_BYTES, "layout");

enum box_option {
	BOX_TIMESTAMPS = 1 << 0,
	BOX_SACK = 1 << 1,
	BOX_CONNECTED = 1 << 2, /* as FLOW_CONNECTED */
	BOX_ACCEPTED = 1 << 3,
};

/*
 * Packet n (from 1) lies in slot (n - 1) % box_packets, and it is the box's n-th, whoever owned it:
 * what an owner left cannot be taken for the next one's. Turn and cookie tell the owner.
 */
struct box {
	__u64 packets;
	__u64 first; /* packets of former owners */
	__u64 cookie;
	__u64 out_tstamp;
	__u32 turn;
	__u32 last_skb; /* the packet that came last, to know it again */
	__u32 out_ifindex;
	__u32 out_high, in_high; /* sequence numbers that have passed are below */
	__u32 min_rtt_us;	 /* from here on: what the handshake has settled */
	__u16 snd_mss, rcv_mss;
	__u8 snd_wscale : 4, rcv_wscale : 4;
	__u8 options; /* enum box_option */
	__u16 unseen; /* segments that came before packet_in was there; 65535: or more */
};
_Static_assert(sizeof(struct box) == 64, "layout");

/* Full state of a flow. Names and units as in struct flow_snapshot of the observations. */
struct snapshot {
	__u64 now_ns;
	__u64 cookie;
	__u64 inode;
	struct tuple tuple;
	struct track snd, rcv;
	__u64 snd_bytes, rcv_bytes;
	__u64 born_ns, owe_since_ns, last_in_ns, retrans_ns;
	__u64 busy_us, rwnd_limited_us, sndbuf_limited_us;
	__u32 snd_una, snd_nxt, write_seq;
	__u32 rcv_nxt, copied_seq, peer_nxt;
	__u32 retrans_seq, retrans_len;
	__u32 snd_wnd, rcv_wnd;
	__u32 mss, pmtu;
	__u32 rtt_us, rttvar_us, min_rtt_us;
	__u32 rto_us, backoff, retrans, probes_out;
	__u32 unacked_segs, sacked_segs, lost_segs, retrans_segs, reord_seen;
	__u32 total_retrans;
	__u32 dup_acks, in_segs, wnd_shut_acks, csum_bad;
	__u32 old_segs, hole_segs;
	__u32 data_segs_out, dsack_dups, rcv_ooopack;
	__u32 retrans_runs, resume_jump, bad_sacks, bad_echoes;
	__u32 wide_wnd, cut_wnd;
	__u32 tsoffset, ts_recent;
	__u32 ifindex;
	__u32 soft_error;
	__u32 flags; /* enum flow_flag */
	__u32 why;   /* enum why */
	__u32 pid;
	char comm[16];
	__u8 state, ca_state, ttl_in;
	__u8 timestamps, sack, usec_ts, secured;
	__u8 watched; /* in the namespace and of the processes that the user picked */
	__u8 snd_wscale, rcv_wscale;
	__u8 pad[2];
};
_Static_assert(sizeof(struct snapshot) == 440, "layout");

enum event_type {
	EVENT_GONE = 1,
	EVENT_RESET,
	EVENT_NEIGH,
	EVENT_APART, /* just its head: packet_in is needed, and not there */
};

struct event {
	__u32 type;
	__u32 pad;
	__u64 now_ns;
};

struct event_gone {
	struct event head;
	__u32 error; /* errno of the socket */
	__u32 pad;
	struct snapshot last;
};
_Static_assert(sizeof(struct event_gone) == 24 + sizeof(struct snapshot), "layout");

struct event_reset {
	struct event head;
	__u64 cookie;
	struct tuple tuple;
	__u32 seq;
	__u16 ip_id, ip_id_usual;
	__u8 inbound, ttl, ttl_usual;
	__u8 watched; /* as in struct snapshot */
	__u8 pad[4];
};
_Static_assert(sizeof(struct event_reset) == 88, "layout");

struct event_neigh {
	struct event head;
	__u32 netns, ifindex;
	__u8 addr[16];
	__u8 lladdr[6], old_lladdr[6];
	__u16 nud;
	__u8 family;
	__u8 pad;
};
_Static_assert(sizeof(struct event_neigh) == 56, "layout");

/* Value of `listen`: drops of this tuple are counted. */
struct listening {
	__u64 cookie;
	__u64 csum_bad; /* damaged segments that were not tied to the socket yet */
	struct box_ref box;
};

/* Key of `drops`, whose value is a count. */
struct drop {
	__u64 cookie;
	__u64 location; /* address in the kernel's text */
	__u32 reason;	/* enum skb_drop_reason of the running kernel */
	__u8 inbound;
	__u8 pad[3];
};
_Static_assert(sizeof(struct drop) == 24, "layout");

/* Index into `counts`. The LOST_ ones say what was not seen. */
enum count {
	COUNT_TRACKED,
	COUNT_VISITED,
	COUNT_BOXLESS, /* transfers that found no black box free */
	COUNT_RETRANS, /* of tracked flows */
	LOST_RING_FULL,
	LOST_NO_MEMORY,
	LOST_DROPS_FULL,
	LOST_TASKS_FULL,
	COUNTS
};

#endif
