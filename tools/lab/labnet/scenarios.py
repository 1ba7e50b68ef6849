# SPDX-License-Identifier: GPL-2.0-only
"""The scenarios. To add one, add an entry; `lab list` prints them, `lab run NAME` runs it."""

from .scenario import MBIT, PACED, Fault, Scenario, Transfer, Truth

UPLOAD = Transfer("main")
DOWNLOAD = Transfer("main", sender="listener")
DOWNLOAD_WITNESSES = (Transfer("same-peer", sender="listener", send=PACED),
                      Transfer("other-peer", listener="c", sender="listener", send=PACED))

STATE_LOST = ("connection-state-lost",)


def lost_at(router):
    return Truth(STATE_LOST, (f"hop {router}",))


ALL = [
    Scenario("nat-forgets-hop2", "the NAT at hop 2 loses the connection's entry",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,)),
    Scenario("nat-forgets-hop4", "the NAT at hop 4 loses the connection's entry, 80 ms away",
             Fault("state_deleted", "r4"), lost_at("r4"), hops=6, nat=(4,), rtt_ms=80, seed=2),
    Scenario("firewall-forgets-hop2-v6", "the stateful firewall at hop 2 loses the entry, IPv6",
             Fault("state_deleted", "r2"), lost_at("r2"), nat=(2,), family=6, seed=3),
    Scenario("nat66-forgets-hop4", "the NAT at hop 4 loses the entry, IPv6",
             Fault("state_deleted", "r4"), lost_at("r4"), hops=6, nat=(4,), nat66=True, family=6,
             rtt_ms=40, seed=4),
    Scenario("nat-over-bytes-hop2", "the NAT at hop 2 stops a connection after 24 MiB, 0.2 ms away",
             Fault("state_over_bytes", "r2", 0), lost_at("r2"), hops=3, nat=(2,), rtt_ms=0.2,
             seed=5),
    Scenario("nat-over-bytes-hop4-v6", "the firewall at hop 4 stops a connection after 24 MiB, IPv6",
             Fault("state_over_bytes", "r4", 0), lost_at("r4"), hops=5, nat=(4,), family=6,
             rtt_ms=80, rate_bps=200 * MBIT, seed=6),
    Scenario("nat-behind-nat", "two NATs in a row, the second (at hop 4) loses the entry early",
             Fault("state_deleted", "r4", 2 << 20), lost_at("r4"), hops=6, nat=(1, 4),
             rate_bps=20 * MBIT, seed=7),
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
    Scenario("receiver-stopped", "the receiving program is stopped; seen by the sender",
             Fault("program_stopped", "receiver"),
             Truth(("receiver-not-reading",), ("receiver-app",)), seed=17),
    Scenario("receiver-stopped-here", "the same, seen where the receiver runs",
             Fault("program_stopped", "receiver"),
             Truth(("receiver-not-reading",), ("receiver-app",)), vantage="receiver", hops=3,
             rtt_ms=5, seed=18),
    Scenario("sender-stopped", "the sending program is stopped; the user named the connection",
             Fault("program_stopped", "sender"), Truth(("sender-idle",), ("sender-app",)),
             options=("port {port}",), rtt_ms=5, seed=19),
    Scenario("sender-stopped-receiver", "the same, seen by the receiver",
             Fault("program_stopped", "sender"), Truth(("sender-idle",), ("sender-app",)),
             options=("port {port}",), vantage="receiver", rtt_ms=40, seed=20),
    Scenario("peer-unplugged", "the peer's cable is pulled at its card",
             Fault("host_unplugged", "b"),
             Truth(("peer-gone",), ("receiver-host", "link r4-b")), switches=("sw", "sw2"),
             seed=21),
    Scenario("peer-silent", "the peer answers ARP and nothing else, 80 ms away",
             Fault("host_silent", "b"), Truth(("peer-gone",), ("receiver-host", "link r4-b")),
             switches=("sw", "sw2"), rtt_ms=80, seed=22),
    Scenario("peer-silent-v6", "the same, IPv6",
             Fault("host_silent", "b"), Truth(("peer-gone",), ("receiver-host", "link r4-b")),
             switches=("sw", "sw2"), family=6, seed=23),
    Scenario("reset-forged-hop2", "a box at hop 2 answers with a reset",
             Fault("reset_forged", "r2"),
             Truth(("connection-reset",), ("hop r2",), outcome="reset"), seed=24),
    Scenario("reset-forged-hop2-v6", "the same, IPv6, 80 ms",
             Fault("reset_forged", "r2"),
             Truth(("connection-reset",), ("hop r2",), outcome="reset"), family=6, rtt_ms=80,
             hops=6, seed=25),
    Scenario("reset-by-peer", "the receiving program ends the connection with a reset",
             Fault("reset_by_program", "receiver"),
             Truth(("connection-reset",), ("receiver-host", "receiver-app"), outcome="reset"),
             seed=26),
    Scenario("firewall-here-output", "the sender's own firewall drops what it sends",
             Fault("drop_output", "a"), Truth(("local-drop",), ("sender-host",)), seed=27),
    Scenario("firewall-here-input", "the sender's own firewall drops the answers",
             Fault("drop_input", "a"), Truth(("local-drop",), ("sender-host",)), seed=28),
    Scenario("firewall-here-receiver", "the receiver's own firewall drops the data",
             Fault("drop_input", "b"), Truth(("local-drop",), ("receiver-host",)),
             vantage="receiver", rtt_ms=5, seed=29),
    Scenario("outage-6s", "router 3 forwards nothing for 6 s, then all is well again",
             Fault("blackhole", "r3", undo_after_s=6),
             Truth(("path-blackhole",), ("hop r3", "link r3-r4"), outcome="recovered"),
             hops=5, wire_behind=1, beside={"c": (2, None)}, main=Transfer("main",
                                                                             send={"bytes": 90 << 20}),
             seed=30),
]

_LOSSY = {"delay_us": 15000, "rate_bps": 50 * MBIT, "queue_bytes": 400000, "loss_ppm": 10000}
_BULK = {"pace_bps": 30 * MBIT}
_MIX = (
    Transfer("paced", send={"chunk": 64 << 10, "every_ms": 100}),
    Transfer("idle", send={"bytes": 3 << 20, "then": "hold"}),
    Transfer("bursty", send={"chunk": 3 << 20, "every_ms": 5000, "pace_bps": 40 * MBIT}),
    Transfer("slow-reader", send=_BULK,
             receive={"chunk": 60 << 10, "every_ms": 250, "rcvbuf": 128 << 10}),
    Transfer("lossy", listener="c", send={"pace_bps": 10 * MBIT}),
    Transfer("download", sender="listener", send=_BULK),
    Transfer("web-fin", ask=True, send={"bytes": 300 << 10, "every_ms": 200}),
    Transfer("web-reset", ask=True, send={"bytes": 2 << 20, "every_ms": 1500, "then": "reset"},
             receive={"then": "hold"}),
    Transfer("web-half", ask=True, send={"bytes": 2 << 20, "every_ms": 1300, "then": "half"}),
)

ALL += [
    Scenario("healthy", "bulk, paced, idle, bursty, lossy, slow, web: nothing may be reported",
             nat=(1,), mtus={1: 1492}, rtt_ms=25, rate_bps=150 * MBIT, seconds=40,
             beside={"c": (4, _LOSSY)}, main=Transfer("main", send=_BULK), others=_MIX, seed=31),
    Scenario("healthy-receiver", "the same, IPv6, seen from the other end, 80 ms",
             hops=3, family=6, rtt_ms=80, rate_bps=150 * MBIT, seconds=40,
             beside={"c": (3, _LOSSY)}, main=Transfer("main", send=_BULK), others=_MIX,
             vantage="receiver", seed=32),
]

ALL += [
    Scenario("backup-run", "pg_basebackup behind a NAT that loses it, with tcpstall run around it",
             truth=lost_at("r1"), hops=5, nat=(1,), mtus={1: 1492}, mode="backup-run", seed=33),
    Scenario("backup-watch", "the server behind that NAT, tcpstall watch beside it",
             truth=lost_at("r1"), hops=5, nat=(1,), mtus={1: 1492}, mode="backup-watch", seed=34),
]

BY_NAME = {scenario.name: scenario for scenario in ALL}
