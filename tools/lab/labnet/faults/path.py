# SPDX-License-Identifier: GPL-2.0-only
"""Faults of routers and lines, which hit all that goes that way."""

from .. import session
from .common import chain, nft, of_all


@of_all
def blackhole(stage, at):
    """The router forwards nothing any more and says nothing."""
    return nft(stage, at, chain("forward", "counter drop"))


TOO_BIG = chain("output", "icmp type destination-unreachable icmp code 4 counter drop;"
                " icmpv6 type packet-too-big counter drop")


@of_all
def unclamped(stage, at):
    """at: the NAT router before a narrow line. It leaves the segment size of new connections alone,
    and the ICMP message that would say so is suppressed on both sides of the line."""
    path = stage.network.path
    session.call(["nft", "delete", "chain", "inet", "firewall", "clamp"],
                 stage.network.nodes[at].netns)
    for router in (at, path[path.index(at) + 1]):
        nft(stage, router, TOO_BIG)


@of_all
def narrow(stage, at, mtu=1400):
    """The way out of the router shrinks, and the ICMP message that would say so is suppressed."""
    path = stage.network.path
    step = 1 if stage.node_of("sender") == path[0] else -1
    onward = stage.network.segment_between(at, path[path.index(at) + step])
    node = stage.network.nodes[at]
    undo = nft(stage, at, TOO_BIG)
    session.call(["ip", "link", "set", node.on(onward).name, "mtu", str(mtu)], node.netns)
    return undo


@of_all
def line(stage, at, direction="both", **shape):
    """at: the two ends of a wire, "r2-r3" or "sw-a". It changes, for all: loss_ppm, bit_errors_ppb,
    corrupt_ppm, rate_bps and the other keys of wire_shape.c."""
    wire = stage.network.wire_between(*at.split("-"))
    return wire.change(_way(wire, at, direction), **shape)


def _way(wire, at, direction):
    """ab or ba as the wire has it: "out" is from the first of `at` to the second."""
    if direction == "both":
        return direction
    forward = wire.ends[0] == at.split("-")[0]
    return "ab" if forward == (direction == "out") else "ba"


@of_all
def member_dead(stage, at):
    """at: a router that has a twin. That of the two which carries the main transfer's data forwards
    nothing any more; from now on it is the node "member"."""
    network, end = stage.network, stage.traffic.end(stage.main, "sender")
    before = network.path[network.path.index(at) - 1]
    (src, sport), (dst, dport) = end.local, end.peer
    if stage.node_of("sender") != network.path[0]:
        before = network.path[network.path.index(at) + 1]
    entry = network.nodes[before].on(network.towards(before, stage.node_of("sender")))
    said = session.call(["ip", "route", "get", dst, "from", src, "iif", entry.name, "ipproto", "tcp",
                         "sport", str(sport), "dport", str(dport)], network.nodes[before].netns)
    gateway = said.split(" via ")[1].split()[0]
    network.nodes["member"] = next(n for n in network.nodes.values() if gateway in n.addresses())
    return blackhole(stage, "member")


@of_all
def route_changed(stage, at):
    """at: the router before a pair of twins. All that it sent to the one goes to the other from now
    on, which forwards nothing."""
    network = stage.network
    after = network.path[network.path.index(at) + 1]
    new = network.nodes[after + "b"]
    blackhole(stage, new.name)
    node = network.nodes[at]
    hop = new.on(network.segment_between(at, new.name))
    goal = network.segments_of(stage.node_of("receiver"))[0]
    net, via = (goal.v4, hop.v4) if stage.family == 4 else (goal.v6, hop.v6)
    session.call(["ip", f"-{stage.family}", "route", "replace", str(net), "via", via], node.netns)


def wire_rule(stage, at, direction="out", action="drop", **match):
    """at: the two ends of a wire. A rule of wire_rule.h for packets of the main transfer and of no
    other connection, from the first to the second ("out", away from the opener), the other way
    ("back") or both. For paths on which NAT keeps the ports."""
    wire = stage.network.wire_between(*at.split("-"))
    ports = [stage.traffic.end(stage.main, which).local[1] for which in ("opener", "listener")]
    if direction == "back":
        ports.reverse()
    number = wire.rule(_way(wire, at, direction), action, sport=ports[0], dport=ports[1], **match)
    return lambda: wire.unrule(number)


@of_all
def police(stage, at, rate_bps, burst_bytes=30000):
    """The router drops what is more than this, of all that it forwards, without a queue."""
    return nft(stage, at, chain("forward", f"limit rate over {rate_bps // 8} bytes/second burst "
                                f"{burst_bytes} bytes counter drop"))


@of_all
def loss(stage, at, percent):
    """The router loses so much of what it forwards."""
    return nft(stage, at, chain("forward", f"numgen random mod 100 < {percent} counter drop"))


@of_all
def large_dropped(stage, at, direction, over_bytes):
    """at: the two ends of a wire, which loses TCP packets above a size."""
    wire = stage.network.wire_between(*at.split("-"))
    number = wire.rule(_way(wire, at, direction), "drop", over_bytes=over_bytes)
    return lambda: wire.unrule(number)
