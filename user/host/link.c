/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An interface as rtnetlink and ethtool describe it. A VLAN or macvlan interface has its own name
 * and MTU; carrier, speed, counters and queue are those of the device under it, as far as that one
 * lives in the same namespace.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/gen_stats.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/netlink.h"

#define LOWER_MAX 4 /* QinQ over a macvlan is the deepest that makes sense */

/* One message of RTM_GETLINK. */
struct link {
	struct route_seen *route;
	uint32_t lower; /* interface under it; 0 none */
	bool lower_elsewhere;
	char kind[16];
};

/* Outer addresses: the attributes of each kind of tunnel. */
static const struct tunnel {
	const char *kind;
	uint16_t local4, remote4, local6, remote6;
} tunnels[] = {
	{"ipip", IFLA_IPTUN_LOCAL, IFLA_IPTUN_REMOTE, 0, 0},
	{"sit", IFLA_IPTUN_LOCAL, IFLA_IPTUN_REMOTE, 0, 0},
	{"ip6tnl", 0, 0, IFLA_IPTUN_LOCAL, IFLA_IPTUN_REMOTE},
	{"gre", IFLA_GRE_LOCAL, IFLA_GRE_REMOTE, 0, 0},
	{"gretap", IFLA_GRE_LOCAL, IFLA_GRE_REMOTE, 0, 0},
	{"erspan", IFLA_GRE_LOCAL, IFLA_GRE_REMOTE, 0, 0},
	{"ip6gre", 0, 0, IFLA_GRE_LOCAL, IFLA_GRE_REMOTE},
	{"ip6gretap", 0, 0, IFLA_GRE_LOCAL, IFLA_GRE_REMOTE},
	{"vti", IFLA_VTI_LOCAL, IFLA_VTI_REMOTE, 0, 0},
	{"vti6", 0, 0, IFLA_VTI_LOCAL, IFLA_VTI_REMOTE},
	{"vxlan", IFLA_VXLAN_LOCAL, IFLA_VXLAN_GROUP, IFLA_VXLAN_LOCAL6, IFLA_VXLAN_GROUP6},
	{"geneve", 0, IFLA_GENEVE_REMOTE, 0, IFLA_GENEVE_REMOTE6},
};

static int read_tunnel(const struct nlattr *attr, void *arg)
{
	struct route_seen *route = ((struct link *)arg)->route;
	uint16_t type = mnl_attr_get_type(attr);

	for (size_t i = 0; type && i < sizeof(tunnels) / sizeof(tunnels[0]); i++) {
		const struct tunnel *t = &tunnels[i];

		if (strcmp(t->kind, route->kind))
			continue;
		if (type == t->local4 || type == t->local6)
			route->tunnel_local =
				netlink_addr(type == t->local4 ? AF_INET : AF_INET6, attr);
		if (type == t->remote4 || type == t->remote6)
			route->tunnel_remote =
				netlink_addr(type == t->remote4 ? AF_INET : AF_INET6, attr);
	}
	return MNL_CB_OK;
}

static int read_info(const struct nlattr *attr, void *arg)
{
	struct link *link = arg;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		netlink_text(attr, link->kind, sizeof(link->kind));
	return MNL_CB_OK;
}

static int read_info_data(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == IFLA_INFO_DATA)
		mnl_attr_parse_nested(attr, read_tunnel, arg);
	return MNL_CB_OK;
}

static void read_counters(const struct nlattr *attr, struct route_seen *route)
{
	struct rtnl_link_stats64 stats = {0}; /* an older kernel sends a shorter one */
	size_t len = mnl_attr_get_payload_len(attr);

	memcpy(&stats, mnl_attr_get_payload(attr), len < sizeof(stats) ? len : sizeof(stats));
	route->rx_packets = stats.rx_packets;
	route->tx_packets = stats.tx_packets;
	route->rx_errors = stats.rx_errors;
	route->tx_errors = stats.tx_errors;
	route->rx_dropped = stats.rx_dropped;
	route->tx_dropped = stats.tx_dropped;
	route->rx_crc_errors = stats.rx_crc_errors;
	route->rx_missed = stats.rx_missed_errors + stats.rx_over_errors;
	route->tx_carrier_errors = stats.tx_carrier_errors;
	route->collisions = stats.collisions;
}

static int read_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	struct link *link = arg;
	struct route_seen *route = link->route;
	const struct nlattr *attr;
	uint32_t changes = 0;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	route->down |= !(ifi->ifi_flags & IFF_UP);
	route->no_arp = ifi->ifi_flags & (IFF_NOARP | IFF_POINTOPOINT);
	mnl_attr_for_each(attr, h, sizeof(*ifi))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_CARRIER:
			if (mnl_attr_get_payload_len(attr) >= 1)
				route->carrier = mnl_attr_get_u8(attr) != 0;
			break;
		case IFLA_CARRIER_CHANGES:
			if (netlink_u32(attr, &changes))
				route->carrier_changes = changes;
			break;
		case IFLA_STATS64:
			read_counters(attr, route);
			break;
		case IFLA_QDISC:
			netlink_text(attr, route->qdisc, sizeof(route->qdisc));
			break;
		case IFLA_LINK:
			netlink_u32(attr, &link->lower);
			break;
		case IFLA_LINK_NETNSID:
			link->lower_elsewhere = true;
			break;
		case IFLA_LINKINFO:
			mnl_attr_parse_nested(attr, read_info, link);
			break;
		}
	}
	return MNL_CB_OK;
}

/* Name, MTU and kind are the interface's own, whatever is under it. */
static int read_identity(const struct nlmsghdr *h, void *arg)
{
	struct link *link = arg;
	struct route_seen *route = link->route;
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	read_link(h, arg);
	memcpy(route->kind, link->kind, sizeof(route->kind));
	mnl_attr_for_each(attr, h, sizeof(struct ifinfomsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			netlink_text(attr, route->ifname, sizeof(route->ifname));
			break;
		case IFLA_MTU:
			netlink_u32(attr, &route->mtu);
			break;
		case IFLA_LINKINFO:
			mnl_attr_parse_nested(attr, read_info_data, link);
			break;
		}
	}
	return MNL_CB_OK;
}

static int read_lower_name(const struct nlmsghdr *h, void *arg)
{
	struct link *link = arg;
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	read_link(h, arg);
	mnl_attr_for_each(attr, h, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			netlink_text(attr, link->route->lower, sizeof(link->route->lower));
	}
	return MNL_CB_OK;
}

static int ask_link(struct mnl_socket *nl, uint32_t ifindex, mnl_cb_t fn, struct link *link)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;

	h->nlmsg_type = RTM_GETLINK;
	ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	ifi->ifi_index = (int)ifindex;
	return netlink_ask(nl, h, false, fn, link);
}

static int read_stats2(const struct nlattr *attr, void *arg)
{
	struct route_seen *route = arg;
	struct gnet_stats_queue queue = {0};
	size_t len = mnl_attr_get_payload_len(attr);

	if (mnl_attr_get_type(attr) != TCA_STATS_QUEUE)
		return MNL_CB_OK;
	memcpy(&queue, mnl_attr_get_payload(attr), len < sizeof(queue) ? len : sizeof(queue));
	route->qdisc_drops = queue.drops;
	route->qdisc_backlog_bytes = queue.backlog;
	return MNL_CB_OK;
}

static int read_qdisc(const struct nlmsghdr *h, void *arg)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWQDISC || tcm->tcm_parent != TC_H_ROOT)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, h, sizeof(*tcm))
	{
		if (mnl_attr_get_type(attr) == TCA_STATS2)
			mnl_attr_parse_nested(attr, read_stats2, arg);
	}
	return MNL_CB_OK;
}

/* A root queue counts what its children drop as well. What it does not tell stays 0. */
static void ask_qdisc(struct mnl_socket *nl, uint32_t ifindex, struct route_seen *route)
{
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct tcmsg *tcm;

	h->nlmsg_type = RTM_GETQDISC;
	tcm = mnl_nlmsg_put_extra_header(h, sizeof(*tcm));
	tcm->tcm_family = AF_UNSPEC;
	tcm->tcm_ifindex = (int)ifindex;
	tcm->tcm_parent = TC_H_ROOT;
	netlink_ask(nl, h, false, read_qdisc, route);
}

/* Fastest of the supported link modes that this table knows, Mbit/s. */
static int best_speed(const uint32_t *supported, int nwords)
{
	static const struct {
		uint8_t bit;
		int mbps;
	} modes[] = {
		{ETHTOOL_LINK_MODE_10baseT_Half_BIT, 10},
		{ETHTOOL_LINK_MODE_10baseT_Full_BIT, 10},
		{ETHTOOL_LINK_MODE_100baseT_Half_BIT, 100},
		{ETHTOOL_LINK_MODE_100baseT_Full_BIT, 100},
		{ETHTOOL_LINK_MODE_1000baseT_Half_BIT, 1000},
		{ETHTOOL_LINK_MODE_1000baseT_Full_BIT, 1000},
		{ETHTOOL_LINK_MODE_2500baseT_Full_BIT, 2500},
		{ETHTOOL_LINK_MODE_5000baseT_Full_BIT, 5000},
		{ETHTOOL_LINK_MODE_10000baseT_Full_BIT, 10000},
	};
	int best = 0;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i].bit / 32 < nwords &&
		    supported[modes[i].bit / 32] >> (modes[i].bit % 32) & 1 && modes[i].mbps > best)
			best = modes[i].mbps;
	return best;
}

/*
 * The first ETHTOOL_GLINKSETTINGS with no room for link modes is refused with the room it needs,
 * negated; the second one with that much is answered (ethtool_get_link_ksettings()).
 */
static void ask_speed(struct mnl_socket *nl, const char *name, struct route_seen *route)
{
	union {
		struct ethtool_link_settings settings;
		/* Three masks of link modes follow it; their room is told in a signed byte. */
		uint8_t room[sizeof(struct ethtool_link_settings) + 3 * 127 * sizeof(uint32_t)];
	} request = {.settings.cmd = ETHTOOL_GLINKSETTINGS};
	struct ifreq ifr = {.ifr_data = (char *)&request};
	int fd = mnl_socket_get_fd(nl);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
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
	route->best_mbps = best_speed(request.settings.link_mode_masks,
				      request.settings.link_mode_masks_nwords);
}

static bool borrows(const struct link *link)
{
	static const char *const kinds[] = {"vlan", "macvlan", "macvtap", "ipvlan"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(link->kind, kinds[i]))
			return link->lower && !link->lower_elsewhere;
	return false;
}

int netlink_link(struct mnl_socket *nl, struct route_seen *route)
{
	struct link link = {.route = route};
	uint32_t device = route->ifindex;
	int r = ask_link(nl, device, read_identity, &link);

	for (int i = 0; !r && i < LOWER_MAX && borrows(&link); i++) {
		device = link.lower;
		link = (struct link){.route = route};
		r = ask_link(nl, device, read_lower_name, &link);
	}
	if (r)
		return r;
	ask_qdisc(nl, device, route);
	ask_speed(nl, route->lower[0] ? route->lower : route->ifname, route);
	return 0;
}
