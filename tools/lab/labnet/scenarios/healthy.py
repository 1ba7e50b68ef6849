# SPDX-License-Identifier: GPL-2.0-only
"""Nothing is wrong, and nothing may be reported."""

from ..scenario import MBIT, Scenario, Transfer

LOSSY = {"delay_us": 15000, "rate_bps": 50 * MBIT, "queue_bytes": 400000, "loss_ppm": 10000}
BULK = {"pace_bps": 30 * MBIT}
MIX = (
    Transfer("paced", send={"chunk": 64 << 10, "every_ms": 100}),
    Transfer("idle", send={"bytes": 3 << 20, "then": "hold"}),
    Transfer("bursty", send={"chunk": 3 << 20, "every_ms": 5000, "pace_bps": 40 * MBIT}),
    Transfer("slow-reader", send=BULK,
             receive={"chunk": 60 << 10, "every_ms": 250, "rcvbuf": 128 << 10}),
    Transfer("lossy", listener="c", send={"pace_bps": 10 * MBIT}),
    Transfer("download", sender="listener", send=BULK),
    Transfer("web-fin", ask=True, send={"bytes": 300 << 10, "every_ms": 200}),
    Transfer("web-reset", ask=True, send={"bytes": 2 << 20, "every_ms": 1500, "then": "reset"},
             receive={"then": "hold"}),
    Transfer("web-half", ask=True, send={"bytes": 2 << 20, "every_ms": 1300, "then": "half"}),
)

SCENARIOS = [
    Scenario("healthy", "bulk, paced, idle, bursty, lossy, slow, web: nothing may be reported",
             nat=(1,), mtus={1: 1492}, rtt_ms=25, rate_bps=150 * MBIT, seconds=40,
             beside={"c": (4, LOSSY)}, main=Transfer("main", send=BULK), others=MIX, seed=31,
             quick=False),
    Scenario("healthy-receiver", "the same, IPv6, seen from the other end, 80 ms",
             hops=3, family=6, rtt_ms=80, rate_bps=150 * MBIT, seconds=40,
             beside={"c": (3, LOSSY)}, main=Transfer("main", send=BULK), others=MIX,
             vantage="receiver", seed=32),
    Scenario("healthy-forged-errors", "forged ICMP errors about a connection that is well",
             seconds=20, main=Transfer("main", send=BULK), arrange=("forged_errors",), seed=33,
             quick=False),
]
