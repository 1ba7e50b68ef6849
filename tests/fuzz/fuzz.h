/* SPDX-License-Identifier: GPL-2.0-only */
/* What the harnesses share. Each defines LLVMFuzzerTestOneInput(); AFL++ takes the same. */
#ifndef TCPSTALL_TESTS_FUZZ_H
#define TCPSTALL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_PATH 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes as a file, for parsers that open one. close() it. */
static inline int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
	return fd;
}

#endif
