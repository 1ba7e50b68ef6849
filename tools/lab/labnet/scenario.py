# SPDX-License-Identifier: GPL-2.0-only
"""What a scenario is: a network, traffic, a fault and the truth about it."""

from dataclasses import dataclass, field

from .traffic import Transfer

MBIT = 1000000

# A transfer whose fault makes it crawl moves for some 15 s first, so that it has a usual rate.
CRAWL_BPS = 20 * MBIT
CRAWL_AFTER = 38 << 20


@dataclass(frozen=True)
class Fault:
    name: str  # a function of faults/
    at: str
    after_bytes: int = 16 << 20  # received under tcpstall's eyes; 0: on before the transfer starts
    undo_after_s: float = 0  # 0: stays
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Truth:
    """cause: one or more that are right. places: "hop r2", "link r2-r3" (in the direction of the
    data), or the kind alone where there is nothing more to name. More than one of either needs a
    reason, in `why`."""
    cause: tuple
    places: tuple
    outcome: str = ""  # of stall_end, where the stall ends by itself
    slow: bool = False  # reported as slow_begin; None: either will do
    why: str = ""
    detail: str = ""  # a regular expression that the verdict's detail has
    unseen: str = ""  # why it cannot be seen from there: silence is right, a verdict is judged


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    fault: Fault = None  # None: healthy, nothing may be reported
    truth: Truth = None
    hops: int = 4
    nat: tuple = ()
    nat66: bool = False
    family: int = 4
    switches: tuple = ("sw",)
    lan: tuple = ()  # more hosts on the switch of a
    ports: dict = field(default_factory=dict)  # node: shape of a wire to its port of that switch
    twins: tuple = ()  # numbers of routers that have an equal beside them, r3 and r3b
    rtt_ms: float = 20
    rate_bps: int = 40 * MBIT
    wire_behind: int = 0  # router that the wire is behind; 0: the last but one
    loss_ppm: int = 0
    dial_up: bool = False  # r1 and r2 are joined by a PPPoE session, and there is no wire
    mtus: dict = field(default_factory=dict)
    beside: dict = field(default_factory=dict)  # host: (router, shape); c is on the last router
    arrange: tuple = ()  # functions of arrange.py, for what is more than a chain
    main: Transfer = None
    others: tuple = None  # witnesses; None: the usual two
    vantage: str = "sender"  # receiver; around: the host whose container the sender is; a router
    mode: str = "watch"
    backup_mb: int = 320
    options: tuple = ()  # of tcpstall; {port} is the listener's
    seconds: float = 0  # how long a healthy scenario lasts
    congestion: str = "cubic"
    seed: int = 1
    quick: bool = True  # part of `make test`; False: of `make accuracy` only

    def topology(self):
        behind = self.wire_behind or max(self.hops - 1, 1)
        shape = {"delay_us": int(self.rtt_ms * 500), "rate_bps": self.rate_bps,
                 "queue_bytes": int(max(self.rate_bps / 8 * max(self.rtt_ms, 50) / 1000, 64 << 10)),
                 "loss_ppm": self.loss_ppm}
        line = {"delay_ms": self.rtt_ms / 2, "jitter_ms": self.rtt_ms / 20, "rate_bps": self.rate_bps}
        return {"hops": self.hops, "nat": self.nat, "nat66": self.nat66,
                "switches": self.switches, "lan": self.lan, "ports": self.ports,
                "twins": self.twins, "shapes": {} if self.dial_up else {behind: shape},
                "lines": {1: line} if self.dial_up else {}, "mtus": self.mtus,
                "beside": self.beside or {"c": (self.hops, None)}}


PACED = {"chunk": 64 << 10, "every_ms": 100}

# A second connection to the same peer, and one to another destination through the same gateway.
WITNESSES = (Transfer("same-peer", send=PACED), Transfer("other-peer", listener="c", send=PACED))

# The usual transfer goes from a to b, opened by a; this one is opened by a and comes from b.
DOWNLOAD = Transfer("main", sender="listener")
DOWNLOAD_WITNESSES = (Transfer("same-peer", sender="listener", send=PACED),
                      Transfer("other-peer", listener="c", sender="listener", send=PACED))
