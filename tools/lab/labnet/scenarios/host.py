# SPDX-License-Identifier: GPL-2.0-only
"""The two hosts themselves: their kernels, firewalls, resources."""

from ..scenario import Fault, Scenario, Truth

SCENARIOS = [
    Scenario("firewall-here-output", "the sender's own firewall drops what it sends",
             Fault("drop_output", "a"), Truth(("local-drop",), ("sender-host",)), seed=27),
    Scenario("firewall-here-input", "the sender's own firewall drops the answers",
             Fault("drop_input", "a"), Truth(("local-drop",), ("sender-host",)), seed=28),
    Scenario("firewall-here-receiver", "the receiver's own firewall drops the data",
             Fault("drop_input", "b"), Truth(("local-drop",), ("receiver-host",)),
             vantage="receiver", rtt_ms=5, seed=29),
]
