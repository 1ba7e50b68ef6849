# SPDX-License-Identifier: GPL-2.0-only
"""The two programs: what they do not read, send or hold."""

from ..scenario import Fault, Scenario, Transfer, Truth

SCENARIOS = [
    Scenario("receiver-stopped", "the receiving program is stopped; seen by the sender",
             Fault("program_stopped", "receiver"),
             Truth(("receiver-not-reading",), ("receiver-app",)), seed=17),
    Scenario("receiver-stopped-here", "the same, seen where the receiver runs",
             Fault("program_stopped", "receiver"),
             Truth(("receiver-not-reading",), ("receiver-app",)), vantage="receiver", hops=3,
             rtt_ms=5, seed=18),
    Scenario("sender-stopped", "the sending program is stopped; the user named the connection",
             Fault("program_stopped", "sender"), Truth(("sender-idle",), ("sender-app",)),
             options=("port {port}",), rtt_ms=5, seed=19, quick=False),
    Scenario("sender-stopped-receiver", "the same, seen by the receiver",
             Fault("program_stopped", "sender"), Truth(("sender-idle",), ("sender-app",)),
             options=("port {port}",), vantage="receiver", rtt_ms=40, seed=20),
    Scenario("reset-by-peer", "the receiving program ends the connection with a reset",
             Fault("reset_by_program", "receiver"),
             Truth(("connection-reset",), ("receiver-host", "receiver-app"), outcome="reset"),
             seed=26),
    Scenario("receiver-disk-hangs", "the disk hangs that the receiving program writes to; seen there",
             Fault("disk_hangs", "receiver"),
             Truth(("receiver-not-reading",), ("receiver-app",),
                   detail=r"^python3 \(\d+\) waits uninterruptibly.*: \w"),
             vantage="receiver", hops=3, rtt_ms=5, arrange=("disk",), seed=55, quick=False),
    Scenario("receiver-pipe-full", "what it hands its data to through a pipe is stopped; seen there",
             Fault("reader_stopped", "receiver"),
             Truth(("receiver-not-reading",), ("receiver-app",),
                   detail=r"^python3 \(\d+\) sleeps in \w*pipe_write"),
             main=Transfer("main", receive={"pipe": "cat"}), vantage="receiver", hops=3, rtt_ms=5,
             seed=56, quick=False),
    Scenario("given-up", "the sender gives up while it is found out that router 3 is dead",
             Fault("given_up", "r3", undo_after_s=3.3),
             Truth(("path-blackhole",), ("hop r3", "link r3-r4"), outcome="closed"),
             hops=5, beside={"c": (2, None)}, seed=57, quick=False),
]
