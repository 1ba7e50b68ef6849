# SPDX-License-Identifier: GPL-2.0-only
"""What faults are made of."""

from .. import session


def nft(stage, at, rules):
    """Rules of a table of their own at a node; undone by removing the table."""
    netns = stage.network.nodes[at].netns
    session.call(["nft", "-f", "-"], netns, "table inet fault {\n" + rules + "\n}")
    return lambda: session.call(["nft", "delete", "table", "inet", "fault"], netns)


def chain(hook, rule, kind="filter", priority=-10):
    return f"chain {hook} {{ type {kind} hook {hook} priority {priority}; {rule}\n}}"


def flow(stage, reply=False):
    """The main transfer's data packets, or what answers them, as nftables match. Only the port of the
    listener is used: addresses change on the way through NAT, that port does not."""
    port = stage.traffic.end(stage.main, "listener").local[1]
    to_listener = (stage.main.sender == "opener") != reply
    return f"tcp {'dport' if to_listener else 'sport'} {port}"


def of_all(fault):
    """Marks a fault that is not of one connection: what goes the same way stops too."""
    fault.of_all = True
    return fault
