/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How members become JSON and back, exactly. An integer above INT64_MAX, which jansson cannot hold,
 * is written as a string of digits; text that is not UTF-8 (a process may call itself anything) as
 * {"hex": ...}. The reader trusts nothing: every value is checked against its member, and text
 * always ends up terminated.
 */
#include "sensor/fields.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static uint64_t load(const void *at, size_t size)
{
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 1:
		return memcpy(&u8, at, 1), u8;
	case 2:
		return memcpy(&u16, at, 2), u16;
	case 4:
		return memcpy(&u32, at, 4), u32;
	default:
		return memcpy(&u64, at, 8), u64;
	}
}

static void store(void *at, size_t size, uint64_t value)
{
	uint8_t u8 = (uint8_t)value;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (size) {
	case 1:
		memcpy(at, &u8, 1);
		break;
	case 2:
		memcpy(at, &u16, 2);
		break;
	case 4:
		memcpy(at, &u32, 4);
		break;
	default:
		memcpy(at, &value, 8);
	}
}

static int64_t load_signed(const void *at, size_t size)
{
	const unsigned int unused = 64 - 8 * (unsigned int)size;

	return (int64_t)(load(at, size) << unused) >> unused;
}

static json_t *write_unsigned(uint64_t value)
{
	char digits[24];

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
	return json_string(digits);
}

/* What is no number has no JSON; it is read back as zero. */
static json_t *write_real(const void *at)
{
	double value;

	memcpy(&value, at, sizeof(value));
	return json_real(isfinite(value) ? value : 0);
}

static json_t *write_numbers(const uint8_t *at, size_t size, size_t unit)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < size; i += unit) {
		if (json_array_append_new(array, write_unsigned(load(at + i, unit)))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *write_text(const char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);
	char hex[2 * FIELD_TEXT_MAX + 1];
	json_t *string = json_stringn(text, len);

	if (string)
		return string;
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)text[i]);
	return json_pack("{s:s}", "hex", hex);
}

static json_t *write_mac(const uint8_t *mac)
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

static json_t *write_addr(const struct ip_addr *addr)
{
	char text[ADDR_TEXT_LEN];

	return json_string(addr_text(addr, text));
}

static json_t *write_struct(const struct field *table, const void *base)
{
	json_t *object = json_object();

	if (object && fields_write(table, base, object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

/* A word of the field's, or NULL past the last one. */
static const char *word_at(const struct field *f, uint64_t i)
{
	if (f->type == FIELD_ENUM)
		return f->words[i];
	return i <= INT_MAX ? f->word((int)i) : NULL;
}

static json_t *write_word(const struct field *f, uint64_t value)
{
	for (uint64_t i = 0; word_at(f, i); i++)
		if (i == value)
			return json_string(word_at(f, i));
	return json_null(); /* no value of this enumeration; the reader will say so */
}

static bool is_zero(const uint8_t *at, size_t size)
{
	while (size && !*at)
		at++, size--;
	return !size;
}

static json_t *write_list(const struct field *f, const uint8_t *at)
{
	json_t *array = json_array();
	size_t size = f->size;

	while (size && is_zero(at + size - f->unit, f->unit))
		size -= f->unit;
	for (size_t i = 0; array && i < size; i += f->unit) {
		if (json_array_append_new(array, write_struct(f->fields, at + i))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *write_field(const struct field *f, const uint8_t *at)
{
	switch (f->type) {
	case FIELD_UNSIGNED:
		return f->unit ? write_numbers(at, f->size, f->unit)
			       : write_unsigned(load(at, f->size));
	case FIELD_SIGNED:
		return json_integer(load_signed(at, f->size));
	case FIELD_BOOL:
		return json_true();
	case FIELD_REAL:
		return write_real(at);
	case FIELD_ENUM:
	case FIELD_WORD:
		return write_word(f, load(at, f->size));
	case FIELD_TEXT:
	case FIELD_NAME:
	case FIELD_PROSE:
		return write_text((const char *)at, f->size);
	case FIELD_MAC:
		return write_mac(at);
	case FIELD_ADDR:
		return write_addr((const struct ip_addr *)at);
	case FIELD_STRUCT:
		return write_struct(f->fields, at);
	case FIELD_LIST:
		return write_list(f, at);
	case FIELD_PAD:
		break;
	}
	return NULL;
}

const char *field_key(const struct field *f)
{
	const char *dot = strrchr(f->name, '.');

	return dot ? dot + 1 : f->name;
}

int fields_write(const struct field *table, const void *base, json_t *object)
{
	for (const struct field *f = table; f->name; f++) {
		const uint8_t *at = (const uint8_t *)base + f->offset;

		if (f->type == FIELD_PAD || is_zero(at, f->size))
			continue;
		if (json_object_set_new(object, field_key(f), write_field(f, at)))
			return -ENOMEM;
	}
	return 0;
}

static bool read_unsigned(const json_t *value, size_t size, void *ret)
{
	uint64_t max = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
	uint64_t number;

	if (json_is_string(value)) {
		if (parse_u64(json_string_value(value), 0, max, &number))
			return false;
	} else if (json_is_integer(value) && json_integer_value(value) >= 0) {
		number = (uint64_t)json_integer_value(value);
	} else {
		return false;
	}
	if (number > max)
		return false;
	store(ret, size, number);
	return true;
}

static bool read_signed(const json_t *value, size_t size, void *ret)
{
	const int64_t max = INT64_MAX >> (64 - 8 * size);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < -max - 1 || number > max)
		return false;
	store(ret, size, (uint64_t)number);
	return true;
}

static bool read_numbers(const json_t *value, size_t size, size_t unit, uint8_t *ret)
{
	if (!json_is_array(value) || json_array_size(value) != size / unit)
		return false;
	for (size_t i = 0; i < size / unit; i++)
		if (!read_unsigned(json_array_get(value, i), unit, ret + i * unit))
			return false;
	return true;
}

static bool read_word(const struct field *f, const json_t *value, void *ret)
{
	for (uint64_t i = 0; json_is_string(value) && word_at(f, i); i++) {
		if (!strcmp(json_string_value(value), word_at(f, i))) {
			store(ret, f->size, i);
			return true;
		}
	}
	return false;
}

static int nibble(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Fills len bytes from 2 * len hexadecimal digits. */
static bool read_hex(const char *digits, size_t len, uint8_t *ret)
{
	for (size_t i = 0; i < len; i++) {
		int high = nibble(digits[2 * i]), low = high < 0 ? -1 : nibble(digits[2 * i + 1]);

		if (low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool read_text(const json_t *value, size_t size, char *ret)
{
	const char *hex = json_string_value(json_object_get(value, "hex"));
	size_t len;

	if (hex) {
		len = strlen(hex) / 2;
		if (strlen(hex) % 2 || len >= size || !read_hex(hex, len, (uint8_t *)ret))
			return false;
	} else {
		len = json_string_length(value);
		if (!json_is_string(value) || len >= size)
			return false;
		memcpy(ret, json_string_value(value), len);
	}
	memset(ret + len, 0, size - len);
	return true;
}

/* Words of the kernel's or of ours, which are printed as they are. */
static bool read_printable(const json_t *value, size_t size, char *ret)
{
	if (!read_text(value, size, ret))
		return false;
	for (const char *c = ret; *c; c++)
		if (*c < ' ' || *c > '~')
			return false;
	return true;
}

static bool read_mac(const json_t *value, uint8_t *ret)
{
	const char *text = json_string_value(value);

	if (json_string_length(value) != 17)
		return false;
	for (int i = 0; i < 6; i++)
		if ((i && text[3 * i - 1] != ':') || !read_hex(text + 3 * i, 1, ret + i))
			return false;
	return true;
}

/* Not addr_parse(): that turns a v4-mapped address into another. */
static bool read_addr(const json_t *value, struct ip_addr *ret)
{
	const char *text = json_string_value(value);
	struct ip_addr addr = {0};

	if (!text)
		return false;
	addr.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(addr.family, text, addr.bytes) != 1)
		return false;
	*ret = addr;
	return true;
}

static bool read_real(const json_t *value, uint8_t *ret)
{
	const double real = json_number_value(value);

	memcpy(ret, &real, sizeof(real));
	return json_is_number(value);
}

static bool read_field(const struct field *f, const json_t *value, uint8_t *at)
{
	switch (f->type) {
	case FIELD_UNSIGNED:
		return f->unit ? read_numbers(value, f->size, f->unit, at)
			       : read_unsigned(value, f->size, at);
	case FIELD_SIGNED:
		return read_signed(value, f->size, at);
	case FIELD_BOOL:
		*(bool *)at = json_is_true(value);
		return json_is_boolean(value);
	case FIELD_REAL:
		return read_real(value, at);
	case FIELD_ENUM:
	case FIELD_WORD:
		return read_word(f, value, at);
	case FIELD_TEXT:
		return read_printable(value, f->size, (char *)at);
	case FIELD_NAME:
	case FIELD_PROSE:
		return read_text(value, f->size, (char *)at);
	case FIELD_MAC:
		return read_mac(value, at);
	case FIELD_ADDR:
		return read_addr(value, (struct ip_addr *)at);
	case FIELD_STRUCT:
	case FIELD_LIST:
	case FIELD_PAD:
		break;
	}
	return false;
}

static int read_list(const struct field *f, const json_t *value, uint8_t *at, char *ret_why,
		     size_t why_len)
{
	const size_t n = json_array_size(value);
	int r = 0;

	if (!json_is_array(value) || n > f->size / f->unit) {
		snprintf(ret_why, why_len, "\"%s\" has a value that does not fit", field_key(f));
		return -EINVAL;
	}
	for (size_t i = 0; i < n && !r; i++)
		r = fields_read(f->fields, json_array_get(value, i), at + i * f->unit, ret_why,
				why_len);
	return r;
}

int fields_read(const struct field *table, const json_t *object, void *base, char *ret_why,
		size_t why_len)
{
	int r;

	for (const struct field *f = table; f->name; f++) {
		const json_t *value =
			f->type == FIELD_PAD ? NULL : json_object_get(object, field_key(f));
		uint8_t *at = (uint8_t *)base + f->offset;

		if (!value)
			continue;
		if (f->type == FIELD_STRUCT && json_is_object(value)) {
			r = fields_read(f->fields, value, at, ret_why, why_len);
			if (r)
				return r;
		} else if (f->type == FIELD_LIST) {
			r = read_list(f, value, at, ret_why, why_len);
			if (r)
				return r;
		} else if (!read_field(f, value, at)) {
			snprintf(ret_why, why_len, "\"%s\" has a value that does not fit",
				 field_key(f));
			return -EINVAL;
		}
	}
	return 0;
}
