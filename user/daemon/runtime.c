/* SPDX-License-Identifier: GPL-2.0-only */
#include "daemon/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/newfile.h"

#define LOCK_FILE   "lock"
#define ALERTS_FILE "alerts.json"
#define BOOT_ID	    "/proc/sys/kernel/random/boot_id"
#define BOOT_LEN    40
#define SAVED_MAX   (16 << 20)

int runtime_lock(const char *dir, pid_t *ret_pid)
{
	char path[PATH_MAX], text[16] = "";
	int fd, err = 0;

	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/" LOCK_FILE, dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (read(fd, text, sizeof(text) - 1) > 0)
			*ret_pid = (pid_t)strtol(text, NULL, 10);
		close(fd);
		return err;
	}
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || write(fd, text, strlen(text)) < 0)
		err = -errno; /* the lock holds all the same; only its owner cannot be named */
	(void)err;
	return fd;
}

static void boot_id(char buf[BOOT_LEN])
{
	FILE *file = fopen(BOOT_ID, "re");

	if (!file || !fgets(buf, BOOT_LEN, file))
		*buf = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	if (file)
		fclose(file);
}

int runtime_save(const char *dir, const struct groups *groups)
{
	char path[PATH_MAX], boot[BOOT_LEN];
	json_t *alerts = groups_save(groups), *all;
	struct newfile *file = NULL;
	int err;

	if (!alerts)
		return -ENOMEM;
	boot_id(boot);
	all = json_pack("{s:s, s:o}", "boot_id", boot, "alerts", alerts);
	if (!all)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/" ALERTS_FILE, dir);
	err = newfile_open(path, true, &file);
	if (!err && json_dumpf(all, newfile_stream(file), JSON_COMPACT))
		err = -EIO;
	if (!err)
		err = newfile_replace(file); /* good for this boot only; the loop is not to wait */
	newfile_free(file);
	json_decref(all);
	return err;
}

int runtime_load(const char *dir, struct groups *groups, uint64_t now_ns, uint64_t grace_ns)
{
	char path[PATH_MAX], boot[BOOT_LEN];
	json_error_t error;
	struct stat st;
	json_t *all;
	FILE *file;
	int err = -EINVAL;

	snprintf(path, sizeof(path), "%s/" ALERTS_FILE, dir);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	all = fstat(fileno(file), &st) || st.st_size > SAVED_MAX ? NULL
								 : json_loadf(file, 0, &error);
	fclose(file);
	if (!all)
		return err;
	boot_id(boot);
	if (!*boot || !json_string_value(json_object_get(all, "boot_id")) ||
	    strcmp(json_string_value(json_object_get(all, "boot_id")), boot))
		err = -ENOENT;
	else
		err = groups_load(groups, json_object_get(all, "alerts"), now_ns, grace_ns);
	json_decref(all);
	return err;
}
