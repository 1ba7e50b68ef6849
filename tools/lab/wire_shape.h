/* SPDX-License-Identifier: GPL-2.0-only */
/* What one direction of a wire does to every frame. */
#ifndef TCPSTALL_WIRE_SHAPE_H
#define TCPSTALL_WIRE_SHAPE_H

#include <stdint.h>

#define PPM 1000000u

struct shape {
	uint64_t delay_us, jitter_us;
	uint64_t rate_bps, queue_bytes;	   /* rate 0: no limit */
	uint64_t police_bps, police_bytes; /* as much as that at once; rate 0: no policer */
	uint64_t loss_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm;
	uint64_t bit_errors_ppb; /* of a billion bits; a damaged frame is lost */
	uint64_t reorder_us;	 /* how much later a reordered packet is */
};

/* Takes "key=N key=N ..." over into the shape. Words is not changed. -EINVAL, -ERANGE. */
int shape_parse(struct shape *shape, const char *words);

#endif
