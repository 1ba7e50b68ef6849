# SPDX-License-Identifier: GPL-2.0-only
"""A home behind a PPPoE line: switch, NAT router, session, provider. They need a kernel with PPP and
netem, so they are no part of ALL; `make test-vm` runs them."""

from dataclasses import replace

from ..scenario import DOWNLOAD, MBIT, Fault, Scenario, Transfer, Truth

HOME = Scenario("", "", hops=4, nat=(1,), dial_up=True, rtt_ms=30, rate_bps=16 * MBIT)


def _scenario(name, about, **options):
    return replace(HOME, name=f"pppoe-{name}", about=about, **options)


SCENARIOS = [
    _scenario("healthy", "a download over the session, and nothing is wrong", main=DOWNLOAD,
              vantage="receiver", seconds=15, seed=81),
    _scenario("backup", "pg_basebackup over the session; the router's NAT loses it",
              truth=Truth(("connection-state-lost",), ("hop r1",)), mode="backup-run",
              backup_mb=40, seed=82),
    _scenario("unclamped", "no MSS clamping, and no ICMP message comes back; a command that sends",
              fault=Fault("unclamped", "r1", 0),
              truth=Truth(("size-blackhole",), ("hop r1", "link r1-r2")), mode="run", seed=83),
    _scenario("unclamped-later", "the same for a command that has sent 4 KB in small pieces before:"
              " packets of each size can be made of them", fault=Fault("unclamped", "r1", 0),
              truth=Truth(("size-blackhole",), ("hop r1", "link r1-r2"), detail=r"\b1492\b"),
              main=Transfer("main", send={"talk": 4000}), mode="run", seed=84),
]
