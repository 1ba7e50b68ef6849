# SPDX-License-Identifier: GPL-2.0-only
"""Healthy mixed traffic for as long as one likes: nothing may be reported.

Everything that looks like a stall and is none: databases that idle, uploads in bursts, pauses of a
program that reads its disk, loss, long round trips, outages shorter than anybody would call one,
receivers slower than senders, connections that end in every way. tcpstall watches on both ends, and
runs around one of the programs.
"""

import os
import random
import re
import time

from . import session
from .events import Bus
from .monitor import Monitor, ends_of
from .network import chain
from .scenario import MBIT
from .traffic import Traffic, Transfer

OUTAGE_S = 1.0
OUTAGE_EVERY_S = (12, 40)
BUSY_S = 0.5  # waited by a process of the lab: past that an outage may be a stall

# Hosts beside router 4 that a talks to, each over a wire of its own. b is the clean one.
WIRES = {
    "b": {"delay_us": 12000, "rate_bps": 100 * MBIT, "queue_bytes": 600000},
    "lossy": {"delay_us": 15000, "rate_bps": 50 * MBIT, "queue_bytes": 400000, "loss_ppm": 10000},
    "worse": {"delay_us": 20000, "rate_bps": 50 * MBIT, "queue_bytes": 400000, "loss_ppm": 30000},
    "far": {"delay_us": 150000, "jitter_us": 8000, "rate_bps": 50 * MBIT, "queue_bytes": 2000000},
    "flaky": {"delay_us": 14000, "rate_bps": 50 * MBIT, "queue_bytes": 400000},
}
_BULK = {"pace_bps": 3 * MBIT // 2}
_SLOW = {"rcvbuf": 128 << 10}
_MEBI = 1 << 20
TRAFFIC = (
    Transfer("bulk-up", send=_BULK),
    Transfer("bulk-down", sender="listener", send=_BULK),
    Transfer("paced", send={"chunk": 8 << 10, "every_ms": 100}),
    Transfer("interactive", send={"chunk": 200, "every_ms": 300}),
    Transfer("session-down", sender="listener", send={"chunk": 1200, "every_ms": 700}),
    Transfer("database-held", send={"bytes": 3 * _MEBI, "then": "hold"}),
    Transfer("database-held-down", sender="listener", send={"bytes": 3 * _MEBI, "then": "hold"}),
    Transfer("database-asked", ask=True, receive={"then": "hold"},
             send={"bytes": 2 * _MEBI, "asks": 40, "pause_ms": 25000, "every_ms": 1000}),
    Transfer("burst-up", send={"chunk": 2 * _MEBI, "every_ms": 6000, "pace_bps": 20 * MBIT}),
    Transfer("rsync-up", send={"chunk": 5 * _MEBI, "every_ms": 17000, "pace_bps": 10 * MBIT}),
    Transfer("rsync-down", sender="listener",
             send={"chunk": 5 * _MEBI, "every_ms": 19000, "pace_bps": 10 * MBIT}),
    Transfer("lossy-up", listener="lossy", send=_BULK),
    Transfer("lossy-down", listener="lossy", sender="listener", send=_BULK),
    Transfer("worse-up", listener="worse", send={"pace_bps": 2 * MBIT}),
    Transfer("worse-down", listener="worse", sender="listener", send={"pace_bps": 2 * MBIT}),
    Transfer("far-up", listener="far", send=_BULK),
    Transfer("far-down", listener="far", sender="listener", send=_BULK),
    Transfer("far-bursts", listener="far",
             send={"chunk": _MEBI, "every_ms": 8000, "pace_bps": 20 * MBIT}),
    Transfer("flaky-up", listener="flaky", send=_BULK),
    Transfer("flaky-down", listener="flaky", sender="listener", send=_BULK),
    Transfer("reader-slow", send=_BULK, receive={**_SLOW, "chunk": 30 << 10, "every_ms": 250}),
    Transfer("reader-slower", send=_BULK, receive={**_SLOW, "chunk": 100 << 10, "every_ms": 1100}),
    Transfer("reader-slow-down", sender="listener", send=_BULK,
             receive={**_SLOW, "chunk": 30 << 10, "every_ms": 250}),
    Transfer("web-kept", ask=True, receive={"then": "hold"},
             send={"bytes": 200 << 10, "asks": 12, "pause_ms": 900, "every_ms": 500}),
    Transfer("web-kept-idle", ask=True, receive={"then": "hold"},
             send={"bytes": 3 * _MEBI, "asks": 3, "pause_ms": 15000, "every_ms": 500}),
    Transfer("web-fin", ask=True, send={"bytes": 300 << 10, "every_ms": 1000}),
    Transfer("web-fin-lossy", listener="lossy", ask=True,
             send={"bytes": 2 * _MEBI, "every_ms": 3000}),
    Transfer("web-reset", ask=True, receive={"then": "hold"},
             send={"bytes": 2 * _MEBI, "every_ms": 4000, "then": "reset"}),
    Transfer("web-half", ask=True, send={"bytes": 2 * _MEBI, "every_ms": 5000, "then": "half"}),
    Transfer("web-half-far", listener="far", ask=True,
             send={"bytes": 2 * _MEBI, "every_ms": 5000, "then": "half"}),
)
RUN = Transfer("run", listener="lossy", sender="listener", send={"pace_bps": 3 * MBIT})


class Soak:
    wires, transfers = WIRES, (*TRAFFIC, RUN)

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.bus = Bus()
        self.network = chain(seed, 4, nat=(1,), mtus={1: 1492}, shapes={4: self.wires["b"]},
                             beside={name: (4, shape) for name, shape in self.wires.items()
                                     if name != "b"})
        self.traffic = Traffic(self.network, self.bus, 4, tick_s=0.1)
        self.monitors = {}
        self.outages = 0

    def start_watchers(self):
        for where in ("a", "b"):
            self.monitors[f"watch on {where}"] = monitor = Monitor(self.bus)
            monitor.start_watch(self.network.nodes[where].netns)
            monitor.wait_until_watching()

    def start(self):
        self.network.build()
        self.start_watchers()
        for transfer in self.transfers:
            if transfer is not RUN:
                self.traffic.start(transfer)
        if RUN in self.transfers:
            self.monitors["run"] = monitor = Monitor(self.bus)
            command = monitor.command("run", self.network.nodes["a"].netns)
            monitor.attach(self.traffic.start(RUN, [*command, "--"]).process)

    def alarms(self):
        """What was reported, by whom."""
        return [(where, incident) for where, monitor in self.monitors.items()
                for incident in monitor.incidents.values()]

    def describe(self, where, incident):
        (src, src_port), (dst, dst_port) = ends_of(incident.flow)
        verdict, end = incident.verdict or {}, incident.end or {}
        return (f"{incident.begin['ts'][11:19]} {where}: {incident.begin['type']} "
                f"{self.name_of(src_port, dst_port)} {src}:{src_port} > {dst}:{dst_port} "
                f"{verdict.get('cause')} {end.get('outcome', 'open')}")

    def name_of(self, *ports):
        """The transfer, by its listener's port."""
        for transfer in self.transfers:
            if self.traffic.port(transfer) in ports:
                return transfer.name
        return "?"

    def late_s(self):
        """The longest that a program or a wire of the lab did not run. More than a second or two, and
        what is reported may be true."""
        wires = [int(late) / 1e6 for wire in self.network.wires
                 for late in re.findall(r"late_us=(\d+)", wire.stats())]
        return max([*wires, *(end.late_s for end in self.traffic.ends.values())])

    def outage(self):
        """The line to flaky is dead for a moment."""
        wire = self.network.wire_between("r4", "flaky")
        number = wire.rule("both", "drop")
        self.bus.until(lambda: False, OUTAGE_S)
        wire.unrule(number)
        self.outages += 1

    def go_on(self, seconds, say):
        end = time.monotonic() + seconds
        told = 0
        while (left := end - time.monotonic()) > 0:
            self.bus.until(lambda: False, min(left, self.random.uniform(*OUTAGE_EVERY_S)))
            if end - time.monotonic() > 3 * OUTAGE_S:
                self.outage()
            dead = [w for w, m in self.monitors.items() if m.process.poll() is not None]
            if dead:
                raise session.LabError(f"{dead[0]} has ended")
            for alarm in self.alarms()[told:]:
                say("so far: " + self.describe(*alarm))
                told += 1

    def still(self):
        """Transfers that have not moved at all: then the soak proves nothing."""
        ends = self.traffic.ends
        return [t.name for t in self.transfers
                if not any(ends[f"{t.name}/{side}"].bytes or ends[f"{t.name}/{side}"].moved
                           for side in ("opener", "listener"))]

    def stop(self):
        for monitor in self.monitors.values():
            if monitor.process:
                monitor.stop()
        self.traffic.stop()


def narrator():
    """say(text) prints it with the seconds that have passed since."""
    begin = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - begin:5.0f} s] {text}", flush=True)


def status_of(alarms, why, late_s):
    """Of a soak: 0, 1, or NOT_HERE where the lab itself waited too long for its alarms to count."""
    if alarms and not why and late_s > BUSY_S:
        print(f"the lab waited {late_s:.1f} s for the processor: its outages were longer than said")
        return session.NOT_HERE
    return 1 if alarms or why else 0


def soak(seconds, seed, keep=None):
    """Prints what was reported; 0: nothing was. NOT_HERE: something was, on a machine so busy that
    the traffic was not the one described."""
    say = narrator()
    stage = Soak(seed)
    why, alarms, late_s = [], [], 0
    try:
        stage.start()
        stage.go_on(seconds, say)
        late_s = stage.late_s()
        alarms = stage.alarms()  # not what the end of the soak makes of open connections
        why += [f"{name} has not moved" for name in stage.still()]
    finally:
        stage.stop()
        if keep:
            os.makedirs(keep, exist_ok=True)
            for where, monitor in stage.monitors.items():
                monitor.keep(f"{keep}/{where.replace(' ', '-')}.ndjson")
    for text in [stage.describe(*alarm) for alarm in alarms] + why:
        say(text)
    moved = sum(end.connections for end in stage.traffic.ends.values()) // 2
    say(f"{len(TRAFFIC) + 1} kinds of traffic, {moved} connections, {stage.outages} outages, "
        f"{len(alarms)} alarms; the lab itself waited {late_s:.1f} s for the processor at most")
    return status_of(alarms, why, late_s)
