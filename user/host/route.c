/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way to a peer as the kernel would go now: route, neighbour and link, over rtnetlink, and how
 * full the table of connections is. Read-only; the socket lives in the namespace that is asked
 * about, the thread does not stay there.
 */
#include "host/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "host/broker.h"
#include "host/netlink.h"

static int read_metric(const struct nlattr *attr, void *arg)
{
	struct route_seen *route = arg;

	if (mnl_attr_get_type(attr) == RTAX_MTU)
		netlink_u32(attr, &route->path_mtu);
	return MNL_CB_OK;
}

static struct ip_addr via_addr(const struct nlattr *attr)
{
	size_t len = mnl_attr_get_payload_len(attr);
	const struct rtvia *via = mnl_attr_get_payload(attr);

	if (len >= sizeof(*via) + 16 && via->rtvia_family == AF_INET6)
		return addr_v6(via->rtvia_addr);
	if (len >= sizeof(*via) + 4 && via->rtvia_family == AF_INET)
		return addr_v4(via->rtvia_addr);
	return (struct ip_addr){0};
}

/* An exception that a router's message has made; clock ticks are those of user space. */
static uint32_t expires_s(const struct nlattr *attr)
{
	struct rta_cacheinfo info = {0};
	long hz = sysconf(_SC_CLK_TCK);

	if (mnl_attr_get_payload_len(attr) < sizeof(info) || hz <= 0)
		return 0;
	memcpy(&info, mnl_attr_get_payload(attr), sizeof(info));
	return (uint32_t)(info.rta_expires > 0 ? info.rta_expires / hz : 0);
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
		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			netlink_u32(attr, &route->ifindex);
			break;
		case RTA_GATEWAY:
			route->gateway = netlink_addr(rtm->rtm_family, attr);
			break;
		case RTA_VIA: /* an IPv4 route by an IPv6 gateway */
			route->gateway = via_addr(attr);
			break;
		case RTA_CACHEINFO:
			route->path_mtu_expires_s = expires_s(attr);
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
		     uint32_t ifindex, struct route_seen *route)
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
	if (ifindex)
		mnl_attr_put_u32(h, RTA_OIF, ifindex);
	mnl_attr_put_u8(h, RTA_IP_PROTO, IPPROTO_TCP);
	mnl_attr_put_u16(h, RTA_SPORT, htons(key->local.port));
	mnl_attr_put_u16(h, RTA_DPORT, htons(key->remote.port));
	return netlink_ask(nl, h, false, read_route, route);
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

	if (route->loopback)
		return;
	h->nlmsg_type = RTM_GETNEIGH;
	ndm = mnl_nlmsg_put_extra_header(h, sizeof(*ndm));
	ndm->ndm_family = addr->family;
	ndm->ndm_ifindex = (int)route->ifindex;
	mnl_attr_put(h, NDA_DST, addr_len(addr), addr->bytes);
	netlink_ask(nl, h, false, read_neighbour, route); /* no entry leaves nud 0 */
}

static uint32_t read_number(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t value = 0;
	char text[24];
	ssize_t len;

	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, 0, UINT32_MAX, &value) ? 0 : (uint32_t)value;
}

/*
 * What is below /proc/sys/net is that of the thread's namespace. ctnetlink would tell the same, but
 * asking it may load a module.
 */
static int read_conntrack(void *arg)
{
	uint32_t *numbers = arg;

	numbers[0] = read_number("/proc/sys/net/netfilter/nf_conntrack_count");
	numbers[1] = read_number("/proc/sys/net/netfilter/nf_conntrack_max");
	return 0;
}

int namespace_conntrack(int netns_fd, uint32_t *ret_count, uint32_t *ret_max)
{
	uint32_t numbers[2];
	int r;

	if (broker_relied())
		return broker_conntrack(netns_fd, ret_count, ret_max);
	r = namespace_call(netns_fd, read_conntrack, numbers);
	if (r)
		return r;
	*ret_count = numbers[0];
	*ret_max = numbers[1];
	return 0;
}

static bool is_link_local(const struct ip_addr *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static int find_route(struct mnl_socket *nl, const struct flow_key *key, uint32_t ifindex,
		      struct route_seen *route)
{
	uint32_t scope = is_link_local(&key->remote.addr) ? ifindex : 0;
	int r = ask_route(nl, key, key->local.addr.family == key->remote.addr.family, scope, route);

	if (r == -ENETUNREACH || r == -EINVAL) /* perhaps only our own address is gone */
		r = ask_route(nl, key, false, scope, route);
	/* EINVAL: blackhole, EACCES: prohibit, EHOSTUNREACH: unreachable; fib_props[] */
	if (r == -EINVAL || r == -EACCES || r == -EHOSTUNREACH)
		r = -ENETUNREACH;
	return r;
}

int host_route(const struct flow_key *key, uint32_t ifindex, int netns_fd, struct route_seen *ret)
{
	struct route_seen route = {.key = *key, .carrier = -1, .speed_mbps = -1, .full_duplex = -1};
	struct mnl_socket *nl = NULL;
	int r;

	if (!addr_len(&key->remote.addr))
		return -EINVAL;
	r = netlink_open(netns_fd, &nl);
	if (r)
		return r;
	r = find_route(nl, key, ifindex, &route);
	if (r == -ENETUNREACH && ifindex) {
		/* An interface that is taken down takes its routes along: it may be the reason. */
		route.error = ENETUNREACH;
		route.ifindex = ifindex;
	} else if (r) {
		goto out;
	}
	if (!route.error)
		ask_neighbour(nl, route.gateway.family ? &route.gateway : &key->remote.addr,
			      &route);
	r = netlink_link(nl, &route);
	if (r)
		goto out;
	namespace_conntrack(netns_fd, &route.conntrack_count, &route.conntrack_max);
	*ret = route;
out:
	mnl_socket_close(nl);
	return r;
}
