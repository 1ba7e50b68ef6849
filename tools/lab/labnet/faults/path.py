# SPDX-License-Identifier: GPL-2.0-only
"""Faults of routers and lines, which hit all that goes that way."""

from .. import session
from ..network import set_sysctls
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


def _far_nets(stage, at):
    """The subnets of the two ends, as far as the router has a route to them."""
    node, network = stage.network.nodes[at], stage.network
    ends = [network.segments_of(name)[0] for name in (network.path[0], network.path[-1])]
    return [net for segment in ends if node not in segment.nodes for net in (segment.v4, segment.v6)]


def _reroute(stage, at, route):
    """All that the router would send to either end it treats as this kind of route says."""
    for net in _far_nets(stage, at):
        session.call(["ip", "-n", stage.network.nodes[at].name, "route", "replace",
                      *route.format(net).split()])


@of_all
def route_swallows(stage, at):
    """A black hole in the router's table of routes: dropped before the TTL is looked at, no word."""
    _reroute(stage, at, "blackhole {}")


@of_all
def route_missing(stage, at):
    """The router knows no way any more, and says so."""
    _reroute(stage, at, "unreachable {}")


@of_all
def forwarding_off(stage, at):
    """Somebody has made a host of the router."""
    set_sysctls(stage.network.nodes[at].netns, {"net/ipv4/ip_forward": 0,
                                                "net/ipv6/conf/all/forwarding": 0})


@of_all
def powered_off(stage, at):
    """The router is off: its lines lose their carrier."""
    node = stage.network.nodes[at]
    session.call(["ip", "-n", node.name, "-batch", "-"],
                 text_in="".join(f"link set {i.name} down\n" for i in node.interfaces))


@of_all
def route_loop(stage, at):
    """The router sends what is for the receiver back to where it comes from."""
    network = stage.network
    index, sender = network.path.index(at), stage.node_of("sender")
    before = network.path[index - 1 if sender == network.path[0] else index + 1]
    hop = network.nodes[before].on(network.segment_between(before, at))
    goal = network.segments_of(stage.node_of("receiver"))[0]
    for net, via in ((goal.v4, hop.v4), (goal.v6, hop.v6)):
        session.call(["ip", "-n", at, "route", "replace", str(net), "via", via])


@of_all
def large_filtered(stage, at, over_bytes):
    """A rule of the router, not a line, has no room for large packets."""
    return nft(stage, at, chain("forward", f"meta length > {over_bytes} counter drop"))


@of_all
def shaped(stage, at, rate_bps, bytes):  # pylint: disable=redefined-builtin
    """The router's way to the receiver has this rate, by a token bucket with a queue."""
    network = stage.network
    side = network.nodes[at].on(network.towards(at, stage.node_of("receiver"))).name
    netns = network.nodes[at].netns
    session.call(["tc", "qdisc", "add", "dev", side, "root", "tbf", "rate", f"{rate_bps}bit",
                  "burst", "3000", "limit", str(bytes)], netns)
    return lambda: session.call(["tc", "qdisc", "del", "dev", side, "root"], netns)
