/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 100

struct newfile {
	FILE *stream;
	char *path, *temporary; /* temporary NULL: written in place */
	bool force, standard;
};

/* Where a symbolic link points to is what is replaced, not the link. */
static char *target_of(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : strdup(path);
}

/* The mode is what the umask leaves, as with any other program's output. */
static int open_beside(struct newfile *f)
{
	const char *slash = strrchr(f->path, '/');
	int dir_len = slash ? (int)(slash - f->path) + 1 : 0;

	for (int i = 0; i < TRIES; i++) {
		char *name = NULL;
		int fd;

		if (asprintf(&name, "%.*s.%.200s.%d-%d", dir_len, f->path, f->path + dir_len,
			     (int)getpid(), i) < 0)
			return -ENOMEM;
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
		if (fd >= 0) {
			f->temporary = name;
			return fd;
		}
		free(name);
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int descriptor(int fd)
{
	return fd < 0 ? -errno : fd;
}

static int open_target(struct newfile *f)
{
	struct stat st;

	if (f->standard)
		return descriptor(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
	if (stat(f->path, &st))
		return errno == ENOENT ? open_beside(f) : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return descriptor(open(f->path, O_WRONLY | O_CLOEXEC));
	return f->force ? open_beside(f) : -EEXIST;
}

int newfile_open(const char *path, bool force, struct newfile **ret)
{
	struct newfile *f = calloc(1, sizeof(*f));
	int err = -ENOMEM, fd;

	if (!f)
		return err;
	f->force = force;
	f->standard = !strcmp(path, "-");
	f->path = target_of(path);
	if (!f->path)
		goto out;
	fd = open_target(f);
	if (fd < 0) {
		err = fd;
		goto out;
	}
	f->stream = fdopen(fd, "w");
	err = f->stream ? 0 : -errno;
	if (err)
		close(fd);
out:
	if (err) {
		newfile_free(f);
		return err;
	}
	*ret = f;
	return 0;
}

FILE *newfile_stream(const struct newfile *f)
{
	return f->stream;
}

/* So that the name survives a crash too. What cannot be opened or synced was renamed all the same.
 */
static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = !slash	    ? strdup(".")
		    : slash == path ? strdup("/")
				    : strndup(path, (size_t)(slash - path));
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(dir);
}

static int give_name(const struct newfile *f)
{
	if (f->force)
		return rename(f->temporary, f->path) ? -errno : 0;
	if (!renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->path, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* A file system without that flag. */
	if (!access(f->path, F_OK))
		return -EEXIST;
	return rename(f->temporary, f->path) ? -errno : 0;
}

int newfile_error(const struct newfile *f)
{
	if (!ferror(f->stream))
		return 0;
	return errno ? -errno : -EIO;
}

static int commit(struct newfile *f, bool sync)
{
	int err = 0;

	errno = 0;
	if (fflush(f->stream) || ferror(f->stream))
		return errno ? -errno : -EIO;
	if (sync && f->temporary && fsync(fileno(f->stream)))
		return -errno;
	if (fclose(f->stream))
		err = -errno;
	f->stream = NULL;
	if (!f->temporary || err)
		return err;
	err = give_name(f);
	if (err)
		return err;
	if (sync)
		sync_directory(f->path);
	free(f->temporary);
	f->temporary = NULL;
	return 0;
}

int newfile_commit(struct newfile *f)
{
	return commit(f, true);
}

int newfile_replace(struct newfile *f)
{
	return commit(f, false);
}

void newfile_free(struct newfile *f)
{
	if (!f)
		return;
	if (f->stream)
		fclose(f->stream);
	if (f->temporary)
		unlink(f->temporary);
	free(f->temporary);
	free(f->path);
	free(f);
}
