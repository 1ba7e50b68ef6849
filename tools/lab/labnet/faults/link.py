# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the first and the last stretch."""

from .. import session
from .common import chain, nft, of_all


@of_all
def host_unplugged(stage, at):
    """The host's interface goes down; the switch port beside it stays up."""
    node = stage.network.nodes[at]
    name = node.interfaces[0].name
    session.call(["ip", "link", "set", name, "down"], node.netns)
    return lambda: session.call(["ip", "link", "set", name, "up"], node.netns)


@of_all
def host_silent(stage, at):
    """The host still answers ARP and ND (its card lives), nothing else."""
    return nft(stage, at, chain("prerouting", "icmpv6 type { nd-neighbor-solicit, "
                                  "nd-neighbor-advert } accept; counter drop", priority=-300))
