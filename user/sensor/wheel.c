/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finding silence without looking at every flow: a wheel of slots, each an intrusive list. A
 * direction that owes something stands in the slot in which its silence would be long enough; if
 * it has progressed until then it is put into a later one. So a busy flow is touched once in
 * `stall_after`, not at each packet, as it would be in a list that is kept in order.
 */
#include "sensor/tracker_impl.h"

static void unlink_node(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);

	if (h->next != NONE)
		half_at(t, h->next)->prev = h->prev;
	if (h->prev != NONE) {
		half_at(t, h->prev)->next = h->next;
	} else if (t->open == node) {
		t->open = h->next;
	} else {
		uint32_t *head = &t->wheel[h->slot];

		*head = h->next;
	}
	h->next = h->prev = NONE;
}

static void link_node(struct tracker *t, uint32_t *head, uint32_t node)
{
	struct half *h = half_at(t, node);

	h->prev = NONE;
	h->next = *head;
	if (*head != NONE)
		half_at(t, *head)->prev = node;
	*head = node;
}

void wheel_arm(struct tracker *t, uint32_t node, uint64_t due_ns)
{
	struct half *h = half_at(t, node);
	uint64_t slot;

	if (h->flags & (HALF_ARMED | HALF_OPEN))
		return;
	if (due_ns < t->wheel_ns)
		due_ns = t->wheel_ns;
	slot = due_ns / t->slot_ns % WHEEL_SLOTS;
	h->slot = slot & (WHEEL_SLOTS - 1);
	link_node(t, &t->wheel[slot], node);
	h->flags |= HALF_ARMED;
}

void wheel_open(struct tracker *t, uint32_t node)
{
	wheel_disarm(t, node);
	link_node(t, &t->open, node);
	half_at(t, node)->flags |= HALF_OPEN;
}

void wheel_disarm(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);

	if (h->flags & (HALF_ARMED | HALF_OPEN))
		unlink_node(t, node);
	h->flags &= (uint16_t) ~(HALF_ARMED | HALF_OPEN | HALF_WAITING);
}

void wheel_advance(struct tracker *t, uint64_t now_ns,
		   void (*fire)(struct tracker *, uint32_t, uint64_t))
{
	uint64_t slot_end_ns = (t->wheel_ns / t->slot_ns + 1) * t->slot_ns;

	for (int turned = 0; slot_end_ns <= now_ns && turned < WHEEL_SLOTS; turned++) {
		uint32_t *head = &t->wheel[t->wheel_ns / t->slot_ns % WHEEL_SLOTS], node;

		t->wheel_ns = slot_end_ns; /* what is armed now goes into a later slot */
		while ((node = *head) != NONE) {
			unlink_node(t, node);
			half_at(t, node)->flags &= (uint16_t)~HALF_ARMED;
			fire(t, node, slot_end_ns);
		}
		slot_end_ns += t->slot_ns;
	}
	if (slot_end_ns <= now_ns) /* all slots have been looked at, nothing is left in them */
		t->wheel_ns = now_ns / t->slot_ns * t->slot_ns;
}
