# SPDX-License-Identifier: GPL-2.0-only
"""The matrix: each cause at many places, both directions, both families, from each end, near and
far, with and without other load. All else is drawn: addresses, number of routers, rates, MTUs,
congestion control, when the fault comes, and by which mechanism. A case depends on the seed and its
own name alone. The truth comes from what was drawn, never from what tcpstall says.
"""

import random
from dataclasses import dataclass, replace

from .scenario import (CRAWL_AFTER, CRAWL_BPS, DOWNLOAD, DOWNLOAD_WITNESSES, MBIT, WITNESSES, Fault,
                       Scenario, Transfer, Truth)
from .scenarios import ALL

RTTS_MS = (1, 30, 150, 300)
MEBI = 1 << 20
LOAD = (Transfer("load-up", listener="c", send={"pace_bps": 8 * MBIT}),
        Transfer("load-down", listener="c", sender="listener", send={"pace_bps": 8 * MBIT}),
        Transfer("load-web", listener="c", ask=True, send={"bytes": 100 << 10, "every_ms": 300}))
SLACK = "a router that forwards nothing is seen as itself or as a link of it"
UPSTREAM = "behind the fault the data ceases, all of it acknowledged, as if the sender were idle"
WIRED = "a wire has no address: its fault may be laid to the link or to the routers at its ends"


@dataclass
class Draw:
    """What one case is made of."""
    random: random.Random
    family: int
    rtt_ms: int
    up: bool  # the data goes from a to b
    vantage: str
    load: bool
    hops: int
    hop: int  # router of the fault

    @property
    def here(self):
        """The end that tcpstall runs on."""
        return "a" if self.up == (self.vantage != "receiver") else "b"

    def node(self, index):
        return "a" if index == 0 else "b" if index > self.hops else f"r{index}"

    def link(self, index):
        """The one behind router `index`, in the direction of the data."""
        ends = [self.node(index), self.node(index + 1)]
        return "link " + "-".join(ends if self.up else reversed(ends))

    @property
    def wire(self):
        """Behind the router of the fault, as a fault names it."""
        return f"{self.node(self.hop)}-{self.node(self.hop + 1)}"

    def at_router(self):
        return (f"hop r{self.hop}", self.link(self.hop), self.link(self.hop - 1), *self.unprobed())

    def at_wire(self):
        ends = [n for n in (self.hop, self.hop + 1) if 1 <= n <= self.hops]
        return (self.link(self.hop), *(f"hop r{n}" for n in ends), *self.unprobed())

    def unprobed(self):
        """No probe leaves from a router that a connection only crosses."""
        return ("path",) if self.vantage == "router" else ()

    def scenario(self, fault, truth, **more):
        pick = self.random
        usual = WITNESSES if self.up else DOWNLOAD_WITNESSES
        wire = more.pop("wire_behind", 0) or pick.randrange(1, self.hops + 1)
        values = {
            "hops": self.hops, "family": self.family, "rtt_ms": self.rtt_ms,
            "rate_bps": pick.choice((10, 20, 40, 80)) * MBIT, "wire_behind": wire,
            "beside": {"c": (max(self.hop - 1, 1), None)},
            "main": Transfer("main") if self.up else DOWNLOAD,
            "others": usual + (LOAD if self.load else ()),
            "vantage": "r1" if self.vantage == "router" else self.vantage,
            "congestion": pick.choice(("cubic", "cubic", "bbr", "reno")),
            "mtus": {pick.randrange(1, self.hops + 1): pick.choice((1500, 1500, 1492, 1450))},
            "seed": pick.randrange(1 << 30)}
        if truth.slow is not False:  # a median first, at a rate that leaves room for a tenth of it
            values["rate_bps"], fault = CRAWL_BPS, replace(fault, after_bytes=CRAWL_AFTER)
        elif fault.after_bytes:
            seconds = pick.uniform(1.5, 4)
            fault = replace(fault, after_bytes=int(values["rate_bps"] / 8 * seconds) + MEBI)
        if self.vantage == "router" and not self.up:
            truth = replace(truth, unseen=UPSTREAM)
        return Scenario("", "", fault, truth, **{**values, **more})


# Recipes: a Draw to a Scenario.

def state_forgotten(draw):
    return draw.scenario(Fault("state_deleted", f"r{draw.hop}"),
                         Truth(("connection-state-lost",), (f"hop r{draw.hop}",)),
                         nat=(draw.hop,), nat66=draw.random.random() < 0.5, mtus={})


def state_over_bytes(draw):
    limit = draw.random.randrange(12, 24) * MEBI
    return draw.scenario(Fault("state_over_bytes", f"r{draw.hop}", 0, options={"over_bytes": limit}),
                         Truth(("connection-state-lost",), (f"hop r{draw.hop}",)), nat=(draw.hop,),
                         rate_bps=80 * MBIT)  # the others do not move as much meanwhile


def state_on_wire(draw):
    return draw.scenario(Fault("wire_rule", draw.wire, options={"direction": "both"}),
                         Truth(("connection-state-lost",), draw.at_wire(), why=WIRED),
                         wire_behind=draw.hop)


def answers_lost(draw):
    places = ("path", f"hop r{draw.hop}") if draw.vantage == "sender" else (f"hop r{draw.hop}",)
    return draw.scenario(Fault("drop_answers", f"r{draw.hop}"),
                         Truth(("connection-state-lost",), places,
                               why="the way back cannot be probed hop by hop"))


def router_dead(draw):
    return draw.scenario(Fault("blackhole", f"r{draw.hop}"),
                         Truth(("path-blackhole",), draw.at_router(), why=SLACK))


EARLY = "a router that does not get to look at the TTL is seen as the line to it"


def router_dead_otherwise(draw):
    """Not by a firewall rule."""
    fault = draw.random.choice(("route_swallows", "route_missing", "forwarding_off", "powered_off"))
    before = draw.node(draw.hop - 1 if draw.here == "a" else draw.hop + 1)
    return draw.scenario(Fault(fault, f"r{draw.hop}"),
                         Truth(("path-blackhole",), (*draw.at_router(), f"hop {before}"), why=EARLY),
                         mtus={})


def listed(draw):
    """The router has a list of connections that it drops."""
    early = draw.random.random() < 0.5
    before = draw.node(draw.hop - 1 if draw.here == "a" else draw.hop + 1)
    places = (f"hop r{draw.hop}", f"hop {before}", draw.link(draw.hop), draw.link(draw.hop - 1)) \
        if early else (f"hop r{draw.hop}",)
    return draw.scenario(Fault("tuple_dropped", f"r{draw.hop}",
                               options={"hook": "prerouting" if early else "forward"}),
                         Truth(("connection-state-lost",), places, why=EARLY if early else ""))


def line_dead(draw):
    return draw.scenario(Fault("line", draw.wire, options={"loss_ppm": 1000000}),
                         Truth(("path-blackhole",), draw.at_wire(), why=WIRED),
                         wire_behind=draw.hop)


def line_dead_one_way(draw):
    """Only what goes away from tcpstall is lost."""
    away = "out" if draw.here == "a" else "back"
    return draw.scenario(Fault("line", draw.wire, options={"direction": away, "loss_ppm": 1000000}),
                         Truth(("path-blackhole",), draw.at_wire(), why=WIRED),
                         wire_behind=draw.hop)


def narrowed(draw):
    mtu = draw.random.choice((1300, 1360, 1400, 1440))
    behind = draw.link(draw.hop if draw.up else draw.hop - 1)
    return draw.scenario(Fault("narrow", f"r{draw.hop}", options={"mtu": mtu}),
                         Truth(("size-blackhole",), (f"hop r{draw.hop}", behind),
                               why="the router drops what its next link has no room for"),
                         mtus={}, wire_behind=draw.hop - 1 if draw.up else draw.hop + 1)


def large_lost(draw):
    """By a rule of a wire instead of an MTU."""
    size = draw.random.choice((700, 1000, 1300))
    direction = "out" if draw.up else "back"
    return draw.scenario(Fault("large_dropped", draw.wire,
                               options={"direction": direction, "over_bytes": size}),
                         Truth(("size-blackhole",), draw.at_wire(), why=WIRED),
                         wire_behind=draw.hop, mtus={})


def large_filtered(draw):
    """By a rule of a router."""
    size = draw.random.choice((600, 900, 1200))
    return draw.scenario(Fault("large_filtered", f"r{draw.hop}", options={"over_bytes": size}),
                         Truth(("size-blackhole",), draw.at_router(), why=SLACK), mtus={})


def receiver_held_up(draw):
    """By what it hands its data to; where it runs the verdict says so."""
    main = replace(Transfer("main") if draw.up else DOWNLOAD, receive={"pipe": "cat"})
    return draw.scenario(Fault("reader_stopped", "receiver"),
                         Truth(("receiver-not-reading",), ("receiver-app",),
                               detail="pipe_write" if draw.vantage == "receiver" else ""), main=main)


def receiver_stopped(draw):
    return draw.scenario(Fault("program_stopped", "receiver"),
                         Truth(("receiver-not-reading",), ("receiver-app",)))


def sender_stopped(draw):
    return draw.scenario(Fault("program_stopped", "sender"),
                         Truth(("sender-idle",), ("sender-app",)), options=("port {port}",))


def peer_off(draw):
    fault = draw.random.choice(("host_unplugged", "host_silent"))
    link = draw.link(draw.hops)
    return draw.scenario(Fault(fault, "b"),
                         Truth(("peer-gone",), ("receiver-host" if draw.up else "sender-host", link),
                               why="a host that is silent and one that is cut off look the same"),
                         switches=("sw", "sw2"), wire_behind=draw.hops - 1)


def reset_forged(draw):
    return draw.scenario(Fault("reset_forged", f"r{draw.hop}"),
                         Truth(("connection-reset",), (f"hop r{draw.hop}",), outcome="reset"))


def reset_by_peer(draw):
    return draw.scenario(Fault("reset_by_program", "receiver"),
                         Truth(("connection-reset",), ("receiver-host", "receiver-app"),
                               outcome="reset", why="the kernel sends what the program asks for"))


def firewall_here(draw):
    fault = draw.random.choice(("drop_input", "drop_output"))
    place = "receiver-host" if draw.vantage == "receiver" else "sender-host"
    return draw.scenario(Fault(fault, draw.here), Truth(("local-drop",), (place,)))


def segment_dropped(draw):
    direction = "out" if draw.up else "back"
    return draw.scenario(Fault("wire_rule", draw.wire,
                               options={"segment": draw.random.randrange(50, 900),
                                        "direction": direction}),
                         Truth(("content-drop",), draw.at_wire(), why=WIRED),
                         wire_behind=draw.hop)


def header_rewritten(draw):
    there, back = ("out", "back") if draw.up else ("back", "out")
    stamps = {"direction": there, "action": "tsval",
              "by": 2 ** 32 - draw.random.randrange(10 ** 6, 10 ** 8)}
    window = {"direction": back, "action": "window", "by": draw.random.choice((8, 9))}
    options = draw.random.choice((stamps, window)) if draw.rtt_ms > 100 else stamps
    return draw.scenario(Fault("wire_rule", draw.wire, options=options),
                         Truth(("header-rewrite",), ("path", *draw.at_wire()), slow=None, why=WIRED),
                         wire_behind=draw.hop)


def packets_lost(draw):
    percent = draw.random.randrange(*((35, 45) if draw.rtt_ms < 10 else (12, 30)))
    return draw.scenario(Fault("loss", f"r{draw.hop}", options={"percent": percent}),
                         Truth(("path-loss",), draw.at_router(), slow=None, why=SLACK),
                         congestion="cubic")


def bits_lost(draw):
    ppb = draw.random.randrange(*((40000, 60000) if draw.rtt_ms < 10 else (15000, 40000)))
    return draw.scenario(Fault("line", draw.wire, options={"bit_errors_ppb": ppb}),
                         Truth(("path-loss",), draw.at_wire(), slow=None, why=WIRED),
                         wire_behind=draw.hop, congestion="cubic")


def packets_lost_on_line(draw):
    percent = draw.random.randrange(*((35, 45) if draw.rtt_ms < 10 else (12, 30)))
    return draw.scenario(Fault("line", draw.wire, options={"loss_ppm": percent * 10000}),
                         Truth(("path-loss",), draw.at_wire(), slow=None, why=WIRED),
                         wire_behind=draw.hop, congestion="cubic")


def policed_on_line(draw):
    rate = draw.random.choice((6, 8, 12)) * MBIT // 10
    return draw.scenario(Fault("line", draw.wire, options={"police_bps": rate, "police_bytes": 20000}),
                         Truth(("rate-limit",), ("path", *draw.at_wire()), slow=True, why=WIRED),
                         wire_behind=draw.hop)


def shaped_by_router(draw):
    rate = draw.random.choice((6, 10, 14)) * MBIT // 10
    return draw.scenario(Fault("shaped", f"r{draw.hop}", options={"rate_bps": rate, "bytes": 50000}),
                         Truth(("rate-limit",), ("path", *draw.at_router()), slow=True, why=SLACK))


def policed(draw):
    rate = draw.random.choice((6, 8, 12)) * MBIT // 10
    return draw.scenario(Fault("police", f"r{draw.hop}", options={"rate_bps": rate}),
                         Truth(("rate-limit",), ("path", *draw.at_router()), slow=True, why=SLACK))


def shaped(draw):
    rate = draw.random.choice((6, 10, 14)) * MBIT // 10
    return draw.scenario(Fault("line", draw.wire, options={"rate_bps": rate, "queue_bytes": 50000}),
                         Truth(("rate-limit",), ("path", *draw.at_wire()), slow=True, why=WIRED),
                         wire_behind=draw.hop)


BOTH, SENDER, RECEIVER = ("sender", "receiver"), ("sender",), ("receiver",)


@dataclass(frozen=True)
class Row:
    """How often a recipe is used, from where; inner: its hop is neither the first nor the last."""
    recipe: object
    count: int
    vantages: tuple = BOTH
    ups: tuple = (True, False)
    inner: bool = False


ROWS = (
    Row(state_forgotten, 6, SENDER, (True,)),
    Row(state_forgotten, 4, RECEIVER, (False,)),
    Row(state_over_bytes, 4, SENDER, (True,)),
    Row(state_on_wire, 6, BOTH),
    Row(state_on_wire, 2, ("router",), inner=True),
    Row(answers_lost, 4, BOTH),
    Row(router_dead, 8, BOTH, inner=True),
    Row(router_dead, 2, ("router",), inner=True),
    Row(line_dead, 6, BOTH),
    Row(line_dead_one_way, 4, BOTH),
    Row(narrowed, 4, SENDER, inner=True),
    Row(large_lost, 4, SENDER),
    Row(receiver_stopped, 4, BOTH),
    Row(sender_stopped, 4, BOTH),
    Row(peer_off, 3, SENDER, (True,), inner=True),
    Row(peer_off, 2, RECEIVER, (False,), inner=True),
    Row(reset_forged, 4, SENDER),
    Row(reset_by_peer, 2, SENDER),
    Row(firewall_here, 4, BOTH),
    Row(segment_dropped, 4, SENDER),
    Row(header_rewritten, 4, SENDER),
    Row(packets_lost, 3, SENDER, inner=True),
    Row(bits_lost, 3, SENDER, inner=True),
    Row(policed, 2, SENDER, inner=True),
    Row(shaped, 2, SENDER, inner=True),
    # What is above, by other mechanisms.
    Row(router_dead_otherwise, 6, BOTH, inner=True),
    Row(listed, 6, BOTH, inner=True),
    Row(large_filtered, 3, SENDER, inner=True),
    Row(receiver_held_up, 2, BOTH),
    Row(packets_lost_on_line, 2, SENDER, inner=True),
    Row(policed_on_line, 1, SENDER, inner=True),
    Row(shaped_by_router, 1, SENDER, inner=True),
)


def _case(seed, row, number):
    name = f"{row.recipe.__name__.replace('_', '-')}-{row.vantages[0]}-{number}"
    pick = random.Random(f"{seed}/{name}")
    hops = pick.randrange(3, 9) if row.inner else pick.randrange(2, 9)
    hop = pick.randrange(2, hops) if row.inner else pick.randrange(1, hops)
    vantage = row.vantages[number % len(row.vantages)]
    up = row.ups[number // len(row.vantages) % len(row.ups)]
    draw = Draw(pick, family=pick.choice((4, 6)), rtt_ms=RTTS_MS[(number + pick.randrange(4)) % 4],
                up=up, vantage=vantage, load=number % 3 == 2, hops=hops, hop=hop)
    about = (f"{vantage}, data {'out of' if up else 'into'} a, hop {hop} of {hops}, IPv{draw.family}, "
             f"{draw.rtt_ms} ms{', under load' if draw.load else ''}")
    return replace(row.recipe(draw), name=name, about=about), draw


def drawn(seed):
    """(Scenario, Draw) of each case that is drawn."""
    return [_case(seed, row, number) for row in ROWS for number in range(row.count)]


def healthy(seed):
    base = [s for s in ALL if not s.truth]
    return [replace(base[n % len(base)], name=f"healthy-drawn-{n}", seconds=30,
                    seed=random.Random(f"{seed}/healthy/{n}").randrange(1 << 30),
                    rtt_ms=RTTS_MS[n % 4]) for n in range(4)]


def cases(seed):
    """All scenarios of the matrix: those that are written by hand, once each, and those drawn."""
    return [*ALL, *(scenario for scenario, _ in drawn(seed)), *healthy(seed)]
