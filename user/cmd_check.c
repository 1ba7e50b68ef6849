/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What works here and what does not, each on its own line with the fix. Capabilities and features
 * are tried, not derived from the user or the kernel's version.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/clock.h"
#include "host/host.h"
#include "incident/store.h"
#include "sensor/blackbox.h"
#include "sensor/sensor.h"
#include "stored.h"
#include "verb.h"
#include "view/format.h"
#include "view/json_stream.h"
#include "view/terminal.h"

#define FEATURES_MAX 64
#define BTF_PATH     "/sys/kernel/btf/vmlinux"

struct report {
	struct feature feature[FEATURES_MAX];
	int n;
	struct namespaces *namespaces;
};

static struct feature *add(struct report *r, const char *name, bool ok)
{
	static struct feature overflow;
	struct feature *f = r->n < FEATURES_MAX ? &r->feature[r->n++] : &overflow;

	*f = (struct feature){.name = name, .ok = ok};
	return f;
}

static void set(char *to, size_t len, const char *text)
{
	snprintf(to, len, "%s", text);
}

#define WHY(f, text) set((f)->why, sizeof((f)->why), text)
#define FIX(f, text) set((f)->fix, sizeof((f)->fix), text)

static void check_capabilities(struct report *r)
{
	static const struct {
		int capability;
		const char *name, *why;
	} needed[] = {
		{CAP_BPF, "CAP_BPF", "programs cannot be loaded"},
		{CAP_PERFMON, "CAP_PERFMON", "programs cannot be attached to tracepoints"},
		{CAP_NET_RAW, "CAP_NET_RAW", "no probes, so hops cannot be named"},
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN",
		 "other network namespaces: no probes, and older connections are not seen"},
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE",
		 "sockets of other users' processes have no known owner"},
	};
	char grant[GRANT_LEN];

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		struct feature *f = add(r, needed[i].name, capability_held(needed[i].capability));

		if (f->ok)
			continue;
		WHY(f, needed[i].why);
		FIX(f, needed[i].capability == CAP_SYS_PTRACE ? "sudo, or add cap_sys_ptrace"
							      : capability_grant(grant));
	}
}

static void check_kernel(struct report *r)
{
	struct utsname u = {0};
	struct feature *f;

	uname(&u);
	f = add(r, "kernel", true);
	snprintf(f->why, sizeof(f->why), "%.60s %.60s", u.release, u.machine);

	f = add(r, "BTF", !access(BTF_PATH, R_OK));
	if (!f->ok) {
		snprintf(f->why, sizeof(f->why), BTF_PATH ": %s", strerror(errno));
		FIX(f, "use --source pcap, or a kernel built with CONFIG_DEBUG_INFO_BTF");
	}
}

static void check_raw_socket(struct report *r, const char *name, int family, int protocol)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct feature *f = add(r, name, fd >= 0);

	if (fd >= 0) {
		close(fd);
		return;
	}
	snprintf(f->why, sizeof(f->why), "%s; no probes over it", strerror(errno));
	if (errno == EPERM)
		FIX(f, "grant CAP_NET_RAW");
	else
		FIX(f, "enable the address family in the kernel");
}

/* Without the right to see them all addresses read as zero; those of per-CPU data, which may come
 * first, begin there. */
static void check_kallsyms(struct report *r)
{
	unsigned long long address = 0;
	FILE *file = fopen("/proc/kallsyms", "re");
	struct feature *f;

	while (file && !address && fscanf(file, "%llx%*[^\n]", &address) == 1)
		;
	if (file)
		fclose(file);
	f = add(r, "kallsyms", address);
	if (f->ok)
		return;
	WHY(f, "local drops are reported without the name of the kernel function");
	FIX(f, "grant CAP_SYSLOG, or: sysctl kernel.kptr_restrict=0");
}

static void check_namespaces(struct report *r)
{
	int n = namespaces_new(&r->namespaces);
	struct feature *f;

	n = n ? n : namespaces_refresh(r->namespaces);
	f = add(r, "network namespaces", n > 0);
	if (f->ok) {
		snprintf(f->why, sizeof(f->why), "%d in sight", n);
	} else {
		WHY(f, n < 0 ? strerror(-n) : "none in sight");
		FIX(f, "mount /proc; grant CAP_SYS_PTRACE to see those of other users");
	}
}

static void ignore(const struct observation *obs, void *arg)
{
	(void)obs;
	(void)arg;
}

/* The main job, tried as `watch` does it. */
static bool check_sensor(struct report *r)
{
	const struct engine_config engine = engine_defaults();
	const struct sensor_config config = {
		.min_bytes = engine.min_bytes,
		.suspect_after_ns = NS_PER_S,
		.box_packets = BOX_DEFAULT,
	};
	struct box_capacity boxes;
	struct sensor *sensor = NULL;
	char why[160] = "", bytes[FORMAT_LEN];
	struct feature *f;
	int err;

	r->n += sensor_check(r->feature + r->n, FEATURES_MAX - r->n);
	err = r->namespaces
		      ? sensor_open(&config, r->namespaces, ignore, NULL, &sensor, why, sizeof(why))
		      : -ENOENT;
	f = add(r, "watching transfers", !err);
	if (err)
		WHY(f, *why ? why : strerror(-err));
	if (err)
		return false;
	boxes = sensor_box_capacity(sensor);
	f = add(r, "black boxes", boxes.packets);
	if (f->ok)
		snprintf(f->why, sizeof(f->why),
			 "the last %" PRIu32 " packets of %" PRIu32
			 " transfers, %s of kernel memory",
			 boxes.packets, boxes.boxes, format_bytes(boxes.bytes, bytes));
	else
		WHY(f, boxes.why);
	sensor_close(sensor);
	return true;
}

/* The other source, which `watch --source pcap` takes. */
static void check_packets(struct report *r)
{
	const struct engine_config engine = engine_defaults();
	const struct sensor_config config = {
		.min_bytes = engine.min_bytes,
		.suspect_after_ns = NS_PER_S,
		.stall_after_ns = engine.stall_after_ns,
		.interfaces = "any",
		.box_packets = BOX_DEFAULT,
	};
	struct box_capacity boxes;
	struct sensor *sensor = NULL;
	char why[256] = "", bytes[FORMAT_LEN];
	int err = sensor_open(&config, r->namespaces, ignore, NULL, &sensor, why, sizeof(why));
	struct feature *f = add(r, "watching packets (--source pcap)", !err);

	if (err) {
		snprintf(f->why, sizeof(f->why), "%.150s", why);
		FIX(f, "grant CAP_NET_RAW");
		return;
	}
	boxes = sensor_box_capacity(sensor);
	snprintf(f->why, sizeof(f->why),
		 "probes in local connections only; black boxes: %" PRIu32 " packets of %" PRIu32
		 " transfers, %s",
		 boxes.packets, boxes.boxes, format_bytes(boxes.bytes, bytes));
	sensor_close(sensor);
}

/* Where it is, or would be made. */
static bool may_write(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", dir);
	while (access(path, F_OK) && errno == ENOENT) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path)
			break;
		*slash = '\0';
	}
	return !access(path, W_OK);
}

static void check_store(struct report *r, const struct options *options)
{
	char dir[PATH_MAX], why[PATH_MAX + 128], packets[FORMAT_LEN], most[FORMAT_LEN];
	uint64_t incidents = 0, bytes = 0;
	struct archive *archive = NULL;
	int err = stored_dir(options, dir, sizeof(dir));
	struct feature *f;

	if (!err)
		err = archive_open(dir, &archive, why, sizeof(why));
	if (!err)
		err = archive_size(archive, &incidents, &bytes);
	archive_close(archive);
	if (err == -ENOENT && store_supported())
		err = 0; /* not begun yet */
	if (!err && !may_write(dir))
		err = -errno;
	f = add(r, "keeping incidents", !err);
	if (err)
		snprintf(f->why, sizeof(f->why), "%.80s: %s", dir,
			 err == -ENOTSUP   ? "this build has no SQLite"
			 : err == -EPROTO  ? "written by a newer tcpstall"
			 : err == -EBADMSG ? "damaged; who writes to it next moves it aside"
					   : strerror(-err));
	else
		snprintf(f->why, sizeof(f->why),
			 "in %.80s: %" PRIu64 ", their packets %s; the limit is %s", dir, incidents,
			 format_bytes(bytes, packets), format_bytes(STORE_BYTES, most));
	if (err)
		FIX(f, "--store DIR, one that you may write to");
}

/* One fix often mends many lines: it is printed below the last of them. */
static void print_text(const struct report *r)
{
	const bool colour = terminal_colour(STDOUT_FILENO);
	int width = 0;

	for (int i = 0; i < r->n; i++) {
		int len = (int)strlen(r->feature[i].name);

		if (*r->feature[i].why && len > width)
			width = len;
	}
	for (int i = 0; i < r->n; i++) {
		const struct feature *f = &r->feature[i], *next = i + 1 < r->n ? f + 1 : NULL;

		printf("%s%s%s  %-*s%s\n", colour ? f->ok ? "\033[32m" : "\033[1;31m" : "",
		       f->ok ? "ok" : "no", colour ? "\033[0m" : "", *f->why ? width + 2 : 0,
		       f->name, f->why);
		if (!f->ok && *f->fix && !(next && !next->ok && !strcmp(next->fix, f->fix)))
			printf("      fix: %s\n", f->fix);
	}
}

static void json_head(struct jsonw *j, const char *type)
{
	const uint64_t now_ns = mono_ns();
	char ts[FORMAT_LEN], host[NAME_LEN] = "";

	gethostname(host, sizeof(host) - 1);
	jsonw_open(j, NULL);
	jsonw_u64(j, "v", 1);
	jsonw_string(j, "type", type);
	jsonw_string(j, "ts", format_time_ns(now_ns, wall_offset_ns(), ts));
	jsonw_u64(j, "mono_ns", now_ns);
	jsonw_string(j, "host", host);
}

static int print_json(const struct report *r, bool works)
{
	struct jsonw j = {.out = stdout};

	for (int i = 0; i < r->n; i++) {
		const struct feature *f = &r->feature[i];

		json_head(&j, "feature");
		jsonw_string(&j, "name", f->name);
		jsonw_bool(&j, "ok", f->ok);
		jsonw_string(&j, "why", *f->why ? f->why : NULL);
		jsonw_string(&j, "fix", *f->fix ? f->fix : NULL);
		jsonw_close(&j);
		jsonw_line_end(&j);
	}
	json_head(&j, "check");
	jsonw_bool(&j, "ok", works);
	jsonw_close(&j);
	return jsonw_line_end(&j);
}

int cmd_check(const struct options *options, int argc, char **argv)
{
	static struct report r;
	bool works;
	int err = 0;

	(void)argc;
	(void)argv;
	check_kernel(&r);
	check_capabilities(&r);
	check_raw_socket(&r, "raw socket IPv4", AF_INET, IPPROTO_TCP);
	check_raw_socket(&r, "raw socket IPv6", AF_INET6, IPPROTO_TCP);
	check_kallsyms(&r);
	check_namespaces(&r);
	works = check_sensor(&r);
	check_packets(&r);
	check_store(&r, options);

	if (options->json) {
		err = print_json(&r, works);
	} else {
		print_text(&r);
		err = fflush(stdout);
	}
	namespaces_free(r.namespaces);
	if (err)
		return STATUS_ERROR;
	return works ? STATUS_DONE : STATUS_UNSUPPORTED;
}
