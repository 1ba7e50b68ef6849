# SPDX-License-Identifier: GPL-2.0-only
"""Faults of neighbours on the first stretch, and of routers that let nothing new through."""

from .. import session
from .common import chain, nft, of_all


def _port(stage, at):
    """The switch port of a node on the first segment, and the switch's namespace."""
    segment = stage.network.segments[0]
    index = segment.nodes.index(stage.network.nodes[at])
    return f"port{index}", segment.switch.netns


@of_all
def port_off(stage, at):
    """The switch port of a node loses its link, and with it the card that is plugged in."""
    port, netns = _port(stage, at)
    session.call(["ip", "link", "set", port, "down"], netns)
    return lambda: session.call(["ip", "link", "set", port, "up"], netns)


@of_all
def port_lossy(stage, at, small=10, large=92):
    """A switch port that damages packets, either way: so many in a hundred of the small ones and of
    those above 400 bytes."""
    port, netns = _port(stage, at)
    rules = "\n".join(f"""
        chain {hook} {{ type filter hook {hook} device {port} priority 0;
            meta length > 400 numgen random mod 100 < {large} counter drop
            meta length <= 400 numgen random mod 100 < {small} counter drop
        }}""" for hook in ("ingress", "egress"))
    session.call(["nft", "-f", "-"], netns, f"table netdev fault {{{rules}\n}}")
    return lambda: session.call(["nft", "delete", "table", "netdev", "fault"], netns)


@of_all
def address_taken(stage, at, of):
    """A host comes up with the address of another one of its segment, and says so."""
    node = stage.network.nodes[at]
    segment = stage.network.segments[0]
    address, name = stage.network.nodes[of].on(segment).v4, node.on(segment).name
    batch = "\n".join([f"link set {name} down", f"addr add {address}/32 dev {name}",
                       f"link set {name} up"])
    session.call(["sysctl", "-qw", f"net.ipv4.conf.{name}.arp_notify=1"], node.netns)
    session.call(["ip", "-n", at, "-batch", "-"], text_in=batch + "\n")
    return lambda: session.call(["ip", "addr", "del", f"{address}/32", "dev", name], node.netns)


@of_all
def new_ones_dropped(stage, at):
    """As a full table of connections does: what belongs to none is dropped before its TTL is seen."""
    return nft(stage, at, chain("prerouting", "ct state new counter drop", priority=-150))


@of_all
def new_ones_reset(stage, at):
    """A router that answers the handshakes it has no room for with a reset of its own."""
    return nft(stage, at, chain("forward", "tcp flags & (syn|ack) == syn counter "
                                           "reject with tcp reset"))
