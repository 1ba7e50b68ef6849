/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues of this host and its first link: carrier, speed and errors of the interface, neighbours and
 * who claims their addresses, the table of connections, what the program is held up by; and new
 * connections that fail where old ones live.
 *
 * A switch answers nobody. What tells its ports apart is who is hard to reach: everybody (our card,
 * cable, port) or the next hop alone (its port, its cable, itself).
 */
#include <linux/neighbour.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clues.h"

#define LOSS_MIN     0.08 /* below it a transfer does not stand still */
#define LOSS_PROBES  2
#define GROWS_BY     0.25 /* share of the large ones that is lost more than of the small ones */
#define PRESSURE_MIN 1000 /* hundredths of a percent */
#define ERRORS_MIN   3
#define MAC_TEXT     18

static double share(const struct tally *t)
{
	return t->sent ? 1.0 - (double)t->answered / t->sent : 0;
}

static struct tally sum(const struct tally *a, const struct tally *b)
{
	return (struct tally){.sent = (uint16_t)(a->sent + b->sent),
			      .answered = (uint16_t)(a->answered + b->answered)};
}

/* Probes of one size to the nodes behind the first, as far as this connection gets. */
static struct tally behind_first(const struct stall *s, bool full)
{
	struct tally all = {0};
	int n = round_farthest(s, PROBE_IN_FLOW, s->pub.n_hops);

	for (int i = 1; i < n; i++) {
		const struct hop *h = &s->pub.hops[i];

		for (int kind = 0; kind < PROBE_KINDS && h->address.family; kind++)
			if (full == (kind == PROBE_IN_FLOW_FULL))
				all = sum(&all, &h->probes[kind]);
	}
	return all;
}

/*
 * Loss at the first hop is its own only if what lies behind loses as much: a router may limit the
 * echoes that it answers.
 */
static bool is_excused(const struct stall *s, const struct tally *t, bool full)
{
	struct tally behind = behind_first(s, full);

	return behind.sent >= 2 && share(&behind) < share(t) / 3;
}

static void weigh_loss(struct onlink_view *v, const struct stall *s)
{
	struct tally all = {0};

	if (!is_excused(s, &v->small, false))
		all = sum(&all, &v->small);
	if (!is_excused(s, &v->full, true))
		all = sum(&all, &v->full);
	if (all.sent - all.answered < LOSS_PROBES || share(&all) < LOSS_MIN)
		return;
	v->loss = share(&all);
	v->grows = v->full.sent >= 4 && share(&v->full) >= share(&v->small) + GROWS_BY &&
		   share(&v->full) >= 2 * share(&v->small);
}

struct onlink_view onlink_look(const struct stall *s)
{
	struct onlink_view v = {0};

	for (int i = 0; i < s->pub.n_neighbours; i++) {
		const struct neighbour *n = &s->pub.neighbours[i];
		struct tally echo = sum(&n->small, &n->full), all = sum(&n->resolve, &echo);

		if (n->own)
			continue;
		if (n->next_hop) {
			v.next = n;
			v.silent = n->resolve.sent >= 2 && !all.answered;
			v.small = echo.answered ? sum(&n->resolve, &n->small) : n->resolve;
			v.full = echo.answered ? n->full : (struct tally){0};
		} else if (all.answered) {
			v.others++;
			v.around = sum(&v.around, echo.answered ? &all : &n->resolve);
		}
	}
	if (v.silent)
		v.loss = 1;
	else if (v.next)
		weigh_loss(&v, s);
	return v;
}

static const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT])
{
	snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	return buf;
}

static bool is_mac(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return memcmp(mac, none, 6);
}

/* The device whose carrier and counters are told. */
static const char *device(const struct route_seen *r)
{
	return r->lower[0] ? r->lower : r->ifname;
}

static void carrier_is_lost(struct judgement *j, const struct route_seen *r,
			    const struct route_seen *before)
{
	uint64_t changes = r->carrier_changes - before->carrier_changes;

	if (!r->ifindex)
		return;
	if (r->down || !r->carrier) /* routes go with it, and what has none is dropped here */
		j->cause[CAUSE_LOCAL_DROP] -= DECISIVE + STRONG;
	if (r->down) {
		j->cause[CAUSE_LINK_DOWN] += DECISIVE;
		evidence(j, "interface-down", DECISIVE, "interface %s has been taken down",
			 device(r));
	} else if (!r->carrier) {
		j->cause[CAUSE_LINK_DOWN] += DECISIVE;
		evidence(j, "no-carrier", DECISIVE, "interface %s has no carrier", device(r));
	} else if (changes) {
		j->cause[CAUSE_LINK_DOWN] += DECISIVE - HINT;
		evidence(j, "carrier-changed", DECISIVE - HINT,
			 "the carrier of %s changed %llu time%s in the silence", device(r),
			 (unsigned long long)changes, plural(changes));
	}
}

static void there_is_no_route(struct judgement *j, const struct route_seen *r)
{
	if (!r->error || r->down || !r->carrier)
		return;
	j->cause[CAUSE_LOCAL_DROP] += STRONG;
	evidence(j, "no-route", STRONG, "this host has no route to the peer any more");
}

/* Errors that the card has counted since the stall was suspected. */
static uint64_t new_errors(const struct route_seen *r, const struct route_seen *before)
{
	uint64_t errors = r->rx_errors + r->tx_errors, was = before->rx_errors + before->tx_errors;

	return errors > was ? errors - was : 0;
}

static void link_is_poor(struct judgement *j, const struct route_seen *r,
			 const struct route_seen *before)
{
	uint64_t errors = new_errors(r, before);
	bool slow = r->speed_mbps > 0 && r->best_mbps >= 10 * r->speed_mbps;

	if (!r->ifindex || r->down || !r->carrier)
		return;
	if (errors >= ERRORS_MIN) {
		double weight = fmin(CLEAR + (double)errors / 10, STRONG);

		j->cause[CAUSE_LINK_DEGRADED] += weight;
		evidence(j, "link-errors", weight,
			 "%s counted %llu errors in the silence (%llu CRC, %llu carrier, %llu "
			 "collisions), of %llu packets",
			 device(r), (unsigned long long)errors,
			 (unsigned long long)(r->rx_crc_errors - before->rx_crc_errors),
			 (unsigned long long)(r->tx_carrier_errors - before->tx_carrier_errors),
			 (unsigned long long)(r->collisions - before->collisions),
			 (unsigned long long)(r->rx_packets + r->tx_packets - before->rx_packets -
					      before->tx_packets));
	}
	/* 10 Mbit/s in half duplex is what is left when negotiation fails (IEEE 802.3 28): a crawl
	 * over it, with collisions at one end and none at the other, needs no other reason. */
	if (r->full_duplex == 0) {
		double weight = j->s->pub.slow && r->speed_mbps <= 10 ? DECISIVE : CLEAR;

		j->cause[CAUSE_LINK_DEGRADED] += weight;
		evidence(j, "half-duplex", weight, "%s runs at %d Mbit/s in half duplex", device(r),
			 r->speed_mbps);
	}
	if (slow) { /* one step below its best is common: a plain switch */
		double weight = r->speed_mbps <= 10 ? CLEAR : HINT / 2;

		j->cause[CAUSE_LINK_DEGRADED] += weight;
		evidence(j, "link-slow", weight,
			 "%s has negotiated %d Mbit/s, its card can do %d Mbit/s", device(r),
			 r->speed_mbps, r->best_mbps);
	}
}

static void next_hop_is_silent(struct judgement *j, const struct route_seen *r)
{
	const struct ip_addr *next = r->gateway.family ? &r->gateway : &j->s->pub.key.remote.addr;
	bool failed = r->nud & (NUD_INCOMPLETE | NUD_FAILED);
	bool passes = j->path.flow > 0 || j->path.control > 0;
	bool resolves = !(r->nud & (NUD_PERMANENT | NUD_NOARP)) && !r->no_arp;
	double weight = DECISIVE - (failed ? 0 : HINT);
	char addr[ADDR_TEXT_LEN];

	if (!r->ifindex || r->error || r->down || !r->carrier || passes || j->same_peer ||
	    (j->shared && !j->onlink.silent))
		return;
	if (!failed && !(j->onlink.silent && resolves && is_mac(r->lladdr)))
		return;
	if (route_is_tunnel(r)) /* neighbours there are at the end of a path of its own */
		j->cause[CAUSE_PATH_BLACKHOLE] += weight;
	else
		j->cause[CAUSE_NEIGHBOUR_UNREACHABLE] += weight;
	evidence(j, "next-hop-silent", weight, "%s on %s does not answer %s%s",
		 addr_text(next, addr), r->ifname, next->family == AF_INET6 ? "ND" : "ARP",
		 failed ? ", the kernel has given up on it" : "");
}

static void address_has_two_owners(struct judgement *j)
{
	const struct neigh_flip *flip = local_flip(j->e, j->s);
	char addr[ADDR_TEXT_LEN], one[MAC_TEXT], two[MAC_TEXT];

	for (int i = 0; i < j->s->pub.n_neighbours; i++) {
		const struct neighbour *n = &j->s->pub.neighbours[i];

		if (n->own && is_mac(n->lladdr)) {
			j->cause[CAUSE_ADDRESS_CONFLICT] += DECISIVE;
			evidence(j, "own-address-claimed", DECISIVE,
				 "%s, this host's own address, is claimed by %s on %s",
				 addr_text(&n->addr, addr), mac_text(n->lladdr, one),
				 j->s->pub.route.ifname);
		} else if (n->next_hop && is_mac(n->other_lladdr)) {
			j->cause[CAUSE_ADDRESS_CONFLICT] += DECISIVE;
			evidence(j, "next-hop-claimed-twice", DECISIVE,
				 "%s and %s both answer for %s, the next hop, on %s",
				 mac_text(n->lladdr, one), mac_text(n->other_lladdr, two),
				 addr_text(&n->addr, addr), j->s->pub.route.ifname);
		}
	}
	if (flip) { /* once is a fail-over; back and forth is a quarrel */
		double weight = flip->count > 1 ? STRONG : HINT;

		j->cause[CAUSE_ADDRESS_CONFLICT] += weight;
		evidence(j, "next-hop-moved", weight,
			 "the MAC address of %s, the next hop, changed %u time%s within a minute: "
			 "%s, then %s",
			 addr_text(&flip->addr, addr), flip->count, plural(flip->count),
			 mac_text(flip->other_lladdr, one), mac_text(flip->lladdr, two));
	}
}

static void tell_around(struct judgement *j)
{
	const struct onlink_view *v = &j->onlink;
	double around = share(&v->around);

	if (!v->others) {
		evidence(j, "neighbours", 0, "no other neighbour answers that could be compared");
		return;
	}
	j->link_side = around > v->loss / 2   ? SIDE_NEAR
		       : around < v->loss / 4 ? SIDE_FAR
					      : SIDE_UNKNOWN;
	evidence(j, "neighbours", HINT, "%d other neighbour%s on %s answered %u of %u: %s",
		 v->others, v->others > 1 ? "s" : "", j->s->pub.route.ifname, v->around.answered,
		 v->around.sent,
		 j->link_side == SIDE_NEAR  ? "the loss is on this host's own port or cable"
		 : j->link_side == SIDE_FAR ? "the loss is on the next hop's side"
					    : "the side is open");
}

/* Bit errors hit the longer ones (1 - (1 - BER)^bits); a full queue takes any. */
static void first_link_loses(struct judgement *j)
{
	const struct onlink_view *v = &j->onlink;
	const struct route_seen *r = &j->s->pub.route;
	double weight;
	char addr[ADDR_TEXT_LEN];
	bool none_large = v->full.sent >= 4 && !v->full.answered && !j->path.full &&
			  share(&v->small) < LOSS_MIN;

	if (!v->next)
		return;
	if (v->silent) {
		tell_around(j);
		return;
	}
	if (v->loss <= 0 || none_large) /* none at all is a matter of size */
		return;
	weight = fmin(
		HINT + 0.6 * (v->small.sent - v->small.answered + v->full.sent - v->full.answered),
		6.5);
	j->cause[CAUSE_PATH_LOSS] += weight;
	j->cause[CAUSE_SIZE_BLACKHOLE] -= v->full.answered ? STRONG : HINT;
	j->cause[CAUSE_CONNECTION_STATE_LOST] -= CLEAR;
	j->cause[CAUSE_PATH_BLACKHOLE] -= CLEAR;
	j->cause[CAUSE_PEER_GONE] -= CLEAR;
	if (j->cause[CAUSE_LINK_DEGRADED] >= CLEAR)
		j->cause[CAUSE_LINK_DEGRADED] += weight;
	evidence(j, "first-link-loses", weight,
		 "%s, the next hop, answered %u of %u small and %u of %u full-size packets: %s",
		 addr_text(&v->next->addr, addr), v->small.answered, v->small.sent,
		 v->full.answered, v->full.sent,
		 v->grows ? "loss grows with size, as bit errors make it"
			  : "size does not matter, as with a full queue");
	tell_around(j);
	if (j->cause[CAUSE_LINK_DEGRADED] < CLEAR)
		evidence(j, "own-link-clean", 0, "%s itself counts no errors%s", device(r),
			 r->full_duplex == 1 ? ", in full duplex" : "");
}

static void queue_of_this_host_drops(struct judgement *j, const struct route_seen *r,
				     const struct route_seen *before)
{
	uint64_t drops = r->qdisc_drops - before->qdisc_drops;

	if (r->ifindex && drops)
		evidence(j, "qdisc-drops", 0,
			 "the queue of %s (%s) dropped %llu packet%s in the silence, %u bytes wait "
			 "in it",
			 device(r), r->qdisc, (unsigned long long)drops, plural(drops),
			 r->qdisc_backlog_bytes);
}

static uint16_t worse(uint16_t system, uint16_t cgroup)
{
	return system > cgroup ? system : cgroup;
}

/* It weighs nothing: that the program is the cause is known from the connection itself. */
static void program_is_held_up(struct judgement *j)
{
	const struct process_seen *p = &j->s->pub.process, *before = &j->s->process_before;
	uint16_t io = worse(p->io_pressure, p->cgroup_io_pressure);
	uint16_t memory = worse(p->memory_pressure, p->cgroup_memory_pressure);
	uint16_t cpu = worse(p->cpu_pressure, p->cgroup_cpu_pressure);
	uint64_t throttled = p->throttled - before->throttled;

	if (!p->pid || p->pid != before->pid ||
	    j->cause[j->s->sends ? CAUSE_SENDER_IDLE : CAUSE_RECEIVER_NOT_READING] < STRONG)
		return;
	if (throttled)
		evidence(j, "throttled", 0,
			 "the CPU limit of its cgroup stopped %.15s (%u) %llu time%s in the "
			 "silence, "
			 "%.1f s in all",
			 p->comm, p->pid, (unsigned long long)throttled, plural(throttled),
			 (double)(p->throttled_us - before->throttled_us) / 1e6);
	if (io >= PRESSURE_MIN || memory >= PRESSURE_MIN || cpu >= PRESSURE_MIN)
		evidence(j, "pressure", 0,
			 "in the last 10 s programs waited %u %% of the time for disks, %u %% for "
			 "memory, %u %% for a CPU",
			 io / 100, memory / 100, cpu / 100);
}

static bool table_is_full(const struct route_seen *r)
{
	return r->conntrack_max && r->conntrack_count >= r->conntrack_max;
}

static void table_of_this_host_is_full(struct judgement *j)
{
	const struct route_seen *r = &j->s->pub.route, *up = &j->s->uplink;
	bool handshake = j->s->pub.last.state == TCP_SYN_SENT;

	if (table_is_full(r)) {
		double weight = handshake ? STRONG : 0;

		j->cause[CAUSE_LOCAL_DROP] += weight;
		evidence(j, "conntrack-full", weight,
			 "connection tracking of this host is full: %u of %u entries",
			 r->conntrack_count, r->conntrack_max);
	} else if (table_is_full(up) && handshake) {
		j->cause[CAUSE_CONNECT_REFUSED_BY_PATH] += DECISIVE;
		evidence(j, "conntrack-full", DECISIVE,
			 "connection tracking of this host, hop %u, is full: %u of %u entries",
			 up->hop, up->conntrack_count, up->conntrack_max);
	}
}

/* Witnesses whose own destination is beyond the reach of new connections, and which move. */
static int old_ones_live(const struct judgement *j)
{
	int n = 0;

	for (int i = 0; i < j->s->pub.n_witnesses; i++)
		n += j->s->pub.witnesses[i].same_peer || j->s->pub.witnesses[i].new_reach >= 0;
	return n;
}

static void new_ones_fail_where_old_ones_live(struct judgement *j)
{
	const struct path_view *p = &j->path;
	int old = old_ones_live(j);
	char at[64];

	if (j->s->pub.last.state != TCP_SYN_SENT || j->s->reset || !p->asked || p->peer_control ||
	    p->beyond_missed < 2 || !old)
		return;
	j->cause[CAUSE_CONNECT_REFUSED_BY_PATH] += DECISIVE;
	evidence(j, "new-ones-fail", DECISIVE,
		 "no handshake gets past %s, while %d established connection%s that cross%s it "
		 "move%s data",
		 node_text(j, p->control, at, sizeof(at)), old, old > 1 ? "s" : "",
		 old > 1 ? "" : "es", old > 1 ? "" : "s");
}

/*
 * The router that wrote the reset which answered our own SYN, by its distance; 0: none. The way
 * back is often a hop shorter or longer than the way there. So it counts only against the distance
 * that the peer shows on another connection.
 */
static int refusing_hop(const struct judgement *j)
{
	const struct stall *s = j->s;
	int hops = hops_from_ttl(s->peer.reset_ttl), usual;

	if (s->pub.last.state != TCP_SYN_SENT || !hops)
		return 0;
	usual = hops_from_ttl(flow_ttl_elsewhere(j->e, &s->pub.key));
	return usual && abs(hops - usual) > 1 ? hops : 0;
}

static void router_refuses(struct judgement *j)
{
	int hop = refusing_hop(j);

	if (!hop)
		return;
	j->cause[CAUSE_CONNECTION_RESET] -= DECISIVE;
	j->cause[CAUSE_CONNECT_REFUSED_BY_PATH] += DECISIVE;
	evidence(
		j, "refused-by-router", DECISIVE,
		"resets answer SYNs in the peer's name with TTL %u, from %d hop%s away; on another "
		"connection the peer shows TTL %u",
		j->s->peer.reset_ttl, hop, plural((uint64_t)hop),
		flow_ttl_elsewhere(j->e, &j->s->pub.key));
}

void weigh_local(struct judgement *j)
{
	const struct stall *s = j->s;

	if (passes_by(s))
		return;
	carrier_is_lost(j, &s->pub.route, &s->route_before);
	carrier_is_lost(j, &s->uplink, &s->uplink_before);
	there_is_no_route(j, &s->pub.route);
	link_is_poor(j, &s->pub.route, &s->route_before);
	link_is_poor(j, &s->uplink, &s->uplink_before);
	next_hop_is_silent(j, &s->pub.route);
	next_hop_is_silent(j, &s->uplink);
	address_has_two_owners(j);
	program_is_held_up(j);
	first_link_loses(j);
	queue_of_this_host_drops(j, &s->pub.route, &s->route_before);
	queue_of_this_host_drops(j, &s->uplink, &s->uplink_before);
	table_of_this_host_is_full(j);
	new_ones_fail_where_old_ones_live(j);
	router_refuses(j);
}

/* The link of the route that shows it: that of the flow's own namespace, or the uplink. */
static int cut_link(const struct judgement *j)
{
	const struct route_seen *up = &j->s->uplink, *r = &j->s->pub.route;
	bool own = r->down || !r->carrier || (r->nud & (NUD_INCOMPLETE | NUD_FAILED)) ||
		   r->carrier_changes != j->s->route_before.carrier_changes;

	return up->ifindex && !own ? up->hop : 0;
}

bool place_local(struct judgement *j)
{
	int refuser = refusing_hop(j);
	bool near_loss = j->onlink.loss > 0;

	switch (j->verdict) {
	case CAUSE_LINK_DOWN:
	case CAUSE_LINK_DEGRADED:
	case CAUSE_NEIGHBOUR_UNREACHABLE:
		blame(j, PART_LINK(cut_link(j)), 5);
		return true;
	case CAUSE_PATH_BLACKHOLE:
		if (!j->onlink.silent || !route_is_tunnel(&j->s->pub.route))
			return false;
		blame(j, PART_LINK(0), 5); /* the whole of the tunnel */
		return true;
	case CAUSE_ADDRESS_CONFLICT:
		blame(j, PART_LINK(0), 5);
		return true;
	case CAUSE_PATH_LOSS:
		if (near_loss)
			blame(j, PART_LINK(0), 4);
		return near_loss;
	case CAUSE_CONNECT_REFUSED_BY_PATH:
		if (table_is_full(&j->s->uplink)) {
			blame(j, PART_NODE(j->s->uplink.hop), 5);
			return true;
		}
		if (refuser) {
			/* Its resets came in the peer's name and passed for the peer's distance. */
			if (j->path.n <= refuser)
				j->path.n = refuser + 1;
			blame(j, PART_NODE(refuser), 5);
			return true;
		}
		/* A full table drops before it looks at the TTL, a rule for new ones after it. */
		blame(j, PART_NODE(j->path.control + 1), 3);
		if (j->path.control)
			blame(j, PART_NODE(j->path.control), 2);
		return true;
	default:
		return false;
	}
}
