/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks are written in host byte order, which the section header tells. A block's length stands at
 * both ends of it, so the options are measured before they are written.
 */
#include "incident/pcapng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/newfile.h"
#include "base/utf8.h"

#define COMMENT_LEN	8192

#define BLOCK_SECTION	0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_STATS	5u
#define BLOCK_ENHANCED	6u
#define BYTE_ORDER_MARK 0x1a2b3c4du

enum option_code {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	OPTION_OS = 3,		/* of a section */
	OPTION_APPLICATION = 4, /* of a section */
	OPTION_NAME = 2,	/* of an interface */
	OPTION_TSRESOL = 9,	/* of an interface */
	OPTION_FLAGS = 2,	/* of a packet */
	OPTION_SEEN = 4,	/* of statistics */
	OPTION_LOST = 5,	/* of statistics */
};

struct interface {
	char name[64];
	int linktype;
	bool counted;
	uint64_t seen, lost, last_ns;
};

struct pcapng {
	struct newfile *file;
	FILE *out;
	uint32_t n_interfaces;
	struct interface interfaces[PCAPNG_INTERFACES];
	char text[COMMENT_LEN];
};

static uint32_t padded(size_t n)
{
	return (uint32_t)(n + 3) & ~3u;
}

static void put(const struct pcapng *p, const void *data, size_t n)
{
	static const uint8_t zeros[4];

	fwrite(data, 1, n, p->out);
	fwrite(zeros, 1, padded(n) - n, p->out);
}

static void put32(const struct pcapng *p, uint32_t value)
{
	fwrite(&value, sizeof(value), 1, p->out);
}

static void put_time(const struct pcapng *p, uint64_t ns)
{
	put32(p, (uint32_t)(ns >> 32));
	put32(p, (uint32_t)ns);
}

static void option(const struct pcapng *p, enum option_code code, const void *data, size_t len)
{
	const uint16_t head[] = {(uint16_t)code, (uint16_t)len};

	fwrite(head, sizeof(head), 1, p->out);
	put(p, data, len);
}

/* An option takes this much; one of no length is not written. */
static uint32_t room(size_t len)
{
	return len ? 4 + padded(len) : 0;
}

static void text_option(const struct pcapng *p, enum option_code code, const char *text, size_t len)
{
	if (len)
		option(p, code, text, len);
}

/* Type, length and what else; the body follows and then the length again. */
static uint32_t block_open(const struct pcapng *p, uint32_t type, uint32_t body)
{
	uint32_t len = 12 + body;

	put32(p, type);
	put32(p, len);
	return len;
}

static void section(struct pcapng *p, const char *comment, const char *application)
{
	const size_t comment_len = strlen(utf8_clean(comment, true, p->text, sizeof(p->text)));
	const uint16_t version[] = {1, 0};
	const int64_t length = -1; /* not given */
	const char *os = "Linux";
	size_t os_len = strlen(os), application_len;
	char name[64];
	uint32_t len;

	application_len = strlen(utf8_clean(application, false, name, sizeof(name)));
	len = block_open(p, BLOCK_SECTION,
			 16 + room(comment_len) + room(os_len) + room(application_len) + 4);
	put32(p, BYTE_ORDER_MARK);
	put(p, version, sizeof(version));
	put(p, &length, sizeof(length));
	text_option(p, OPTION_COMMENT, p->text, comment_len);
	text_option(p, OPTION_OS, os, os_len);
	text_option(p, OPTION_APPLICATION, name, application_len);
	option(p, OPTION_END, "", 0);
	put32(p, len);
}

static void describe(const struct pcapng *p, const struct interface *i, uint32_t snaplen)
{
	const uint16_t link[] = {(uint16_t)i->linktype, 0};
	const uint8_t nanoseconds = 9; /* negative power of ten */
	size_t name_len = strlen(i->name);
	uint32_t len = block_open(p, BLOCK_INTERFACE, 8 + room(name_len) + room(1) + 4);

	put(p, link, sizeof(link));
	put32(p, snaplen);
	text_option(p, OPTION_NAME, i->name, name_len);
	option(p, OPTION_TSRESOL, &nanoseconds, 1);
	option(p, OPTION_END, "", 0);
	put32(p, len);
}

static void statistics(const struct pcapng *p, uint32_t number)
{
	const struct interface *i = &p->interfaces[number];
	uint32_t len = block_open(p, BLOCK_STATS, 12 + 2 * room(8) + 4);

	put32(p, number);
	put_time(p, i->last_ns);
	option(p, OPTION_SEEN, &i->seen, sizeof(i->seen));
	option(p, OPTION_LOST, &i->lost, sizeof(i->lost));
	option(p, OPTION_END, "", 0);
	put32(p, len);
}

int pcapng_create(const char *path, bool force, const char *comment, const char *application,
		  struct pcapng **ret)
{
	struct pcapng *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	err = newfile_open(path, force, &p->file);
	if (err) {
		free(p);
		return err;
	}
	p->out = newfile_stream(p->file);
	section(p, comment, application);
	err = newfile_error(p->file);
	if (err)
		pcapng_free(p);
	else
		*ret = p;
	return err;
}

void pcapng_free(struct pcapng *p)
{
	if (!p)
		return;
	newfile_free(p->file);
	free(p);
}

int pcapng_interface(struct pcapng *p, const char *name, int linktype, uint32_t snaplen,
		     uint32_t *ret_interface)
{
	struct interface *i = &p->interfaces[p->n_interfaces];
	char clean[sizeof(i->name)];

	utf8_clean(name ? name : "", false, clean, sizeof(clean));
	for (uint32_t k = 0; k < p->n_interfaces; k++) {
		if (p->interfaces[k].linktype == linktype &&
		    !strcmp(p->interfaces[k].name, clean)) {
			*ret_interface = k;
			return 0;
		}
	}
	if (p->n_interfaces == PCAPNG_INTERFACES)
		return -ENOSPC;
	memcpy(i->name, clean, sizeof(clean));
	i->linktype = linktype;
	describe(p, i, snaplen);
	*ret_interface = p->n_interfaces++;
	return 0;
}

int pcapng_packet(struct pcapng *p, const struct pcapng_packet *k)
{
	const uint64_t time_ns = k->time_ns < 0 ? 0 : (uint64_t)k->time_ns;
	const uint32_t flags = (uint32_t)k->direction; /* the two lowest bits */
	size_t comment_len;
	uint32_t len, options;

	if (k->interface >= p->n_interfaces)
		return -EINVAL;
	utf8_clean(k->comment ? k->comment : "", true, p->text, sizeof(p->text));
	comment_len = strlen(p->text);
	options = room(comment_len) + (flags ? room(sizeof(flags)) : 0);
	len = block_open(p, BLOCK_ENHANCED, 20 + padded(k->captured) + options + (options ? 4 : 0));
	put32(p, k->interface);
	put_time(p, time_ns);
	put32(p, k->captured);
	put32(p, k->length);
	put(p, k->data, k->captured);
	text_option(p, OPTION_COMMENT, p->text, comment_len);
	if (flags)
		option(p, OPTION_FLAGS, &flags, sizeof(flags));
	if (options)
		option(p, OPTION_END, "", 0);
	put32(p, len);
	p->interfaces[k->interface].last_ns = time_ns;
	return newfile_error(p->file);
}

void pcapng_lost(struct pcapng *p, uint32_t interface, uint64_t seen, uint64_t lost)
{
	if (interface >= p->n_interfaces)
		return;
	p->interfaces[interface].counted = true;
	p->interfaces[interface].seen = seen;
	p->interfaces[interface].lost = lost;
}

int pcapng_finish(struct pcapng *p)
{
	for (uint32_t i = 0; i < p->n_interfaces; i++)
		if (p->interfaces[i].counted)
			statistics(p, i);
	return newfile_commit(p->file);
}
