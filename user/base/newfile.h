/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file that appears whole or not at all: written under a temporary name in the target's
 * directory, synced, renamed.
 */
#ifndef TCPSTALL_BASE_NEWFILE_H
#define TCPSTALL_BASE_NEWFILE_H

#include <stdbool.h>
#include <stdio.h>

struct newfile;

/*
 * "-" is standard output; a device or FIFO is written as it is. -EEXIST: there is a file already
 * and `force` is not given; -EISDIR, -ENOENT, -EACCES ...
 */
int newfile_open(const char *path, bool force, struct newfile **ret);
FILE *newfile_stream(const struct newfile *f);

/* Right after writing to the stream: 0, or why not all could be: -ENOSPC, -EPIPE, -EIO ... */
int newfile_error(const struct newfile *f);

/* All of it is on disk under its name, or nothing is: -EEXIST, -ENOSPC, -EPIPE ... */
int newfile_commit(struct newfile *f);

/* As that, but what a crash of the whole host would cost is not waited for: it does not sync. */
int newfile_replace(struct newfile *f);
void newfile_free(struct newfile *f); /* not committed: removed. NULL is fine */

#endif
