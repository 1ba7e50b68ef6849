/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the packet source share; for nobody else. */
#ifndef TCPSTALL_SENSOR_PACKETS_IMPL_H
#define TCPSTALL_SENSOR_PACKETS_IMPL_H

#include "base/clock.h"
#include "sensor/frame.h"
#include "sensor/sensor_impl.h"

#define RINGS_MAX	  16
#define RING_DELAY_MS	  100 /* the longest that a packet waits in the kernel for company */
#define RINGS_LATE_NS	  (2 * RING_DELAY_MS * NS_PER_MS) /* what happened by then can be read */
#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW	  101
#define LINKTYPE_SLL	  113
#define LINKTYPE_SLL2	  276

struct ring_packet {
	const uint8_t *data; /* during the call */
	uint32_t captured, length;
	int linktype;
	uint32_t ifindex; /* 0: of any */
	uint64_t now_ns;
};
typedef void (*ring_fn)(const struct ring_packet *p, void *arg);

struct rings;
/* names: separated by commas. -EPERM, -ENODEV, -ENETDOWN; ret_why is one line for the user. */
int rings_open(const char *names, int netns_fd, ring_fn take, void *arg, struct rings **ret,
	       char *ret_why, size_t why_len);
void rings_close(struct rings *r); /* NULL is fine */
int rings_fd(const struct rings *r);
/*
 * What is there; of several interfaces what is RINGS_LATE_NS old, in the order of time. -ENODEV:
 * all of them have gone.
 */
int rings_read(struct rings *r);

struct ring_counts {
	uint64_t dropped; /* packets that found the ring full */
	uint64_t gone;	  /* interfaces */
};
struct ring_counts rings_counts(const struct rings *r);

#define OWN_MAX 1024
struct own_addresses {
	int n;
	struct ip_addr addr[OWN_MAX];
};
int own_addresses(int netns_fd, struct own_addresses *ret);
bool own_address(const struct own_addresses *own, const struct ip_addr *addr);

/* What a socket of this host says of itself (sock_diag(7)). */
struct diag_socket {
	uint64_t inode;
	uint32_t unread, unsent; /* bytes in the receive queue; queued and not yet sent */
	uint32_t mss, rto_us, backoff, pmtu, rtt_us, rttvar_us, snd_wnd; /* 0 unknown */
};

struct diag;
/* In the network namespace of netns_fd, or ours if that is < 0. */
int diag_open(int netns_fd, struct diag **ret);
void diag_close(struct diag *d); /* NULL is fine */
/* -ENOENT: there is no such socket. */
int diag_find(struct diag *d, const struct flow_key *key, struct diag_socket *ret);

/* The last packets of transfers, of fixed memory. */
struct boxes;
int boxes_new(uint32_t packets, struct boxes **ret);
void boxes_free(struct boxes *b); /* NULL is fine */
/* Keeps a packet of this connection. Its first one takes a box; false: there is none free. */
bool boxes_put(struct boxes *b, uint64_t cookie, const struct box_packet *packet);
void boxes_end(struct boxes *b, uint64_t cookie); /* its connection is over */
int boxes_read(const struct boxes *b, uint64_t cookie, box_fn take, void *arg,
	       struct box_counts *ret);
struct box_capacity boxes_capacity(const struct boxes *b);

#endif
