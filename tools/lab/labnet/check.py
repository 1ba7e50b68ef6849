# SPDX-License-Identifier: GPL-2.0-only
"""Whether a fault does what it is there for, without tcpstall."""

import time

from . import faults, session
from .stage import Stage

STALLED_S = 2.5
RECOVER_S = 30
CRAWL_S = 6


def crawls(stage):
    """Why the main transfer is not much slower than it was, or ""."""
    def rate(from_ns, till_ns):
        progress = stage.traffic.end(stage.main, "receiver").progress
        moved = [count for ns, count in progress if from_ns <= ns < till_ns]
        return (moved[-1] - moved[0]) * 8e9 / (till_ns - from_ns) if moved else 0

    begin_ns = stage.traffic.end(stage.main, "receiver").progress[0][0]
    stage.bus.until(lambda: False, CRAWL_S)
    before = rate(begin_ns, stage.broken_ns)
    after = rate(stage.broken_ns + 1e9, time.monotonic_ns())
    return "" if after < before / 5 else f"{after / 1e6:.1f} Mbit/s after {before / 1e6:.1f}"


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
        if scenario.truth.slow is not False:
            return crawls(stage)
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
        stage.stop()
