/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Boxes are read when an incident begins, at each verdict and at its end, each time from where the
 * last reading ended. Probing begins before an incident does, and stalls of one path are probed
 * once, so the last probes of all flows are remembered until it is known whose they are.
 */
#include "keeper.h"

#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/host.h"
#include "sensor/blackbox.h"

#define OPEN_MAX     1024
#define PROBES	     512
#define NAMES	     64
#define LINKTYPE_RAW 101
#define ROOM	     4096	     /* packets: more than boxes hold, and touched as it fills */
#define BEFORE_NS    (2 * NS_PER_S)  /* of a witness, before the stall */
#define YOUNG_NS     (30 * NS_PER_S) /* a probe may still turn out to be an incident's */
#define NETNS_DIR    "/run/netns"

struct open_incident {
	struct open_incident *next;
	char id[INCIDENT_ID];
	struct flow_key key;
	uint64_t newest_ns; /* what has been kept already */
	uint64_t lead_ns;   /* of the probes of its lead */
	struct seen_witness {
		struct flow_key key;
		uint64_t newest_ns;
	} witnesses[MAX_WITNESSES];
	int n_witnesses;
	uint64_t from_ns; /* of witnesses */
	bool pending, ended;
};

struct probe_kept {
	struct flow_key key;
	struct kept_packet packet;
	bool taken; /* by the incident of its flow */
};

struct interface_name {
	uint32_t netns, ifindex;
	char name[KEPT_NAME];
};

struct keeper {
	struct keeper_config config;
	uint32_t own_netns;
	struct open_incident *open;
	int n_open;
	bool pending;			  /* one of them is */
	struct probe_kept probes[PROBES]; /* ring; netns 0: unused */
	unsigned int next_probe;
	struct interface_name names[NAMES]; /* ring */
	unsigned int next_name;
	struct kept_packet *packets; /* what is being read */
	size_t n_packets, room;
	struct keeper_counts counts;
};

static bool same_flow(const struct flow_key *a, const struct flow_key *b)
{
	return a->netns == b->netns && endpoint_equal(&a->local, &b->local) &&
	       endpoint_equal(&a->remote, &b->remote);
}

/* As if_indextoname(3), in any namespace; a number if it is not there any more. */
static void ask_name(struct keeper *k, uint32_t netns, uint32_t ifindex, char ret[IF_NAMESIZE])
{
	struct ifreq request = {.ifr_ifindex = (int)ifindex};
	const bool own = netns == k->own_netns;
	int fd = own ? -1 : k->config.netns_fd(netns, k->config.arg);

	if (own || fd >= 0)
		fd = namespace_socket(fd, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd >= 0 && !ioctl(fd, SIOCGIFNAME, &request))
		snprintf(ret, IF_NAMESIZE, "%s", request.ifr_name);
	else
		snprintf(ret, IF_NAMESIZE, "if%u", ifindex);
	if (fd >= 0)
		close(fd);
}

/* The name that `ip netns` gives a namespace, or its number. */
static void netns_text(uint32_t netns, char *buf, size_t len)
{
	DIR *dir = opendir(NETNS_DIR);
	const struct dirent *entry;
	struct stat st;

	snprintf(buf, len, "%u", netns);
	while (dir && (entry = readdir(dir))) {
		if (!fstatat(dirfd(dir), entry->d_name, &st, 0) && st.st_ino == netns) {
			snprintf(buf, len, "%.15s", entry->d_name);
			break;
		}
	}
	if (dir)
		closedir(dir);
}

/* "eth0", in other namespaces than ours "eth0@netns"; "": it has come to none. */
static const char *interface_name(struct keeper *k, uint32_t netns, uint32_t ifindex)
{
	static const char none[KEPT_NAME];
	struct interface_name *n;
	char name[IF_NAMESIZE], where[KEPT_NAME - IF_NAMESIZE];

	if (!ifindex)
		return none;
	for (unsigned int i = 0; i < NAMES; i++)
		if (k->names[i].netns == netns && k->names[i].ifindex == ifindex)
			return k->names[i].name;
	n = &k->names[k->next_name++ % NAMES];
	*n = (struct interface_name){.netns = netns, .ifindex = ifindex};
	ask_name(k, netns, ifindex, name);
	if (netns == k->own_netns) {
		snprintf(n->name, sizeof(n->name), "%s", name);
	} else {
		netns_text(netns, where, sizeof(where));
		snprintf(n->name, sizeof(n->name), "%s@%s", name, where);
	}
	return n->name;
}

/* NULL: no memory, it is not kept, and counted. */
static struct kept_packet *add(struct keeper *k)
{
	struct kept_packet *p;

	if (k->n_packets == k->room) {
		size_t room = k->room ? 2 * k->room : ROOM;
		void *more = reallocarray(k->packets, room, sizeof(*k->packets));

		if (!more) {
			k->counts.packets_lost++;
			return NULL;
		}
		k->packets = more;
		k->room = room;
	}
	p = &k->packets[k->n_packets++];
	memset(p, 0, sizeof(*p)); /* it is written to disk */
	return p;
}

struct reading {
	struct keeper *keeper;
	uint64_t after_ns, newest_ns;
	enum kept_role role;
	bool again; /* not the first one of this box */
	bool seen;  /* a packet that is not reconstructed */
};

static void take(const struct box_packet *packet, void *arg)
{
	struct reading *r = arg;
	struct kept_packet *p;

	r->seen |= !(packet->flags & BOX_RECONSTRUCTED);
	if (packet->time_ns <= r->after_ns)
		return;
	if (r->again && !r->seen) /* the handshake, once more, ahead of what is left */
		return;
	p = add(r->keeper);
	if (!p)
		return;
	p->packet = *packet;
	p->role = (uint8_t)r->role;
	memcpy(p->interface, interface_name(r->keeper, packet->netns, packet->ifindex),
	       sizeof(p->interface));
	if (packet->time_ns > r->newest_ns)
		r->newest_ns = packet->time_ns;
}

static void read_boxes(struct keeper *k, struct open_incident *o, struct sensor *sensor)
{
	struct reading r = {
		.keeper = k,
		.after_ns = o->newest_ns,
		.newest_ns = o->newest_ns,
		.again = o->newest_ns,
	};
	struct box_counts counts = {0}, other;
	bool counted;

	k->n_packets = 0;
	counted = !sensor_box(sensor, &o->key, take, &r, &counts);
	o->newest_ns = r.newest_ns;
	for (int i = 0; i < o->n_witnesses; i++) {
		struct seen_witness *w = &o->witnesses[i];

		r = (struct reading){
			.keeper = k,
			.role = KEPT_WITNESS,
			.after_ns = w->newest_ns,
			.newest_ns = w->newest_ns,
			.again = w->newest_ns != o->from_ns,
		};
		sensor_box(sensor, &w->key, take, &r, &other);
		w->newest_ns = r.newest_ns;
	}
	store_packets(k->config.store, o->id, k->packets, k->n_packets, counted ? &counts : NULL);
}

/* What was sent for this flow before it was known that it stalls. */
static void take_probes(struct keeper *k, const struct open_incident *o)
{
	k->n_packets = 0;
	for (unsigned int i = 0; i < PROBES; i++) {
		struct probe_kept *probe = &k->probes[(k->next_probe + i) % PROBES];
		struct kept_packet *p;

		if (!probe->key.netns || probe->taken || !same_flow(&probe->key, &o->key))
			continue;
		p = add(k);
		if (p)
			*p = probe->packet;
		probe->taken = true;
	}
	store_packets(k->config.store, o->id, k->packets, k->n_packets, NULL);
}

/* What was sent for its lead since this one is silent, and is not kept with it yet. */
static void take_lead(struct keeper *k, struct open_incident *o, const struct incident *i)
{
	const uint64_t after_ns = o->lead_ns ? o->lead_ns : i->last_progress_ns;

	k->n_packets = 0;
	for (unsigned int n = 0; n < PROBES && i->lead.netns; n++) {
		const struct probe_kept *probe = &k->probes[(k->next_probe + n) % PROBES];
		struct kept_packet *p;

		if (!same_flow(&probe->key, &i->lead) || probe->packet.packet.time_ns <= after_ns)
			continue;
		p = add(k);
		if (!p)
			break;
		*p = probe->packet;
		p->role = p->role == KEPT_PROBE ? KEPT_LEAD_PROBE : KEPT_LEAD_ANSWER;
		if (p->packet.time_ns > o->lead_ns)
			o->lead_ns = p->packet.time_ns;
	}
	if (k->n_packets)
		store_packets(k->config.store, o->id, k->packets, k->n_packets, NULL);
}

static void on_probe(const struct probe_packet *packet, void *arg)
{
	struct keeper *k = arg;
	struct probe_kept *kept = &k->probes[k->next_probe % PROBES];
	struct kept_packet p;
	bool taken = false;

	memset(&p, 0, sizeof(p)); /* it is written to disk */
	p.packet.time_ns = packet->time_ns;
	p.packet.netns = packet->key->netns;
	p.packet.length = (uint32_t)packet->len;
	p.packet.linktype = LINKTYPE_RAW;
	p.packet.flags = BOX_PROBE | (packet->outgoing ? BOX_OUT : 0);
	p.packet.captured = (uint8_t)(packet->len < BOX_CAPTURED ? packet->len : BOX_CAPTURED);
	memcpy(p.packet.data, packet->data, p.packet.captured);
	p.role = packet->outgoing ? KEPT_PROBE : KEPT_ANSWER;
	p.kind = (uint8_t)packet->kind;
	p.ttl = packet->ttl;
	p.answer = (uint8_t)packet->answer;
	for (const struct open_incident *o = k->open; o; o = o->next) {
		if (!same_flow(&o->key, packet->key))
			continue;
		taken = true;
		store_packets(k->config.store, o->id, &p, 1, NULL);
	}
	if (kept->key.netns && !kept->taken &&
	    packet->time_ns - kept->packet.packet.time_ns < YOUNG_NS)
		k->counts.packets_lost++;
	*kept = (struct probe_kept){.key = *packet->key, .packet = p, .taken = taken};
	k->next_probe++;
}

static struct open_incident *find(struct keeper *k, const struct incident *i)
{
	for (struct open_incident *o = k->open; o; o = o->next)
		if (!strcmp(o->id, i->id))
			return o;
	return NULL;
}

static struct open_incident *enter(struct keeper *k, const struct incident *i)
{
	struct open_incident *o = k->n_open < OPEN_MAX ? calloc(1, sizeof(*o)) : NULL;

	if (!o)
		return NULL;
	memcpy(o->id, i->id, sizeof(o->id));
	o->key = i->key;
	o->from_ns = i->last_progress_ns > BEFORE_NS ? i->last_progress_ns - BEFORE_NS : 0;
	o->next = k->open;
	k->open = o;
	k->n_open++;
	take_probes(k, o);
	return o;
}

/* They come and go: what has been kept of one is not kept again. */
static void set_witnesses(struct open_incident *o, const struct incident *i)
{
	struct seen_witness now[MAX_WITNESSES] = {0};

	for (int n = 0; n < i->n_witnesses; n++) {
		now[n] = (struct seen_witness){i->witnesses[n].key, o->from_ns};
		for (int k = 0; k < o->n_witnesses; k++)
			if (same_flow(&o->witnesses[k].key, &now[n].key))
				now[n].newest_ns = o->witnesses[k].newest_ns;
	}
	memcpy(o->witnesses, now, (size_t)i->n_witnesses * sizeof(now[0]));
	o->n_witnesses = i->n_witnesses;
}

void keeper_output(struct keeper *k, const struct output *out)
{
	const struct incident *i = out->incident;
	struct open_incident *o;

	store_output(k->config.store, out);
	if (!i)
		return;
	o = find(k, i);
	if (!o)
		o = enter(k, i);
	if (!o) { /* the incident is kept, its packets are not */
		k->counts.without_packets +=
			out->kind == OUT_STALL_BEGIN || out->kind == OUT_SLOW_BEGIN;
		return;
	}
	take_lead(k, o, i);
	set_witnesses(o, i);
	o->pending = k->pending = true;
	o->ended = out->kind == OUT_STALL_END || out->kind == OUT_SLOW_END;
}

void keeper_run(struct keeper *k, struct sensor *sensor)
{
	struct open_incident **at = &k->open, *o;

	if (!k->pending)
		return;
	k->pending = false;
	while ((o = *at)) {
		if (o->pending)
			read_boxes(k, o, sensor);
		o->pending = false;
		if (!o->ended) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		k->n_open--;
		free(o);
	}
}

int keeper_new(const struct keeper_config *config, struct keeper **ret)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->config = *config;
	if (namespace_self(&k->own_netns))
		k->own_netns = 0;
	if (config->prober)
		prober_tap(config->prober, on_probe, k);
	*ret = k;
	return 0;
}

struct keeper_counts keeper_counts(const struct keeper *k)
{
	return k->counts;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	if (k->config.prober)
		prober_tap(k->config.prober, NULL, NULL);
	while (k->open) {
		struct open_incident *next = k->open->next;

		free(k->open);
		k->open = next;
	}
	free(k->packets);
	free(k);
}
