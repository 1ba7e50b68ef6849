/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live packet source, for hosts without BPF and for routers in the middle: packets into the
 * tracker, and out of it what the engine needs to know. A connection with an end here is told of as
 * the kernel's own sensor does, completed by what its socket says; one that passes by as in a
 * capture. Memory is fixed, whatever comes along.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "host/host.h"
#include "sensor/filter.h"
#include "sensor/packets_impl.h"
#include "sensor/processes.h"
#include "sensor/tracker_live.h"

#define MAX_FLOWS  65536
#define RECENT	   TRACKER_BATCH   /* packets that the tracker may not have taken in yet */
#define LOSS_USUAL 50		   /* one segment of so many */
#define OWN_NS	   (10 * NS_PER_S) /* how often our addresses are looked up */
#define WATCHED_NS (500 * NS_PER_MS)

/* Beside a flow of the tracker. */
struct beside {
	uint64_t number; /* of the connection */
	uint64_t inode;
	bool asked;	 /* its socket */
	bool watched;	 /* it is of the process that is watched, or of its children */
	bool shown;	 /* as silent */
	uint32_t top[2]; /* highest sequence number sent */
	bool based[2];
};

struct recent {
	uint64_t number;
	struct box_packet packet;
};

struct packets {
	struct sensor sensor;
	struct rings *rings;
	struct tracker *tracker;
	struct diag *diag;   /* NULL: sockets cannot be asked */
	struct boxes *boxes; /* NULL: none */
	struct namespaces *namespaces;
	uint32_t netns;
	bool other_netns;
	pid_t root_pid;
	const struct flow_filter *filter;
	uint64_t min_bytes, suspect_after_ns;
	observe_fn observe;
	void *arg;

	struct own_addresses own;
	uint64_t own_ns, watched_ns;
	struct socket_inodes *inodes; /* of the watched processes; NULL: all are watched */
	struct beside side[MAX_FLOWS];
	struct recent recent[RECENT];
	uint64_t number;    /* of packets */
	uint64_t recovered; /* cookie of the flow whose stall has just ended */
	uint64_t now_ns;    /* of the scan that goes on */
	bool all;
};

static bool matches(const struct packets *s, const struct flow_key *key)
{
	return flow_filter_matches(s->filter, key, true) ||
	       flow_filter_matches(s->filter, key, false);
}

static struct beside *beside_of(struct packets *s, uint32_t flow, uint64_t number)
{
	struct beside *side = &s->side[flow];

	if (side->number != number)
		*side = (struct beside){.number = number};
	return side;
}

/* --- packets in --------------------------------------------------------------------------------
 */

static bool ours(const struct ip_addr *addr, void *arg)
{
	const struct packets *s = arg;

	return own_address(&s->own, addr);
}

/* A copy of the headers, until the tracker says whose they are. */
static void remember(struct packets *s, const struct ring_packet *p, const struct frame *f)
{
	uint32_t link = p->linktype == LINKTYPE_SLL2 ? 20 : p->linktype == LINKTYPE_SLL ? 16 : 0;
	struct recent *r = &s->recent[s->number & (RECENT - 1)];
	uint32_t captured = p->captured > link ? p->captured - link : 0;

	if (captured > BOX_CAPTURED)
		captured = BOX_CAPTURED;
	r->number = f->kind == FRAME_TCP ? s->number : 0;
	r->packet = (struct box_packet){
		.time_ns = p->now_ns,
		.ifindex = p->ifindex,
		.netns = s->netns,
		.length = p->length > link ? p->length - link : 0,
		.linktype = p->linktype == LINKTYPE_ETHERNET ? LINKTYPE_ETHERNET : LINKTYPE_RAW,
		.captured = (uint8_t)captured,
	};
	memcpy(r->packet.data, p->data + (captured ? link : 0), captured);
}

static void take(const struct ring_packet *p, void *arg)
{
	struct packets *s = arg;
	struct frame *f = tracker_slot(s->tracker);

	s->number++;
	frame_decode(p->linktype, p->data, p->captured, p->length, f);
	if (s->boxes)
		remember(s, p, f);
	tracker_push(s->tracker, p->now_ns, s->number);
}

/* The tracker has taken a packet in: it goes into the box of its transfer. */
static void on_packet(const struct tracker_packet *p, void *arg)
{
	struct packets *s = arg;
	const struct frame *f = p->frame;
	struct recent *r = &s->recent[p->number & (RECENT - 1)];
	struct beside *side = beside_of(s, p->flow, p->connection);
	uint32_t end = f->seq + f->payload;
	bool again = side->based[p->dir] && f->payload && (int32_t)(end - side->top[p->dir]) <= 0;

	if (!side->based[p->dir] || (int32_t)(end - side->top[p->dir]) > 0)
		side->top[p->dir] = end;
	side->based[p->dir] = true;
	if (!p->transfer || r->number != p->number)
		return;
	r->packet.flags = (p->dir ? 0 : BOX_OUT) | (again ? BOX_AGAIN : 0);
	boxes_put(s->boxes, p->connection, &r->packet);
	if (f->flags & (TCP_FIN | TCP_RST))
		boxes_end(s->boxes, p->connection);
}

/* --- observations out ---------------------------------------------------------------------------
 */

static const struct flow_key *key_in(const struct observation *obs)
{
	switch (obs->type) {
	case OBS_SNAPSHOT:
		return &obs->snapshot.key;
	case OBS_GONE:
		return &obs->gone.last.key;
	case OBS_RESET:
		return &obs->reset.key;
	case OBS_ICMP:
		return &obs->icmp.key;
	case OBS_CAPTURE:
		return &obs->capture.key;
	case OBS_PACE:
		return &obs->pace.key;
	default:
		return NULL;
	}
}

/*
 * A full line is no news while one watches: only what fell well below its best is, and not for the
 * odd packet that every long way loses.
 */
static bool is_news(const struct pace_seen *p)
{
	if (p->limit == PACE_LOSS && p->lost_segs < p->segs / LOSS_USUAL)
		return false;
	return p->rate_bps < p->usual_bps / 2;
}

/*
 * What the tracker tells by itself: of connections that pass by, and resets of ours. A recovery
 * comes with the end of the flow, since a capture knows no more of it; live it goes on.
 */
static void on_observation(const struct observation *in, void *arg)
{
	struct packets *s = arg;
	const struct flow_key *key = key_in(in);
	struct observation obs;

	if (!key || (s->root_pid && !key->netns) || !matches(s, key))
		return;
	if (in->type == OBS_PACE && !is_news(&in->pace))
		return;
	if (in->type == OBS_CAPTURE)
		s->recovered = in->capture.recovered ? key->cookie : 0;
	if (in->type == OBS_GONE && in->gone.reason == GONE_CLOSED && s->recovered == key->cookie)
		return;
	obs = *in;
	if (in->type == OBS_SNAPSHOT && s->filter)
		obs.snapshot.flags |= SNAP_NAMED;
	s->observe(&obs, s->arg);
}

/* What the socket says is nearer to the truth than what its packets show. */
static void complete(struct flow_snapshot *f, const struct diag_socket *socket)
{
	f->inode = socket->inode;
	f->copied_seq = f->rcv_nxt - socket->unread;
	if (socket->unsent)
		f->write_seq = f->snd_nxt + socket->unsent;
	f->mss = socket->mss ? socket->mss : f->mss; /* offloads send larger ones */
	f->rto_us = socket->rto_us ? socket->rto_us : f->rto_us;
	f->backoff = socket->rto_us ? socket->backoff : f->backoff;
	f->rtt_us = socket->rtt_us ? socket->rtt_us : f->rtt_us;
	f->rttvar_us = socket->rttvar_us;
	f->snd_wnd = socket->snd_wnd ? socket->snd_wnd : f->snd_wnd;
	f->pmtu = socket->pmtu;
}

static bool is_silent(const struct packets *s, const struct flow_snapshot *f)
{
	uint64_t last_ns =
		f->snd.progress_ns > f->rcv.progress_ns ? f->snd.progress_ns : f->rcv.progress_ns;

	if (last_ns < f->owe_since_ns)
		last_ns = f->owe_since_ns;
	return s->now_ns > last_ns + s->suspect_after_ns;
}

/* A connection with an end here. Whose it is, is asked once; what waits in it, while it is silent.
 */
static void on_own(struct packets *s, const struct tracked *f)
{
	struct observation obs = {.type = OBS_SNAPSHOT, .now_ns = s->now_ns};
	struct beside *side = beside_of(s, f->flow, f->snapshot.key.cookie >> 1);
	bool silent = is_silent(s, &f->snapshot), selected;
	struct flow_snapshot now = f->snapshot;
	struct diag_socket socket;

	if (s->diag && !f->over && (!side->asked || silent)) {
		int err = diag_find(s->diag, &now.key, &socket);

		if (err == -ENOENT && !side->asked) {
			tracker_disown(s->tracker, f->flow);
			return;
		}
		side->asked = true;
		side->inode = err ? side->inode : socket.inode;
		if (!err)
			complete(&now, &socket);
	}
	now.inode = side->inode;
	if (s->inodes && !side->watched)
		side->watched = socket_inodes_have(s->inodes, side->inode);
	selected = matches(s, &now.key) && (!s->root_pid || side->watched);
	if (!selected && now.snd.bytes + now.rcv.bytes < s->min_bytes)
		return;
	if (!selected)
		now.flags |= SNAP_WITNESS_ONLY;
	else if (s->filter || s->root_pid)
		now.flags |= SNAP_NAMED;
	if (f->over) {
		obs.type = OBS_GONE;
		obs.gone = (struct flow_gone){.last = now, .reason = f->reason};
	} else if (s->all || silent || side->shown) {
		side->shown = silent;
		obs.snapshot = now;
	} else {
		return;
	}
	s->observe(&obs, s->arg);
}

static void on_tracked(const struct tracked *f, void *arg)
{
	struct packets *s = arg;
	struct observation obs = {.type = OBS_SNAPSHOT, .now_ns = s->now_ns};

	if (f->ours) {
		on_own(s, f);
	} else if (s->all) {
		obs.snapshot = f->snapshot;
		on_observation(&obs, s);
	}
}

/* --- the sensor ----------------------------------------------------------------------------------
 */

static int netns_fd(const struct packets *s)
{
	return s->other_netns ? namespaces_fd(s->namespaces, s->netns) : -1;
}

static void look_around(struct packets *s)
{
	uint64_t now_ns = mono_ns();

	if (!s->own_ns || now_ns >= s->own_ns + OWN_NS) {
		own_addresses(netns_fd(s), &s->own); /* those that were known stay if it fails */
		s->own_ns = now_ns;
	}
	if (s->root_pid && now_ns >= s->watched_ns + WATCHED_NS) {
		socket_inodes_below(s->inodes, s->root_pid);
		s->watched_ns = now_ns;
	}
}

static void packets_close(struct sensor *sensor)
{
	struct packets *s = (struct packets *)sensor;

	rings_close(s->rings);
	tracker_free(s->tracker);
	diag_close(s->diag);
	boxes_free(s->boxes);
	socket_inodes_free(s->inodes);
	free(s);
}

static int packets_seed(struct sensor *sensor)
{
	(void)sensor; /* what is older shows with its next packet */
	return 0;
}

static int packets_fd(const struct sensor *sensor)
{
	return rings_fd(((const struct packets *)sensor)->rings);
}

static int packets_read(struct sensor *sensor)
{
	return rings_read(((struct packets *)sensor)->rings);
}

static int packets_scan(struct sensor *sensor, bool all)
{
	struct packets *s = (struct packets *)sensor;
	struct observation obs = {.type = OBS_SCANNED};
	int err;

	look_around(s);
	err = rings_read(s->rings);
	s->now_ns = mono_ns() - RINGS_LATE_NS;
	s->all = all;
	tracker_flush(s->tracker, s->now_ns);
	tracker_each(s->tracker, on_tracked, s);
	if (!all)
		return err;
	obs.now_ns = s->now_ns;
	s->observe(&obs, s->arg);
	return err;
}

/* Drops of this host are not seen from here. */
static int packets_listen(struct sensor *sensor, const struct flow_key *key)
{
	(void)sensor, (void)key;
	return 0;
}

static struct sensor_counts packets_counts(const struct sensor *sensor)
{
	const struct packets *s = (const struct packets *)sensor;
	struct tracker_counts t = tracker_counts(s->tracker);
	struct ring_counts r = rings_counts(s->rings);

	return (struct sensor_counts){
		.tracked = t.transfers,
		.events = s->number,
		.lost = {{"packets-dropped", r.dropped},
			 {"packets-not-tracked", t.not_tracked},
			 {"headers-cut", t.cut},
			 {"interfaces-gone", r.gone}},
	};
}

struct turning {
	box_fn take;
	void *arg;
	bool second; /* the local end is the second of the connection */
};

static void turn(const struct box_packet *packet, void *arg)
{
	const struct turning *t = arg;
	struct box_packet p = *packet;

	if (t->second)
		p.flags ^= BOX_OUT;
	t->take(&p, t->arg);
}

static int packets_box(struct sensor *sensor, const struct flow_key *key, box_fn take_packet,
		       void *arg, struct box_counts *ret)
{
	const struct packets *s = (const struct packets *)sensor;
	struct turning t = {.take = take_packet, .arg = arg, .second = key->cookie & 1};

	return s->boxes ? boxes_read(s->boxes, key->cookie >> 1, turn, &t, ret) : -ENOTSUP;
}

static struct box_capacity packets_box_capacity(const struct sensor *sensor)
{
	const struct packets *s = (const struct packets *)sensor;

	if (!s->boxes)
		return (struct box_capacity){.why = "not wanted"};
	return boxes_capacity(s->boxes);
}

static const struct sensor_ops ops = {
	.close = packets_close,
	.seed = packets_seed,
	.fd = packets_fd,
	.read = packets_read,
	.scan = packets_scan,
	.listen = packets_listen,
	.release = packets_listen,
	.counts = packets_counts,
	.box = packets_box,
	.box_capacity = packets_box_capacity,
};

static int start(struct packets *s, const struct sensor_config *config)
{
	bool named = config->filter || config->root_pid;
	struct tracker_config tracking = {
		.stall_after_ns = config->stall_after_ns,
		.min_bytes = named ? 0 : config->min_bytes,
		.max_flows = MAX_FLOWS,
		.observe = on_observation,
		.arg = s,
		.netns = s->netns,
		.ours = ours,
		.packet = config->box_packets ? on_packet : NULL,
	};
	int err = tracker_new(&tracking, &s->tracker);

	if (!err && config->root_pid)
		err = socket_inodes_new(&s->inodes);
	if (!err && config->box_packets)
		err = boxes_new(config->box_packets, &s->boxes);
	if (!err)
		diag_open(netns_fd(s), &s->diag); /* without it what packets show has to do */
	return err;
}

int packets_open(const struct sensor_config *config, struct namespaces *namespaces,
		 observe_fn observe, void *arg, struct sensor **ret, char *ret_why, size_t why_len)
{
	struct packets *s = calloc(1, sizeof(*s));
	uint32_t self = 0;
	int err = -ENOMEM;

	*ret_why = '\0';
	if (!s)
		goto out;
	namespace_self(&self);
	s->sensor.ops = &ops;
	s->namespaces = namespaces;
	s->netns = config->netns ? config->netns : self;
	s->other_netns = s->netns != self;
	s->root_pid = config->root_pid;
	s->filter = config->filter;
	s->min_bytes = config->min_bytes;
	s->suspect_after_ns = config->suspect_after_ns;
	s->observe = observe;
	s->arg = arg;
	err = start(s, config);
	if (!err)
		err = rings_open(config->interfaces, netns_fd(s), take, s, &s->rings, ret_why,
				 why_len);
	if (err)
		goto out;
	look_around(s);
	*ret = &s->sensor;
	s = NULL;
out:
	if (err && !*ret_why)
		snprintf(ret_why, why_len, "packets cannot be seen: %s", strerror(-err));
	if (s)
		packets_close(&s->sensor);
	return err;
}
