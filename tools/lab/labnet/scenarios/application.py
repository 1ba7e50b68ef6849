# SPDX-License-Identifier: GPL-2.0-only
"""The two programs: what they do not read, send or hold."""

from ..scenario import Fault, Scenario, Truth

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
]
