/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads capture files packet by packet: pcap (microseconds, nanoseconds, either byte order, the
 * variant with interface numbers) and pcapng, plain, gzip or zstd, from a file or a pipe.
 *
 * This is a reader of our own because libpcap refuses a pcapng file whose interfaces differ in link
 * type or snap length, knows no compression, and copies each packet. Memory is one fixed buffer;
 * packets are handed out where they lie in it.
 */
#ifndef TCPSTALL_SENSOR_CAPTURE_H
#define TCPSTALL_SENSOR_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_WHY_LEN 400

struct capture;

struct captured {
	const uint8_t *data; /* valid until the next call */
	uint32_t captured, length;
	int linktype;	    /* LINKTYPE_* as in the file */
	uint32_t interface; /* number in the file; 0 in pcap */
	uint64_t number;    /* of the packet in the file, from 1 */
	int64_t time_ns; /* since 1970; INT64_MIN: the file does not say. Never negative otherwise
			  */
	const uint8_t *options_end; /* of a pcapng block; NULL: there are no options */
};

/*
 * "-" is standard input. -EINVAL: no capture or of a kind that cannot be read, -EISDIR, -ENOENT,
 * -EACCES ...; ret_why is one line for the user.
 */
int capture_open(const char *path, struct capture **ret, char *ret_why, size_t why_len);
void capture_close(struct capture *c); /* NULL is fine */

/*
 * 1 and a packet; 0 at the end. -ENODATA: the file is cut off in the middle; -EBADMSG: what follows
 * makes no sense; -EIO; capture_why() has the line.
 */
int capture_next(struct capture *c, struct captured *ret);
bool capture_at_hand(const struct capture *c); /* the next one has been read whole */
const char *capture_why(const struct capture *c);

struct capture_counts {
	uint64_t packets;      /* in the file so far */
	uint64_t packets_read; /* handed out */
	uint64_t bytes_read;   /* of the file as stored */
	uint64_t unknown_link; /* packets of link types that cannot be read: not handed out */
	int unknown_linktype;  /* of the first of these */
	uint64_t dropped; /* by whoever captured, as far as the file says (pcapng isb_ifdrop) */
};
struct capture_counts capture_counts(const struct capture *c);

/* Which way a packet went where it was captured (pcapng epb_flags). */
enum captured_way { CAPTURED_EITHER, CAPTURED_IN, CAPTURED_OUT };
enum captured_way capture_way(const struct capture *c, const struct captured *p);

/* What the section that is being read says of itself (pcapng), ended by '\0'; "": nothing. */
const char *capture_comment(const struct capture *c);

/* The name of an interface of the file, "" unknown; what it dropped, as far as was read. */
const char *capture_interface(const struct capture *c, uint32_t interface, uint64_t *ret_dropped);

#endif
