# SPDX-License-Identifier: GPL-2.0-only
"""Boxes on the path that know connections: NAT, firewalls, load balancers."""

from ..scenario import (CRAWL_AFTER, CRAWL_BPS, DOWNLOAD, DOWNLOAD_WITNESSES, MBIT, Fault, Scenario,
                        Transfer, Truth)

STATE_LOST = ("connection-state-lost",)

# A box between routers 2 and 3.
BOX = ("hop r2", "link r2-r3", "hop r3")
NO_ADDRESS = "the box stands on a wire and has no address of its own"
REWRITTEN = Truth(("header-rewrite",), ("path", *BOX), slow=None,
                  why=NO_ADDRESS + "; a rewriting box lets probes pass")


def lost_at(router):
    return Truth(STATE_LOST, (f"hop {router}",))


SCENARIOS = [
    Scenario("nat-forgets-hop2", "the NAT at hop 2 loses the connection's entry",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,)),
    Scenario("nat-forgets-hop4", "the NAT at hop 4 loses the connection's entry, 80 ms away",
             Fault("state_deleted", "r4"), lost_at("r4"), hops=6, nat=(4,), rtt_ms=80, seed=2,
             quick=False),
    Scenario("firewall-forgets-hop2-v6", "the stateful firewall at hop 2 loses the entry, IPv6",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,), family=6, seed=3, quick=False),
    Scenario("nat66-forgets-hop4", "the NAT at hop 4 loses the entry, IPv6",
             Fault("state_deleted", "r4"), lost_at("r4"), hops=6, nat=(4,), nat66=True, family=6,
             rtt_ms=40, seed=4),
    Scenario("nat-over-bytes-hop2", "the NAT at hop 2 stops a connection after 24 MiB, 0.2 ms away",
             Fault("state_over_bytes", "r2", 0), lost_at("r2"), hops=3, nat=(2,), rtt_ms=0.2,
             seed=5, quick=False),
    Scenario("nat-over-bytes-hop4-v6", "the firewall at hop 4 stops a connection after 24 MiB, IPv6",
             Fault("state_over_bytes", "r4", 0), lost_at("r4"), hops=5, nat=(4,), family=6,
             rtt_ms=80, rate_bps=200 * MBIT, seed=6),
    Scenario("nat-behind-nat", "two NATs in a row, the second (at hop 4) loses the entry early",
             Fault("state_deleted", "r4", 2 << 20), lost_at("r4"), hops=6, nat=(1, 4),
             rate_bps=20 * MBIT, seed=7, quick=False),
    Scenario("nat-forgets-download", "as hop2, but the data comes in; seen by its receiver",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,), main=DOWNLOAD,
             others=DOWNLOAD_WITNESSES, vantage="receiver", seed=8),
    Scenario("nat-forgets-run", "the same around a command, with tcpstall run",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,), main=DOWNLOAD,
             others=DOWNLOAD_WITNESSES, vantage="receiver", mode="run", seed=9),
    Scenario("nat-forgets-gateway", "the gateway itself forgets, MTU 1492 behind it, BBR",
             Fault("state_deleted", "r1"), lost_at("r1"), hops=5, nat=(1,), mtus={1: 1492},
             rtt_ms=30, congestion="bbr", seed=10),
    Scenario("answers-lost", "ACKs of this connection are lost at hop 3; seen by the sender",
             Fault("drop_answers", "r3"), Truth(STATE_LOST, ("path", "hop r3")), seed=11),
    Scenario("answers-lost-receiver", "the same, seen by the receiver, whose ACKs these are",
             Fault("drop_answers", "r3"), lost_at("r3"), vantage="receiver", hops=5, seed=12),
    Scenario("reset-forged-hop2", "a box at hop 2 answers with a reset",
             Fault("reset_forged", "r2"),
             Truth(("connection-reset",), ("hop r2",), outcome="reset"), seed=24, quick=False),
    Scenario("reset-forged-hop2-v6", "the same, IPv6, 80 ms",
             Fault("reset_forged", "r2"),
             Truth(("connection-reset",), ("hop r2",), outcome="reset"), family=6, rtt_ms=80,
             hops=6, seed=25),
    Scenario("backup-run", "pg_basebackup behind a NAT that loses it, with tcpstall run around it",
             truth=lost_at("r1"), hops=5, nat=(1,), mtus={1: 1492}, mode="backup-run", seed=33),
    Scenario("backup-watch", "the server behind that NAT, tcpstall watch beside it",
             truth=lost_at("r1"), hops=5, nat=(1,), mtus={1: 1492}, mode="backup-watch", seed=34),
    Scenario("content-drop", "a filter drops one segment and whatever repeats it",
             Fault("wire_rule", "r2-r3", options={"segment": 400}),
             Truth(("content-drop",), BOX, why=NO_ADDRESS), wire_behind=2, seed=35, quick=False),
    Scenario("content-drop-v6", "the same by a pattern in the data, IPv6, 80 ms",
             Fault("wire_rule", "r2-r3", options={"content": f"{90:016x}"}),
             Truth(("content-drop",), BOX, why=NO_ADDRESS), wire_behind=2, family=6, rtt_ms=80,
             hops=5, seed=36),
    Scenario("watched-twice", "the same, and another tcpstall on the host probes the connection, too",
             Fault("wire_rule", "r2-r3", options={"content": f"{90:016x}"}),
             Truth(("content-drop",), BOX, why=NO_ADDRESS), wire_behind=2, family=6, rtt_ms=80,
             hops=5, arrange=("another_watcher",), seed=57, quick=False),
    Scenario("sequence-shifted", "a box shifts sequence numbers, SACK is left alone; then some loss",
             Fault("line", "r2-r3", CRAWL_AFTER, options={"loss_ppm": 20000}), REWRITTEN,
             wire_behind=2, arrange=("sequence_numbers_shifted",),
             main=Transfer("main", send={"pace_bps": CRAWL_BPS}), seed=37, quick=False),
    Scenario("window-shrunk", "a box takes the window for unscaled from now on",
             Fault("wire_rule", "r2-r3", CRAWL_AFTER,
                   options={"direction": "back", "action": "window", "by": 8}),
             REWRITTEN, wire_behind=2, rate_bps=CRAWL_BPS, rtt_ms=150, seed=38, quick=False),
    Scenario("timestamps-set-back", "a box sets this connection's timestamps back",
             Fault("wire_rule", "r2-r3", options={"action": "tsval", "by": 2 ** 32 - 10 ** 7}),
             REWRITTEN, wire_behind=2, seed=39, quick=False),
    Scenario("nat-here-forgets", "this host's own NAT forgets the connection of a container",
             Fault("state_deleted", "r1"),
             Truth(("connection-state-lost", "local-drop"), ("hop r1", "sender-host"),
                   why="the NAT is a hop of the container's path and a kernel that we run on"),
             nat=(1,), vantage="around", seed=52),
    Scenario("listed-hop2", "router 2 drops what is on its list, this connection",
             Fault("tuple_dropped", "r2"), lost_at("r2"), seed=55, quick=False),
    Scenario("listed-early-hop3", "router 3 drops what is on its list before it looks at the TTL, IPv6",
             Fault("tuple_dropped", "r3", options={"hook": "prerouting"}),
             Truth(STATE_LOST, ("hop r3", "hop r2", "link r2-r3"),
                   why="the last that answers is the router before"),
             hops=5, family=6, seed=56, quick=False),
]
