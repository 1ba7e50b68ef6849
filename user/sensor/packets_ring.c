/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets of interfaces through libpcap: a ring that the kernel fills (PACKET_RX_RING), headers
 * only. What finds no room in it is counted by the kernel.
 *
 * Packets of several interfaces are handed out by their time: on a router the same one comes by
 * twice, and an answer must not come before what it answers.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/clock.h"
#include "host/host.h"
#include "sensor/packets_impl.h"

#define SNAP_LEN      192 /* headers, tunnels' too */
#define BLOCKS_A_READ 64  /* then somebody else has a turn */
#define MERGED_A_READ 65536
#define NS_OF(t)      ((int64_t)(t).tv_sec * (int64_t)NS_PER_S + (t).tv_usec) /* asked for so */

struct ring {
	pcap_t *pcap; /* NULL: it has gone */
	int linktype;
	uint32_t ifindex;
	/* Of several: its next packet, if `waits`. dry: it has no other that is due. */
	bool waits, dry;
	struct ring_packet next;
	uint8_t head[SNAP_LEN];
};

struct rings {
	struct ring ring[RINGS_MAX];
	int n, gone, epoll_fd;
	uint64_t dropped_before; /* by rings that have gone */
	int64_t wall_offset_ns;
	ring_fn take;
	void *arg;
};

struct opening {
	struct rings *rings;
	const char *names;
	char *why;
	size_t why_len;
};

static int linktype_of(int dlt)
{
	return dlt == DLT_RAW ? LINKTYPE_RAW : dlt;
}

static void list_interfaces(char *buf, size_t len)
{
	struct if_nameindex *all = if_nameindex();
	size_t at = 0;

	*buf = '\0';
	for (const struct if_nameindex *i = all; i && i->if_index && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s%s", at ? ", " : "", i->if_name);
	if_freenameindex(all);
}

static int explain(const struct opening *o, const char *name, int status, const char *said)
{
	char have[160], grant[GRANT_LEN];

	switch (status) {
	case PCAP_ERROR_PERM_DENIED:
		snprintf(o->why, o->why_len, "packets cannot be seen: CAP_NET_RAW missing; %s",
			 capability_grant(grant));
		return -EPERM;
	case PCAP_ERROR_NO_SUCH_DEVICE:
		list_interfaces(have, sizeof(have));
		snprintf(o->why, o->why_len, "-i '%s': no such interface; there are any, %s", name,
			 have);
		return -ENODEV;
	case PCAP_ERROR_IFACE_NOT_UP:
		snprintf(o->why, o->why_len, "-i '%s': the interface is down", name);
		return -ENETDOWN;
	default:
		snprintf(o->why, o->why_len, "-i '%s': %s", name, said);
		return -EIO;
	}
}

static int open_ring(struct opening *o, const char *name)
{
	/* What is not due yet stays in the rings of several, and must not wake us again. */
	struct epoll_event event = {.events = EPOLLIN | (strchr(o->names, ',') ? EPOLLET : 0u)};
	struct ring *r = &o->rings->ring[o->rings->n];
	char said[PCAP_ERRBUF_SIZE] = "";
	pcap_t *p = pcap_create(name, said);
	int status;

	if (!p)
		return explain(o, name, PCAP_ERROR, said);
	r->pcap = p;
	o->rings->n++;
	pcap_set_snaplen(p, SNAP_LEN);
	pcap_set_buffer_size(p, SENSOR_RING_BYTES);
	pcap_set_timeout(p, RING_DELAY_MS);
	pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO);
	status = pcap_activate(p);
	if (status < 0)
		return explain(o, name, status, pcap_geterr(p));
	r->linktype = linktype_of(pcap_datalink(p));
	r->ifindex = if_nametoindex(name);
	if (!linktype_name(r->linktype)) {
		snprintf(o->why, o->why_len, "-i '%s': link type %d cannot be read", name,
			 r->linktype);
		return -ENOTSUP;
	}
	event.data.u32 = (uint32_t)o->rings->n - 1;
	if (pcap_setnonblock(p, 1, said) < 0 ||
	    epoll_ctl(o->rings->epoll_fd, EPOLL_CTL_ADD, pcap_get_selectable_fd(p), &event))
		return explain(o, name, PCAP_ERROR, *said ? said : strerror(errno));
	return 0;
}

static int open_here(void *arg)
{
	struct opening *o = arg;
	const char *at = o->names;
	int err = 0;

	while (!err && *at) {
		size_t len = strcspn(at, ",");
		char name[IF_NAMESIZE];

		if (!len || len >= sizeof(name) || o->rings->n == RINGS_MAX) {
			snprintf(o->why, o->why_len,
				 "-i '%s': not up to %d names with commas between", o->names,
				 RINGS_MAX);
			return -EINVAL;
		}
		snprintf(name, sizeof(name), "%.*s", (int)len, at);
		err = open_ring(o, name);
		at += len + (at[len] == ',');
	}
	return err;
}

int rings_open(const char *names, int netns_fd, ring_fn take, void *arg, struct rings **ret,
	       char *ret_why, size_t why_len)
{
	struct rings *r = calloc(1, sizeof(*r));
	struct opening o = {.rings = r, .names = names, .why = ret_why, .why_len = why_len};
	int err;

	*ret_why = '\0';
	if (!r)
		return -ENOMEM;
	r->take = take;
	r->arg = arg;
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = r->epoll_fd < 0 ? -errno : namespace_call(netns_fd, open_here, &o);
	if (err) {
		if (!*ret_why)
			snprintf(ret_why, why_len, "packets cannot be seen: %s", strerror(-err));
		rings_close(r);
		return err;
	}
	*ret = r;
	return 0;
}

void rings_close(struct rings *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->n; i++)
		if (r->ring[i].pcap)
			pcap_close(r->ring[i].pcap);
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	free(r);
}

int rings_fd(const struct rings *r)
{
	return r->epoll_fd;
}

struct turn {
	struct rings *rings;
	struct ring *ring;
};

static struct ring_packet packet_of(const struct turn *t, const struct pcap_pkthdr *h,
				    const u_char *data)
{
	return (struct ring_packet){
		.data = data,
		.captured = h->caplen,
		.length = h->len,
		.linktype = t->ring->linktype,
		.ifindex = t->ring->ifindex,
		.now_ns = (uint64_t)(NS_OF(h->ts) - t->rings->wall_offset_ns),
	};
}

static void on_packet(u_char *arg, const struct pcap_pkthdr *h, const u_char *data)
{
	const struct turn *t = (const struct turn *)arg;
	struct ring_packet p = packet_of(t, h, data);

	t->rings->take(&p, t->rings->arg);
}

/*
 * Copied, as the ring may give its place back. It has come: a clock that was set back since does
 * not make it wait.
 */
static void on_next(u_char *arg, const struct pcap_pkthdr *h, const u_char *data)
{
	const struct turn *t = (const struct turn *)arg;
	struct ring *r = t->ring;
	uint64_t now_ns = mono_ns();

	r->next = packet_of(t, h, data);
	if (r->next.now_ns > now_ns)
		r->next.now_ns = now_ns;
	if (r->next.captured > sizeof(r->head))
		r->next.captured = sizeof(r->head);
	memcpy(r->head, data, r->next.captured);
	r->next.data = r->head;
	r->waits = true;
}

static uint64_t dropped(const struct ring *r)
{
	struct pcap_stat stat = {0};

	return r->pcap && !pcap_stats(r->pcap, &stat) ? stat.ps_drop : 0;
}

/* The interface was taken away or its namespace has ended. */
static void lose(struct rings *r, struct ring *ring)
{
	r->gone++;
	r->dropped_before += dropped(ring);
	pcap_close(ring->pcap); /* and out of the epoll set with its descriptor */
	ring->pcap = NULL;
}

static void read_one(struct rings *r, struct ring *ring)
{
	struct turn turn = {.rings = r, .ring = ring};
	int n = 1;

	for (int k = 0; k < BLOCKS_A_READ && n > 0 && ring->pcap; k++) {
		n = pcap_dispatch(ring->pcap, -1, on_packet, (u_char *)&turn);
		if (n < 0)
			lose(r, ring);
	}
}

/* The ring whose next packet is the oldest, or NULL. */
static struct ring *oldest(struct rings *r)
{
	struct ring *found = NULL;

	for (int i = 0; i < r->n; i++) {
		struct ring *ring = &r->ring[i];
		struct turn turn = {.rings = r, .ring = ring};
		int n = 0;

		if (!ring->waits && !ring->dry && ring->pcap) {
			n = pcap_dispatch(ring->pcap, 1, on_next, (u_char *)&turn);
			ring->dry = n <= 0;
		}
		if (n < 0)
			lose(r, ring);
		if (ring->waits && (!found || ring->next.now_ns < found->next.now_ns))
			found = ring;
	}
	return found;
}

/* As far as no ring can hold an older one back. */
static void read_merged(struct rings *r)
{
	uint64_t due_ns = mono_ns() - RINGS_LATE_NS;
	struct epoll_event woken[RINGS_MAX];

	epoll_wait(r->epoll_fd, woken, RINGS_MAX, 0); /* until the next that comes */
	for (int i = 0; i < r->n; i++)
		r->ring[i].dry = false;
	for (int k = 0; k < MERGED_A_READ; k++) {
		struct ring *ring = oldest(r);

		if (!ring || ring->next.now_ns > due_ns)
			return;
		ring->waits = false;
		r->take(&ring->next, r->arg);
	}
}

int rings_read(struct rings *r)
{
	r->wall_offset_ns = wall_offset_ns();
	if (r->n == 1)
		read_one(r, &r->ring[0]);
	else
		read_merged(r);
	return r->gone == r->n ? -ENODEV : 0;
}

struct ring_counts rings_counts(const struct rings *r)
{
	struct ring_counts c = {.gone = (uint64_t)r->gone, .dropped = r->dropped_before};

	for (int i = 0; i < r->n; i++)
		c.dropped += dropped(&r->ring[i]);
	return c;
}

/* --- which addresses are ours ------------------------------------------------------------------
 */

static int list_here(void *arg)
{
	struct own_addresses *own = arg;
	struct ifaddrs *all;

	if (getifaddrs(&all))
		return -errno;
	own->n = 0;
	for (const struct ifaddrs *i = all; i && own->n < OWN_MAX; i = i->ifa_next) {
		if (!i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			own->addr[own->n++] =
				addr_v4(&((const struct sockaddr_in *)i->ifa_addr)->sin_addr);
		else if (i->ifa_addr->sa_family == AF_INET6)
			own->addr[own->n++] =
				addr_v6(&((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr);
	}
	freeifaddrs(all);
	return 0;
}

int own_addresses(int netns_fd, struct own_addresses *ret)
{
	return namespace_call(netns_fd, list_here, ret);
}

bool own_address(const struct own_addresses *own, const struct ip_addr *addr)
{
	if (addr_is_loopback(addr))
		return true;
	for (int i = 0; i < own->n; i++)
		if (addr_equal(&own->addr[i], addr))
			return true;
	return false;
}
