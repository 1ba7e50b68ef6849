# SPDX-License-Identifier: GPL-2.0-only
"""The two hosts themselves: their kernels, firewalls, resources."""

from ..scenario import CRAWL_AFTER, CRAWL_BPS, Fault, Scenario, Truth

SCENARIOS = [
    Scenario("firewall-here-output", "the sender's own firewall drops what it sends",
             Fault("drop_output", "a"), Truth(("local-drop",), ("sender-host",)), seed=27),
    Scenario("firewall-here-input", "the sender's own firewall drops the answers",
             Fault("drop_input", "a"), Truth(("local-drop",), ("sender-host",)), seed=28,
             quick=False),
    Scenario("firewall-here-receiver", "the receiver's own firewall drops the data",
             Fault("drop_input", "b"), Truth(("local-drop",), ("receiver-host",)),
             vantage="receiver", rtt_ms=5, seed=29),
    Scenario("window-small", "the receiver's buffer is cut to 4 KiB, 80 ms away",
             Fault("buffer_cut", "receiver", CRAWL_AFTER, options={"bytes": 4096}),
             Truth(("window-limited",), ("receiver-host",), slow=True), rtt_ms=80, rate_bps=CRAWL_BPS,
             seed=53),
    Scenario("sender-throttled", "the sender computes on 2 % of a processor; the user named it",
             Fault("throttled", "sender", options={"percent": 2}),
             Truth(("sender-idle",), ("sender-app",)), options=("port {port}",), seed=54),
]
