# SPDX-License-Identifier: GPL-2.0-only
"""The first stretch: our card, its cable, the switch and who else is plugged into it."""

from ..scenario import Fault, Scenario, Truth

HERE = ("link a-r1",)
LAN = ("d", "e")

SCENARIOS = [
    Scenario("link-down", "the switch port of the sender goes dark",
             Fault("port_off", "a"), Truth(("link-down",), HERE), seed=61),
    Scenario("link-down-v6", "the same, IPv6, and it comes back after 6 s",
             Fault("port_off", "a", undo_after_s=6),
             Truth(("link-down",), HERE, outcome="recovered"), family=6, seed=62),
    Scenario("interface-down", "somebody takes the sender's interface down",
             Fault("host_unplugged", "a"), Truth(("link-down",), HERE), seed=63),
    Scenario("gateway-off", "the cable of the gateway is pulled; other neighbours live",
             Fault("port_off", "r1"), Truth(("neighbour-unreachable",), HERE), lan=LAN, seed=64),
    Scenario("gateway-off-v6", "the same, IPv6",
             Fault("port_off", "r1"), Truth(("neighbour-unreachable",), HERE), lan=LAN, family=6,
             seed=65),
    Scenario("bad-port-gateway", "the switch port of the gateway loses most large packets",
             Fault("port_lossy", "r1"), Truth(("path-loss",), HERE), lan=LAN, seed=66),
    Scenario("bad-port-here", "the same of the sender's own port, IPv6",
             Fault("port_lossy", "a", options={"small": 15, "large": 95}),
             Truth(("path-loss",), HERE), lan=LAN, family=6, seed=67),
    Scenario("dying-switch", "the sender's port loses two packets in three, of any size",
             Fault("port_lossy", "a", options={"small": 65, "large": 65}),
             Truth(("path-loss",), HERE), lan=LAN, seed=68),
    Scenario("second-gateway", "another box comes up with the gateway's address",
             Fault("address_taken", "d", options={"of": "r1"}),
             Truth(("address-conflict",), HERE), lan=LAN, seed=69),
    Scenario("address-stolen", "another box comes up with the sender's own address",
             Fault("address_taken", "d", options={"of": "a"}),
             Truth(("address-conflict",), HERE), lan=LAN, seed=70),
]
