/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the black boxes that the kernel programs fill (bpf/box.h), without stopping them: what was
 * overwritten while it was copied is left out and counted. The slots of one box are mapped for the
 * moment of reading only, so that they never count as our memory.
 */
#include "sensor/blackbox.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "sensor/ebpf.h"
#include "sensor/frame.h"
#include "sensor/reconstruct.h"
#include "tcpstall.skel.h"

#define BOXES_BYTES    (40ull << 20) /* of slots, about */
#define BOXES_MIN      64
#define BOXES_MAX      4096

#define IP_HEADER_MAX  60
#define TIMESTAMPS_LEN 12 /* of the option, padded */

uint32_t boxes_packets(uint32_t wanted)
{
	uint32_t n = 1;

	while (n < wanted && n < BOX_MAX)
		n *= 2;
	return wanted ? n : 0;
}

uint32_t boxes_number(uint32_t packets)
{
	uint64_t n = BOXES_BYTES / (packets * sizeof(struct box_slot));

	return n < BOXES_MIN ? BOXES_MIN : n > BOXES_MAX ? BOXES_MAX : (uint32_t)n;
}

uint64_t boxes_bytes(uint32_t packets)
{
	return (boxes_number(packets) + 1) *
	       (packets * sizeof(struct box_slot) + sizeof(struct box));
}

/* Hands all boxes to the kernel's side. Box 0 is nobody's. */
int boxes_open(struct ebpf *s, uint32_t packets)
{
	const int free_fd = bpf_map__fd(s->skel->maps.boxes_free);
	struct boxes *b = &s->boxes;
	void *heads;

	b->n = bpf_map__max_entries(s->skel->maps.boxes) - 1;
	heads = mmap(NULL, (b->n + 1) * sizeof(*b->heads), PROT_READ, MAP_SHARED,
		     bpf_map__fd(s->skel->maps.boxes), 0);
	if (heads == MAP_FAILED)
		return -errno;
	b->heads = heads;
	b->packets = packets;
	for (uint32_t i = 1; i <= b->n; i++)
		if (bpf_map_update_elem(free_fd, NULL, &i, BPF_ANY))
			return -errno;
	return 0;
}

void boxes_close(struct ebpf *s)
{
	if (s->boxes.heads)
		munmap(s->boxes.heads, (s->boxes.n + 1) * sizeof(*s->boxes.heads));
}

struct box_ref boxes_find(const struct ebpf *s, const struct flow_key *key)
{
	struct box_ref none = {0};

	for (uint32_t i = 1; i <= s->boxes.n && key->cookie; i++) {
		const struct box *head = &s->boxes.heads[i];

		if (__atomic_load_n(&head->cookie, __ATOMIC_ACQUIRE) == key->cookie)
			return (struct box_ref){.index = i, .turn = head->turn};
	}
	return none;
}

/* Copies the slots of a box, whatever state they are in. false: errno says why not. */
static bool copy_slots(const struct ebpf *s, uint32_t index, struct box_slot *ret)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t size = s->boxes.packets * sizeof(*ret), begin = index * size;
	const size_t lead = begin % page;
	const char *map = mmap(NULL, lead + size, PROT_READ, MAP_SHARED,
			       bpf_map__fd(s->skel->maps.slots), (off_t)(begin - lead));

	if (map == MAP_FAILED)
		return false;
	memcpy(ret, map + lead, size);
	munmap((void *)map, lead + size);
	return true;
}

/*
 * Gathers what is whole, in order of time. A packet is whole if its number is there and nobody
 * could have begun to write over it; `before` and `after` were counted around the copying.
 */
static uint32_t keep_whole(const struct box_slot *slots, uint32_t n, uint64_t first,
			   uint64_t before, uint64_t after, const struct box_slot **ret)
{
	uint32_t kept = 0;

	if (after > n && after - n > first)
		first = after - n;
	for (; first < before; first++) {
		const struct box_slot *slot = &slots[first % n];
		uint32_t at = kept;

		if (slot->number != (uint32_t)(first + 1))
			continue;
		for (; at && ret[at - 1]->time_ns > slot->time_ns; at--)
			ret[at] = ret[at - 1];
		ret[at] = slot;
		kept++;
	}
	return kept;
}

/*
 * Only headers are handed out: what lies behind them is payload, or nothing of ours. false: it was
 * dropped before it had any.
 */
static bool packet_of(const struct box_slot *slot, const struct flow_key *key,
		      struct box_packet *ret)
{
	struct box_packet p = {
		.time_ns = slot->time_ns,
		.ifindex = slot->ifindex,
		.netns = key->netns,
		.length = slot->length,
		.linktype = slot->link ? LINKTYPE_ETHERNET : LINKTYPE_RAW,
		.flags = (slot->flags & PACKET_OUT ? BOX_OUT : 0) |
			 (slot->flags & PACKET_AGAIN ? BOX_AGAIN : 0) |
			 (slot->flags & PACKET_DROPPED ? BOX_DROPPED : 0),
		.captured = slot->length < BOX_CAPTURED ? (uint8_t)slot->length : BOX_CAPTURED,
	};
	struct boxed b;

	memcpy(p.data, slot->data, sizeof(p.data));
	if (boxed_of(&p, &b))
		p.captured = (uint8_t)(b.tcp + b.tcp_len - p.data);
	else if (slot->flags & PACKET_DROPPED)
		return false;
	else if (p.captured > slot->link + IP_HEADER_MAX)
		p.captured = slot->link + IP_HEADER_MAX;
	memset(p.data + p.captured, 0, sizeof(p.data) - p.captured);
	if (slot->flags & PACKET_REPLY) {
		p.flags &= (uint8_t)~BOX_OUT;
		reconstruct_reset(&p);
	}
	reconstruct_addresses(key, &p);
	*ret = p;
	return true;
}

/* Since 6.10 a reset in reply may leave through the flow's socket after all, and is seen. */
static bool was_seen(struct box_packet *made, struct box_packet *next)
{
	struct boxed a, b;

	return made->flags == (BOX_OUT | BOX_RECONSTRUCTED) && next->flags == BOX_OUT &&
	       boxed_of(made, &a) && boxed_of(next, &b) && a.flags & TCP_RST && b.flags & TCP_RST &&
	       a.seq == b.seq;
}

static void hand_over(const struct flow_key *key, const struct box *head,
		      struct box_packet *packets, uint32_t n, box_fn take, void *arg)
{
	const struct settled settled = {
		.snd_mss = head->snd_mss,
		/* tcp_finish_connect() and its like have taken the timestamps off what was told. */
		.rcv_mss = (uint16_t)(head->rcv_mss +
				      (head->options & BOX_TIMESTAMPS ? TIMESTAMPS_LEN : 0)),
		.snd_wscale = head->snd_wscale,
		.rcv_wscale = head->rcv_wscale,
		.timestamps = head->options & BOX_TIMESTAMPS,
		.sack = head->options & BOX_SACK,
		.connected = head->options & BOX_CONNECTED,
		.accepted = head->options & BOX_ACCEPTED,
		.rtt_ns = head->min_rtt_us == UINT32_MAX ? 0 : head->min_rtt_us * NS_PER_US,
	};
	struct box_packet handshake[3];
	int made = reconstruct_handshake(key, &settled, packets, n, handshake);

	for (int i = 0; i < made; i++)
		take(&handshake[i], arg);
	for (uint32_t i = 0; i < n; i++)
		if (i + 1 == n || !was_seen(&packets[i], &packets[i + 1]))
			take(&packets[i], arg);
}

int ebpf_box(struct sensor *sensor, const struct flow_key *key, box_fn take, void *arg,
	     struct box_counts *ret)
{
	struct ebpf *s = (struct ebpf *)sensor;
	const uint32_t n = s->boxes.packets;
	const struct box_ref ref = boxes_find(s, key);
	struct box_slot *slots = NULL;
	const struct box_slot **whole = NULL;
	struct box_packet *packets = NULL;
	struct box head;
	uint64_t after;
	uint32_t kept, n_whole;
	int err;

	if (!n)
		return -ENOTSUP;
	if (!ref.index)
		return -ENOENT;
	slots = malloc(n * sizeof(*slots));
	whole = malloc(n * sizeof(*whole));
	packets = malloc(n * sizeof(*packets));
	err = slots && whole && packets ? 0 : -ENOMEM;
	if (err)
		goto out;
	head = s->boxes.heads[ref.index];
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!copy_slots(s, ref.index, slots)) {
		err = -errno;
		goto out;
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	after = __atomic_load_n(&s->boxes.heads[ref.index].packets, __ATOMIC_RELAXED);
	if (head.cookie != key->cookie || s->boxes.heads[ref.index].turn != ref.turn) {
		err = -ENOENT;
		goto out;
	}
	n_whole = keep_whole(slots, n, head.first, head.packets, after, whole);
	kept = 0;
	for (uint32_t i = 0; i < n_whole; i++)
		kept += packet_of(whole[i], key, &packets[kept]);
	hand_over(key, &head, packets, kept, take, arg);
	ret->seen = head.packets - head.first;
	ret->overwritten = ret->seen > n ? ret->seen - n : 0;
	ret->torn = ret->seen - ret->overwritten - kept;
	ret->unseen = head.unseen;
out:
	free(packets);
	free(whole);
	free(slots);
	return err;
}

struct box_capacity ebpf_box_capacity(const struct sensor *sensor)
{
	const struct ebpf *s = (const struct ebpf *)sensor;

	return (struct box_capacity){
		.packets = s->boxes.packets,
		.boxes = s->boxes.n,
		.bytes = s->boxes.packets ? boxes_bytes(s->boxes.packets) : 0,
		.without = ebpf_counted(s, COUNT_BOXLESS),
		.why = s->boxes.why,
	};
}
