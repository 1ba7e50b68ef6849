# SPDX-License-Identifier: GPL-2.0-only
"""Faults of boxes that know connections."""

from .. import session
from .common import chain, flow, nft


def state_deleted(stage, at):
    """The router forgets the connection: its conntrack entry is deleted (and nf_conntrack_tcp_loose
    is 0, so that nothing but a SYN makes a new one)."""
    port = stage.traffic.end(stage.main, "listener").local[1]
    session.call(["conntrack", "-D", "-f", f"ipv{stage.family}", "-p", "tcp",
                  "--orig-port-dst", str(port)], stage.network.nodes[at].netns)
    return None


def state_over_bytes(stage, at, over_bytes=24 << 20):
    """The router stops forwarding any one connection that has moved too much. On from the start."""
    return nft(stage, at, chain("forward", f"meta l4proto tcp ct bytes > {over_bytes} counter drop"))


def drop_answers(stage, at):
    """ACKs of this connection, and of no other, are lost on their way back; its data still passes.
    For paths without NAT: both ports are the ends' own."""
    opener = stage.traffic.end(stage.main, "opener").local[1]
    side = "sport" if stage.main.sender == "opener" else "dport"
    other = "dport" if side == "sport" else "sport"
    listener = stage.traffic.end(stage.main, "listener").local[1]
    match = f"tcp {side} {listener} tcp {other} {opener}"
    return nft(stage, at, chain("forward", match + " counter drop"))


def tuple_dropped(stage, at, hook="forward"):
    """The router drops what it has on a list of addresses and ports, this connection both ways. At
    prerouting it does so before it looks at the TTL."""
    ends = [stage.traffic.end(stage.main, which).local for which in ("opener", "listener")]
    keys = [f"{a[0]} . {a[1]} . {b[0]} . {b[1]}" for a, b in (ends, ends[::-1])]
    ip, kind = ("ip", "ipv4_addr") if stage.family == 4 else ("ip6", "ipv6_addr")
    return nft(stage, at, f"set dead {{ type {kind} . inet_service . {kind} . inet_service; "
               f"elements = {{ {', '.join(keys)} }} }}\n" +
               chain(hook, f"{ip} saddr . tcp sport . {ip} daddr . tcp dport @dead counter drop"))


def reset_forged(stage, at):
    """A box on the path answers a data packet of this connection with a reset."""
    return nft(stage, at, chain("forward", flow(stage) + " counter reject with tcp reset"))
