/* SPDX-License-Identifier: GPL-2.0-only */
/* A sliding buffer over read(), inflate() or ZSTD_decompressStream(). */
#include "sensor/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define PACKED_SIZE (256u << 10)
#define AHEAD	    (256u << 10) /* read at once: it stays in the cache until it is looked at */

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct source {
	struct stream s;
	int fd;
	enum packing packing;
	uint8_t *buf;
	size_t size;
	bool ended;	 /* of the file as stored */
	uint8_t *packed; /* what is still to be unpacked: packed[packed_at..packed_end) */
	size_t packed_at, packed_end;
	z_stream z;
	bool z_open, frame_open; /* inside a gzip member or zstd frame */
#ifdef HAVE_ZSTD
	ZSTD_DStream *zstd;
#endif
	uint64_t position;
	const char *why;
};

static ssize_t read_some(struct source *s, uint8_t *to, size_t n)
{
	ssize_t got;

	do {
		got = read(s->fd, to, n);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		int err = -errno;

		s->why = strerror(-err);
		return err;
	}
	if (!got)
		s->ended = true;
	s->position += (uint64_t)got;
	return got;
}

static int refill_packed(struct source *s)
{
	ssize_t got;

	if (s->packed_at < s->packed_end || s->ended)
		return 0;
	got = read_some(s, s->packed, PACKED_SIZE);
	if (got < 0)
		return (int)got;
	s->packed_at = 0;
	s->packed_end = (size_t)got;
	return 0;
}

static ssize_t damaged(struct source *s)
{
	s->why = "the compressed data is damaged";
	return -EBADMSG;
}

/* Members may follow each other (RFC 1952 2.2); anything else behind one is left alone, as gzip
 * does. */
static ssize_t unpack_gzip(struct source *s, uint8_t *to, size_t n)
{
	int z;

	if (!s->frame_open && s->packed[s->packed_at] != 0x1f) {
		s->packed_at = s->packed_end;
		s->ended = true;
		return 0;
	}
	s->frame_open = true;
	s->z.next_in = s->packed + s->packed_at;
	s->z.avail_in = (unsigned int)(s->packed_end - s->packed_at);
	s->z.next_out = to;
	s->z.avail_out = (unsigned int)n;
	z = inflate(&s->z, Z_NO_FLUSH);
	s->packed_at = s->packed_end - s->z.avail_in;
	if (z == Z_STREAM_END) {
		inflateReset(&s->z);
		s->frame_open = false;
	} else if (z != Z_OK && z != Z_BUF_ERROR) {
		return damaged(s);
	}
	return (ssize_t)(n - s->z.avail_out);
}

static ssize_t unpack_zstd(struct source *s, uint8_t *to, size_t n)
{
#ifdef HAVE_ZSTD
	ZSTD_inBuffer in = {s->packed, s->packed_end, s->packed_at};
	ZSTD_outBuffer out = {to, n, 0};
	size_t z = ZSTD_decompressStream(s->zstd, &out, &in);

	if (ZSTD_isError(z))
		return damaged(s);
	s->packed_at = in.pos;
	s->frame_open = z != 0;
	return (ssize_t)out.pos;
#else
	(void)to;
	(void)n;
	s->why = "zstd is not in this build; unpack the file first: zstd -d";
	return -EBADMSG;
#endif
}

/* At least one more byte into the buffer, or 0 at the end. */
static ssize_t fill(struct source *s)
{
	uint8_t *to = s->buf + (s->s.end - s->buf);
	size_t room = (size_t)(s->buf + s->size - to);
	ssize_t got = 0;

	room = room < AHEAD ? room : AHEAD;
	if (s->packing == PACKING_NONE)
		return s->ended ? 0 : read_some(s, to, room);
	while (!got) {
		int err = refill_packed(s);

		if (err < 0)
			return err;
		if (s->packed_at == s->packed_end && s->ended)
			return 0;
		got = s->packing == PACKING_GZIP ? unpack_gzip(s, to, room)
						 : unpack_zstd(s, to, room);
	}
	return got;
}

/* Up to n bytes at hand. */
static int ensure(struct source *s, size_t n)
{
	size_t left = stream_left(&s->s);

	if (n > s->size - AHEAD)
		return -EBADMSG;
	memmove(s->buf, s->s.at, left);
	s->s.at = s->buf;
	s->s.end = s->buf + left;
	while (stream_left(&s->s) < n) {
		ssize_t got = fill(s);

		if (got < 0)
			return (int)got;
		if (!got)
			break;
		s->s.end += got;
	}
	return 0;
}

int stream_peek(struct stream *s, size_t n, const uint8_t **ret, size_t *ret_got)
{
	if (stream_left(s) < n) {
		int err = ensure((struct source *)s, n);

		if (err < 0)
			return err;
	}
	*ret = s->at;
	*ret_got = stream_left(s) < n ? stream_left(s) : n;
	return 0;
}

int stream_take(struct stream *s, size_t n, const uint8_t **ret, size_t *ret_got)
{
	int err = stream_peek(s, n, ret, ret_got);

	if (!err)
		s->at += *ret_got;
	return err;
}

int stream_skip(struct stream *s, uint64_t n)
{
	const uint8_t *p;
	size_t got;

	while (n) {
		size_t step = n < AHEAD ? (size_t)n : AHEAD;
		int err = stream_take(s, step, &p, &got);

		if (err < 0)
			return err;
		if (got < step)
			return -ENODATA;
		n -= step;
	}
	return 0;
}

static int start_unpacking(struct source *s, const uint8_t *magic, size_t got)
{
	static const uint8_t zstd[4] = {0x28, 0xb5, 0x2f, 0xfd};

	if (got >= 2 && magic[0] == 0x1f && magic[1] == 0x8b)
		s->packing = PACKING_GZIP;
	else if (got >= 4 && !memcmp(magic, zstd, sizeof(zstd)))
		s->packing = PACKING_ZSTD;
	else
		return 0;
	/* What has been read is packed. */
	s->packed_end = stream_left(&s->s);
	s->packed = malloc(s->packed_end > PACKED_SIZE ? s->packed_end : PACKED_SIZE);
	if (!s->packed)
		return -ENOMEM;
	memcpy(s->packed, s->s.at, s->packed_end);
	s->s.at = s->s.end = s->buf;
	if (s->packing == PACKING_GZIP) {
		if (inflateInit2(&s->z, 15 + 16) != Z_OK)
			return -ENOMEM;
		s->z_open = true;
	}
#ifdef HAVE_ZSTD
	s->zstd = s->packing == PACKING_ZSTD ? ZSTD_createDStream() : NULL;
	if (s->packing == PACKING_ZSTD && !s->zstd)
		return -ENOMEM;
#endif
	return 0;
}

int stream_open(const char *path, size_t longest, struct stream **ret)
{
	struct source *s = calloc(1, sizeof(*s));
	struct stat st;
	const uint8_t *magic;
	size_t got;
	int err = -ENOMEM;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->why = "";
	s->size = longest + 2 * AHEAD;
	s->buf = malloc(s->size);
	if (!s->buf)
		goto out;
	s->s.at = s->s.end = s->buf;
	s->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	if (s->fd < 0 || fstat(s->fd, &st)) {
		err = -errno;
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		err = -EISDIR;
		goto out;
	}
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	err = stream_peek(&s->s, 4, &magic, &got);
	if (!err)
		err = start_unpacking(s, magic, got);
out:
	if (err < 0) {
		stream_close(&s->s);
		return err;
	}
	*ret = &s->s;
	return 0;
}

void stream_close(struct stream *stream)
{
	struct source *s = (struct source *)stream;

	if (!s)
		return;
	if (s->z_open)
		inflateEnd(&s->z);
#ifdef HAVE_ZSTD
	ZSTD_freeDStream(s->zstd);
#endif
	if (s->fd >= 0)
		close(s->fd);
	free(s->packed);
	free(s->buf);
	free(s);
}

const char *stream_why(const struct stream *s)
{
	return ((const struct source *)s)->why;
}

bool stream_cut(const struct stream *s)
{
	return ((const struct source *)s)->frame_open;
}

uint64_t stream_position(const struct stream *s)
{
	return ((const struct source *)s)->position;
}
