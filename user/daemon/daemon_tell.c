/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon says of itself: to the control socket, as metrics, when it starts. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alert/sinks.h"
#include "base/capability.h"
#include "base/clock.h"
#include "base/newfile.h"
#include "daemon/daemon_impl.h"
#include "daemon/privilege.h"
#include "host/broker.h"
#include "incident/store.h"
#include "version.h"
#include "view/format.h"
#include "view/json_stream.h"

static void write_sinks(struct jsonw *j, const struct daemon *d)
{
	struct sink_counts counts;

	jsonw_list_open(j, "sinks");
	for (int i = 0; sinks_counts(d->sinks, i, &counts); i++) {
		jsonw_open(j, NULL);
		jsonw_string(j, "name", counts.name);
		for (int r = 0; r < SINK_RESULTS; r++)
			jsonw_u64(j, sink_result_id((enum sink_result)r), counts.results[r]);
		jsonw_u64(j, "queued", counts.queued);
		jsonw_close(j);
	}
	jsonw_list_close(j);
}

static void write_store(struct jsonw *j, const struct daemon *d)
{
	struct store_counts counts;

	if (!d->session.store) {
		jsonw_null(j, "store");
		return;
	}
	counts = store_counts(d->session.store);
	jsonw_open(j, "store");
	jsonw_string(j, "dir", d->config->store.dir);
	jsonw_u64(j, "incidents", counts.incidents);
	jsonw_u64(j, "records_lost", counts.lost);
	jsonw_close(j);
}

static void write_privileges(struct jsonw *j, const struct daemon *d)
{
	char text[CAPABILITY_TEXT];

	jsonw_string(j, "capabilities",
		     capability_text(capability_permitted(), text, sizeof(text)));
	if (!broker_pid()) {
		jsonw_null(j, "broker");
		return;
	}
	jsonw_open(j, "broker");
	jsonw_u64(j, "pid", (uint64_t)broker_pid());
	jsonw_string(j, "capabilities", capability_text(d->broker_may, text, sizeof(text)));
	jsonw_close(j);
}

static void write_status(FILE *to, void *arg)
{
	const struct daemon *d = arg;
	const struct groups_counts alerts = groups_counts(d->groups);
	struct jsonw j = {.out = to};
	struct summary s;

	monitor_summary(d->session.monitor, &s);
	jsonw_line_open(&j, "status", mono_ns(), d->wall_offset_ns, d->session.host);
	jsonw_string(&j, "version", TCPSTALL_VERSION);
	jsonw_u64(&j, "pid", (uint64_t)getpid());
	jsonw_u64(&j, "uptime_ns", mono_ns() - d->started_ns);
	jsonw_u64(&j, "transfers_tracked", s.counts.flows_now);
	jsonw_u64(&j, "transfers", s.counts.transfers);
	jsonw_u64(&j, "stalled_transfers", s.counts.stalls_now);
	jsonw_u64(&j, "stalls", s.counts.stalls);
	jsonw_u64(&j, "slow_phases", s.counts.slow);
	jsonw_u64(&j, "probes_sent", s.probes_sent);
	jsonw_u64(&j, "alerts", alerts.alerts);
	jsonw_u64(&j, "alerts_unsaid", alerts.unsaid);
	write_privileges(&j, d);
	write_sinks(&j, d);
	write_store(&j, d);
	jsonw_open(&j, "events_lost");
	for (int i = 0; i < s.n_lost; i++)
		jsonw_u64(&j, s.lost[i].reason, s.lost[i].count);
	jsonw_close(&j);
	jsonw_close(&j);
	jsonw_line_end(&j);
}

struct dump {
	FILE *to;
	const struct daemon *daemon;
};

static bool write_transfer(const struct transfer *t, void *arg)
{
	const struct dump *dump = arg;
	const struct flow_snapshot *s = t->last;
	const struct endpoint *src = t->local_sends ? &s->key.local : &s->key.remote;
	const struct endpoint *dst = t->local_sends ? &s->key.remote : &s->key.local;
	struct jsonw j = {.out = dump->to};
	char address[ADDR_TEXT_LEN];

	jsonw_line_open(&j, "transfer_now", mono_ns(), dump->daemon->wall_offset_ns,
			dump->daemon->session.host);
	jsonw_string(&j, "src", addr_text(&src->addr, address));
	jsonw_u64(&j, "src_port", src->port);
	jsonw_string(&j, "dst", addr_text(&dst->addr, address));
	jsonw_u64(&j, "dst_port", dst->port);
	jsonw_string(&j, "local", t->local_sends ? "src" : "dst");
	jsonw_known(&j, "netns", s->key.netns);
	jsonw_u64(&j, "bytes", t->local_sends ? s->snd.bytes : s->rcv.bytes);
	jsonw_u64(&j, "rate_bps", t->rate_bps);
	jsonw_u64(&j, "silence_ns", t->silence_ns);
	jsonw_bool(&j, "owes", t->owes);
	jsonw_string(&j, "incident", t->incident ? t->incident->id : NULL);
	jsonw_close(&j);
	return !jsonw_line_end(&j);
}

static void write_dump(FILE *to, void *arg)
{
	struct dump dump = {to, arg};

	write_status(to, arg);
	monitor_each_transfer(dump.daemon->session.monitor, write_transfer, &dump);
}

/* Each with a writer of its own, which knows the wall clock of this moment. */
static void write_result(const struct output *out, bool json, FILE *to, void *arg)
{
	const struct daemon *d = arg;
	const struct writer_config config = {
		.out = to,
		.host = d->session.host,
		.wall_offset_ns = d->wall_offset_ns,
	};
	struct writer *w = NULL;

	if (json ? writer_json(&config, &w) : writer_text(&config, &w))
		return;
	writer_output(w, out);
	writer_free(w);
}

const struct control_ops daemon_control_ops = {write_status, write_dump, write_result};

static void write_metrics(FILE *to, void *arg)
{
	const struct daemon *d = arg;
	const struct metrics_source source = {
		.tallies = &d->tallies,
		.monitor = d->session.monitor,
		.sinks = d->sinks,
		.store = d->session.store,
	};

	metrics_write(&source, to);
}

/* What is wrong for good: a restart would mend it. */
static const char *trouble(void *arg)
{
	(void)arg;
	return broker_relied() && !broker_pid() ? "broker gone" : NULL;
}

const struct http_ops daemon_http_ops = {write_metrics, trouble};

/* node_exporter reads it at any moment: it must always be whole. */
void daemon_textfile(struct daemon *d)
{
	const char *path = d->config->metrics.textfile;
	struct newfile *file = NULL;
	int err = newfile_open(path, true, &file);

	if (!err) {
		write_metrics(newfile_stream(file), d);
		err = newfile_replace(file);
	}
	newfile_free(file);
	if (err && err != d->textfile_error)
		warnx("[metrics] textfile '%s': %s", path, strerror(-err));
	d->textfile_error = err;
}

void daemon_say_start(const struct daemon *d)
{
	const struct config *c = d->config;
	const struct box_capacity boxes = monitor_boxes(d->session.monitor);
	char after[FORMAT_LEN], bytes[FORMAT_LEN], box_bytes[FORMAT_LEN], tables[FORMAT_LEN],
		kernel[FORMAT_LEN];
	char own[CAPABILITY_TEXT], kept[CAPABILITY_TEXT];

	if (monitor_errors(d->session.monitor).probe)
		warnx("no probes, so hops cannot be named: %s (CAP_NET_RAW missing)",
		      strerror(-monitor_errors(d->session.monitor).probe));
	if (d->options.quiet)
		return;
	warnx("capabilities: %s; of process %d, which does what takes some: %s",
	      capability_text(capability_permitted(), own, sizeof(own)), (int)broker_pid(),
	      capability_text(d->broker_may, kept, sizeof(kept)));
	if (privilege_of_programs(c))
		warnx("programs of sinks may get capabilities again, because one of type mail "
		      "starts "
		      "sendmail");
	warnx("watching transfers of %s or more; a stall is %s of silence; [watch NAME] sections: "
	      "%d",
	      format_bytes(d->options.min_bytes, bytes),
	      format_duration(d->options.stall_after_ns, after), c->n_watch - 1);
	warnx("at most %" PRIu32 " transfers and %" PRIu32
	      " stalls at once, %s when there are so many; "
	      "black boxes of %" PRIu32 " packets for %" PRIu32
	      " transfers, %s; kernel memory in all %s",
	      d->session.config.engine.max_flows, d->session.config.engine.max_incidents,
	      format_bytes(monitor_engine_bytes(d->session.monitor), tables), boxes.packets,
	      boxes.boxes, format_bytes(boxes.bytes, box_bytes),
	      format_bytes(session_kernel_memory(&d->session), kernel));
}
