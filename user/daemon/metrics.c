/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names and labels are public. No label holds an address, a port or a process: their number would
 * have no bound.
 */
#include "daemon/metrics.h"

#include <inttypes.h>

#include "alert/sinks.h"
#include "base/clock.h"
#include "host/broker.h"
#include "incident/store.h"
#include "monitor.h"
#include "version.h"

/* From the threshold of a stall to the 15 minutes after which TCP gives up (tcp_retries2). */
static const double limits[STALL_BUCKETS - 1] = {1, 2, 5, 10, 20, 30, 60, 120, 300, 900};

void tallies_output(struct tallies *t, const struct output *out)
{
	const struct incident *i = out->incident;
	double seconds;
	int b = 0;

	if (out->kind != OUT_STALL_END)
		return;
	seconds = i->ended_ns > i->last_progress_ns
			  ? (double)(i->ended_ns - i->last_progress_ns) / (double)NS_PER_S
			  : 0;
	while (b < STALL_BUCKETS - 1 && seconds > limits[b])
		b++;
	t->stalls[i->verdict.cause]++;
	t->bucket[b]++;
	t->seconds += seconds;
}

static void head(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP tcpstall_%s %s\n# TYPE tcpstall_%s %s\n", name, help, name, type);
}

static void one(FILE *to, const char *name, const char *type, const char *help, uint64_t value)
{
	head(to, name, type, help);
	fprintf(to, "tcpstall_%s %" PRIu64 "\n", name, value);
}

static void write_stalls(const struct tallies *t, FILE *to)
{
	uint64_t sum = 0;

	head(to, "stalls_total", "counter", "Stalls that have ended, by cause.");
	for (int i = 0; i < CAUSES; i++)
		fprintf(to, "tcpstall_stalls_total{cause=\"%s\"} %" PRIu64 "\n",
			cause_info((enum cause)i)->id, t->stalls[i]);
	head(to, "stall_seconds", "histogram", "How long those stalls took.");
	for (int i = 0; i < STALL_BUCKETS - 1; i++) {
		sum += t->bucket[i];
		fprintf(to, "tcpstall_stall_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", limits[i],
			sum);
	}
	sum += t->bucket[STALL_BUCKETS - 1];
	fprintf(to,
		"tcpstall_stall_seconds_bucket{le=\"+Inf\"} %" PRIu64
		"\ntcpstall_stall_seconds_sum %.9g\ntcpstall_stall_seconds_count %" PRIu64 "\n",
		sum, t->seconds, sum);
}

static void write_alerts(struct sinks *sinks, FILE *to)
{
	struct sink_counts counts;

	head(to, "alerts_total", "counter", "Messages, by sink and what became of them.");
	for (int i = 0; sinks_counts(sinks, i, &counts); i++) {
		for (int r = 0; r < SINK_RESULTS; r++)
			fprintf(to,
				"tcpstall_alerts_total{sink=\"%s\",result=\"%s\"} %" PRIu64 "\n",
				counts.name, sink_result_id((enum sink_result)r),
				counts.results[r]);
	}
	head(to, "alerts_queued", "gauge", "Messages that wait to be delivered.");
	for (int i = 0; sinks_counts(sinks, i, &counts); i++)
		fprintf(to, "tcpstall_alerts_queued{sink=\"%s\"} %" PRIu32 "\n", counts.name,
			counts.queued);
}

static void write_program(const char *name, uint64_t run_ns, void *arg)
{
	fprintf(arg, "tcpstall_bpf_run_seconds_total{program=\"%s\"} %.9f\n", name,
		(double)run_ns / (double)NS_PER_S);
}

void metrics_write(const struct metrics_source *source, FILE *to)
{
	const struct sensor_counts sensor = monitor_sensor_counts(source->monitor);
	struct summary s;

	monitor_summary(source->monitor, &s);
	write_stalls(source->tallies, to);
	one(to, "stalled_transfers", "gauge", "Transfers that stall now.", s.counts.stalls_now);
	one(to, "transfers_tracked", "gauge", "Transfers that are followed now.",
	    s.counts.flows_now);
	one(to, "transfers_total", "counter", "Transfers that were seen.", s.counts.transfers);
	one(to, "slow_phases_total", "counter", "Phases in which a transfer crawled.",
	    s.counts.slow);
	one(to, "probes_total", "counter", "Packets that were sent to find a place.",
	    s.probes_sent);
	one(to, "retransmitted_segments_total", "counter", "Retransmissions of tracked transfers.",
	    sensor.retransmissions);
	head(to, "events_lost_total", "counter", "What could not be seen or kept, by reason.");
	for (int i = 0; i < s.n_lost; i++)
		fprintf(to, "tcpstall_events_lost_total{reason=\"%s\"} %" PRIu64 "\n",
			s.lost[i].reason, s.lost[i].count);
	write_alerts(source->sinks, to);
	if (broker_relied())
		one(to, "broker_up", "gauge", "Whether the process that keeps capabilities runs.",
		    broker_pid() != 0);
	one(to, "incidents_stored", "gauge", "Incidents that this process has written to disk.",
	    source->store ? store_counts(source->store).incidents : 0);
	head(to, "bpf_run_seconds_total", "counter",
	     "Time in the kernel's programs, while kernel.bpf_stats_enabled is set.");
	monitor_programs(source->monitor, write_program, to);
	head(to, "build_info", "gauge", "Always 1.");
	fputs("tcpstall_build_info{version=\"" TCPSTALL_VERSION "\"} 1\n", to);
}
