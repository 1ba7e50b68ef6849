/* SPDX-License-Identifier: GPL-2.0-only */
/* tcpstall-events(5): causes and places from their tables, and every key that is written. */
#include "docs.h"
#include "engine/cause.h"
#include "verb.h"

struct key {
	const char *name, *text;
};

/* Keys that belong together; path is what stands before each of them. */
struct group {
	const char *title, *path;
	const char *text;
	const struct key *keys;
	int n_keys;
};

static const struct key every_line[] = {
	{"v", "1; keys are added within a version, never renamed or taken away."},
	{"type", "What the line is; see LINES."},
	{"ts", "When it became true, RFC 3339 in UTC; of a capture, in the capture's own clock."},
	{"mono_ns", "The same by CLOCK_MONOTONIC; of a capture, since its first packet."},
	{"host", "Name of the host that says so."},
};

static const struct key incident[] = {
	{"incident", "Its ID: the time when it began, and eight hexadecimal digits."},
	{"flow", "The connection, and the direction that stalls."},
	{"silence_ns", "Since the last progress; not of slow phases."},
	{"tcp", "The socket on this host; not of slow phases."},
};

static const struct key flow[] = {
	{"id", "The same for all lines about one connection in one network namespace."},
	{"family", "ipv4 or ipv6."},
	{"src", "The end that sends the data of this direction, whichever end this host is."},
	{"src_port", "Its port."},
	{"dst", "The end that is to receive it."},
	{"dst_port", "Its port."},
	{"local", "Which end this host is: src, dst, or none."},
	{"netns", "Inode number of the network namespace of the socket."},
	{"pid", "Process that owns the socket."},
	{"comm", "Its name."},
	{"bytes", "That this direction has moved."},
	{"age_ns", "Since the connection began."},
	{"rate_bps", "Bits a second before it stalled."},
};

static const struct key tcp[] = {
	{"state", "Of the connection, as ss(8) writes it."},
	{"unacked_bytes", "Sent and not acknowledged."},
	{"notsent_bytes", "Queued and not sent."},
	{"snd_wnd", "Bytes that the peer has room for."},
	{"rto_us", "Retransmission timer."},
	{"backoff", "How often that timer was doubled."},
	{"retrans", "Retransmissions of the segment that is waited for."},
	{"rtt_us", "Smoothed round-trip time."},
	{"mss", "Largest segment."},
	{"pmtu", "Path MTU that the kernel believes in."},
};

static const struct key verdict[] = {
	{"cause", "One of CAUSES."},
	{"cause_confidence", "0 to 0.99: the share of such verdicts that proves right."},
	{"detail", "What is particular about it."},
	{"direction", "Which way packets are lost: forward is the way of the data, or reverse."},
	{"where", "The place."},
	{"hops[]", "The path as far as it was asked, from this host on."},
	{"interface", "Through which the flow leaves this host; null where that is not known."},
	{"neighbours[]", "Who was asked on that link."},
	{"tunnel", "What the connection goes through, or goes on inside of."},
	{"probes_sent", "Packets that were sent for this incident."},
	{"witnesses[]", "Transfers that moved on beside it, and clear the hops that they share."},
	{"evidence[]", "Observations, and how much each of them says."},
	{"advice", "What to do."},
};

static const struct key where[] = {
	{"kind", "One of PLACES."},
	{"ttl", "Of a hop, counted from this host."},
	{"address", "Of a hop or an end."},
	{"name", "Its name, if it was looked up."},
	{"mac", "Hardware address, known of the next hop only."},
	{"near", "Of a link the end closer to src, of a hop the node before it."},
	{"far", "The other end, or the node behind it."},
	{"side", "Of a link: the end that is bad, near, far or both; or null."},
	{"confidence", "0 to 1."},
	{"candidates[]", "Places that it may be, the likeliest first."},
};

static const struct key candidates[] = {
	{"kind", "As above."},	 {"ttl", "As above."},	 {"address", "As above."},
	{"near", "Links only."}, {"far", "Links only."}, {"confidence", "As above."},
};

static const struct key hops[] = {
	{"ttl", "Distance from this host."},
	{"address", "Of who answered; null: nobody."},
	{"rtt_us", "Smallest round-trip time."},
	{"in_flow", "Probes inside the connection: how many were `sent` and `answered`."},
	{"control", "The same of probes beside it, to the same peer and port."},
	{"in_flow_full_size", "Inside it, as large as the transfer's own packets."},
	{"in_flow_copy", "Copies of the segment that is stuck."},
	{"peer", "Whether this is the other end."},
	{"balanced", "Whether more than one router answered at this distance."},
};

static const struct key interface[] = {
	{"name", "Of the interface."},
	{"kind", "What it is if it is no plain card: bridge, vlan, ppp ..."},
	{"lower", "The device below it."},
	{"next_hop", "Address that packets are handed to."},
	{"next_hop_mac", "Its hardware address."},
	{"mtu", "Of the interface."},
	{"path_mtu", "Of the route, where the kernel has learned one."},
	{"carrier", "Whether there is a link."},
	{"speed_mbps", "Of the link."},
	{"full_duplex", "Whether both ends may send at once."},
};

static const struct key neighbours[] = {
	{"address", "Of the neighbour."},
	{"next_hop", "Whether packets of the transfer are handed to it."},
	{"own_address", "It is this host's own address, which nobody should answer for."},
	{"mac", "Hardware address that answered."},
	{"other_mac", "A second one that claims the address."},
	{"resolve", "ARP or neighbour discovery: how many were `sent` and `answered`."},
	{"echo", "The same of ICMP echo."},
	{"echo_full_size", "The same of echoes as large as the MTU."},
};

static const struct key witnesses[] = {
	{"src", "The end that sends."},
	{"src_port", "Its port."},
	{"dst", "The end that receives."},
	{"dst_port", "Its port."},
	{"shared_hops", "Nodes that both paths cross, as far as is known."},
	{"rate_bps", "Bits a second during the stall."},
};

static const struct key evidence[] = {
	{"id", "Which rule."},
	{"weight", "Log-odds that it adds to what it speaks for most."},
	{"text", "A sentence with the numbers in it."},
};

static const struct key stall_end[] = {
	{"outcome", "recovered, reset, closed, timed-out, watch-ended or capture-ended."},
	{"stalled_ns", "How long nothing moved."},
	{"recovered_bytes", "That moved after it."},
};

static const struct key slow[] = {
	{"rate_bps", "Bits a second in this phase."},
	{"usual_bps", "What this transfer had before."},
	{"ceiling_bps", "The rate that it is held at, if there is one."},
};

static const struct key captured[] = {
	{"file", "Name of the capture."},
	{"frame", "Number of the packet that decided it."},
	{"frames[]", "First and last packet of the stall or the transfer."},
	{"captured_at", "Where it was taken: near-src, near-dst, middle or unknown."},
	{"tunnel", "Outer headers that were looked through."},
};

static const struct key transfer[] = {
	{"best_bps", "The best second, bits."},
	{"retrans", "Segments that were sent again."},
	{"rtt_us", "Smallest round-trip time."},
	{"mss", "Largest segment."},
	{"max_window_bytes", "Largest receive window."},
	{"judged_ns", "Time that could be accounted for."},
	{"limited", "What that time was spent waiting for: `sender_app_ns`, `receiver_window_ns`, "
		    "`congestion_window_ns`, `loss_recovery_ns`, `bottleneck_ns`."},
};

static const struct key summary[] = {
	{"transfers", "That were seen."},
	{"stalls", "That were confirmed."},
	{"unrecovered", "Those that never moved again."},
	{"slow_phases", "Phases in which a transfer crawled."},
	{"segments", "Of captures: TCP segments."},
	{"retransmissions", "Of captures: those that were sent again."},
	{"zero_windows", "Of captures: how often a window was shut."},
	{"live",
	 "Of an export of ours: the verdict that was given live, by its comment: incident, src, "
	 "dst, cause, where, moved (before it stopped), in its words; null in other captures."},
	{"probes_sent", "Packets that were sent."},
	{"answers_ignored", "Packets that looked like answers to probes and were none."},
	{"events_lost", "What could not be seen or kept: a count for each reason."},
	{"remarks[]", "What was seen incompletely: one-direction, missing-packets, mid-connection, "
		      "duplicates, cut."},
};

static const struct key alert[] = {
	{"alert", "ID of its first incident; the same until alert_end."},
	{"watch", "Name of the [watch] section."},
	{"severity", "info, warning or error."},
	{"text", "One line for a person."},
	{"since", "When it began, RFC 3339."},
	{"cause", "As in a verdict, and so are cause_confidence, detail, where and advice."},
	{"transfer", "The one that it began with, or the latest."},
	{"stalls", "Transfers that stall for this reason at this moment."},
	{"stalls_total", "Since it began."},
	{"alerts_unsaid", "Other alerts before it, that were too many to be told."},
	{"lost_sight", "It has ended because nobody saw how it went on."},
	{"incidents[]", "IDs of the latest incidents."},
};

#define GROUP(keys) (keys), sizeof(keys) / sizeof((keys)[0])

static const struct group groups[] = {
	{"EVERY LINE", "", NULL, GROUP(every_line)},
	{"INCIDENTS", "", "Of stall_begin, verdict, stall_end, slow_begin and slow_end.",
	 GROUP(incident)},
	{"FLOW", "flow.", NULL, GROUP(flow)},
	{"TCP", "tcp.", NULL, GROUP(tcp)},
	{"VERDICT", "",
	 "Of verdict, stall_end and slow_end. There is one as soon as something can be said, and "
	 "another one if it changes; the last one stands.",
	 GROUP(verdict)},
	{"WHERE", "where.", NULL, GROUP(where)},
	{"CANDIDATES", "where.candidates[].", NULL, GROUP(candidates)},
	{"HOPS", "hops[].", NULL, GROUP(hops)},
	{"INTERFACE", "interface.", NULL, GROUP(interface)},
	{"NEIGHBOURS", "neighbours[].", NULL, GROUP(neighbours)},
	{"WITNESSES", "witnesses[].", NULL, GROUP(witnesses)},
	{"EVIDENCE", "evidence[].", NULL, GROUP(evidence)},
	{"END OF A STALL", "", NULL, GROUP(stall_end)},
	{"SLOW PHASES", "", NULL, GROUP(slow)},
	{"CAPTURES", "", "Of lines that analyze prints.", GROUP(captured)},
	{"TRANSFER", "", "Of transfer, with flow and file.", GROUP(transfer)},
	{"SUMMARY", "", NULL, GROUP(summary)},
	{"ALERTS", "", "What the daemon hands to a program or posts to a webhook.", GROUP(alert)},
};
#define N_GROUPS (sizeof(groups) / sizeof(groups[0]))

static const struct key lines[] = {
	{"stall_begin", "A transfer stalls."},
	{"verdict", "Why and where."},
	{"stall_end", "It is over; every stall_begin has one."},
	{"slow_begin",
	 "A transfer crawls: for 10 s it moved less than a tenth of its own median rate."},
	{"slow_end", "It moves a fifth of it again, stalls, or ends."},
	{"transfer", "One transfer of a capture and what it waited for, with analyze --all."},
	{"summary", "The last line."},
	{"alert_begin",
	 "Told by the daemon: a trouble, which is all stalls of one cause and place."},
	{"alert_update", "It has changed."},
	{"alert_end", "It is over."},
	{"alert_test", "Somebody has tried whether alerts arrive."},
};

static const char *const places[PLACE_KINDS] = {
	[PLACE_UNKNOWN] = "Not known.",
	[PLACE_SENDER_APP] = "The sending program.",
	[PLACE_SENDER_HOST] = "The sending host.",
	[PLACE_LINK] =
		"What lies between two adjacent nodes, near and far: cards, cable, switches.",
	[PLACE_HOP] = "A router or other device that decrements the TTL.",
	[PLACE_RECEIVER_HOST] = "The receiving host.",
	[PLACE_RECEIVER_APP] = "The receiving program.",
	[PLACE_PATH] = "Somewhere between the hosts; see candidates.",
};

static const struct key journal[] = {
	{"TCPSTALL_EVENT", "alert_begin ..."},
	{"TCPSTALL_ALERT", "As `alert` above."},
	{"TCPSTALL_WATCH", "Name of the [watch] section."},
	{"TCPSTALL_CAUSE", "One of CAUSES."},
	{"TCPSTALL_PLACE", "In words."},
	{"TCPSTALL_ADDRESS", "Of the place."},
	{"TCPSTALL_TRANSFER", "The one that it began with, or the latest."},
	{"TCPSTALL_STALLS", "Transfers that stall for this reason at this moment."},
	{"TCPSTALL_INCIDENTS", "IDs, separated by blanks."},
	{"TCPSTALL_ADVICE", "What to do."},
	{"TCPSTALL_DETAIL", "What is particular about it."},
};

static void items(FILE *to, const struct key *keys, int n)
{
	for (int i = 0; i < n; i++)
		roff_item(to, keys[i].name, "", keys[i].text);
}

static void causes(FILE *to)
{
	static const char *const severities[] = {" (info)", " (warning)", " (error)"};

	for (int i = 0; i < CAUSES; i++) {
		const struct cause_info *info = cause_info((enum cause)i);

		roff_item(to, info->id, severities[info->severity], info->explanation);
	}
}

void docs_events(FILE *to)
{
	roff_begin(to, "tcpstall-events", 5,
		   "what tcpstall writes with --json, and to whom it alerts");
	fputs(".SH DESCRIPTION\n", to);
	roff_text(to,
		  "One JSON object a line. Units are in the keys: _ns, _us, _bytes, _bps (bits a "
		  "second). What is not known is null, an empty list is []. Keys of other lines "
		  "(those of `tcpstall status`, `trace`, `check`, `version`) are said by their "
		  "names.");
	fputs(".SH LINES\n", to);
	items(to, lines, sizeof(lines) / sizeof(lines[0]));
	for (size_t i = 0; i < N_GROUPS; i++) {
		fprintf(to, ".SH %s\n", groups[i].title);
		if (groups[i].text)
			roff_text(to, groups[i].text);
		items(to, groups[i].keys, groups[i].n_keys);
	}
	fputs(".SH CAUSES\n", to);
	causes(to);
	fputs(".SH PLACES\n", to);
	for (int i = 0; i < PLACE_KINDS; i++)
		roff_item(to, place_kind_id((enum place_kind)i), "", places[i]);
	fputs(".SH JOURNAL\n", to);
	roff_text(to, "Alerts in the journal have these fields beside MESSAGE, PRIORITY and "
		      "MESSAGE_ID, which the catalog explains: `journalctl -x -t tcpstall`.");
	items(to, journal, sizeof(journal) / sizeof(journal[0]));
	fputs(".SH EXIT STATUS\n", to);
	for (int i = 0; i < n_statuses; i++) {
		fprintf(to, ".TP\n.B %d\n", status_table[i].status);
		roff_text(to, status_table[i].meaning);
	}
	fputs(".SH SEE ALSO\n.BR tcpstall (8),\n.BR tcpstall.conf (5)\n", to);
}

void docs_keys(FILE *to)
{
	for (size_t i = 0; i < N_GROUPS; i++)
		for (int k = 0; k < groups[i].n_keys; k++)
			fprintf(to, "%s%s\n", groups[i].path, groups[i].keys[k].name);
}
