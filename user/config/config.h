/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the daemon is told: an INI file and the *.conf files of the directory FILE.d beside it, in
 * the order of their names; the later word counts. Every key is a row of one table (table.c), which
 * makes the parser, --print-config, the sample and the man page. A configuration is a value: it
 * holds no pointers and is copied by assignment. NAME_at is FILE:LINE of NAME, for what can be
 * judged only when all is read.
 */
#ifndef TCPSTALL_CONFIG_CONFIG_H
#define TCPSTALL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_FILE   "/etc/tcpstall/tcpstall.conf"
#define CONFIG_NAME   48
#define CONFIG_TEXT   256
#define CONFIG_FILTER 1024
#define WATCH_MAX     32 /* sections, the nameless one included */
#define SINK_MAX      16

enum config_source { SOURCE_EBPF, SOURCE_PCAP };
enum watch_alert { ALERT_NOTHING, ALERT_STALLS, ALERT_ALL };
enum watch_severity { LEAST_INFO, LEAST_WARNING, LEAST_ERROR }; /* as enum severity */

/* What is said about the transfers that match; the nameless section is about all others. */
struct watch_config {
	char name[CONFIG_NAME]; /* "" the nameless one */
	uint64_t given;		/* a bit for each key of the section that was set */
	char filter[CONFIG_FILTER];
	char process[CONFIG_TEXT], cgroup[CONFIG_TEXT], netns[CONFIG_TEXT];
	uint64_t stall_after_ns, min_bytes;
	int alert;    /* enum watch_alert */
	int severity; /* enum watch_severity */
	bool keep;
};

enum sink_type {
	SINK_JOURNAL,
	SINK_SYSLOG,
	SINK_PROGRAM,
	SINK_ALERTMANAGER,
	SINK_WEBHOOK,
	SINK_MAIL,
	SINK_TYPES
};

struct sink_config {
	char name[CONFIG_NAME];
	char at[CONFIG_TEXT]; /* of the section, the first one of this name */
	uint64_t given;
	int type; /* enum sink_type */
	char watch[CONFIG_TEXT], watch_at[CONFIG_TEXT];
	char url[CONFIG_TEXT * 2], authorization_file[CONFIG_TEXT], ca_file[CONFIG_TEXT];
	char command[CONFIG_TEXT * 2], command_at[CONFIG_TEXT];
	char to[CONFIG_TEXT], from[CONFIG_TEXT];
	uint64_t timeout_ns, retry_for_ns, resend_ns;
	uint64_t queue;
};

struct daemon_config {
	uint64_t given;
	int source; /* enum config_source */
	char interface[CONFIG_TEXT], netns[CONFIG_TEXT], netns_at[CONFIG_TEXT];
	bool probe;
	char probe_exclude[CONFIG_FILTER];
	uint64_t black_box;
	char runtime_dir[CONFIG_TEXT], group[CONFIG_TEXT], group_at[CONFIG_TEXT];
	bool namespaces, processes;
};

struct keep_config {
	uint64_t given;
	bool keep;
	char dir[CONFIG_TEXT], dir_at[CONFIG_TEXT];
	uint64_t max_bytes, max_age_ns;
};

struct alerts_config {
	uint64_t given;
	uint64_t group_wait_ns, end_wait_ns, update_ns;
	uint64_t per_hour;
};

struct metrics_config {
	uint64_t given;
	char listen[CONFIG_TEXT], listen_at[CONFIG_TEXT];
	char textfile[CONFIG_TEXT], textfile_at[CONFIG_TEXT];
	uint64_t textfile_every_ns;
};

struct config {
	struct daemon_config daemon;
	struct keep_config store;
	struct alerts_config alerts;
	struct metrics_config metrics;
	struct watch_config watch[WATCH_MAX]; /* [0] is the nameless one */
	int n_watch;
	struct sink_config sink[SINK_MAX];
	int n_sinks;
};

/* Whether this build reads files. */
bool config_supported(void);

void config_defaults(struct config *ret);

/*
 * path NULL: CONFIG_FILE, which need not be there; else FILE must be. -EINVAL: ret_why is a line
 * for each mistake (base/lines.h), FILE:LINE: what is wrong; also for what cannot be read.
 */
int config_load(const char *path, struct config *ret, char *ret_why, size_t why_len);

/*
 * One file, on top of what c holds. name: for messages, which are appended to why. As
 * config_load(); c is then half changed.
 */
int config_read(FILE *file, const char *name, struct config *c, char *why, size_t why_len);

/* After the last file: what sections inherit, what belongs together. -EINVAL */
int config_finish(struct config *c, char *ret_why, size_t why_len);

/* Whether two configurations say the same about: */
enum config_part { ABOUT_DAEMON, ABOUT_STORE, ABOUT_SINKS };
bool config_same(const struct config *a, const struct config *b, enum config_part part);

/* As a file that gives the same configuration. */
void config_print(const struct config *c, FILE *to);

/* Every key, commented out, with its help. */
void config_print_sample(FILE *to);

#endif
