# SPDX-License-Identifier: GPL-2.0-only
"""Seen in packets, without BPF: at the two ends, where probes go on, and on a router between."""

from ..scenario import DOWNLOAD, DOWNLOAD_WITNESSES, MBIT, Fault, Scenario, Transfer, Truth
from .healthy import BULK, LOSSY, MIX
from .middlebox import lost_at

PACKETS = ("--source", "pcap")

SCENARIOS = [
    Scenario("packets-sender", "packets at the sender: the NAT at hop 2 loses the entry",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,),
             options=PACKETS, seed=51),
    Scenario("packets-receiver", "packets at the receiver: the NAT at hop 2 loses the entry",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,),
             main=DOWNLOAD, others=DOWNLOAD_WITNESSES, vantage="receiver", options=PACKETS,
             seed=52, quick=False),
    Scenario("packets-router-blackhole", "packets on router 2: router 3 forwards nothing any more",
             Fault("blackhole", "r3"), Truth(("path-blackhole",), ("path", "hop r3")), vantage="r2",
             beside={"c": (2, None)}, seed=53),
    Scenario("packets-router-receiver-stopped", "packets on router 2: the receiver stands still",
             Fault("program_stopped", "receiver"),
             Truth(("receiver-not-reading",), ("receiver-app",)), vantage="r2", family=6, seed=54),
    Scenario("packets-router-healthy", "packets on router 2: nothing may be reported",
             rtt_ms=40, rate_bps=150 * MBIT, seconds=30, main=Transfer("main", send=BULK),
             others=MIX, beside={"c": (4, LOSSY)}, vantage="r2", seed=55),
]
