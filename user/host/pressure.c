/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What holds a process up besides itself: the CPU limit of its cgroup (cpu.stat), and pressure
 * stall information (Documentation/accounting/psi.rst) of its cgroup and of the system. Both
 * hierarchies are where systemd and the usual container hosts mount them; elsewhere nothing is
 * known.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/holder.h"

#define CGROUP_LEN 1024

static bool read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return false;
	len = read(fd, buf, size - 1);
	close(fd);
	if (len <= 0)
		return false;
	buf[len] = '\0';
	return true;
}

/* Hundredths of a percent from "some avg10=12.34 ...". */
static uint16_t read_pressure(const char *path)
{
	char text[256], *at;
	double percent;

	if (!read_file(path, text, sizeof(text)))
		return 0;
	at = strstr(text, "some avg10=");
	percent = at ? strtod(at + 11, NULL) : 0;
	return percent > 0 && percent <= 100 ? (uint16_t)lround(100 * percent) : 0;
}

static uint64_t read_value(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* The second version says microseconds, the first one nanoseconds. */
static bool read_throttling(const char *path, struct process_seen *ret)
{
	char text[1024];

	if (!read_file(path, text, sizeof(text)) || !strstr(text, "nr_throttled "))
		return false;
	ret->throttled = read_value(text, "nr_throttled ");
	ret->throttled_us = strstr(text, "throttled_usec ")
				    ? read_value(text, "throttled_usec ")
				    : read_value(text, "throttled_time ") / 1000;
	return true;
}

static void look_at_cgroup(const char *root, const char *path, struct process_seen *ret)
{
	static const struct {
		const char *file;
		size_t offset;
	} pressures[] = {
		{"io.pressure", offsetof(struct process_seen, cgroup_io_pressure)},
		{"cpu.pressure", offsetof(struct process_seen, cgroup_cpu_pressure)},
		{"memory.pressure", offsetof(struct process_seen, cgroup_memory_pressure)},
	};
	char file[CGROUP_LEN + 64];

	for (size_t i = 0; i < sizeof(pressures) / sizeof(pressures[0]); i++) {
		uint16_t value;

		snprintf(file, sizeof(file), "%s%s/%s", root, path, pressures[i].file);
		value = read_pressure(file);
		if (value)
			memcpy((char *)ret + pressures[i].offset, &value, sizeof(value));
	}
	snprintf(file, sizeof(file), "%s%s/cpu.stat", root, path);
	read_throttling(file, ret);
}

/* A line of /proc/PID/cgroup: "0::/path" of the second version, "4:cpu,cpuacct:/path" of the first.
 */
static void look_at_line(char *line, struct process_seen *ret)
{
	char *controllers = strchr(line, ':'), *path;

	path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path)
		return;
	*path++ = '\0';
	controllers++;
	if (!*controllers) {
		look_at_cgroup("/sys/fs/cgroup", path, ret);
		look_at_cgroup("/sys/fs/cgroup/unified", path, ret);
	} else if (!strcmp(controllers, "cpu") || !strncmp(controllers, "cpu,", 4) ||
		   strstr(controllers, ",cpu")) {
		look_at_cgroup("/sys/fs/cgroup/cpu", path, ret);
	}
}

void process_pressure(pid_t pid, struct process_seen *ret)
{
	char text[8 * CGROUP_LEN], *rest = NULL, path[64];

	ret->io_pressure = read_pressure("/proc/pressure/io");
	ret->cpu_pressure = read_pressure("/proc/pressure/cpu");
	ret->memory_pressure = read_pressure("/proc/pressure/memory");
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (!read_file(path, text, sizeof(text)))
		return;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strlen(line) < CGROUP_LEN)
			look_at_line(line, ret);
}
