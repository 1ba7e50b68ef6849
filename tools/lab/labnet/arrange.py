# SPDX-License-Identifier: GPL-2.0-only
"""What a scenario's network is besides a chain of routers, each a function of a stage (stage.py)
whose network stands and is still empty."""

import dataclasses
import subprocess
import sys

from . import session
from .disk import Disk
from .network import Interface

VXLAN_BYTES = {4: 50, 6: 70}  # what the tunnel adds to a packet


def find(name):
    return globals()[name]


def sequence_numbers_shifted(stage):
    """A box on the first wire shifts the sequence numbers of what leaves a, and shifts back what
    acknowledges them, except in SACK blocks."""
    wire, by = stage.network.wires[0], 1234567890
    wire.rule("ab", "seq", by=by)
    wire.rule("ba", "ack", by=2 ** 32 - by)


def tunnel(stage):
    """What a sends goes through a VXLAN tunnel to router 3 and comes out there: routers 1 and 2 see
    only that. Its first hop is router 3."""
    network = stage.network
    near, far = network.nodes["a"], network.nodes["r3"]
    v4, v6 = network.plan.subnet_v4("lan"), network.plan.subnet_v6("lan")
    number = network.plan.port()
    ends = list(zip((near, far), network.plan.hosts(v4, 2), network.plan.hosts(v6, 2)))
    outer = [node.address(4) for node in (near, far)]
    for (node, a4, a6), local, remote in zip(ends, outer, reversed(outer)):
        session.call(["ip", "-n", node.name, "-batch", "-"], text_in=f"""
            link add vxlan0 type vxlan id {number} dstport 4789 local {local} remote {remote}
            link set vxlan0 mtu {1500 - VXLAN_BYTES[4]} up
            addr add {a4}/{v4.prefixlen} dev vxlan0
            addr add {a6}/{v6.prefixlen} dev vxlan0 nodad
            """)
        node.interfaces.append(Interface("vxlan0", None, a4, a6))
    routes = []
    for segment in network.segments:
        if near not in segment.nodes and far not in segment.nodes:
            routes += [f"route add {segment.v4} via {ends[1][1]}",
                       f"route add {segment.v6} via {ends[1][2]}"]
    session.call(["ip", "-n", near.name, "-batch", "-"], text_in="\n".join(routes) + "\n")
    for node in network.nodes.values():
        if node.kind == "switch" or node in (near, far):
            continue
        hop = _way_to(network, node, far)
        if hop:
            session.call(["ip", "-n", node.name, "-batch", "-"],
                         text_in=f"route add {v4} via {hop.v4}\nroute add {v6} via {hop.v6}\n")


def _way_to(network, node, router):
    """The interface of the neighbour that leads to a router; None for a host, which has a default."""
    if node.kind != "router":
        return None
    at, to = network.path.index(node.name), network.path.index(router.name)
    step = network.nodes[network.path[at + (1 if to > at else -1)]]
    return step.on(network.segment_between(node.name, step.name))


def disk(stage):
    """What the receiver of the main transfer gets it writes to a disk."""
    stage.disk = Disk()
    stage.main = dataclasses.replace(stage.main,
                                     receive={**stage.main.receive, "store": stage.disk.path})


def shorter_way_back(stage):
    """What b sends comes in as if the last router were not on its way, and that one answers no probe:
    b looks one hop nearer than it is, and in its place is nobody."""
    network = stage.network
    last = network.path[-2]
    node = network.nodes[last]
    side = node.on(network.segment_between(last, "b")).name
    session.call(["nft", "-f", "-"], node.netns, f"""
        table inet shorter {{
            chain back {{
                type filter hook forward priority 0;
                iifname "{side}" ip ttl set 64
                iifname "{side}" ip6 hoplimit set 64
            }}
            chain mute {{
                type filter hook output priority 0;
                icmp type time-exceeded drop
                icmpv6 type time-exceeded drop
            }}
        }}""")


def macvlan(stage):
    """The addresses of a are on a macvlan interface over its card, as of a container that is given
    one."""
    node, segment = stage.network.nodes["a"], stage.network.segments[0]
    side = node.on(segment)
    session.call(["ip", "-n", node.name, "-batch", "-"], text_in=f"""
        addr flush dev {side.name}
        link add link {side.name} name mac0 type macvlan mode bridge
        link set mac0 mtu {segment.mtu} up
        addr add {side.v4}/{segment.v4.prefixlen} dev mac0
        addr add {side.v6}/{segment.v6.prefixlen} dev mac0 nodad
        route add default via {segment.nodes[1].on(segment).v4}
        route replace ::/0 via {segment.nodes[1].on(segment).v6}
        """)


def another_watcher(stage):
    """Beside tcpstall another one watches the same connections, and probes them."""
    def begin():
        session.start([session.TCPSTALL, "watch", "--json", "-n", "--no-store", "--netns",
                       stage.vantage.netns], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    stage.when_connected.append(begin)


def point_to_point(stage):
    """The first link resolves no addresses, as a line between two has no need to."""
    ends = [(node, node.on(stage.network.segments[0]).name)
            for node in stage.network.segments[0].nodes]
    (here, name), _ = ends
    said = session.call(["ip", "-n", here.name, "-brief", "link", "show", name])
    for node, name in ends:  # a frame goes to the card's own address there
        session.call(["ip", "-n", node.name, "link", "set", name, "address", said.split()[2],
                      "arp", "off"])


def _answer_from(stage, routers, v4, v6):
    """Routers answer with these addresses, which are on none of their lines."""
    sources = stage.network.segments_of("a")[0]
    for name in routers:
        node = stage.network.nodes[name]
        node.interfaces.append(Interface("lo", None, v4, v6))
        session.call(["ip", "-n", name, "addr", "add", f"{v4}/32", "dev", "lo"])
        session.call(["ip", "-n", name, "addr", "add", f"{v6}/128", "dev", "lo"])
        for family, net, source in (("-4", sources.v4, v4), ("-6", sources.v6, v6)):
            ip = ["ip", family, "-n", name, "route"]
            via = session.call([*ip, "show", str(net)]).split(" via ")[1].split()[0]
            session.call([*ip, "replace", str(net), "via", via, "src", source])


def answers_from_elsewhere(stage):
    """Routers 2 and 3 answer from loopback addresses of another range each."""
    for name in ("r2", "r3"):
        plan = stage.network.plan
        _answer_from(stage, [name], *(plan.hosts(net, 1)[0] for net in
                                      (plan.subnet_v4("carrier"), plan.subnet_v6("lan"))))


def one_address_for_all(stage):
    """Routers 2 and 3 answer from one and the same address (as RFC 7600 has it for hosts without)."""
    plan = stage.network.plan
    _answer_from(stage, ["r2", "r3"], *(plan.hosts(net, 1)[0] for net in
                                        (plan.subnet_v4("carrier"), plan.subnet_v6("lan"))))


# Answers packets whose TTL ends here, with a quote that is wrong: other ports, another sequence
# number, another ID. Speaks for the kernel, which is kept from it.
GARBLE = """
import socket, struct, sys

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff

heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
heard.bind((sys.argv[1], 0x0800))
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
out.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
while True:
    packet = bytearray(heard.recv(2048))
    if packet[8] != 1 or packet[9] != socket.IPPROTO_TCP:
        continue
    packet[4] ^= 255
    packet[20:28] = bytes(255 - byte for byte in packet[20:28])
    body = bytes([11, 0, 0, 0, 0, 0, 0, 0]) + bytes(packet[:28])
    out.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:],
               (socket.inet_ntoa(packet[12:16]), 0))
"""


def garbled_quotes(stage):
    """What router 2 answers quotes something else than what it was sent."""
    node = stage.network.nodes["r2"]
    side = node.on(stage.network.segment_between("r1", "r2")).name
    session.call(["nft", "-f", "-"], node.netns, "table inet garbled { chain output { type filter "
                 "hook output priority 0; icmp type time-exceeded meta mark != 1 drop\n}\n}")
    session.start([sys.executable, "-Ic", GARBLE, side], node.netns)


# Errors in somebody's name about a connection, 20 a second: the TTL has run out, the host is
# unreachable, packets are too big. Whoever writes them has not seen its sequence numbers.
FORGE = """
import random, socket, struct, sys, time

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff

source, src, sport, dst, dport = sys.argv[1:6]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
ends = socket.inet_aton(src), socket.inet_aton(dst)
while True:
    for kind, code, rest in ((11, 0, 0), (3, 1, 0), (3, 4, 600)):
        quote = struct.pack("!BBHHHBBH4s4sHHI", 0x45, 0, 1500, random.randrange(65536), 0x4000, 1, 6,
                            0, *ends, int(sport), int(dport), random.randrange(1 << 32))
        body = struct.pack("!BBHI", kind, code, 0, rest) + quote
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        raw.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 60, 1, 0,
                               socket.inet_aton(source), ends[0]) + body, (src, 0))
        time.sleep(0.05)
"""


def forged_errors(stage):
    """Somebody beside router 1 sends errors about the main transfer, once it is there, in the name of
    router 2."""
    node, source = stage.network.nodes["r1"], stage.network.nodes["r2"].address(4)

    def begin():
        end = stage.traffic.end(stage.main, "sender")
        session.start([sys.executable, "-Ic", FORGE, source, end.local[0], str(end.local[1]),
                       end.peer[0], str(end.peer[1])], node.netns)

    stage.when_connected.append(begin)
