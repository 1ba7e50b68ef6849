# SPDX-License-Identifier: GPL-2.0-only
"""Faults of neighbours on the first stretch, and of routers that let nothing new through."""

from .. import session
from ..events import PATIENCE
from .common import chain, nft, of_all
from .path import line


def _port(stage, at):
    """The switch port of a node on the first segment, and the switch's namespace."""
    segment = stage.network.segments[0]
    index = segment.nodes.index(stage.network.nodes[at])
    return f"port{index}", segment.switch.netns


def _meet(stage):
    """The sender has talked to the other hosts of its segment, as one does."""
    segment = stage.network.segments[0]
    for node in segment.nodes:
        if node.kind == "host" and node.name != "a":
            for address in (node.on(segment).v4, node.on(segment).v6):
                session.call(["ping", "-qc1", f"-W{2 * PATIENCE:.0f}", address], stage.network.nodes["a"].netns)


@of_all
def port_off(stage, at):
    """The switch port of a node loses its link, and with it the card that is plugged in."""
    port, netns = _port(stage, at)
    _meet(stage)
    session.call(["ip", "link", "set", port, "down"], netns)
    return lambda: session.call(["ip", "link", "set", port, "up"], netns)


@of_all
def port_damages(stage, at, **options):
    """The switch port of a node, which is a wire, loses or damages packets either way."""
    _meet(stage)
    return line(stage, f"sw-{at}", **options)


@of_all
def half_duplex(stage, at):
    """The card of a host whose port is a wire comes up with 10 Mbit/s in half duplex, as it says
    itself. Of what that does, the wire has the rate and the packets lost to late collisions; nobody
    waits for anybody, and the card counts no collision."""
    node = stage.network.nodes[at]
    session.call(["ethtool", "-s", node.interfaces[0].name, "speed", "10", "duplex", "half",
                  "autoneg", "off"], node.netns)
    return port_damages(stage, at, rate_bps=10000000, queue_bytes=64 << 10, loss_ppm=150000)


# A gratuitous ARP request (RFC 5227 2.3) five times a second: who has the address already says no
# word against it, but is heard again whenever it asks for something itself.
ANNOUNCE = """
import socket, sys, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((sys.argv[1], 0))
mac, ip = raw.getsockname()[4], socket.inet_aton(sys.argv[2])
while True:
    raw.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + bytes.fromhex("0001080006040001") + mac + ip +
             bytes(6) + ip)
    time.sleep(0.2)
"""


@of_all
def address_taken(stage, at, of):
    """A host takes the address of another one of its segment, and says so. It is one that drops what
    it does not expect, as access points do."""
    node = stage.network.nodes[at]
    segment = stage.network.segments[0]
    address, name = stage.network.nodes[of].on(segment).v4, node.on(segment).name
    nft(stage, at, chain("input", "meta l4proto tcp counter drop"))
    session.call(["ip", "addr", "add", f"{address}/32", "dev", name], node.netns)
    thief = session.start(["python3", "-c", ANNOUNCE, name, address], node.netns)
    return thief.kill


@of_all
def new_ones_dropped(stage, at):
    """As a full table of connections does: what belongs to none is dropped before its TTL is seen."""
    return nft(stage, at, chain("prerouting", "ct state new counter drop", priority=-150))


@of_all
def new_ones_reset(stage, at):
    """A router that answers the handshakes it has no room for with a reset of its own."""
    return nft(stage, at, chain("forward", "tcp flags & (syn|ack) == syn counter "
                                           "reject with tcp reset"))
