/* SPDX-License-Identifier: GPL-2.0-only */
/* The neighbours of an interface, as the kernel's own table has them. */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "host/host.h"
#include "host/netlink.h"

struct collected {
	struct onlink *onlink;
	uint32_t ifindex;
	uint8_t family;
};

static int read_device(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
	struct onlink *onlink = arg;
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	onlink->ethernet = ifi->ifi_type == ARPHRD_ETHER;
	onlink->resolves = onlink->ethernet && !(ifi->ifi_flags & IFF_NOARP);
	mnl_attr_for_each(attr, h, sizeof(*ifi))
	{
		if (mnl_attr_get_type(attr) == IFLA_ADDRESS && mnl_attr_get_payload_len(attr) == 6)
			memcpy(onlink->lladdr, mnl_attr_get_payload(attr), 6);
	}
	return MNL_CB_OK;
}

/* Those that the kernel has heard of: what is there no more answers nobody. */
static int read_entry(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(h);
	struct collected *c = arg;
	struct onlink_neighbour *n = &c->onlink->neighbours[c->onlink->n];
	const struct nlattr *attr;
	bool has_lladdr = false;

	if (h->nlmsg_type != RTM_NEWNEIGH || ndm->ndm_ifindex != (int)c->ifindex ||
	    ndm->ndm_family != c->family || c->onlink->n == ONLINK_NEIGHBOURS ||
	    !(ndm->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)))
		return MNL_CB_OK;
	memset(n, 0, sizeof(*n));
	n->nud = ndm->ndm_state;
	mnl_attr_for_each(attr, h, sizeof(*ndm))
	{
		if (mnl_attr_get_type(attr) == NDA_DST)
			n->addr = netlink_addr(c->family, attr);
		if (mnl_attr_get_type(attr) == NDA_LLADDR && mnl_attr_get_payload_len(attr) == 6) {
			memcpy(n->lladdr, mnl_attr_get_payload(attr), 6);
			has_lladdr = true;
		}
	}
	if (n->addr.family && has_lladdr)
		c->onlink->n++;
	return MNL_CB_OK;
}

static struct nlmsghdr *request(char *buf, uint16_t type, uint8_t family, uint32_t ifindex)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	if (type == RTM_GETLINK) {
		struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

		ifi->ifi_index = (int)ifindex;
	} else {
		struct ndmsg *ndm = mnl_nlmsg_put_extra_header(h, sizeof(*ndm));

		ndm->ndm_family = family;
	}
	return h;
}

int host_onlink(uint32_t ifindex, uint8_t family, int netns_fd, struct onlink *ret)
{
	struct onlink onlink = {0};
	struct collected c = {.onlink = &onlink, .ifindex = ifindex, .family = family};
	char buf[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct mnl_socket *nl = NULL;
	int r = netlink_open(netns_fd, &nl);

	if (r)
		return r;
	r = netlink_ask(nl, request(buf, RTM_GETLINK, 0, ifindex), false, read_device, &onlink);
	if (!r)
		r = netlink_ask(nl, request(buf, RTM_GETNEIGH, family, 0), true, read_entry, &c);
	mnl_socket_close(nl);
	if (!r)
		*ret = onlink;
	return r;
}
