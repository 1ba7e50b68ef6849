# SPDX-License-Identifier: GPL-2.0-only
"""What happens to all that goes the same way, beyond the first link: routers, lines, sizes."""

from ..scenario import Fault, Scenario, Transfer, Truth

SCENARIOS = [
    Scenario("blackhole-hop3", "router 3 forwards nothing any more",
             Fault("blackhole", "r3"), Truth(("path-blackhole",), ("hop r3", "link r3-r4")),
             hops=5, rtt_ms=40, wire_behind=1, beside={"c": (2, None)}, seed=13),
    Scenario("blackhole-hop3-v6", "the same, IPv6, 0.2 ms",
             Fault("blackhole", "r3"), Truth(("path-blackhole",), ("hop r3", "link r3-r4")),
             hops=5, family=6, rtt_ms=0.2, wire_behind=1, beside={"c": (2, None)}, seed=14),
    Scenario("narrow-hop3", "MTU 1400 behind hop 3, too-big messages suppressed",
             Fault("narrow", "r3"), Truth(("size-blackhole",), ("hop r3", "link r3-r4")),
             hops=5, wire_behind=2, seed=15),
    Scenario("narrow-hop3-v6", "the same, IPv6, 80 ms",
             Fault("narrow", "r3"), Truth(("size-blackhole",), ("hop r3", "link r3-r4")),
             hops=5, family=6, rtt_ms=80, wire_behind=2, seed=16),
    Scenario("outage-6s", "router 3 forwards nothing for 6 s, then all is well again",
             Fault("blackhole", "r3", undo_after_s=6),
             Truth(("path-blackhole",), ("hop r3", "link r3-r4"), outcome="recovered"),
             hops=5, wire_behind=1, beside={"c": (2, None)}, main=Transfer("main",
                                                                             send={"bytes": 90 << 20}),
             seed=30),
]
