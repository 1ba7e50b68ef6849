/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads the kernel programs, each for itself: one that this kernel does not take costs its feature
 * and nothing else. When loading them together fails, each is tried alone to find out which is to
 * blame. libbpf's own words never reach the user raw; they are kept here and one line is picked
 * out.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/capability.h"
#include "sensor/ebpf.h"
#include "tcpstall.skel.h"

#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"
#define WHY_LEN	    160
/* No file can stand in for it: tp_btf programs and iterators are attached by the kernel's own. */
#define NO_BTF_FIX  "use --source pcap, or a kernel built with CONFIG_DEBUG_INFO_BTF"

/* Without one of them a black box would be none, or never be given back. */
#define BOX_NEEDS   "packet_out,state"

enum need { OPTIONAL, REQUIRED, BY_PROCESS, FOR_BOX };

static const struct program {
	const char *name;    /* in bpf/ */
	const char *watches; /* tracepoint or iterator */
	const char *gives;
	enum need need;
} programs[] = {
	{"set_clock", "syscall", "a clock that costs nothing", REQUIRED},
	{"progress", "tcp_probe", "progress of every transfer", REQUIRED},
	{"scan", "iter/bpf_sk_storage_map", "transfers that fell silent", REQUIRED},
	{"seed", "iter/tcp", "connections older than tcpstall", OPTIONAL},
	{"state", "inet_sock_set_state", "connections that end; run and --pid", OPTIONAL},
	{"packet_out", "net_dev_start_xmit", "black box of each transfer's last packets", FOR_BOX},
	{"packet_in", "netif_receive_skb", "the same of connections half open or closed", FOR_BOX},
	{"retransmit", "tcp_retransmit_skb", "what was retransmitted last", OPTIONAL},
	{"reset_in", "tcp_receive_reset", "resets that come in, and their author", OPTIONAL},
	{"reset_out", "tcp_send_reset", "resets that go out", OPTIONAL},
	{"bad_csum", "tcp_bad_csum", "segments that arrive damaged", OPTIONAL},
	{"drop", "kfree_skb", "packets that this host drops, and why", OPTIONAL},
	{"neigh_update", "neigh_update", "MAC addresses that change", OPTIONAL},
	{"neigh_timer", "neigh_timer_handler", "neighbours that no longer answer", OPTIONAL},
	{"task_fork", "sched_process_fork", "children of the watched process", BY_PROCESS},
	{"task_exit", "sched_process_exit", "their end", BY_PROCESS},
};
#define N_PROGRAMS ((int)(sizeof(programs) / sizeof(*programs)))

/* The end of what libbpf said since it was last emptied: the verifier's verdict comes last. */
static char said[8192];

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t len = strlen(said), more;
	char *text;

	if (level == LIBBPF_DEBUG || vasprintf(&text, format, args) < 0)
		return 0;
	more = strlen(text);
	if (more >= sizeof(said)) {
		memcpy(said, text + more - sizeof(said) + 1, sizeof(said));
	} else {
		size_t drop = len + more < sizeof(said) ? 0 : len + more - sizeof(said) + 1;

		memmove(said, said + drop, len - drop + 1);
		strcat(said, text);
	}
	free(text);
	return 0;
}

/* One line out of it: the verifier's last before its statistics, or the first that blames a
 * program. */
static void pick_words(int err, char *ret, size_t len)
{
	const char *end = strstr(said, "\nprocessed "), *begin = end;

	if (end) {
		while (begin > said && begin[-1] != '\n')
			begin--;
	} else {
		begin = strstr(said, "prog '");
		end = begin ? strchr(begin, '\n') : NULL;
	}
	if (begin && end && end > begin)
		snprintf(ret, len, "%.*s", (int)(end - begin), begin);
	else
		snprintf(ret, len, "%s", strerror(-err));
}

/* What an EPERM means here, and what grants it. */
static void explain_eperm(char *ret_why, size_t why_len, char *ret_fix, size_t fix_len)
{
	const bool admin = capability_held(CAP_SYS_ADMIN);
	const bool bpf = admin || capability_held(CAP_BPF);
	const bool perfmon = admin || capability_held(CAP_PERFMON);
	char grant[GRANT_LEN];

	if (bpf && perfmon) {
		snprintf(ret_why, why_len,
			 "the kernel refuses BPF to a process with CAP_BPF and CAP_PERFMON");
		snprintf(ret_fix, fix_len,
			 "run it outside the container; look at /sys/kernel/security/lockdown");
		return;
	}
	snprintf(ret_why, why_len, "no permission: %s%s%s missing", bpf ? "" : "CAP_BPF",
		 bpf || perfmon ? "" : " and ", perfmon ? "" : "CAP_PERFMON");
	snprintf(ret_fix, fix_len, "%s", capability_grant(grant));
}

static bool named_in(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at && (at = strstr(at, name)); at += len)
		if ((at == list || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

bool bpf_is_iterator(const struct bpf_program *prog)
{
	return bpf_program__expected_attach_type(prog) == BPF_TRACE_ITER;
}

static void set_knobs(struct knobs *k, const struct sensor_config *config, const struct btf *btf)
{
	struct timespec tick = {0};

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick); /* TICK_NSEC */
	k->jiffy_ns = tick.tv_nsec;
	k->min_bytes = config->min_bytes;
	k->suspect_after_ns = config->suspect_after_ns;
	k->netns = config->netns;
	k->track_all = config->filter && !config->root_pid;
	k->by_process = config->root_pid != 0;
	k->box_packets = boxes_packets(config->box_packets);
	k->has_cast = btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
	symbols_harmless(btf, k->harmless);
}

/* Sets of programs: a bit for each row of the table. */
static unsigned int needed(enum need need)
{
	unsigned int bits = 0;

	for (int i = 0; i < N_PROGRAMS; i++)
		bits |= (programs[i].need == need) << i;
	return bits;
}

static unsigned int named(const char *names)
{
	unsigned int bits = 0;

	for (int i = 0; i < N_PROGRAMS; i++)
		bits |= named_in(names, programs[i].name) << i;
	return bits;
}

static void size_boxes(struct tcpstall_bpf *skel, uint32_t packets)
{
	const uint32_t n = boxes_number(packets);

	bpf_map__set_max_entries(skel->maps.boxes, n + 1);
	bpf_map__set_max_entries(skel->maps.slots, (n + 1) * packets);
	bpf_map__set_max_entries(skel->maps.boxes_free, n);
	bpf_map__set_max_entries(skel->maps.boxes_ended, n);
	bpf_map__set_max_entries(skel->maps.apart, n);
}

/* Loads the programs in `wanted`. */
static int load(const struct sensor_config *config, const struct btf *btf, unsigned int wanted,
		struct tcpstall_bpf **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = config->btf_path);
	struct tcpstall_bpf *skel;
	int err;

	said[0] = '\0';
	skel = tcpstall_bpf__open_opts(&opts);
	if (!skel)
		return -errno;
	set_knobs((struct knobs *)&skel->rodata->knobs, config, btf);
	for (int i = 0; i < N_PROGRAMS; i++) {
		struct bpf_program *p =
			bpf_object__find_program_by_name(skel->obj, programs[i].name);

		if (p)
			bpf_program__set_autoload(p, wanted & (1u << i));
	}
	if (config->box_packets && !(named(BOX_NEEDS) & ~wanted))
		size_boxes(skel, boxes_packets(config->box_packets));
	err = tcpstall_bpf__load(skel);
	if (err) {
		tcpstall_bpf__destroy(skel);
		return err;
	}
	*ret = skel;
	return 0;
}

/* Tests hide tracepoints from a program that they cannot configure otherwise. */
static const char *without(const struct sensor_config *config)
{
	return config->without ? config->without : getenv("TCPSTALL_WITHOUT");
}

/* Tries one program alone. 0, or why not. A tracepoint that is not there is -ESRCH. */
static int try_program(const struct sensor_config *config, const struct btf *btf, int i,
		       char *ret_why, size_t why_len)
{
	struct tcpstall_bpf *skel = NULL;
	int err = named_in(without(config), programs[i].name) ? -ESRCH : 0;

	if (err) {
		snprintf(ret_why, why_len, "left out on request");
		return err;
	}
	err = load(config, btf, 1u << i, &skel);
	if (err)
		pick_words(err, ret_why, why_len);
	tcpstall_bpf__destroy(skel);
	return err;
}

/* The kernel's BTF, which everything is relocated against. */
static int open_btf(const struct sensor_config *config, struct btf **ret, char *ret_why,
		    size_t why_len)
{
	const char *path = config->btf_path ? config->btf_path : VMLINUX_BTF;
	struct btf *btf;

	said[0] = '\0';
	btf = btf__parse(path, NULL);
	if (btf) {
		*ret = btf;
		return 0;
	}
	if (config->btf_path)
		snprintf(ret_why, why_len, "no BTF in %s: %s", path, strerror(errno));
	else
		snprintf(ret_why, why_len,
			 "this kernel carries no BTF (" VMLINUX_BTF "): " NO_BTF_FIX);
	return -ENOTSUP;
}

/* Finds out which programs this kernel does not take. -ENOTSUP: one of them is required. */
static int leave_out(const struct sensor_config *config, const struct btf *btf,
		     unsigned int *wanted, char *ret_why, size_t why_len)
{
	char why[WHY_LEN] = "";

	for (int i = 0; i < N_PROGRAMS; i++) {
		if (!(*wanted & (1u << i)) || !try_program(config, btf, i, why, sizeof(why)))
			continue;
		*wanted &= ~(1u << i);
		if (programs[i].need != REQUIRED)
			continue;
		snprintf(ret_why, why_len, "this kernel does not take the program for %s (%s): %s",
			 programs[i].gives, programs[i].watches, why);
		return -ENOTSUP;
	}
	return 0;
}

int bpf_load(const struct sensor_config *asked, struct tcpstall_bpf **ret, const char **ret_no_box,
	     char *ret_why, size_t why_len)
{
	libbpf_print_fn_t print = libbpf_set_print(keep_words);
	struct sensor_config config = *asked;
	char why[WHY_LEN] = "", fix[WHY_LEN] = "";
	const char *no_box = NULL;
	unsigned int wanted = ~0u;
	struct btf *btf = NULL;
	int err = open_btf(&config, &btf, ret_why, why_len);

	if (err)
		goto out;
	if (!config.root_pid)
		wanted &= ~needed(BY_PROCESS);
	if (!config.box_packets)
		wanted &= ~needed(FOR_BOX);
	err = without(&config) ? -ESRCH : load(&config, btf, wanted, ret);
	if (err && err != -EPERM) {
		err = leave_out(&config, btf, &wanted, ret_why, why_len);
		if (err)
			goto out;
		if (config.box_packets && named(BOX_NEEDS) & ~wanted) {
			no_box = "this kernel does not take the programs for it";
			config.box_packets = 0;
			wanted &= ~needed(FOR_BOX);
		}
		err = load(&config, btf, wanted, ret);
	}
	if (err == -ENOMEM && config.box_packets) { /* nothing else takes much */
		no_box = "there is not enough memory for it";
		config.box_packets = 0;
		err = load(&config, btf, wanted & ~needed(FOR_BOX), ret);
	}
	if (err == -EPERM) {
		explain_eperm(why, sizeof(why), fix, sizeof(fix));
		snprintf(ret_why, why_len, "%s; %s", why, fix);
	} else if (err) {
		pick_words(err, why, sizeof(why));
		snprintf(ret_why, why_len, "cannot load the kernel programs: %s", why);
		err = -ENOTSUP;
	} else {
		*ret_no_box = no_box;
	}
out:
	btf__free(btf);
	libbpf_set_print(print);
	return err;
}

int sensor_check(struct feature *ret, int max)
{
	const struct sensor_config config = {
		.min_bytes = 1 << 20, .suspect_after_ns = 1000000000, .box_packets = BOX_DEFAULT};
	libbpf_print_fn_t print = libbpf_set_print(keep_words);
	char no_btf[WHY_LEN] = "";
	struct btf *btf = NULL;
	int n = 0, no = open_btf(&config, &btf, no_btf, sizeof(no_btf));

	for (; n < max && n < N_PROGRAMS; n++) {
		struct feature *f = &ret[n];
		int err;

		*f = (struct feature){.name = programs[n].gives};
		err = no ? no : try_program(&config, btf, n, f->why, sizeof(f->why));
		f->ok = !err;
		if (no) {
			snprintf(f->why, sizeof(f->why), "%s", no_btf);
			snprintf(f->fix, sizeof(f->fix), NO_BTF_FIX);
		} else if (err == -EPERM) {
			explain_eperm(f->why, sizeof(f->why), f->fix, sizeof(f->fix));
		} else if (err == -ESRCH) {
			snprintf(f->why, sizeof(f->why), "this kernel has no %s",
				 programs[n].watches);
		}
		if (err && !f->fix[0])
			snprintf(f->fix, sizeof(f->fix), "a later kernel");
	}
	btf__free(btf);
	libbpf_set_print(print);
	return n;
}
