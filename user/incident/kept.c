/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A header, then records of a fixed head and the bytes that were captured, in host byte order. A
 * probe's answer inside the connection comes twice, from the flow and from the prober: as it is the
 * same packet it is kept once, with what both know.
 */
#include "incident/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define VERSION		1
#define BYTE_ORDER_MARK 0x0a0b0c0du
#define SAME_NS		(50 * NS_PER_MS)
#define NEAR		64 /* packets to look back for the same one */
#define ETHERNET	14 /* bytes of its header */

static const char magic[8] = "tcpstall";

struct file_head {
	char magic[8];
	uint32_t version, byte_order;
};

struct record {
	uint64_t time_ns;
	uint32_t ifindex, netns, length;
	uint16_t linktype;
	uint8_t flags, captured, role, kind, ttl, answer;
	char interface[KEPT_NAME];
};
_Static_assert(sizeof(struct record) == 64, "no padding in the file");

static int write_packets(FILE *out, const struct kept_packet *p, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		const struct box_packet *b = &p[k].packet;
		struct record r = {
			.time_ns = b->time_ns,
			.ifindex = b->ifindex,
			.netns = b->netns,
			.length = b->length,
			.linktype = b->linktype,
			.flags = b->flags,
			.captured = b->captured < BOX_CAPTURED ? b->captured : BOX_CAPTURED,
			.role = p[k].role,
			.kind = p[k].kind,
			.ttl = p[k].ttl,
			.answer = p[k].answer,
		};

		memcpy(r.interface, p[k].interface, sizeof(r.interface));
		fwrite(&r, sizeof(r), 1, out);
		fwrite(b->data, 1, r.captured, out);
	}
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

int kept_append(const char *path, const struct kept_packet *packets, size_t n)
{
	const struct file_head head = {
		.magic = {'t', 'c', 'p', 's', 't', 'a', 'l', 'l'},
		.version = VERSION,
		.byte_order = BYTE_ORDER_MARK,
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0600); /* who opens a FIFO would wait for a reader */
	struct stat st;
	FILE *out;
	int err;

	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno;
	out = fdopen(fd, "a");
	if (!out || fstat(fd, &st)) {
		err = -errno;
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		err = -EINVAL;
		goto out;
	}
	if (!st.st_size)
		fwrite(&head, sizeof(head), 1, out);
	err = write_packets(out, packets, n);
	/* Half a record in the middle would make nonsense of all that is appended later. */
	if (err && ftruncate(fd, st.st_size) && !st.st_size)
		unlink(path);
out:
	if (out)
		fclose(out);
	else
		close(fd);
	return err;
}

/* 1, 0 at the end, -ENODATA: cut, -EBADMSG: not ours. */
static int read_packet(FILE *in, struct kept_packet *ret)
{
	struct record r;
	size_t got = fread(&r, 1, sizeof(r), in);

	if (got != sizeof(r))
		return got ? -ENODATA : 0;
	if (r.captured > BOX_CAPTURED || r.role >= KEPT_ROLES || r.interface[KEPT_NAME - 1])
		return -EBADMSG;
	*ret = (struct kept_packet){
		.packet =
			{
				.time_ns = r.time_ns,
				.ifindex = r.ifindex,
				.netns = r.netns,
				.length = r.length,
				.linktype = r.linktype,
				.flags = r.flags,
				.captured = r.captured,
			},
		.role = r.role,
		.kind = r.kind,
		.ttl = r.ttl,
		.answer = r.answer,
	};
	memcpy(ret->interface, r.interface, sizeof(ret->interface));
	return fread(ret->packet.data, 1, r.captured, in) == r.captured ? 1 : -ENODATA;
}

static int by_time(const void *a, const void *b)
{
	const struct kept_packet *x = a, *y = b;

	if (x->packet.time_ns != y->packet.time_ns)
		return x->packet.time_ns < y->packet.time_ns ? -1 : 1;
	/* An answer that is known as one comes before its copy, which then goes. */
	return y->role - x->role;
}

/* From the IP header on. */
static const uint8_t *ip_of(const struct box_packet *b, size_t *ret_len)
{
	size_t skip = b->linktype == 1 && b->captured >= ETHERNET ? ETHERNET : 0;

	*ret_len = b->captured - skip;
	return b->data + skip;
}

static bool same_packet(const struct kept_packet *a, const struct kept_packet *b)
{
	size_t alen, blen;
	const uint8_t *aip = ip_of(&a->packet, &alen), *bip = ip_of(&b->packet, &blen);
	const size_t len = alen < blen ? alen : blen;

	if ((a->packet.flags ^ b->packet.flags) & BOX_OUT || len < 20 || memcmp(aip, bip, len))
		return false;
	/* Copies of one reading are equal; what the prober saw, it saw at another place. */
	return a->role == b->role ? a->packet.time_ns == b->packet.time_ns
				  : a->role >= KEPT_PROBE || b->role >= KEPT_PROBE;
}

/* What both know of a packet: of the flow's the link layer, of the prober's what it is about. */
static void merge(struct kept_packet *to, const struct kept_packet *from)
{
	const struct kept_packet probe = to->role >= KEPT_PROBE ? *to : *from;

	if (to->role >= KEPT_PROBE && from->role < KEPT_PROBE)
		*to = *from;
	if (probe.role < KEPT_PROBE)
		return;
	to->role = probe.role;
	to->kind = probe.kind;
	to->ttl = probe.ttl;
	to->answer = probe.answer;
	to->packet.flags |= BOX_PROBE;
}

static size_t each_once(struct kept_packet *p, size_t n)
{
	size_t kept = 0;

	for (size_t k = 0; k < n; k++) {
		bool again = false;

		for (size_t j = kept; j > 0 && kept - j < NEAR && !again; j--) {
			if (p[k].packet.time_ns - p[j - 1].packet.time_ns > SAME_NS)
				break;
			again = same_packet(&p[j - 1], &p[k]);
			if (again)
				merge(&p[j - 1], &p[k]);
		}
		if (!again)
			p[kept++] = p[k];
	}
	return kept;
}

/* Nothing but a regular file: others may keep us waiting. */
static int open_file(const char *path, FILE **ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	FILE *file;
	int err;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	err = fstat(fd, &st) ? -errno : S_ISREG(st.st_mode) ? 0 : -EBADMSG;
	file = err ? NULL : fdopen(fd, "r");
	if (!file) {
		err = err ? err : -errno;
		close(fd);
		return err;
	}
	*ret = file;
	return 0;
}

int kept_read(const char *path, struct kept_packet **ret, size_t *ret_n)
{
	struct kept_packet *packets = NULL, one;
	size_t n = 0, room = 0;
	struct file_head head;
	FILE *in = NULL;
	int got = open_file(path, &in);

	if (got)
		return got;
	if (fread(&head, sizeof(head), 1, in) != 1) {
		got = -ENODATA;
		goto out;
	}
	if (memcmp(head.magic, magic, sizeof(magic)) || head.version != VERSION ||
	    head.byte_order != BYTE_ORDER_MARK) {
		got = -EBADMSG;
		goto out;
	}
	while ((got = read_packet(in, &one)) == 1 && n < KEPT_MAX) {
		if (n == room) {
			void *more;

			room = room ? 2 * room : 1024;
			more = reallocarray(packets, room, sizeof(*packets));
			if (!more) {
				free(packets);
				fclose(in);
				return -ENOMEM;
			}
			packets = more;
		}
		packets[n++] = one;
	}
	if (got == -EBADMSG && n)
		got = -ENODATA; /* good up to there */
out:
	fclose(in);
	if (n) {
		qsort(packets, n, sizeof(*packets), by_time);
		n = each_once(packets, n);
	}
	if (got == -EBADMSG) {
		free(packets);
		return got;
	}
	*ret = packets;
	*ret_n = n;
	return got < 0 ? got : 0;
}
