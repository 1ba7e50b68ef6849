/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes of a file or pipe in order, unpacked if they are gzip or zstd. One fixed buffer: what is
 * handed out lies in it until the next call.
 */
#ifndef TCPSTALL_SENSOR_STREAM_H
#define TCPSTALL_SENSOR_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Public are the bytes at hand only, so that to take a few of them costs no call. */
struct stream {
	const uint8_t *at, *end;
};

static inline size_t stream_left(const struct stream *s)
{
	return (size_t)(s->end - s->at);
}

/* "-" is standard input. longest: the most that will ever be taken at once. -EISDIR, errno. */
int stream_open(const char *path, size_t longest, struct stream **ret);
void stream_close(struct stream *s); /* NULL is fine */

/*
 * Takes n bytes, or at the end what is left. -EBADMSG: packed data is damaged or of a kind that
 * this build cannot unpack; -EIO and the like.
 */
int stream_take(struct stream *s, size_t n, const uint8_t **ret, size_t *ret_got);
int stream_peek(struct stream *s, size_t n, const uint8_t **ret, size_t *ret_got);
/* -ENODATA: the stream ends before. */
int stream_skip(struct stream *s, uint64_t n);

/* At the end: packed data stops in the middle. */
bool stream_cut(const struct stream *s);
const char *stream_why(const struct stream *s);
uint64_t stream_position(const struct stream *s); /* bytes read of the file as stored */

#endif
