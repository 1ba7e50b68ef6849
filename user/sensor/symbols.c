/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names for what the kernel reports as numbers. Drop reasons are numbered anew by every kernel, so
 * they are looked up in its BTF. Function addresses come from /proc/kallsyms, which shows zeros to
 * those who may not see them: then there is no name. What counts is who opens it, so it is open
 * from the beginning.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sensor/ebpf.h"

#define CACHED 32

struct symbols {
	struct btf *btf;
	FILE *kallsyms;	 /* NULL: no names of functions */
	int n_functions; /* ever looked up; the cache is a ring */
	struct {
		uint64_t address;
		char name[NAME_LEN];
	} functions[CACHED];
};

/*
 * Drops that say nothing about the network or this host: copies of what has arrived already,
 * segments that have done their work, sockets that are going away, frames for others. A shut window
 * is known from the socket, a bad checksum from tcp_bad_csum.
 */
static const char *const harmless[] = {
	"NOT_DROPPED_YET",     "CONSUMED",
	"SOCKET_CLOSE",	       "TCP_CSUM",
	"OTHERHOST",	       "TCP_ABORT_ON_DATA",
	"TCP_ZEROWINDOW",      "TCP_OLD_DATA",
	"TCP_OFOMERGE",	       "TCP_RFC7323_PAWS_ACK",
	"TCP_RFC7323_TW_PAWS", "TCP_OLD_SEQUENCE",
	"TCP_RESET",	       "TCP_CLOSE",
	"TCP_FASTOPEN",	       "TCP_OLD_ACK",
	"TCP_TOO_OLD_ACK",     "QUEUE_PURGE",
};

static const char *without_prefix(const char *name)
{
	static const char *const prefixes[] = {"SKB_DROP_REASON_", "SKB_"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return name + strlen(prefixes[i]);
	return name;
}

static const struct btf_type *reasons_of(const struct btf *btf)
{
	int id = btf ? btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM) : -ENOENT;

	return id > 0 ? btf__type_by_id(btf, id) : NULL;
}

void symbols_harmless(const struct btf *btf, __u8 ret_harmless[BPF_DROP_REASONS])
{
	const struct btf_type *t = reasons_of(btf);

	for (int i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_enum *e = btf_enum(t) + i;
		const char *name = without_prefix(btf__name_by_offset(btf, e->name_off));

		if (e->val < 0 || e->val >= BPF_DROP_REASONS)
			continue;
		for (size_t k = 0; k < sizeof(harmless) / sizeof(*harmless); k++)
			if (!strcmp(name, harmless[k]))
				ret_harmless[e->val] = 1;
	}
}

int symbols_new(const char *btf_path, struct symbols **ret)
{
	struct symbols *y = calloc(1, sizeof(*y));

	if (!y)
		return -ENOMEM;
	y->btf = btf_path ? btf__parse(btf_path, NULL) : btf__load_vmlinux_btf();
	if (!y->btf) {
		int err = -errno;

		free(y);
		return err;
	}
	y->kallsyms = fopen("/proc/kallsyms", "re");
	*ret = y;
	return 0;
}

void symbols_free(struct symbols *y)
{
	if (!y)
		return;
	if (y->kallsyms)
		fclose(y->kallsyms);
	btf__free(y->btf);
	free(y);
}

void symbols_reason(struct symbols *y, uint32_t reason, char ret[NAME_LEN])
{
	const struct btf_type *t = y ? reasons_of(y->btf) : NULL;

	for (int i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_enum *e = btf_enum(t) + i;

		if ((uint32_t)e->val == reason) {
			snprintf(ret, NAME_LEN, "%s",
				 without_prefix(btf__name_by_offset(y->btf, e->name_off)));
			return;
		}
	}
	snprintf(ret, NAME_LEN, "%s", "NOT_SPECIFIED");
}

/* The symbol of kernel text with the highest address that is not above this one. */
static void find_function(FILE *file, uint64_t address, char ret[NAME_LEN])
{
	char line[512], name[NAME_LEN], type;
	uint64_t at, best = 0;

	ret[0] = '\0';
	if (file)
		rewind(file);
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 " %c %63s", &at, &type, name) != 3)
			continue;
		if ((type == 't' || type == 'T') && at > best && at <= address) {
			best = at;
			strcpy(ret, name);
		}
	}
}

void symbols_function(struct symbols *y, uint64_t address, char ret[NAME_LEN])
{
	int i;

	ret[0] = '\0';
	if (!y)
		return;
	for (i = 0; i < y->n_functions && i < CACHED; i++)
		if (y->functions[i].address == address)
			goto found;
	i = y->n_functions++ % CACHED;
	y->functions[i].address = address;
	find_function(y->kallsyms, address, y->functions[i].name);
found:
	strcpy(ret, y->functions[i].name);
}
