/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every section and key there is. To add a key, add a member in config.h and a row here; parser,
 * --print-config, sample and man page follow.
 */
#include "config/table.h"

#include "base/clock.h"

#define DAY_NS	(86400 * NS_PER_S)
#define BY_HTTP (1 << SINK_ALERTMANAGER | 1 << SINK_WEBHOOK)
#define BY_MAIL (1 << SINK_MAIL)
#define MEMBER(type, member)                                                                       \
	.offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
/* What can be judged only when all is read; begins with .place, as a fallback follows .size. */
#define PLACED(type, member) .place = offsetof(type, member##_at), MEMBER(type, member)

static const struct key daemon_keys[] = {
	{"source", KEY_CHOICE, MEMBER(struct daemon_config, source), "ebpf", .choices = "ebpf|pcap",
	 .help = "What to watch: the TCP of this kernel, or packets, on hosts without BPF and on "
		 "routers in the middle."},
	{"interface", KEY_TEXT, MEMBER(struct daemon_config, interface), "any",
	 .help = "Packets of these interfaces, separated by commas, with source = pcap."},
	{"netns", KEY_TEXT, PLACED(struct daemon_config, netns), "",
	 .help = "This network namespace only: a name, a path or a process. Empty: all of them."},
	{"probe", KEY_BOOL, MEMBER(struct daemon_config, probe), "yes",
	 .help = "Whether packets may be sent through a stalled connection to find the hop."},
	{"probe-exclude", KEY_FILTER, MEMBER(struct daemon_config, probe_exclude), "",
	 .help = "No packet is sent for connections that match, whatever probe says: net "
		 "198.51.100.0/24 or port 5432."},
	{"black-box", KEY_NUMBER, MEMBER(struct daemon_config, black_box), "256", 0, 4096,
	 .help = "Last packets kept of each transfer, headers only; 0: none."},
	{"runtime-dir", KEY_TEXT, MEMBER(struct daemon_config, runtime_dir), "/run/tcpstall",
	 .help = "Where the control socket and the lock are."},
	{"group", KEY_TEXT, PLACED(struct daemon_config, group), "",
	 .help = "Members of this group may ask the daemon, as root and its own user may."},
	{"namespaces", KEY_BOOL, MEMBER(struct daemon_config, namespaces), "yes",
	 .help = "Keep CAP_SYS_ADMIN after the start, to enter other network namespaces "
		 "(containers) "
		 "for routes and probes."},
	{"processes", KEY_BOOL, MEMBER(struct daemon_config, processes), "yes",
	 .help = "Keep CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH after the start, to find the program "
		 "that owns a connection."},
};

static const struct key store_keys[] = {
	{"keep", KEY_BOOL, MEMBER(struct keep_config, keep), "yes",
	 .help = "Whether incidents are kept on disk."},
	{"dir", KEY_TEXT, PLACED(struct keep_config, dir), "/var/lib/tcpstall", .help = "Where."},
	{"max-size", KEY_SIZE, MEMBER(struct keep_config, max_bytes), "256M", 1 << 20, 1ull << 50,
	 .help = "The oldest go beyond that."},
	{"max-age", KEY_DURATION, MEMBER(struct keep_config, max_age_ns), "90d", 60 * NS_PER_S,
	 36500 * DAY_NS, .help = "And those that are older than that."},
};

static const struct key watch_keys[] = {
	{"filter", KEY_FILTER, MEMBER(struct watch_config, filter), "",
	 .help = "pcap-filter(7) text over addresses and ports: net 192.0.2.0/24 and port 5432."},
	{"process", KEY_TEXT, MEMBER(struct watch_config, process), "",
	 .help = "Names of programs, separated by commas; * and ? stand for any text and letter."},
	{"cgroup", KEY_TEXT, MEMBER(struct watch_config, cgroup), "",
	 .help = "Control group of the program, as in /proc/PID/cgroup: "
		 "/system.slice/postgresql*."},
	{"netns", KEY_TEXT, MEMBER(struct watch_config, netns), "",
	 .help = "Network namespace: a name in /run/netns or its inode number."},
	{"stall-after", KEY_DURATION, MEMBER(struct watch_config, stall_after_ns), "2s",
	 100 * NS_PER_MS, DAY_NS,
	 .help = "Silence that somebody is told of. Stalls are looked for, and kept, "
		 "after the shortest of all sections."},
	{"min-bytes", KEY_SIZE, MEMBER(struct watch_config, min_bytes), "1M", 0, 1ull << 50,
	 .help = "What moved less is no transfer."},
	{"alert", KEY_CHOICE, MEMBER(struct watch_config, alert), "stalls",
	 .choices = "no|stalls|all",
	 .help = "What somebody is told of: nothing, stalls, or transfers that crawl as well."},
	{"severity", KEY_CHOICE, MEMBER(struct watch_config, severity), "warning",
	 .choices = "info|warning|error",
	 .help = "Causes that are less serious alert nobody. A program that sends nothing is info, "
		 "one that does not read a warning, a broken path an error."},
	{"keep", KEY_BOOL, MEMBER(struct watch_config, keep), "yes",
	 .help = "Whether these incidents go into the store."},
};

static const struct key alerts_keys[] = {
	{"group-wait", KEY_DURATION, MEMBER(struct alerts_config, group_wait_ns), "1s", 0,
	 3600 * NS_PER_S,
	 .help = "An alert waits as long for others of the same cause and place, to be one with "
		 "them."},
	{"end-wait", KEY_DURATION, MEMBER(struct alerts_config, end_wait_ns), "5s", 0, DAY_NS,
	 .help = "It has ended when as long nothing stalls for that reason."},
	{"update-every", KEY_DURATION, MEMBER(struct alerts_config, update_ns), "1m", NS_PER_S,
	 DAY_NS, .help = "What changes in the meantime is told no more often than that."},
	{"per-hour", KEY_NUMBER, MEMBER(struct alerts_config, per_hour), "60", 1, 100000,
	 .help = "New alerts; beyond that they are counted, and the next one says how many."},
};

static const struct key sink_keys[] = {
	{"type", KEY_CHOICE, MEMBER(struct sink_config, type), "journal",
	 .choices = "journal|syslog|program|alertmanager|webhook|mail",
	 .help = "journal: structured fields. syslog: "
		 "daemon facility. program: one JSON object on its standard input. alertmanager: "
		 "API "
		 "v2. webhook: the same JSON by POST. mail: through the local sendmail."},
	{"watch", KEY_TEXT, PLACED(struct sink_config, watch), "",
	 .help = "Alerts of these [watch NAME] sections only, separated by commas. Empty: of all."},
	{"url", KEY_TEXT, MEMBER(struct sink_config, url), "", .types = BY_HTTP,
	 .help = "alertmanager, webhook: http:// or https://; for Alertmanager without "
		 "/api/v2/alerts."},
	{"authorization-file", KEY_TEXT, MEMBER(struct sink_config, authorization_file), "",
	 .types = BY_HTTP,
	 .help = "alertmanager, webhook: what the file holds is sent as Authorization: header."},
	{"ca-file", KEY_TEXT, MEMBER(struct sink_config, ca_file), "", .types = BY_HTTP,
	 .help = "alertmanager, webhook: certificates to trust instead of the system's."},
	{"command", KEY_TEXT, PLACED(struct sink_config, command), "",
	 .types = 1 << SINK_PROGRAM | BY_MAIL,
	 .help = "program: its path and arguments, separated by blanks; no shell reads them. mail: "
		 "what to run instead of /usr/sbin/sendmail -i -t."},
	{"to", KEY_TEXT, MEMBER(struct sink_config, to), "root", .types = BY_MAIL,
	 .help = "mail: for whom."},
	{"from", KEY_TEXT, MEMBER(struct sink_config, from), "", .types = BY_MAIL,
	 .help = "mail: by whom. Empty: as sendmail has it."},
	{"timeout", KEY_DURATION, MEMBER(struct sink_config, timeout_ns), "10s", 100 * NS_PER_MS,
	 600 * NS_PER_S, .help = "A program is killed, a request given up after that."},
	{"retry-for", KEY_DURATION, MEMBER(struct sink_config, retry_for_ns), "1d", 0, 30 * DAY_NS,
	 .help = "What could not be delivered is tried again for so long, ever more seldom."},
	{"resend-every", KEY_DURATION, MEMBER(struct sink_config, resend_ns), "1m", NS_PER_S,
	 DAY_NS, .types = 1 << SINK_ALERTMANAGER,
	 .help = "alertmanager: alerts that go on are sent again, as it forgets them otherwise."},
	{"queue", KEY_NUMBER, MEMBER(struct sink_config, queue), "256", 1, 65536,
	 .help = "Messages that may wait; beyond that the oldest are lost, and counted."},
};

static const struct key metrics_keys[] = {
	{"listen", KEY_TEXT, PLACED(struct metrics_config, listen), "",
	 .help = "Where /metrics and /healthz are: 127.0.0.1:9497, [::1]:9497, or unix:/PATH. "
		 "Empty: nowhere. /healthz answers 503 and a word when only a restart helps."},
	{"textfile", KEY_TEXT, PLACED(struct metrics_config, textfile), "",
	 .help = "Also written to this file, for node_exporter: "
		 "/var/lib/prometheus/node-exporter/tcpstall.prom."},
	{"textfile-every", KEY_DURATION, MEMBER(struct metrics_config, textfile_every_ns), "15s",
	 NS_PER_S, 3600 * NS_PER_S, .help = "How often."},
};

#define KEYS(table)  .keys = (table), .n_keys = sizeof(table) / sizeof((table)[0])
#define ONE(section) .offset = offsetof(struct config, section), .given = 0, .nameless = true

const struct section config_sections[SECTIONS] = {
	[SECTION_DAEMON] = {"daemon", ONE(daemon), KEYS(daemon_keys),
			    .help = "What is watched, and with which rights."},
	[SECTION_STORE] = {"store", ONE(store), KEYS(store_keys), .help = "Incidents on disk."},
	[SECTION_WATCH] =
		{"watch", .named = true, .nameless = true, .offset = offsetof(struct config, watch),
		 .given = offsetof(struct watch_config, given), KEYS(watch_keys),
		 .help = "What counts and who is told. [watch NAME] is about the transfers that "
			 "match "
			 "all of filter, process, cgroup and netns; the first section that matches "
			 "counts. [watch] is about the rest, and says what the others leave open."},
	[SECTION_ALERTS] =
		{"alerts", ONE(alerts), KEYS(alerts_keys),
		 .help = "One trouble is one alert: stalls of the same cause and place are "
			 "grouped."},
	[SECTION_SINK] =
		{"sink", .named = true, .offset = offsetof(struct config, sink),
		 .given = offsetof(struct sink_config, given), KEYS(sink_keys),
		 .help = "[sink NAME] is somebody to tell. tcpstall alert-test NAME tries it. "
			 "Without "
			 "any, alerts go to the journal, or to syslog where there is none."},
	[SECTION_METRICS] = {"metrics", ONE(metrics), KEYS(metrics_keys),
			     .help = "For Prometheus and what reads its format."},
};
