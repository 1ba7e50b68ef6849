# SPDX-License-Identifier: GPL-2.0-only
"""The first stretch: our card, its cable, the switch and who else is plugged into it."""

from ..scenario import CRAWL_AFTER, CRAWL_BPS, Fault, Scenario, Truth

HERE = ("link a-r1",)
LAN = ("d", "e")

SCENARIOS = [
    Scenario("link-down", "the switch port of the sender goes dark",
             Fault("port_off", "a"), Truth(("link-down",), HERE), seed=61, quick=False),
    Scenario("link-down-v6", "the same, IPv6, and it comes back after 6 s",
             Fault("port_off", "a", undo_after_s=6),
             Truth(("link-down",), HERE, outcome="recovered"), family=6, seed=62),
    Scenario("link-down-macvlan", "the same under a macvlan interface of the sender",
             Fault("port_off", "a"), Truth(("link-down",), HERE), arrange=("macvlan",), seed=58,
             quick=False),
    Scenario("interface-down", "somebody takes the sender's interface down",
             Fault("host_unplugged", "a"), Truth(("link-down",), HERE), seed=63),
    Scenario("gateway-off", "the cable of the gateway is pulled; other neighbours live",
             Fault("port_off", "r1"), Truth(("neighbour-unreachable",), HERE), lan=LAN, seed=64),
    Scenario("gateway-off-v6", "the same, IPv6",
             Fault("port_off", "r1"), Truth(("neighbour-unreachable",), HERE), lan=LAN, family=6,
             seed=65, quick=False),
    Scenario("bad-port-gateway", "the switch port of the gateway damages packets, most large ones",
             Fault("port_damages", "r1", options={"bit_errors_ppb": 120000}),
             Truth(("path-loss",), HERE), lan=LAN, ports={"r1": {}}, seed=66),
    Scenario("bad-port-here", "the same of the sender's own port, IPv6",
             Fault("port_damages", "a", options={"bit_errors_ppb": 120000}),
             Truth(("path-loss",), HERE), lan=LAN, ports={"a": {}}, family=6, seed=67, quick=False),
    Scenario("dying-switch", "the sender's port loses two packets in three, of any size",
             Fault("port_damages", "a", options={"loss_ppm": 400000}),
             Truth(("path-loss",), HERE, slow=None), lan=LAN, ports={"a": {}}, seed=68,
             quick=False),
    Scenario("half-duplex", "the sender's card comes up with 10 Mbit/s in half duplex",
             Fault("half_duplex", "a", CRAWL_AFTER), Truth(("link-degraded",), HERE, slow=None),
             lan=LAN, ports={"a": {}}, rate_bps=CRAWL_BPS, seed=77, quick=False),
    Scenario("second-gateway", "another box comes up with the gateway's address",
             Fault("address_taken", "d", options={"of": "r1"}),
             Truth(("address-conflict",), HERE), lan=LAN, seed=69),
    Scenario("address-stolen", "another box comes up with the sender's own address",
             Fault("address_taken", "d", options={"of": "a"}),
             Truth(("address-conflict",), HERE), lan=LAN, seed=70),
]
