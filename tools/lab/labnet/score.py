# SPDX-License-Identifier: GPL-2.0-only
"""Runs scenarios and prints how tcpstall did."""

import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict

from . import check, run, session
from .judge import Result

LAB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lab")


def run_and_print(scenario, keep, record=None):
    result = run.run(scenario, keep, record)
    print(run.one_line(result), flush=True)
    return session.NOT_HERE if result.skipped else 0 if result.ok else 1


def check_and_print(scenario):
    why = check.check_fault(scenario)
    print(f"{'FAIL' if why else 'ok'} {scenario.name}{': ' + why if why else ''}", flush=True)
    return 1 if why else 0


def store_of(keep, name):
    """Where run_many() lets a scenario keep its incidents."""
    return f"{keep}/{name}.store"


def _run_one(name, keep, seed, stored):
    """A scenario in a lab of its own: what it kept, or None, and what it printed."""
    path = f"{keep}/{name}.json"
    if os.path.exists(path):
        os.unlink(path)
    store = ["--store", store_of(keep, name)] if stored else []
    done = subprocess.run([sys.executable, LAB, "run", "--seed", str(seed), "--keep", keep, *store,
                           name],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if not os.path.exists(path):
        return None, done.stdout.strip()
    with open(path, encoding="utf-8") as file:
        return json.load(file), done.stdout.strip()


def run_many(names, jobs, keep, finished, seed=1, stored=False):
    """Runs scenarios, `jobs` at a time; finished(name, result, said) for each. result is what
    run.run() keeps, or None; said is what was printed. seed: of the matrix; stored: incidents are
    kept, see store_of()."""
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        running = {pool.submit(_run_one, name, keep, seed, stored): name for name in names}
        for future in concurrent.futures.as_completed(running):
            finished(running[future], *future.result())
    finally:
        pool.shutdown(cancel_futures=True)


def share(values):
    values = list(values)
    return f"{sum(values)}/{len(values)}" if values else "-"


def summary(results):
    results = [r for r in results if not r["skipped"]]
    faulty = [r for r in results if not r["healthy"]]
    seconds = sorted(r["final_verdict_s"] for r in faulty if r["final_verdict_s"] is not None)
    probes = [r["probes_sent"] for r in faulty if r["detected"]]
    lines = [
        f"detected            {share(r['detected'] for r in faulty)}",
        f"right cause         {share(r['cause_ok'] for r in faulty)}",
        f"right place         {share(r['place_ok'] for r in faulty)}",
        f"healthy and silent  {share(r['ok'] for r in results if r['healthy'])}",
        f"false alarms        {sum(len(r['other_stalls']) for r in results)}",
    ]
    if seconds:
        lines.append(f"last byte → verdict median {statistics.median(seconds):.1f} s, "
                     f"worst {seconds[-1]:.1f} s")
    if probes:
        lines.append(f"probes sent         median {statistics.median(probes):.0f}, most {max(probes)}")
    return "\n".join(lines)


def score(names, jobs, keep):
    results = []
    with tempfile.TemporaryDirectory(prefix="tcpstall-lab-") as scratch:
        def finished(name, result, said):
            print(said or f"FAIL {name}: no output", flush=True)
            results.append(result or asdict(Result(name)))
        run_many(names, jobs, keep or scratch, finished)
    print()
    print(summary(results))
    return 0 if all(r["ok"] or r["skipped"] for r in results) else 1
