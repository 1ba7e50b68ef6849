/* SPDX-License-Identifier: GPL-2.0-only */
#include "engine/cause.h"

/* %s in an advice stands for the place of the verdict. */
static const struct cause_info causes[CAUSES] = {
	[CAUSE_UNKNOWN] =
		{
			"unknown",
			SEVERITY_WARNING,
			"cause not found",
			"The transfer owes progress and makes none; what was seen does not single "
			"out a cause.",
			"Read the evidence for what was tried. Run again with --record FILE and "
			"keep the file.",
		},
	[CAUSE_SENDER_IDLE] =
		{
			"sender-idle",
			SEVERITY_INFO,
			"the sending program sends nothing",
			"Everything that was queued has been acknowledged; the connection is fine.",
			"Look at the sending program: its disk, its input, its locks. The network "
			"is not at fault.",
		},
	[CAUSE_RECEIVER_NOT_READING] =
		{
			"receiver-not-reading",
			SEVERITY_WARNING,
			"the receiving program does not read",
			"The receive window is shut and the peer still answers: its program has "
			"stopped reading.",
			"Look at the receiving program: its disk, a stop signal, a lock, a slow "
			"consumer behind it. "
			"The network is not at fault.",
		},
	[CAUSE_CONNECTION_STATE_LOST] =
		{
			"connection-state-lost",
			SEVERITY_ERROR,
			"one hop drops this connection only",
			"Packets of this connection vanish where those of a new one to the same "
			"peer pass: a NAT, "
			"firewall or load balancer has lost or corrupted what it knew about it.",
			"Connection tracking in %s has lost or corrupted this connection. "
			"Reconnect to continue; "
			"restart or update that device; raise its NAT table or timeouts.",
		},
	[CAUSE_PATH_BLACKHOLE] =
		{
			"path-blackhole",
			SEVERITY_ERROR,
			"nothing passes beyond one point",
			"Packets of any connection to this peer vanish at one point of the path.",
			"Nothing gets past %s. Check that device, the cable or line behind it, and "
			"its route to the "
			"peer; if it is the provider's, send them this report.",
		},
	[CAUSE_SIZE_BLACKHOLE] =
		{
			"size-blackhole",
			SEVERITY_ERROR,
			"large packets vanish",
			"Small packets pass, large ones do not, and no ICMP message says so: a "
			"path-MTU black hole.",
			"Let ICMP \"fragmentation needed\" / \"packet too big\" through at %s, or "
			"clamp the MSS there, "
			"or lower the MTU of the sending interface.",
		},
	[CAUSE_LOCAL_DROP] =
		{
			"local-drop",
			SEVERITY_ERROR,
			"this host's kernel drops the packets",
			"The kernel of this host drops packets of this connection itself.",
			"Look at the firewall rules, queueing and memory limits of this host; the "
			"evidence names the "
			"reason and the kernel function.",
		},
	[CAUSE_CONNECTION_RESET] =
		{
			"connection-reset",
			SEVERITY_ERROR,
			"a reset ended it",
			"A TCP reset ended the connection while data was still owed.",
			"The reset was written by %s. If that is the peer, read its program's log; "
			"if it is a box on "
			"the way, look at its connection table, time limits and filter rules.",
		},
	[CAUSE_PEER_GONE] =
		{
			"peer-gone",
			SEVERITY_ERROR,
			"the peer host does not answer",
			"Every router up to the last one answers, the peer host itself does not.",
			"The peer is down, unplugged or cut off on its own network, or the last "
			"router drops what is for it. Check it from there.",
		},
	[CAUSE_PATH_LOSS] =
		{
			"path-loss",
			SEVERITY_WARNING,
			"the path loses packets",
			"Packets are lost on the way, and the transfer waits until its timer sends "
			"them again.",
			"Look for errors and drops at %s: a bad port, cable or radio link, a full "
			"queue.",
		},
	[CAUSE_PATH_CORRUPTION] =
		{
			"path-corruption",
			SEVERITY_ERROR,
			"packets arrive damaged",
			"Segments fail their checksum at the receiver, which drops them.",
			"Look for a device that damages packets at %s; bad memory, a bad cable, or "
			"checksum offloading.",
		},
	[CAUSE_CONTENT_DROP] =
		{
			"content-drop",
			SEVERITY_ERROR,
			"one segment never passes",
			"The same bytes are lost each time they are sent, while those behind them "
			"arrive.",
			"A filter that reads the data, or a checksum mended wrongly, drops one "
			"segment at %s. Look at its intrusion prevention and proxy logs; "
			"encryption "
			"gets around it.",
		},
	[CAUSE_HEADER_REWRITE] =
		{
			"header-rewrite",
			SEVERITY_ERROR,
			"a middlebox rewrites TCP inconsistently",
			"Sequence numbers, windows or timestamps are changed on the way, and not "
			"everywhere alike, so that one end refuses what the other sends.",
			"Turn off TCP normalisation and sequence number randomisation at %s; until "
			"then it helps to turn off what it breaks (SACK, window scaling or "
			"timestamps) at one of the hosts.",
		},
	[CAUSE_RATE_LIMIT] =
		{
			"rate-limit",
			SEVERITY_INFO,
			"the rate is at a ceiling",
			"The transfer goes on as fast as a policer, a shaper or the narrowest link "
			"allows.",
			"The limit is at %s: compare it with the rate that was bought or "
			"configured.",
		},
	[CAUSE_WINDOW_LIMITED] =
		{
			"window-limited",
			SEVERITY_INFO,
			"the receive window is too small for the path",
			"The sender may have less on its way than the path holds, because the "
			"receiver allows no more.",
			"Raise the receive buffer of the receiving program (SO_RCVBUF, tcp_rmem), "
			"or check that window scaling survives the path.",
		},
	[CAUSE_LINK_DOWN] =
		{
			"link-down",
			SEVERITY_ERROR,
			"the network card has no link",
			"The interface that the connection leaves through has lost its carrier, or "
			"was taken down.",
			"Check the cable and both of its ends at %s: the card, and the switch port "
			"or "
			"virtual device it is plugged into.",
		},
	[CAUSE_LINK_DEGRADED] =
		{
			"link-degraded",
			SEVERITY_ERROR,
			"the link works badly",
			"The first link has come up slower than it can, in half duplex, or counts "
			"errors while it loses packets.",
			"Change the cable and then the switch port at %s, and let both ends "
			"negotiate speed and duplex. If another card does the same, it is the "
			"switch.",
		},
	[CAUSE_NEIGHBOUR_UNREACHABLE] =
		{
			"neighbour-unreachable",
			SEVERITY_ERROR,
			"the next hop does not answer",
			"The interface has a carrier, but the next hop answers neither ARP nor "
			"neighbour discovery, so nothing can be sent to it.",
			"Check that the device at the far end of %s is on, that its port and cable "
			"work, and that both are in the same VLAN.",
		},
	[CAUSE_ADDRESS_CONFLICT] =
		{
			"address-conflict",
			SEVERITY_ERROR,
			"two devices claim one address",
			"Two hardware addresses answer for one IP address on the local network, so "
			"that packets go to one device or the other.",
			"Find the device behind the second MAC address in the evidence (its first "
			"three bytes name the maker; the switch's address table names the port) "
			"and "
			"give it another address. It is on %s.",
		},
	[CAUSE_CONNECT_REFUSED_BY_PATH] =
		{
			"connect-refused-by-path",
			SEVERITY_ERROR,
			"new connections do not get through",
			"Handshakes fail at one hop while connections that are established live "
			"on: its "
			"table of connections is full, or it filters new ones.",
			"Look at the number of sessions of %s against its limit, and at its rules "
			"for "
			"new connections. Restarting it clears the table only for a while.",
		},
};

static const char *const place_kinds[PLACE_KINDS] = {
	[PLACE_UNKNOWN] = "unknown",
	[PLACE_SENDER_APP] = "sender-app",
	[PLACE_SENDER_HOST] = "sender-host",
	[PLACE_LINK] = "link",
	[PLACE_HOP] = "hop",
	[PLACE_RECEIVER_HOST] = "receiver-host",
	[PLACE_RECEIVER_APP] = "receiver-app",
	[PLACE_PATH] = "path",
};

const struct cause_info *cause_info(enum cause cause)
{
	return &causes[cause];
}

const char *place_kind_id(enum place_kind kind)
{
	return place_kinds[kind];
}
