/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables: every member of every observation, under the name that it has in a recording. A
 * member that is renamed keeps its old name here; one that is removed is ignored by readers.
 */
#include "sensor/fields.h"

#include <stddef.h>

#include "sensor/field_rows.h"
#include "sensor/record.h"

/* clang-format off */
static const struct field endpoint_fields[] = {
	ADDR(struct endpoint, addr),
	NUMBER(struct endpoint, port),
	PAD(struct endpoint, pad),
	END,
};

const struct field key_fields[] = {
	NUMBER(struct flow_key, cookie),
	NUMBER(struct flow_key, netns),
	PART(struct flow_key, local, endpoint_fields),
	PART(struct flow_key, remote, endpoint_fields),
	PAD(struct flow_key, pad),
	END,
};

static const struct field direction_fields[] = {
	NUMBER(struct direction, bytes),
	NUMBER(struct direction, progress_ns),
	NUMBER(struct direction, run_start_ns),
	NUMBER(struct direction, run_start_bytes),
	NUMBERS(struct direction, pauses),
	END,
};

static const struct field snapshot_fields[] = {
	PART(struct flow_snapshot, key, key_fields),
	PART(struct flow_snapshot, snd, direction_fields),
	PART(struct flow_snapshot, rcv, direction_fields),
	NUMBER(struct flow_snapshot, born_ns),
	NUMBER(struct flow_snapshot, owe_since_ns),
	NUMBER(struct flow_snapshot, last_in_ns),
	NUMBER(struct flow_snapshot, retrans_ns),
	NUMBER(struct flow_snapshot, inode),
	NUMBER(struct flow_snapshot, snd_una),
	NUMBER(struct flow_snapshot, snd_nxt),
	NUMBER(struct flow_snapshot, write_seq),
	NUMBER(struct flow_snapshot, rcv_nxt),
	NUMBER(struct flow_snapshot, copied_seq),
	NUMBER(struct flow_snapshot, peer_nxt),
	NUMBER(struct flow_snapshot, retrans_seq),
	NUMBER(struct flow_snapshot, retrans_len),
	NUMBER(struct flow_snapshot, snd_wnd),
	NUMBER(struct flow_snapshot, rcv_wnd),
	NUMBER(struct flow_snapshot, mss),
	NUMBER(struct flow_snapshot, pmtu),
	NUMBER(struct flow_snapshot, rtt_us),
	NUMBER(struct flow_snapshot, rttvar_us),
	NUMBER(struct flow_snapshot, min_rtt_us),
	NUMBER(struct flow_snapshot, rto_us),
	NUMBER(struct flow_snapshot, backoff),
	NUMBER(struct flow_snapshot, retrans),
	NUMBER(struct flow_snapshot, probes_out),
	NUMBER(struct flow_snapshot, unacked_segs),
	NUMBER(struct flow_snapshot, sacked_segs),
	NUMBER(struct flow_snapshot, lost_segs),
	NUMBER(struct flow_snapshot, retrans_segs),
	NUMBER(struct flow_snapshot, reord_seen),
	NUMBER(struct flow_snapshot, total_retrans),
	NUMBER(struct flow_snapshot, dup_acks),
	NUMBER(struct flow_snapshot, in_segs),
	NUMBER(struct flow_snapshot, wnd_shut_acks),
	NUMBER(struct flow_snapshot, csum_bad),
	NUMBER(struct flow_snapshot, old_segs),
	NUMBER(struct flow_snapshot, hole_segs),
	NUMBER(struct flow_snapshot, data_segs_out),
	NUMBER(struct flow_snapshot, dsack_dups),
	NUMBER(struct flow_snapshot, rcv_ooopack),
	NUMBER(struct flow_snapshot, retrans_runs),
	NUMBER(struct flow_snapshot, resume_jump),
	NUMBER(struct flow_snapshot, wide_wnd),
	NUMBER(struct flow_snapshot, cut_wnd),
	NUMBER(struct flow_snapshot, bad_sacks),
	NUMBER(struct flow_snapshot, bad_echoes),
	NUMBER(struct flow_snapshot, snd_wscale),
	NUMBER(struct flow_snapshot, rcv_wscale),
	NUMBER(struct flow_snapshot, tsoffset),
	NUMBER(struct flow_snapshot, ts_recent),
	NUMBER(struct flow_snapshot, busy_us),
	NUMBER(struct flow_snapshot, rwnd_limited_us),
	NUMBER(struct flow_snapshot, sndbuf_limited_us),
	NUMBER(struct flow_snapshot, state),
	NUMBER(struct flow_snapshot, ca_state),
	NUMBER(struct flow_snapshot, ttl_in),
	NUMBER(struct flow_snapshot, flags),
	NUMBER(struct flow_snapshot, ifindex),
	NUMBER(struct flow_snapshot, pid),
	NAME(struct flow_snapshot, comm),
	NUMBER(struct flow_snapshot, soft_error),
	PAD(struct flow_snapshot, pad),
	END,
};

static const struct field snapshot_observation[] = {
	PART(struct observation, snapshot, snapshot_fields),
	END,
};

static const char *const gone_reasons[] = {
	[GONE_CLOSED] = "closed", [GONE_RESET] = "reset", [GONE_TIMED_OUT] = "timed-out", NULL,
};

static const struct field gone_observation[] = {
	PART(struct observation, gone.last, snapshot_fields),
	WORD(struct observation, gone.reason, gone_reasons),
	INTEGER(struct observation, gone.error),
	END,
};

static const struct field reset_observation[] = {
	PART(struct observation, reset.key, key_fields),
	BOOLEAN(struct observation, reset.inbound),
	NUMBER(struct observation, reset.ttl),
	NUMBER(struct observation, reset.ttl_usual),
	NUMBER(struct observation, reset.ip_id),
	NUMBER(struct observation, reset.ip_id_usual),
	NUMBER(struct observation, reset.seq),
	END,
};

static const struct field icmp_observation[] = {
	PART(struct observation, icmp.key, key_fields),
	ADDR(struct observation, icmp.from),
	NUMBER(struct observation, icmp.type),
	NUMBER(struct observation, icmp.code),
	NUMBER(struct observation, icmp.mtu),
	END,
};

static const struct field drop_observation[] = {
	PART(struct observation, drop.key, key_fields),
	BOOLEAN(struct observation, drop.inbound),
	NUMBER(struct observation, drop.count),
	TEXT(struct observation, drop.reason),
	TEXT(struct observation, drop.function),
	END,
};

static const struct field neigh_observation[] = {
	NUMBER(struct observation, neigh.netns),
	NUMBER(struct observation, neigh.ifindex),
	ADDR(struct observation, neigh.addr),
	MAC(struct observation, neigh.lladdr),
	MAC(struct observation, neigh.old_lladdr),
	NUMBER(struct observation, neigh.nud),
	END,
};

static const char *const probe_kinds[] = {
	[PROBE_IN_FLOW] = "in-flow", [PROBE_IN_FLOW_FULL] = "in-flow-full",
	[PROBE_CONTROL] = "control", [PROBE_IN_FLOW_COPY] = "in-flow-copy", NULL,
};

static const char *const probe_answers[] = {
	[ANSWER_NONE] = "none", [ANSWER_TIME_EXCEEDED] = "time-exceeded",
	[ANSWER_UNREACHABLE] = "unreachable", [ANSWER_TOO_BIG] = "too-big",
	[ANSWER_ACK] = "ack", [ANSWER_SYN_ACK] = "syn-ack", [ANSWER_RST] = "rst",
	[ANSWER_NOT_SENT] = "not-sent", NULL,
};

static const struct field probe_observation[] = {
	PART(struct observation, probe.key, key_fields),
	WORD(struct observation, probe.kind, probe_kinds),
	WORD(struct observation, probe.answer, probe_answers),
	NUMBER(struct observation, probe.ttl),
	NUMBER(struct observation, probe.answer_ttl),
	NUMBER(struct observation, probe.icmp_code),
	NUMBER(struct observation, probe.altered),
	NUMBER(struct observation, probe.way),
	NUMBER(struct observation, probe.swept),
	NUMBER(struct observation, probe.size),
	INTEGER(struct observation, probe.error),
	NUMBER(struct observation, probe.mtu),
	NUMBER(struct observation, probe.seq),
	ADDR(struct observation, probe.from),
	ADDR(struct observation, probe.quoted_src),
	NUMBER(struct observation, probe.sent_ns),
	NUMBER(struct observation, probe.answered_ns),
	END,
};

static const struct field route_observation[] = {
	PART(struct observation, route.key, key_fields),
	NUMBER(struct observation, route.hop),
	INTEGER(struct observation, route.error),
	ADDR(struct observation, route.gateway),
	NUMBER(struct observation, route.ifindex),
	NAME(struct observation, route.ifname),
	TEXT(struct observation, route.kind),
	NAME(struct observation, route.lower),
	ADDR(struct observation, route.tunnel_local),
	ADDR(struct observation, route.tunnel_remote),
	BOOLEAN(struct observation, route.down),
	BOOLEAN(struct observation, route.no_arp),
	NUMBER(struct observation, route.mtu),
	NUMBER(struct observation, route.path_mtu),
	NUMBER(struct observation, route.path_mtu_expires_s),
	NUMBER(struct observation, route.nud),
	MAC(struct observation, route.lladdr),
	INTEGER(struct observation, route.carrier),
	INTEGER(struct observation, route.speed_mbps),
	INTEGER(struct observation, route.best_mbps),
	INTEGER(struct observation, route.full_duplex),
	BOOLEAN(struct observation, route.loopback),
	NUMBER(struct observation, route.rx_packets),
	NUMBER(struct observation, route.tx_packets),
	NUMBER(struct observation, route.rx_errors),
	NUMBER(struct observation, route.tx_errors),
	NUMBER(struct observation, route.rx_dropped),
	NUMBER(struct observation, route.tx_dropped),
	NUMBER(struct observation, route.carrier_changes),
	NUMBER(struct observation, route.rx_crc_errors),
	NUMBER(struct observation, route.rx_missed),
	NUMBER(struct observation, route.tx_carrier_errors),
	NUMBER(struct observation, route.collisions),
	TEXT(struct observation, route.qdisc),
	NUMBER(struct observation, route.qdisc_drops),
	NUMBER(struct observation, route.qdisc_backlog_bytes),
	NUMBER(struct observation, route.conntrack_count),
	NUMBER(struct observation, route.conntrack_max),
	END,
};

static const struct field process_observation[] = {
	PART(struct observation, process.key, key_fields),
	NUMBER(struct observation, process.pid),
	NAME(struct observation, process.comm),
	NUMBER(struct observation, process.state),
	TEXT(struct observation, process.wchan),
	NUMBER(struct observation, process.holders),
	NUMBER(struct observation, process.throttled),
	NUMBER(struct observation, process.throttled_us),
	NUMBER(struct observation, process.io_pressure),
	NUMBER(struct observation, process.cpu_pressure),
	NUMBER(struct observation, process.memory_pressure),
	NUMBER(struct observation, process.cgroup_io_pressure),
	NUMBER(struct observation, process.cgroup_cpu_pressure),
	NUMBER(struct observation, process.cgroup_memory_pressure),
	END,
};

static const char *const onlink_kinds[] = {
	[ONLINK_RESOLVE] = "resolve", [ONLINK_CLAIM] = "claim", [ONLINK_ECHO] = "echo",
	[ONLINK_DONE] = "done", NULL,
};

static const struct field onlink_observation[] = {
	PART(struct observation, onlink.key, key_fields),
	WORD(struct observation, onlink.kind, onlink_kinds),
	BOOLEAN(struct observation, onlink.next_hop),
	BOOLEAN(struct observation, onlink.full),
	BOOLEAN(struct observation, onlink.answered),
	NUMBER(struct observation, onlink.size),
	INTEGER(struct observation, onlink.error),
	ADDR(struct observation, onlink.addr),
	MAC(struct observation, onlink.lladdr),
	MAC(struct observation, onlink.other_lladdr),
	NUMBER(struct observation, onlink.sent_ns),
	NUMBER(struct observation, onlink.answered_ns),
	END,
};

static const struct field end_observation[] = {
	BOOLEAN(struct observation, capture_end),
	END,
};

static const char *const positions[] = {"unknown", "near-src", "near-dst", "middle", NULL};
static const char *const pace_limits[] = {"unknown", "policer", "shaper", "loss",
					  "window",  "shut",	"pauses", NULL};

static const struct field capture_observation[] = {
	PART(struct observation, capture.key, key_fields),
	NUMBER(struct observation, capture.first_frame),
	NUMBER(struct observation, capture.last_frame),
	NUMBER(struct observation, capture.retrans_frame),
	NUMBER(struct observation, capture.decide_frame),
	WORD(struct observation, capture.position, positions),
	BOOLEAN(struct observation, capture.local_receives),
	BOOLEAN(struct observation, capture.acks_lost),
	BOOLEAN(struct observation, capture.on_link),
	BOOLEAN(struct observation, capture.one_way),
	BOOLEAN(struct observation, capture.missing),
	BOOLEAN(struct observation, capture.mid_connection),
	BOOLEAN(struct observation, capture.recovered),
	BOOLEAN(struct observation, capture.jumped),
	BOOLEAN(struct observation, capture.upstream),
	BOOLEAN(struct observation, capture.receiver_closed),
	BOOLEAN(struct observation, capture.sender_closed),
	NUMBER(struct observation, capture.stuck_len),
	NUMBER(struct observation, capture.stuck_seen),
	NUMBER(struct observation, capture.tries),
	NUMBER(struct observation, capture.heard),
	NUMBER(struct observation, capture.dup_acks),
	NUMBER(struct observation, capture.refused),
	NUMBER(struct observation, capture.unanswered),
	NUMBER(struct observation, capture.repeats),
	NUMBER(struct observation, capture.sacked_bytes),
	NUMBER(struct observation, capture.sacked_longest),
	NUMBER(struct observation, capture.bad_sums),
	NUMBER(struct observation, capture.passed_len),
	NUMBER(struct observation, capture.resumed_len),
	NUMBER(struct observation, capture.same_pair),
	NUMBER(struct observation, capture.elsewhere),
	NUMBER(struct observation, capture.stuck_beside),
	NUMBER(struct observation, capture.stuck_elsewhere),
	NUMBER(struct observation, capture.opened),
	NAME(struct observation, capture.tunnel),
	END,
};

static const struct field pace_observation[] = {
	PART(struct observation, pace.key, key_fields),
	WORD(struct observation, pace.limit, pace_limits),
	NUMBER(struct observation, pace.begin_ns),
	NUMBER(struct observation, pace.end_ns),
	NUMBER(struct observation, pace.first_frame),
	NUMBER(struct observation, pace.last_frame),
	WORD(struct observation, pace.position, positions),
	NUMBER(struct observation, pace.bytes),
	NUMBER(struct observation, pace.rate_bps),
	NUMBER(struct observation, pace.usual_bps),
	NUMBER(struct observation, pace.ceiling_bps),
	NUMBER(struct observation, pace.ceiling_low_bps),
	NUMBER(struct observation, pace.ceiling_high_bps),
	NUMBER(struct observation, pace.burst_bytes),
	NUMBER(struct observation, pace.segs),
	NUMBER(struct observation, pace.lost_segs),
	NUMBER(struct observation, pace.bad_sums),
	NUMBER(struct observation, pace.lost_upstream),
	NUMBER(struct observation, pace.flows),
	NUMBER(struct observation, pace.rtt_us),
	NUMBER(struct observation, pace.min_rtt_us),
	NUMBER(struct observation, pace.window_bytes),
	NUMBER(struct observation, pace.fit_permille),
	NUMBER(struct observation, pace.pauses),
	NUMBER(struct observation, pace.paused_ns),
	NUMBER(struct observation, pace.longest_ns),
	NAME(struct observation, pace.tunnel),
	BOOLEAN(struct observation, pace.unscaled),
	BOOLEAN(struct observation, pace.cookie),
	NUMBER(struct observation, pace.snd_wscale),
	NUMBER(struct observation, pace.mss),
	NUMBER(struct observation, pace.bad_sacks),
	NUMBER(struct observation, pace.wide_wnd),
	NUMBER(struct observation, pace.cut_wnd),
	END,
};

static const struct field life_observation[] = {
	PART(struct observation, life.key, key_fields),
	NUMBER(struct observation, life.begin_ns),
	NUMBER(struct observation, life.end_ns),
	NUMBER(struct observation, life.first_frame),
	NUMBER(struct observation, life.last_frame),
	WORD(struct observation, life.position, positions),
	NUMBER(struct observation, life.bytes),
	NUMBER(struct observation, life.best_bps),
	NUMBER(struct observation, life.judged_ns),
	NUMBERS(struct observation, life.limited_ns),
	NUMBER(struct observation, life.retrans),
	NUMBER(struct observation, life.max_window_bytes),
	NUMBER(struct observation, life.min_rtt_us),
	NUMBER(struct observation, life.mss),
	BOOLEAN(struct observation, life.mid_connection),
	END,
};

static const struct field late_observation[] = {
	NUMBER(struct observation, late_since_ns),
	END,
};

static const struct field nothing[] = {END};

const struct observation_info observation_table[OBS_TYPES] = {
	[OBS_TICK] = {"tick", nothing},
	[OBS_LATE] = {"late", late_observation},
	[OBS_SNAPSHOT] = {"snapshot", snapshot_observation},
	[OBS_GONE] = {"gone", gone_observation},
	[OBS_RESET] = {"reset", reset_observation},
	[OBS_ICMP] = {"icmp", icmp_observation},
	[OBS_DROP] = {"drop", drop_observation},
	[OBS_NEIGH] = {"neigh", neigh_observation},
	[OBS_PROBE] = {"probe", probe_observation},
	[OBS_ROUTE] = {"route", route_observation},
	[OBS_PROCESS] = {"process", process_observation},
	[OBS_ONLINK] = {"onlink", onlink_observation},
	[OBS_SCANNED] = {"scanned", nothing},
	[OBS_CAPTURE] = {"capture", capture_observation},
	[OBS_PACE] = {"pace", pace_observation},
	[OBS_LIFE] = {"life", life_observation},
	[OBS_END] = {"end", end_observation},
};

const struct field engine_config_fields[] = {
	NUMBER(struct engine_config, stall_after_ns),
	NUMBER(struct engine_config, min_bytes),
	INTEGER(struct engine_config, wall_offset_ns),
	NUMBER(struct engine_config, max_flows),
	NUMBER(struct engine_config, max_incidents),
	BOOLEAN(struct engine_config, probe),
	BOOLEAN(struct engine_config, offline),
	END,
};
const struct field observation_time_fields[] = {
	NUMBER(struct observation, now_ns),
	END,
};

const struct field record_header_fields[] = {
	NAME(struct record_header, host),
	PART(struct record_header, config, engine_config_fields),
	END,
};

const struct field record_end_fields[] = {
	NUMBER(struct record_end, probes_sent),
	NUMBER(struct record_end, answers_ignored),
	END,
};

const struct field record_loss_fields[] = {
	TEXT(struct record_loss, reason),
	NUMBER(struct record_loss, count),
	END,
};
/* clang-format on */
