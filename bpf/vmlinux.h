/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that the programs look at, written by hand and reduced to the fields used, so
 * that a build needs no BTF. Offsets and sizes given here mean nothing: every access is relocated
 * against the BTF of the running kernel (CO-RE). Fields that came or moved between 5.15 and 6.18
 * are asked for with bpf_core_field_exists(), or live in a flavour (type___suffix) that libbpf
 * matches by its name without the suffix.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;

typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef __u16 __sum16;

typedef _Bool bool;
enum { false, true };
#define NULL ((void *)0)

/* <linux/bpf.h>, what we use of it */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY, BPF_NOEXIST };
enum { BPF_F_NO_PREALLOC = 1, BPF_F_CLONE = 1 << 9, BPF_F_MMAPABLE = 1 << 10 };
enum { BPF_SK_STORAGE_GET_F_CREATE = 1 };

#define AF_INET	    2
#define AF_INET6    10
#define IPPROTO_TCP 6

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	union {
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			__be16 skc_dport;
			__u16 skc_num;
		};
	};
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	int sk_err_soft;
	u16 sk_protocol;
	struct socket *sk_socket;
};

struct sock___ino { /* since 6.17 */
	unsigned long sk_ino;
};

struct inode {
	unsigned long i_ino;
};

struct socket {
	short type;
};

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u32 icsk_rto;
	__u32 icsk_pmtu_cookie;
	__u8 icsk_ca_state : 5;
	__u8 icsk_retransmits;
	__u8 icsk_pending;
	__u8 icsk_backoff;
	__u8 icsk_probes_out;
};

struct inet_connection_sock___rto_max { /* since 6.15 */
	u32 icsk_rto_max;
};

struct tcp_options_received {
	u32 ts_recent;
	u16 mss_clamp;
	u16 tstamp_ok : 1, sack_ok : 3, snd_wscale : 4, rcv_wscale : 4;
};

struct minmax_sample {
	u32 t;
	u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 max_window;
	u32 tsoffset;
	u16 advmss;
	u32 snd_wnd;
	u32 mss_cache;
	u32 lost_out;
	u32 sacked_out;
	u32 copied_seq;
	u32 retrans_out;
	u8 chrono_type : 2;
	u32 chrono_start;
	u32 chrono_stat[3];
	u32 write_seq;
	u32 mdev_us;
	u32 rcv_nxt;
	u32 snd_nxt;
	u32 snd_una;
	u32 srtt_us;
	u32 packets_out;
	u32 rcv_wnd;
	u32 rcv_wup;
	u32 rcv_tstamp;
	u32 segs_in;
	u32 reord_seen;
	u32 total_retrans;
	u32 data_segs_out;
	u32 dsack_dups;
	u32 rcv_ooopack;
	u64 bytes_received;
	u64 bytes_acked;
	struct minmax rtt_min;
	struct tcp_options_received rx_opt;
};

struct tcp_sock___usec_ts { /* since 6.7 */
	u8 tcp_usec_ts : 1;
};

struct tcp_sock___md5 { /* CONFIG_TCP_MD5SIG */
	void *md5sig_info;
};

struct tcp_sock___ao { /* since 6.7, CONFIG_TCP_AO */
	void *ao_info;
};

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
};

struct sk_buff {
	union {
		struct {
			union {
				struct net_device *dev;
			};
		};
	};
	struct sock *sk;
	char cb[48];
	unsigned long _skb_refdst;
	unsigned int len;
	int skb_iif;
	s64 tstamp; /* in a union of anonymous type, as the kernel has it */
	__u16 transport_header;
	__u16 network_header;
	__u16 mac_header;
	unsigned char *head, *data;
};

/* tcp_flags is u8 before 6.17 and u16 since: libbpf mends the size of the load */
struct tcp_skb_cb {
	__u32 seq;
	__u32 end_seq;
	__u16 tcp_flags;
	__u32 ack_seq;
};

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	int tgid;
	struct signal_struct *signal;
};

struct neigh_table {
	int family;
};

struct neighbour {
	struct neigh_table *tbl;
	u8 nud_state;
	unsigned char ha[32];
	struct net_device *dev;
	u8 primary_key[0];
};

struct seq_file;
struct bpf_map;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
};

#pragma clang attribute pop

/* As on the wire: no relocation. */
struct iphdr {
	__u8 version_ihl;
	__u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	__u8 ttl;
	__u8 protocol;
	__sum16 check;
	__be32 saddr;
	__be32 daddr;
};

struct ipv6hdr {
	__be32 flow;
	__be16 payload_len;
	__u8 nexthdr;
	__u8 hop_limit;
	__be32 saddr[4];
	__be32 daddr[4];
};

#endif
