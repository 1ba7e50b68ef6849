# SPDX-License-Identifier: GPL-2.0-only
"""What a scenario's network is besides a chain of routers, each a function of a stage (stage.py)
whose network stands and is still empty."""

from . import session
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
