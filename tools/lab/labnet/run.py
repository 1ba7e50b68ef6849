# SPDX-License-Identifier: GPL-2.0-only
"""Runs one scenario and compares what tcpstall says with the truth."""

import json
import os
from dataclasses import asdict

from . import backup, session
from .events import PATIENCE, Bus
from .judge import Result, judge
from .stage import Stage

VERDICT_S = 20  # from the fault to a verdict: past that it counts as missed
SLOW_S = 60  # the same of a transfer that crawls
LATEST_S = 10 * PATIENCE  # from the last byte of progress to what it says in the end
SETTLE_S = 3  # a verdict may still change for so long
SETTLE_SLOW_S = 25  # the same of a transfer that crawls: a share of loss takes probes to place
RECOVER_S = 30


def run_faulty(stage, result):
    scenario, truth = stage.scenario, stage.scenario.truth
    undo = stage.await_fault()
    if undo and scenario.fault.undo_after_s:
        stage.bus.until(lambda: False, scenario.fault.undo_after_s)
        undo()
    found = stage.bus.until(lambda: (i := stage.incident()) and i.verdicts,
                            VERDICT_S if truth.slow is False else SLOW_S)
    if found and not truth.outcome:
        stage.bus.until(lambda: False, SETTLE_SLOW_S if stage.incident().slow else SETTLE_S)
    if found and truth.outcome:
        stage.bus.until(lambda: stage.incident().end, RECOVER_S)
    if found and truth.outcome == "recovered":
        receiver = stage.traffic.end(stage.main, "receiver")
        stage.bus.until(lambda: receiver.ended, RECOVER_S)
    # What is said only because the watch ends, of something that has just begun, is not judged.
    told = [i for i in stage.incidents() if i.verdicts]
    stage.monitor.stop()
    incident = next(iter(told or stage.incidents()), None)
    from_ns = None
    if incident and incident.verdicts:
        from_ns = stage.broken_ns if incident.slow else \
            stage.traffic.last_progress_ns(stage.main, incident.verdicts[0][1])
    judge(incident if found else None, stage.network, truth, from_ns, result)
    others = [i.verdict["cause"] for i in told[1:]]
    if not result.why and any(cause not in truth.cause for cause in others):
        result.why = f"said {', '.join(others)} before"
    if found and truth.outcome == "recovered" and not result.why:
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


def run_stage(scenario, result, record):
    stage = None
    try:
        stage = Stage(scenario, record=record)
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
            stage.stop()
            result.lines = stage.monitor.lines
            result.words = stage.monitor.words[-40:]


def run(scenario, keep=None, record=None):
    """The Result; keep: directory for it as JSON; record: directory for a recording."""
    if record:
        os.makedirs(record, exist_ok=True)
        record = f"{record}/{scenario.name}.rec"
    result = Result(scenario.name, healthy=not scenario.truth)
    try:
        if scenario.mode.startswith("backup"):
            backup.run_scenario(scenario, Bus(), result, VERDICT_S, record)
        else:
            run_stage(scenario, result, record)
    except session.LabError as error:
        result.why = str(error)
        result.skipped = isinstance(error, session.Unavailable)
        result.broken = not result.skipped
    late = not result.slow and result.final_verdict_s and result.final_verdict_s > LATEST_S
    if late and not result.why:
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


def usual_s(scenario):
    """About how long a scenario takes when all goes well."""
    fault = scenario.fault
    if not fault:
        return SETTLE_S + scenario.seconds
    settle_s = SETTLE_SLOW_S if scenario.truth.slow is not False else SETTLE_S
    return fault.after_bytes * 8 / scenario.rate_bps + fault.undo_after_s + settle_s + 5


def wall_limit_s(scenario):
    """No scenario takes longer, whatever happens."""
    undo = scenario.fault.undo_after_s if scenario.fault else 0
    slow = SLOW_S if scenario.truth and scenario.truth.slow is not False else 0
    return 180 * PATIENCE + scenario.seconds + undo + slow
