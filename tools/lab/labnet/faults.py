# SPDX-License-Identifier: GPL-2.0-only
"""Faults, each a function of a running scenario (run.py) that returns how to undo it.

`stage` gives network, traffic and the main transfer; `at` is a node. All are switched on by events
of the traffic, after so many bytes, never by the clock.
"""

import signal

from . import session


def _nft(stage, at, rules):
    """Rules of a table of their own at a node; undone by removing the table."""
    netns = stage.network.nodes[at].netns
    session.call(["nft", "-f", "-"], netns, "table inet fault {\n" + rules + "\n}")
    return lambda: session.call(["nft", "delete", "table", "inet", "fault"], netns)


def _chain(hook, rule, kind="filter", priority=-10):
    return f"chain {hook} {{ type {kind} hook {hook} priority {priority}; {rule}\n}}"


def _flow(stage, reply=False):
    """The main transfer's data packets, or what answers them, as nftables match. Only the port of the
    listener is used: addresses change on the way through NAT, that port does not."""
    port = stage.traffic.end(stage.main, "listener").local[1]
    to_listener = (stage.main.sender == "opener") != reply
    return f"tcp {'dport' if to_listener else 'sport'} {port}"


def state_deleted(stage, at):
    """The router forgets the connection: its conntrack entry is deleted (and nf_conntrack_tcp_loose
    is 0, so that nothing but a SYN makes a new one)."""
    port = stage.traffic.end(stage.main, "listener").local[1]
    session.call(["conntrack", "-D", "-f", f"ipv{stage.family}", "-p", "tcp",
                  "--orig-port-dst", str(port)], stage.network.nodes[at].netns)
    return None


def state_over_bytes(stage, at, over_bytes=24 << 20):
    """The router stops forwarding any one connection that has moved too much. On from the start."""
    return _nft(stage, at, _chain("forward", f"meta l4proto tcp ct bytes > {over_bytes} counter drop"))


def drop_answers(stage, at):
    """ACKs of this connection, and of no other, are lost on their way back; its data still passes.
    For paths without NAT: both ports are the ends' own."""
    opener = stage.traffic.end(stage.main, "opener").local[1]
    side = "sport" if stage.main.sender == "opener" else "dport"
    other = "dport" if side == "sport" else "sport"
    listener = stage.traffic.end(stage.main, "listener").local[1]
    match = f"tcp {side} {listener} tcp {other} {opener}"
    return _nft(stage, at, _chain("forward", match + " counter drop"))


def blackhole(stage, at):
    """The router forwards nothing any more and says nothing."""
    return _nft(stage, at, _chain("forward", "counter drop"))


def narrow(stage, at, mtu=1400):
    """The way out of the router shrinks, and the ICMP message that would say so is suppressed."""
    path = stage.network.path
    step = 1 if stage.node_of("sender") == path[0] else -1
    onward = stage.network.segment_between(at, path[path.index(at) + step])
    node = stage.network.nodes[at]
    undo = _nft(stage, at, _chain("output", "icmp type destination-unreachable icmp code 4 counter drop;"
                                  " icmpv6 type packet-too-big counter drop"))
    session.call(["ip", "link", "set", node.on(onward).name, "mtu", str(mtu)], node.netns)
    return undo


def program_stopped(stage, at):
    """at: sender or receiver. The program is stopped as by Ctrl-Z."""
    end = stage.traffic.end(stage.main, at)
    end.signal(signal.SIGSTOP)
    return lambda: end.signal(signal.SIGCONT)


def reset_by_program(stage, at):
    """The program at this end closes with unread data or SO_LINGER 0: its kernel sends a reset."""
    stage.traffic.end(stage.main, at).say("reset")
    return None


def reset_forged(stage, at):
    """A box on the path answers a data packet of this connection with a reset."""
    return _nft(stage, at, _chain("forward", _flow(stage) + " counter reject with tcp reset"))


def host_unplugged(stage, at):
    """The host's interface goes down; the switch port beside it stays up."""
    node = stage.network.nodes[at]
    name = node.interfaces[0].name
    session.call(["ip", "link", "set", name, "down"], node.netns)
    return lambda: session.call(["ip", "link", "set", name, "up"], node.netns)


def host_silent(stage, at):
    """The host still answers ARP and ND (its card lives), nothing else."""
    return _nft(stage, at, _chain("prerouting", "icmpv6 type { nd-neighbor-solicit, "
                                  "nd-neighbor-advert } accept; counter drop", priority=-300))


def drop_output(stage, at):
    """The host's own firewall drops what this connection sends."""
    end = stage.end_at(at)
    return _nft(stage, at, _chain("output", f"tcp sport {end.local[1]} counter drop"))


def drop_input(stage, at):
    """The host's own firewall drops what this connection receives."""
    end = stage.end_at(at)
    return _nft(stage, at, _chain("input", f"tcp dport {end.local[1]} counter drop"))


def wire_rule(stage, at, direction="ab", action="drop", **match):
    """at: the two ends of a wire, "r2-r3". A rule of wire.c."""
    wire = stage.network.wire_between(*at.split("-"))
    number = wire.rule(direction, action, **match)
    return lambda: wire.unrule(number)
