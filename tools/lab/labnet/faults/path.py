# SPDX-License-Identifier: GPL-2.0-only
"""Faults of routers and lines, which hit all that goes that way."""

from .. import session
from .common import chain, nft, of_all


@of_all
def blackhole(stage, at):
    """The router forwards nothing any more and says nothing."""
    return nft(stage, at, chain("forward", "counter drop"))


@of_all
def narrow(stage, at, mtu=1400):
    """The way out of the router shrinks, and the ICMP message that would say so is suppressed."""
    path = stage.network.path
    step = 1 if stage.node_of("sender") == path[0] else -1
    onward = stage.network.segment_between(at, path[path.index(at) + step])
    node = stage.network.nodes[at]
    undo = nft(stage, at, chain("output", "icmp type destination-unreachable icmp code 4 counter drop;"
                                  " icmpv6 type packet-too-big counter drop"))
    session.call(["ip", "link", "set", node.on(onward).name, "mtu", str(mtu)], node.netns)
    return undo


def wire_rule(stage, at, direction="ab", action="drop", **match):
    """at: the two ends of a wire, "r2-r3". A rule of wire.c."""
    wire = stage.network.wire_between(*at.split("-"))
    number = wire.rule(direction, action, **match)
    return lambda: wire.unrule(number)
