# SPDX-License-Identifier: GPL-2.0-only
"""The first and the last stretch: cards, cables, switch ports, neighbours."""

from ..scenario import Fault, Scenario, Truth

SCENARIOS = [
    Scenario("peer-unplugged", "the peer's cable is pulled at its card",
             Fault("host_unplugged", "b"),
             Truth(("peer-gone",), ("receiver-host", "link r4-b")), switches=("sw", "sw2"),
             seed=21),
    Scenario("peer-silent", "the peer answers ARP and nothing else, 80 ms away",
             Fault("host_silent", "b"), Truth(("peer-gone",), ("receiver-host", "link r4-b")),
             switches=("sw", "sw2"), rtt_ms=80, seed=22, quick=False),
    Scenario("peer-silent-v6", "the same, IPv6",
             Fault("host_silent", "b"), Truth(("peer-gone",), ("receiver-host", "link r4-b")),
             switches=("sw", "sw2"), family=6, seed=23),
]
