/* SPDX-License-Identifier: GPL-2.0-only */
#include "fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static uint64_t rng = 0x9e3779b97f4a7c15;

uint64_t any(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

struct ip_addr any_addr(void)
{
	struct ip_addr addr = {0};

	switch (any() % 3) {
	case 0:
		break;
	case 1:
		addr.family = AF_INET;
		break;
	case 2:
		addr.family = AF_INET6;
		break;
	}
	for (size_t i = 0; i < addr_len(&addr); i++)
		addr.bytes[i] = (uint8_t)any();
	return addr;
}

/* Terminated, zero behind, as the kernel and /proc give it. Names may have any bytes. */
static void fill_text(uint8_t *at, size_t size, bool name)
{
	size_t len = any() % size;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(any() % 4 || !name ? ' ' + any() % 95 : 1 + any() % 255);
}

void fill(const struct field *table, void *base)
{
	for (const struct field *f = table; f->name; f++) {
		uint8_t *at = (uint8_t *)base + f->offset;
		struct ip_addr addr;
		uint64_t n = 0;
		uint32_t word;
		double real;

		if (any() % 4 == 0)
			continue;
		switch (f->type) {
		case FIELD_UNSIGNED:
		case FIELD_SIGNED:
		case FIELD_MAC:
			for (int j = 0; j < f->size; j++)
				at[j] = (uint8_t)any();
			break;
		case FIELD_BOOL:
			*(bool *)at = true;
			break;
		case FIELD_ENUM:
			while (f->words[n])
				n++;
			word = (uint32_t)(n ? any() % n : 0);
			memcpy(at, &word, sizeof(word));
			break;
		case FIELD_TEXT:
		case FIELD_NAME:
		case FIELD_PROSE:
			fill_text(at, f->size, f->type != FIELD_TEXT);
			break;
		case FIELD_ADDR:
			addr = any_addr();
			memcpy(at, &addr, sizeof(addr));
			break;
		case FIELD_STRUCT:
			fill(f->fields, at);
			break;
		case FIELD_REAL:
			real = (double)any() / 3;
			memcpy(at, &real, sizeof(real));
			break;
		case FIELD_WORD:
			while (f->word((int)n))
				n++;
			word = (uint32_t)(n ? any() % n : 0);
			memcpy(at, &word, sizeof(word));
			break;
		case FIELD_LIST:
			for (int j = 0; j < f->size; j += f->unit)
				fill(f->fields, at + j);
			break;
		case FIELD_PAD:
			break;
		}
	}
}

void clear_fields(const struct field *table, void *base)
{
	for (const struct field *f = table; f->name; f++) {
		if (f->type == FIELD_STRUCT)
			clear_fields(f->fields, (uint8_t *)base + f->offset);
		else if (f->type == FIELD_LIST)
			for (int j = 0; j < f->size; j += f->unit)
				clear_fields(f->fields, (uint8_t *)base + f->offset + j);
		else
			memset((uint8_t *)base + f->offset, 0, f->size);
	}
}

void assert_zero(const void *at, size_t size)
{
	const uint8_t *bytes = at;

	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
}
