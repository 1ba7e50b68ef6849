# SPDX-License-Identifier: GPL-2.0-only
"""Runs one scenario and compares what tcpstall says with the truth."""

import json
import os
import time
from dataclasses import asdict, dataclass, field

from . import faults, session
from .events import Bus
from .monitor import Monitor
from .network import chain
from .scenario import WITNESSES, Transfer
from .traffic import Traffic

VERDICT_S = 20  # from the fault to a verdict: past that it counts as missed
SETTLE_S = 3  # a verdict may still change for so long
RECOVER_S = 30
STALLED_S = 2.5
PROGRESS_S = 40  # until the transfer has moved enough for its fault

# Faults that are not of one connection: what goes the same way stops too.
WHOLE_PATH = {"blackhole", "host_unplugged", "host_silent", "narrow"}


@dataclass
class Result:
    name: str
    ok: bool = False
    why: str = ""  # what is wrong, if anything
    healthy: bool = False
    detected: bool = False
    cause: str = ""
    cause_ok: bool = False
    place: str = ""
    place_ok: bool = False
    outcome: str = ""
    first_verdict_s: float = None  # from the last byte of progress, as the transfer's own ends saw it
    final_verdict_s: float = None  # until it first said what it said in the end
    probes_sent: int = 0
    other_stalls: list = field(default_factory=list)  # reported, though nothing was wrong with them
    lines: list = field(default_factory=list)  # all that tcpstall printed


class Stage:
    """A running scenario."""

    def __init__(self, scenario, with_tcpstall=True):
        self.scenario = scenario
        self.family = scenario.family
        self.main = scenario.main or Transfer("main")
        self.others = WITNESSES if scenario.others is None else scenario.others
        self.bus = Bus()
        self.network = chain(scenario.seed, **scenario.topology())
        self.traffic = Traffic(self.network, self.bus, scenario.family, scenario.congestion)
        self.monitor = Monitor(self.bus) if with_tcpstall else None

    def node_of(self, which):
        return self.traffic.node(self.main, which)

    def end_at(self, node):
        """The end of the main transfer that runs on this node."""
        which = "opener" if self.main.opener == node else "listener"
        return self.traffic.end(self.main, which)

    @property
    def vantage(self):
        which = self.scenario.vantage
        opener_is_it = (which == "sender") == (self.main.sender == "opener")
        return self.network.nodes[self.main.opener if opener_is_it else self.main.listener]

    def flow(self, transfer):
        """(src, dst) of a transfer's data as the vantage knows them."""
        which = self.scenario.vantage
        end = self.traffic.end(transfer, which)
        return (end.local, end.peer) if which == "sender" else (end.peer, end.local)

    def start(self):
        scenario = self.scenario
        self.network.build()
        if scenario.fault and not scenario.fault.after_bytes:
            self.break_it()
        for transfer in self.others:
            self.traffic.start(transfer)
        if not self.monitor:
            self.traffic.start(self.main)
        elif scenario.mode == "run":
            opener = self.traffic.start(self.main, Monitor.command("run", self.vantage.netns) + ["--"])
            self.monitor.attach(opener.process)
        else:
            self.bus.require(lambda: all(self.traffic.connected(t) for t in self.others), 10,
                             "witnesses connected")
            if not any("{port}" in option for option in scenario.options):
                self.monitor.start_watch(self.vantage.netns, scenario.options)
            self.traffic.start(self.main)
        self.bus.require(lambda: self.traffic.connected(self.main), 15, "main transfer connected")
        if not self.monitor:
            return
        if not self.monitor.process:
            port = self.traffic.end(self.main, "listener").local[1]
            self.monitor.start_watch(self.vantage.netns,
                                     [option.format(port=port) for option in scenario.options])
        self.monitor.wait_until_watching()

    def break_it(self):
        fault = self.scenario.fault
        return getattr(faults, fault.name)(self, fault.at, **fault.options)

    def await_fault(self):
        """Lets the transfer move, switches the fault on; how to undo it, and when it was."""
        fault = self.scenario.fault
        if not fault.after_bytes:
            return None
        self.bus.require(lambda: self.traffic.received(self.main) >= fault.after_bytes, PROGRESS_S,
                         f"{fault.after_bytes} bytes received")
        undo = self.break_it()
        return undo

    def incident(self):
        return self.monitor.incident_of(*self.flow(self.main))

    def collateral(self):
        """Incidents of connections that nothing should be reported of. Those to the same peer, or
        through the same hole, stall with the main one where the fault is not of one connection."""
        fault = self.scenario.fault
        main = self.flow(self.main)
        found = []
        for incident in self.monitor.incidents.values():
            flow = incident.flow
            ends = ((flow["src"], flow["src_port"]), (flow["dst"], flow["dst_port"]))
            if ends in (main, main[::-1]):
                continue
            if fault and fault.name in WHOLE_PATH:
                continue
            found.append(f"{ends[0][0]}:{ends[0][1]} > {ends[1][0]}:{ends[1][1]} "
                         f"{incident.verdict['cause'] if incident.verdict else ''}")
        return found


def place_text(where):
    where = where or {}
    kind = where.get("kind") or "?"
    if kind == "hop":
        return f"hop {where.get('ttl')} {where.get('address')}"
    if kind == "link":
        return f"link {where.get('near')}-{where.get('far')}"
    return kind


def place_matches(where, place, network):
    """Whether `where` of a verdict is the place of a truth."""
    kind, _, names = place.partition(" ")
    if (where or {}).get("kind") != kind:
        return False
    if kind == "hop":
        return where.get("address") in network.nodes[names].addresses()
    if kind == "link":
        near, far = (network.nodes[name].addresses() for name in names.split("-"))
        return where.get("near") in near and (where.get("far") is None or where["far"] in far)
    return True


def probes_of(verdict):
    """Packets sent, as its hops say."""
    return sum(kind.get("sent", 0) for hop in verdict.get("hops") or []
               for kind in hop.values() if isinstance(kind, dict))


def judge_verdict(stage, incident, result):
    truth = stage.scenario.truth
    verdict = incident.verdict
    where = verdict.get("where")
    result.cause = verdict.get("cause")
    result.place = place_text(where)
    result.cause_ok = result.cause in truth.cause
    result.place_ok = any(place_matches(where, p, stage.network) for p in truth.places)
    result.probes_sent = probes_of(verdict)
    first_ns = incident.verdicts[0][1]
    final_ns = next(ns for line, ns in incident.verdicts
                    if (line.get("cause"), place_text(line.get("where")))
                    == (result.cause, result.place))
    moved_ns = stage.traffic.last_progress_ns(stage.main, first_ns)
    if moved_ns:
        result.first_verdict_s = round((first_ns - moved_ns) / 1e9, 3)
        result.final_verdict_s = round((final_ns - moved_ns) / 1e9, 3)


def run_faulty(stage, result):
    scenario = stage.scenario
    undo = stage.await_fault()
    if undo and scenario.fault.undo_after_s:
        stage.bus.until(lambda: False, scenario.fault.undo_after_s)
        undo()
    found = stage.bus.until(lambda: (i := stage.incident()) and i.verdicts, VERDICT_S)
    if found and not scenario.truth.outcome:
        stage.bus.until(lambda: False, SETTLE_S)
    if found and scenario.truth.outcome:
        stage.bus.until(lambda: stage.incident().end, RECOVER_S)
    if found and scenario.truth.outcome == "recovered":
        ends = [stage.traffic.end(stage.main, w) for w in ("sender", "receiver")]
        stage.bus.until(lambda: ends[1].ended, RECOVER_S)
        if ends[0].sha256 != ends[1].sha256:
            result.why = "the receiver did not get what was sent"
    stage.monitor.stop()
    incident = stage.incident()
    result.detected = bool(incident and incident.verdicts)
    if not result.detected:
        result.why = "stall seen, but no verdict" if incident else "no stall seen"
        return
    judge_verdict(stage, incident, result)
    result.outcome = incident.end["outcome"] if incident.end else ""
    if not result.cause_ok:
        result.why = f"cause is {result.cause}"
    elif not result.place_ok:
        result.why = f"place is {result.place}"
    elif scenario.truth.outcome and result.outcome != scenario.truth.outcome:
        result.why = f"outcome is {result.outcome or 'missing'}"


def run_healthy(stage, result):
    """Everything moves for its time, then ends in order; tcpstall must have said nothing."""
    result.healthy = True
    stage.bus.until(lambda: stage.monitor.incidents, stage.scenario.seconds)
    stage.monitor.stop()
    for transfer in (stage.main, *stage.others):
        ends = [stage.traffic.end(transfer, w) for w in ("opener", "listener")]
        if not any(end.bytes or end.moved for end in ends):
            result.why = f"{transfer.name} has not moved"


def check_fault(scenario):
    """Without tcpstall: whether the fault does what it is there for. Why not, or ""."""
    stage = Stage(scenario, with_tcpstall=False)
    try:
        stage.start()
        undo = stage.await_fault()
        receiver = stage.traffic.end(stage.main, "receiver")
        ends = [stage.traffic.end(stage.main, w) for w in ("sender", "receiver")]

        def silent_s():
            moved_ns = stage.traffic.last_progress_ns(stage.main, time.monotonic_ns())
            return (time.monotonic_ns() - moved_ns) / 1e9 if moved_ns else 0

        if scenario.truth.outcome == "reset":
            stage.bus.require(lambda: any(e.ended for e in ends), 10, "reset")
            return ""
        for _ in range(40):
            if silent_s() > STALLED_S:
                break
            stage.bus.until(lambda: False, 0.5)
        else:
            return f"still moving, {receiver.bytes} bytes received"
        if undo and scenario.truth.outcome == "recovered":
            undo()
            stage.bus.require(lambda: receiver.ended, RECOVER_S, "recovery")
            return "" if ends[0].sha256 == ends[1].sha256 else "bytes differ"
        for transfer in stage.others if scenario.fault.name not in WHOLE_PATH else ():
            moved_ns = stage.traffic.last_progress_ns(transfer, time.monotonic_ns())
            if not moved_ns or time.monotonic_ns() - moved_ns > 1e9:
                return f"witness {transfer.name} stopped too"
        return ""
    except session.LabError as error:
        return str(error)
    finally:
        stage.traffic.stop()


def run(scenario, keep=None):
    """The Result; keep: directory for it as JSON."""
    result = Result(scenario.name)
    stage = None
    try:
        stage = Stage(scenario)
        stage.start()
        if scenario.fault:
            run_faulty(stage, result)
        else:
            run_healthy(stage, result)
        result.other_stalls = stage.collateral()
        if result.other_stalls and not result.why:
            result.why = f"false alarm: {result.other_stalls[0]}"
        if scenario.fault is None and stage.incident() and not result.why:
            result.why = "false alarm: the main transfer"
            result.other_stalls.append("main")
        if stage.monitor.bad_lines and not result.why:
            result.why = f"{stage.monitor.bad_lines} lines are not JSON"
    except session.LabError as error:
        result.why = str(error)
    finally:
        if stage:
            if stage.monitor.process:
                stage.monitor.stop()
            stage.traffic.stop()
            result.lines = stage.monitor.lines
            if result.why and stage.monitor.words:
                result.why += " [" + " | ".join(stage.monitor.words)[-300:] + "]"
    result.ok = not result.why
    if keep:
        os.makedirs(keep, exist_ok=True)
        with open(f"{keep}/{scenario.name}.json", "w", encoding="utf-8") as file:
            json.dump(asdict(result), file, indent=1)
    return result


def one_line(result):
    seconds = f" {result.final_verdict_s:.1f} s" if result.final_verdict_s is not None else ""
    said = f" {result.cause} at {result.place}{seconds}, {result.probes_sent} probes" \
        if result.detected else ""
    return f"{'ok' if result.ok else 'FAIL'} {result.name}{said}" \
        + (f": {result.why}" if result.why else "")


def wall_limit_s(scenario):
    """No scenario takes longer, whatever happens."""
    undo = scenario.fault.undo_after_s if scenario.fault else 0
    return 90 + scenario.seconds + undo


EMPTY = asdict(Result(""))
