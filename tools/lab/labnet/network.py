# SPDX-License-Identifier: GPL-2.0-only
"""Networks of namespaces: hosts and routers on segments.

A segment is one subnet. It joins two nodes by a veth pair or by a wire (wire.py), or any number of
nodes by a switch, a bridge in a namespace of its own. Routes are computed over the whole network.
A router may do NAT: its side towards the hosts behind it is one zone lower, and nobody in a higher
zone has a route into a lower one.
"""

import random
from dataclasses import dataclass, field

from . import kernel, pppoe, session
from .address import AddressPlan
from .wire import Wire

SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv6/conf/all/accept_dad": 0,
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
}
# Policy 1: several equal routes are chosen among by the hash of addresses and ports.
ROUTER_SYSCTLS = {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1,
                  "net/ipv4/fib_multipath_hash_policy": 1, "net/ipv6/fib_multipath_hash_policy": 1}
NAT_SYSCTLS = {"net/netfilter/nf_conntrack_tcp_loose": 0, "net/netfilter/nf_conntrack_acct": 1}


@dataclass(eq=False)
class Interface:
    name: str
    segment: "Segment"
    v4: str = ""
    v6: str = ""


@dataclass(eq=False)
class Node:
    name: str
    kind: str  # host, router or switch
    interfaces: list = field(default_factory=list)
    nat: bool = False
    nat66: bool = False

    @property
    def netns(self):
        return f"{session.SCRATCH}/{self.name}"

    @property
    def zone(self):
        return min(i.segment.zone for i in self.interfaces)

    def on(self, segment):
        return next(i for i in self.interfaces if i.segment is segment)

    def addresses(self):
        return {a for i in self.interfaces for a in (i.v4, i.v6) if a}

    def address(self, family):
        first = self.interfaces[0]
        return first.v4 if family == 4 else first.v6


@dataclass(eq=False)
class Segment:
    nodes: list
    switch: Node = None
    zone: int = 0
    kind: str = "outside"
    mtu: int = 1500
    shape: dict = None  # a wire with this shape instead of a veth pair
    ports: dict = field(default_factory=dict)  # node: shape of a wire to its port of the switch
    pppoe: dict = None  # the line of a PPPoE session (pppoe.py), the first node's
    v4: object = None
    v6: object = None


def set_sysctls(netns, values):
    with kernel.inside(netns):
        for path, value in values.items():
            with open(f"/proc/sys/{path}", "w", encoding="ascii") as file:
                file.write(str(value))


def _route(network, gateways):
    if len(gateways) == 1:
        return f"route add {network} via {gateways[0]}"
    return f"route add {network}" + "".join(f" nexthop via {gateway}" for gateway in gateways)


class Network:
    def __init__(self, seed):
        self.seed = seed
        self.plan = AddressPlan(random.Random(seed))
        self.nodes = {}
        self.segments = []
        self.wires = []

    # What there is to be.

    def add_node(self, name, kind="host"):
        self.nodes[name] = Node(name, kind)
        return self.nodes[name]

    def add_segment(self, *names, switch=None, **options):
        """options: see Segment. switch: the name of the switch to make."""
        segment = Segment([self.nodes[n] for n in names], **options)
        if switch:
            segment.switch = self.add_node(switch, "switch")
        self.segments.append(segment)
        for node in segment.nodes:
            node.interfaces.append(Interface(f"eth{len(node.interfaces)}", segment))
        return segment

    def join(self, name, segment):
        """A host more on a switch."""
        node = self.add_node(name)
        segment.nodes.append(node)
        node.interfaces.append(Interface("eth0", segment))

    def segment_between(self, one, other):
        return next(s for s in self.segments if {one, other} <= {n.name for n in s.nodes})

    def segments_of(self, name):
        return [i.segment for i in self.nodes[name].interfaces]

    def towards(self, one, goal):
        """The segment that the path leaves a node by, to get to another node of the path."""
        at, to = self.path.index(one), self.path.index(goal)
        return self.segment_between(one, self.path[at + (1 if to > at else -1)])

    def wire_between(self, one, other):
        """The two in any order: nodes of a segment, or a switch and what is on its port."""
        return next(w for w in self.wires if set(w.ends) == {one, other})

    # Making it.

    def build(self):
        for node in self.nodes.values():
            self._make_namespace(node)
        for segment in self.segments:
            self._number(segment)
        self._connect()
        for segment in self.segments:
            if segment.pppoe:
                pppoe.connect(segment)
        for node in self.nodes.values():
            self._configure(node)

    def _make_namespace(self, node):
        with kernel.inside("/proc/self/ns/net"):
            kernel.unshare(kernel.CLONE_NEWNET)
            with open(node.netns, "w", encoding="ascii"):
                pass
            kernel.mount("/proc/self/ns/net", node.netns, flags=kernel.MS_BIND)
        values = dict(SYSCTLS)
        if node.kind == "router":
            values |= ROUTER_SYSCTLS
        if node.nat:
            values |= NAT_SYSCTLS
        set_sysctls(node.netns, values)

    def _number(self, segment):
        segment.v4 = self.plan.subnet_v4(segment.kind)
        segment.v6 = self.plan.subnet_v6(segment.kind)
        hosts = zip(self.plan.hosts(segment.v4, len(segment.nodes)),
                    self.plan.hosts(segment.v6, len(segment.nodes)))
        for node, (v4, v6) in zip(segment.nodes, hosts):
            interface = node.on(segment)
            interface.v4, interface.v6 = v4, v6

    def _connect(self):
        batch = []
        for segment in self.segments:
            ends = [(node.name, node.on(segment).name) for node in segment.nodes]
            if segment.switch:
                for index, (node, name) in enumerate(ends):
                    if node in segment.ports:
                        self._wire([(segment.switch.name, f"port{index}"), (node, name)],
                                   segment.ports[node])
                        continue
                    batch.append(f"link add name {name} netns {node} type veth "
                                 f"peer name port{index} netns {segment.switch.name}")
            elif segment.pppoe:
                one, other = (node.name for node in segment.nodes)
                batch.append(f"link add name {pppoe.CARD} netns {one} type veth "
                             f"peer name {pppoe.CARD} netns {other}")
            elif segment.shape is None:
                (one, one_if), (other, other_if) = ends
                batch.append(f"link add name {one_if} netns {one} type veth "
                             f"peer name {other_if} netns {other}")
            else:
                self._wire(ends, segment.shape)
        session.call(["ip", "-batch", "-"], text_in="\n".join(batch) + "\n")

    def _wire(self, ends, shape):
        self.wires.append(Wire(ends, shape, self.seed + len(self.wires)))

    def _configure(self, node):
        batch = ["link set lo up"]
        if node.kind == "switch":
            segment = next(s for s in self.segments if s.switch is node)
            batch += ["link add name br0 type bridge", "link set br0 up"]
            for index in range(len(segment.nodes)):
                batch += [f"link set port{index} master br0", f"link set port{index} up"]
        for interface in node.interfaces:
            segment = interface.segment
            batch += [
                f"link set {interface.name} mtu {segment.mtu} txqueuelen 10000 up",
                f"addr add {interface.v6}/{segment.v6.prefixlen} dev {interface.name} nodad"]
            if not segment.pppoe:  # there the session has brought it
                batch.append(f"addr add {interface.v4}/{segment.v4.prefixlen} dev {interface.name}")
        batch += self._routes(node)
        session.call(["ip", "-n", node.name, "-batch", "-"], text_in="\n".join(batch) + "\n")
        if node.nat:
            session.call(["nft", "-f", "-"], node.netns, self._firewall(node))

    def _routes(self, node):
        if node.kind == "switch":
            return []
        if node.kind == "host":
            segment = node.interfaces[0].segment
            gateway = next(n for n in segment.nodes if n.kind == "router").on(segment)
            return [f"route add default via {gateway.v4}", f"route add ::/0 via {gateway.v6}"]
        routes = []
        for segment in self.segments:
            if node in segment.nodes:
                continue
            hops = [gateway.on(via) for gateway, via in self._first_hops(node, segment)]
            if segment.zone >= node.zone:
                routes.append(_route(segment.v4, [hop.v4 for hop in hops]))
            if segment.zone >= node.zone or not any(n.nat66 for n in self.nodes.values()):
                routes.append(_route(segment.v6, [hop.v6 for hop in hops]))
        return routes

    @staticmethod
    def _first_hops(node, goal):
        """All neighbours that a shortest way to a segment begins with, each with the segment that it
        is on."""
        found = []
        queue = [(i.segment, None) for i in node.interfaces]
        seen = {node.name}
        while queue and not found:
            further, reached = [], set()
            for segment, first in queue:
                for router in segment.nodes:
                    if router.kind != "router" or router.name in seen:
                        continue
                    reached.add(router.name)
                    step = first or (router, segment)
                    further += [(i.segment, step) for i in router.interfaces]
                    if router in goal.nodes and step not in found:
                        found.append(step)
            seen |= reached
            queue = further
        return found

    def _firewall(self, node):
        """What a home router does: masquerade, and drop what belongs to no connection it knows."""
        outside = ", ".join(f'"{i.name}"' for i in node.interfaces if i.segment.zone > node.zone)
        families = ["ip"] + (["ip6"] if node.nat66 else [])
        nat = "\n".join(f"""
            table {family} nat {{
                chain forwarded_ports {{ type nat hook prerouting priority -100; }}
                chain outgoing {{
                    type nat hook postrouting priority 100;
                    oifname {{ {outside} }} masquerade
                }}
            }}""" for family in families)
        return f"""
            table inet firewall {{
                chain forward {{
                    type filter hook forward priority 0;
                    ct state invalid counter drop
                    ct status dnat accept
                    iifname {{ {outside} }} ct state new counter drop
                }}
                chain clamp {{
                    type filter hook forward priority 1;
                    tcp flags syn tcp option maxseg size set rt mtu
                }}
                chain input {{
                    type filter hook input priority 0;
                    ct state invalid counter drop
                }}
            }}
            {nat}"""


def forward_port(node, outside, port, to_address):
    """Connections to the NAT router's outside address and this port reach to_address."""
    family = "ip6" if ":" in to_address else "ip"
    session.call(["nft", f"add rule {family} nat forwarded_ports iifname \"{outside}\" "
                  f"tcp dport {port} dnat to {to_address}"], node.netns)


def chain(seed, hops, nat=(), nat66=False, switches=("sw",), shapes=None, mtus=None, beside=(),
          lan=(), ports=None, twins=(), lines=None):
    """a – r1 – … – rN – b.

    nat: numbers of the routers that do NAT for the side of a. switches: "sw" between a and r1, "sw2"
    between rN and b. shapes, mtus: of segment i, which is the one behind router i (0: of a). beside:
    {host: (i, shape)}, hosts that hang on router i, by a wire if shape is not None. lan: more hosts on
    the switch of a; ports: {node: shape}, wires to their ports of that switch. twins: numbers of
    routers that have an equal beside them: r3 and r3b. lines: of segment i, which is a PPPoE session
    over such a line."""
    shapes, lines = shapes or {}, lines or {}
    mtus = {index: pppoe.MTU for index in lines} | (mtus or {})
    network = Network(seed)
    path = ["a"] + [f"r{i}" for i in range(1, hops + 1)] + ["b"]
    for name in path:
        node = network.add_node(name, "router" if name[0] == "r" else "host")
        node.nat = name[0] == "r" and int(name[1:]) in nat
        node.nat66 = node.nat and nat66

    def zone_of(index):
        return sum(1 for n in nat if n <= index)

    def options(index):
        zone = zone_of(index)
        kind = "outside" if zone == len(nat) else "lan" if zone == 0 else "carrier"
        return {"zone": zone, "kind": kind}

    for index in range(hops + 1):
        switch = {0: "sw", hops: "sw2"}.get(index) if index not in shapes else None
        network.add_segment(path[index], path[index + 1],
                            switch=switch if switch in switches else None,
                            shape=shapes.get(index), mtu=mtus.get(index, 1500),
                            pppoe=lines.get(index), **options(index))
    for host, (index, shape) in dict(beside).items():
        network.add_node(host)
        network.add_segment(f"r{index}", host, shape=shape, **options(index))
    network.segments[0].ports = dict(ports or {})
    for host in lan:
        network.join(host, network.segments[0])
    for index in twins:
        network.add_node(f"r{index}b", "router")
        for side in (index - 1, index + 1):
            network.add_segment(path[side], f"r{index}b", **options(min(side, index)))
    network.path = path
    return network
