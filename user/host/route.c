/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way to a peer as the kernel would go now: route, neighbour and link, over rtnetlink (speed
 * and duplex by ethtool's ioctl, which the same socket takes). Read-only; the socket lives in the
 * namespace that is asked about, the thread does not stay there.
 */
#include "host/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

/* A link message without its virtual functions stays well below. */
#define REPLY_BYTES 32768

static int open_rtnetlink(void *ret)
{
	*(struct mnl_socket **)ret = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	return *(struct mnl_socket **)ret ? 0 : -errno;
}

/* Sends one request and hands the reply to fn. The kernel answers at once, or the time-out ends it.
 */
static int ask(struct mnl_socket *nl, struct nlmsghdr *request, mnl_cb_t fn, void *arg)
{
	static const struct timeval patience = {.tv_sec = 1};
	char reply[REPLY_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t len;
	int r = MNL_CB_OK;

	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	request->nlmsg_seq = 1;
	if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		len = mnl_socket_recvfrom(nl, reply, sizeof(reply));
		if (len < 0)
			return -errno;
		r = mnl_cb_run(reply, (size_t)len, 1, 0, fn, arg);
	}
	return r < 0 ? -errno : 0;
}

static bool attr_u32(const struct nlattr *attr, uint32_t *ret)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
		return false;
	*ret = mnl_attr_get_u32(attr);
	return true;
}

static struct ip_addr address(int family, const void *bytes, size_t len)
{
	if (family == AF_INET && len >= 4)
		return addr_v4(bytes);
	if (family == AF_INET6 && len >= 16)
		return addr_v6(bytes);
	return (struct ip_addr){0};
}

static int read_metric(const struct nlattr *attr, void *arg)
{
	struct route_seen *route = arg;

	if (mnl_attr_get_type(attr) == RTAX_MTU)
		attr_u32(attr, &route->path_mtu);
	return MNL_CB_OK;
}

static int read_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);
	struct route_seen *route = arg;
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	route->loopback = rtm->rtm_type == RTN_LOCAL;
	mnl_attr_for_each(attr, h, sizeof(*rtm))
	{
		const void *data = mnl_attr_get_payload(attr);
		size_t len = mnl_attr_get_payload_len(attr);
		const struct rtvia *via = data;

		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			attr_u32(attr, &route->ifindex);
			break;
		case RTA_GATEWAY:
			route->gateway = address(rtm->rtm_family, data, len);
			break;
		case RTA_VIA: /* an IPv4 route by an IPv6 gateway */
			if (len >= sizeof(*via))
				route->gateway = address(via->rtvia_family, via->rtvia_addr,
							 len - sizeof(*via));
			break;
		case RTA_METRICS:
			mnl_attr_parse_nested(attr, read_metric, route);
			break;
		}
	}
	return MNL_CB_OK;
}

/* Protocol and ports take part in the choice where several next hops share the load by flow. */
static int ask_route(struct mnl_socket *nl, const struct flow_key *key, bool with_source,
		     struct route_seen *route)
{
	size_t len = addr_len(&key->remote.addr);
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;

	h->nlmsg_type = RTM_GETROUTE;
	rtm = mnl_nlmsg_put_extra_header(h, sizeof(*rtm));
	rtm->rtm_family = key->remote.addr.family;
	rtm->rtm_dst_len = (unsigned char)(8 * len);
	mnl_attr_put(h, RTA_DST, len, key->remote.addr.bytes);
	if (with_source) {
		rtm->rtm_src_len = (unsigned char)(8 * len);
		mnl_attr_put(h, RTA_SRC, len, key->local.addr.bytes);
	}
	mnl_attr_put_u8(h, RTA_IP_PROTO, IPPROTO_TCP);
	mnl_attr_put_u16(h, RTA_SPORT, htons(key->local.port));
	mnl_attr_put_u16(h, RTA_DPORT, htons(key->remote.port));
	return ask(nl, h, read_route, route);
}

static int read_neighbour(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(h);
	struct route_seen *route = arg;
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWNEIGH)
		return MNL_CB_OK;
	route->nud = ndm->ndm_state;
	mnl_attr_for_each(attr, h, sizeof(*ndm))
	{
		if (mnl_attr_get_type(attr) == NDA_LLADDR &&
		    mnl_attr_get_payload_len(attr) == sizeof(route->lladdr))
			memcpy(route->lladdr, mnl_attr_get_payload(attr), sizeof(route->lladdr));
	}
	return MNL_CB_OK;
}

static void ask_neighbour(struct mnl_socket *nl, const struct ip_addr *addr,
			  struct route_seen *route)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ndmsg *ndm;

	h->nlmsg_type = RTM_GETNEIGH;
	ndm = mnl_nlmsg_put_extra_header(h, sizeof(*ndm));
	ndm->ndm_family = addr->family;
	ndm->ndm_ifindex = (int)route->ifindex;
	mnl_attr_put(h, NDA_DST, addr_len(addr), addr->bytes);
	ask(nl, h, read_neighbour, route); /* no entry leaves nud 0 */
}

static int read_kind(const struct nlattr *attr, void *arg)
{
	struct route_seen *route = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		snprintf(route->kind, sizeof(route->kind), "%.*s",
			 (int)mnl_attr_get_payload_len(attr), mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static void read_counters(const struct nlattr *attr, struct route_seen *route)
{
	struct rtnl_link_stats64 stats = {0}; /* an older kernel sends a shorter one */
	size_t len = mnl_attr_get_payload_len(attr);

	memcpy(&stats, mnl_attr_get_payload(attr), len < sizeof(stats) ? len : sizeof(stats));
	route->rx_errors = stats.rx_errors;
	route->tx_errors = stats.tx_errors;
	route->rx_dropped = stats.rx_dropped;
	route->tx_dropped = stats.tx_dropped;
}

static int read_link(const struct nlmsghdr *h, void *arg)
{
	struct route_seen *route = arg;
	const struct nlattr *attr;
	uint32_t changes = 0;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, h, sizeof(struct ifinfomsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			snprintf(route->ifname, sizeof(route->ifname), "%.*s",
				 (int)mnl_attr_get_payload_len(attr), mnl_attr_get_str(attr));
			break;
		case IFLA_MTU:
			attr_u32(attr, &route->mtu);
			break;
		case IFLA_CARRIER:
			if (mnl_attr_get_payload_len(attr) >= 1)
				route->carrier = mnl_attr_get_u8(attr) != 0;
			break;
		case IFLA_CARRIER_CHANGES:
			if (attr_u32(attr, &changes))
				route->carrier_changes = changes;
			break;
		case IFLA_STATS64:
			read_counters(attr, route);
			break;
		case IFLA_LINKINFO:
			mnl_attr_parse_nested(attr, read_kind, route);
			break;
		}
	}
	return MNL_CB_OK;
}

static int ask_link(struct mnl_socket *nl, struct route_seen *route)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;

	h->nlmsg_type = RTM_GETLINK;
	ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	ifi->ifi_index = (int)route->ifindex;
	return ask(nl, h, read_link, route);
}

/*
 * The first ETHTOOL_GLINKSETTINGS with no room for link modes is refused with the room it needs,
 * negated; the second one with that much is answered (ethtool_get_link_ksettings()).
 */
static void ask_speed(struct mnl_socket *nl, struct route_seen *route)
{
	union {
		struct ethtool_link_settings settings;
		/* Three masks of link modes follow it; their room is told in a signed byte. */
		uint8_t room[sizeof(struct ethtool_link_settings) + 3 * 127 * sizeof(uint32_t)];
	} request = {.settings.cmd = ETHTOOL_GLINKSETTINGS};
	struct ifreq ifr = {.ifr_data = (char *)&request};
	int fd = mnl_socket_get_fd(nl);

	memcpy(ifr.ifr_name, route->ifname, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCETHTOOL, &ifr) || request.settings.link_mode_masks_nwords >= 0)
		return;
	request.settings.cmd = ETHTOOL_GLINKSETTINGS;
	request.settings.link_mode_masks_nwords = (int8_t)-request.settings.link_mode_masks_nwords;
	if (ioctl(fd, SIOCETHTOOL, &ifr) || request.settings.link_mode_masks_nwords <= 0)
		return;
	if (request.settings.speed <= INT32_MAX) /* SPEED_UNKNOWN is all ones */
		route->speed_mbps = (int)request.settings.speed;
	if (request.settings.duplex != DUPLEX_UNKNOWN)
		route->full_duplex = request.settings.duplex == DUPLEX_FULL;
}

int host_route(const struct flow_key *key, int netns_fd, struct route_seen *ret)
{
	struct route_seen route = {.key = *key, .carrier = -1, .speed_mbps = -1, .full_duplex = -1};
	struct mnl_socket *nl = NULL;
	int r;

	if (!addr_len(&key->remote.addr))
		return -EINVAL;
	r = namespace_call(netns_fd, open_rtnetlink, &nl);
	if (r)
		return r;
	r = ask_route(nl, key, key->local.addr.family == key->remote.addr.family, &route);
	if (r == -ENETUNREACH || r == -EINVAL) /* perhaps only our own address is gone */
		r = ask_route(nl, key, false, &route);
	if (r) {
		/* EINVAL: blackhole, EACCES: prohibit, EHOSTUNREACH: unreachable; fib_props[] */
		if (r == -EINVAL || r == -EACCES || r == -EHOSTUNREACH)
			r = -ENETUNREACH;
		goto out;
	}
	if (!route.loopback)
		ask_neighbour(nl, route.gateway.family ? &route.gateway : &key->remote.addr,
			      &route);
	r = ask_link(nl, &route);
	if (r)
		goto out; /* the interface has just gone */
	ask_speed(nl, &route);
	*ret = route;
out:
	mnl_socket_close(nl);
	return r;
}
