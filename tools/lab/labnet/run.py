# SPDX-License-Identifier: GPL-2.0-only
"""Runs one scenario and compares what tcpstall says with the truth."""

import json
import os
import time
from dataclasses import asdict

from . import backup, faults, session
from .events import Bus
from .judge import Result, judge
from .monitor import Monitor
from .network import chain
from .scenario import WITNESSES, Transfer
from .traffic import Traffic

VERDICT_S = 20  # from the fault to a verdict: past that it counts as missed
LATEST_S = 10  # from the last byte of progress to what it says in the end
SETTLE_S = 3  # a verdict may still change for so long
RECOVER_S = 30
STALLED_S = 2.5
PROGRESS_S = 40  # until the transfer has moved enough for its fault


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

    def build(self):
        self.network.build()

    def start(self):
        scenario = self.scenario
        self.build()
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
        return faults.find(fault.name)(self, fault.at, **fault.options)

    def await_fault(self):
        """Lets the transfer move under tcpstall's eyes, then switches the fault on; how to undo it."""
        fault = self.scenario.fault
        if not fault.after_bytes:
            return None
        goal = self.traffic.received(self.main) + fault.after_bytes
        self.bus.require(lambda: self.traffic.received(self.main) >= goal, PROGRESS_S,
                         f"{goal} bytes received")
        return self.break_it()

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
            if fault and faults.is_of_all(fault.name):
                continue
            found.append(f"{ends[0][0]}:{ends[0][1]} > {ends[1][0]}:{ends[1][1]} "
                         f"{incident.verdict['cause'] if incident.verdict else ''}")
        return found


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
        receiver = stage.traffic.end(stage.main, "receiver")
        stage.bus.until(lambda: receiver.ended, RECOVER_S)
    stage.monitor.stop()
    incident = stage.incident()
    moved_ns = None
    if incident and incident.verdicts:
        moved_ns = stage.traffic.last_progress_ns(stage.main, incident.verdicts[0][1])
    judge(incident if found else None, stage.network, scenario.truth, moved_ns, result)
    if found and scenario.truth.outcome == "recovered" and not result.why:
        ends = [stage.traffic.end(stage.main, w) for w in ("sender", "receiver")]
        if ends[0].sha256 != ends[1].sha256:
            result.why = "the receiver did not get what was sent"


def run_healthy(stage, result):
    """Everything moves for its time, then ends in order; tcpstall must have said nothing."""
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
        for transfer in stage.others if not faults.is_of_all(scenario.fault.name) else ():
            moved_ns = stage.traffic.last_progress_ns(transfer, time.monotonic_ns())
            if not moved_ns or time.monotonic_ns() - moved_ns > 1e9:
                return f"witness {transfer.name} stopped too"
        return ""
    except session.LabError as error:
        return str(error)
    finally:
        stage.traffic.stop()


def run_stage(scenario, result):
    stage = None
    try:
        stage = Stage(scenario)
        stage.start()
        if scenario.fault:
            run_faulty(stage, result)
        else:
            run_healthy(stage, result)
        result.other_stalls = stage.collateral()
        if scenario.fault is None and stage.incident():
            result.other_stalls.append("the main transfer")
        if stage.monitor.bad_lines and not result.why:
            result.why = f"{stage.monitor.bad_lines} lines are not JSON"
    finally:
        if stage:
            if stage.monitor.process:
                stage.monitor.stop()
            stage.traffic.stop()
            result.lines = stage.monitor.lines
            result.words = stage.monitor.words[-40:]


def run(scenario, keep=None):
    """The Result; keep: directory for it as JSON."""
    result = Result(scenario.name, healthy=not scenario.truth)
    try:
        if scenario.mode.startswith("backup"):
            backup.run_scenario(scenario, Bus(), result, VERDICT_S)
        else:
            run_stage(scenario, result)
    except session.LabError as error:
        result.why = str(error)
        result.skipped = isinstance(error, session.Unavailable)
    if result.final_verdict_s and result.final_verdict_s > LATEST_S and not result.why:
        result.why = f"later than {LATEST_S} s"
    if result.other_stalls and not result.why:
        result.why = f"false alarm: {result.other_stalls[0]}"
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
    word = "skip" if result.skipped else "ok" if result.ok else "FAIL"
    return f"{word} {result.name}{said}" \
        + (f": {result.why}" if result.why else "")


def wall_limit_s(scenario):
    """No scenario takes longer, whatever happens."""
    undo = scenario.fault.undo_after_s if scenario.fault else 0
    return 90 + scenario.seconds + undo


