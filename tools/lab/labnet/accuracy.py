# SPDX-License-Identifier: GPL-2.0-only
"""How right the verdicts are, over the whole matrix (matrix.py): the table and its file."""

import fnmatch
import json
import os
import statistics
import subprocess
import time

from . import matrix, score, session

NOTES = "## Notes\n"

# Lower bounds of the confidences that are counted together.
BUCKETS = (0.99, 0.95, 0.9, 0.8, 0.6, 0.0)


def percent(values):
    """Rounded down: 100 % are all of them."""
    values = list(values)
    return f"{100 * sum(values) // len(values)} % ({sum(values)} of {len(values)})" if values else "-"


def table(heads, rows):
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    return "\n".join(f"| {line} |" for line in lines + [" | ".join(map(str, row)) for row in rows])


def scores(results):
    return (percent(r["detected"] for r in results), percent(r["cause_ok"] for r in results),
            percent(r["place_ok"] for r in results))


def grouped(results, what, key_of):
    groups = {}
    for result in results:
        groups.setdefault(key_of(result), []).append(result)
    return table((what, "cases", "detected", "right cause", "right place"),
                 [(key, len(some), *scores(some)) for key, some in sorted(groups.items())])


def names_place(result):
    return result["place"] not in ("path", "unknown")


def calibration(results):
    """Of the verdicts that say so much, how many are right."""
    rows = []
    for lower, upper in zip(BUCKETS, (1.01,) + BUCKETS):
        row = [f"{lower:.2f} and more" if upper > 1 else f"{lower:.2f} to {upper:.2f}"]
        for said, right in (("cause_confidence", "cause_ok"), ("place_confidence", "place_ok")):
            some = [r for r in results if r["detected"] and r[said] is not None
                    and lower <= r[said] < upper and (right == "cause_ok" or names_place(r))]
            mean = f", said {100 * statistics.mean(r[said] for r in some):.0f} %" if some else ""
            row.append(percent(r[right] for r in some) + mean)
        rows.append(row)
    return table(("confidence", "cause right", "place right"), rows)


def seconds(values):
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    return f"median {statistics.median(values):.1f} s, worst {max(values):.1f} s"


def times(results):
    return [seconds([r["final_verdict_s"] for r in results if r["slow"] == slow])
            for slow in (False, True)]


def told_after_s(result):
    """From slow_begin to the first verdict."""
    lines = [line for line in result["lines"] if line.get("incident") == result["incident"]]
    begun, told = (next(line["mono_ns"] for line in lines if line["type"] == kind)
                   for kind in ("slow_begin", "verdict"))
    return (told - begun) / 1e9


def report(results, truths, draws):
    """Markdown. truths: name to Scenario; draws: name to Draw of those that were drawn."""
    run = [r for r in results if not r["skipped"] and not r["broken"]]
    unseen = [r for r in run if r["unseen"]]
    faulty = [r for r in run if not r["healthy"] and not r["unseen"]]
    stopped, crawling = times(faulty)
    probes = [r["probes_sent"] for r in faulty if r["detected"]]
    detected, cause, place = scores(faulty)
    false_alarms = sum(len(r["other_stalls"]) for r in run)
    overall = table(("what", "result"), (
        ("cases", f"{len(faulty)} with a fault, {len(run) - len(faulty) - len(unseen)} healthy, "
                  f"{len(results) - len(run)} not run"),
        ("detected", detected), ("right cause", cause), ("right place", place),
        ("false alarms", false_alarms),
        ("last byte of progress to the final verdict", stopped),
        ("slow transfers: slow_begin, after 10 s of it, to the first verdict", seconds(
            [told_after_s(r) for r in faulty if r["slow"]])),
        ("slow transfers: fault to the final verdict", crawling),
        ("probes of an incident", f"median {statistics.median(probes):.0f}, most {max(probes)}"
         if probes else "-")))
    drawn = [r for r in faulty if r["name"] in draws]
    parts = ["## Over all\n\n" + overall,
             "## By cause\n\n" + grouped(faulty, "true cause", lambda r: truths[r["name"]].truth.cause[0]),
             "## By circumstance\n\nOf the drawn cases.\n"]
    for what, key_of in (("seen by the", lambda d: d.vantage), ("family", lambda d: f"IPv{d.family}"),
                         ("round trip", lambda d: f"{d.rtt_ms:3} ms"),
                         ("data", lambda d: "out of a" if d.up else "into a"),
                         ("place", lambda d: "hop 1" if d.hop == 1 else "hop 2 or 3" if d.hop < 4
                          else "hop 4 and more"),
                         ("other load", lambda d: "yes" if d.load else "no")):
        parts.append(grouped(drawn, what, lambda r, key=key_of: key(draws[r["name"]])))
    parts.append("## Calibration\n\nOf the verdicts that say so much, how many are right; for places, "
                 "of those that name one (not `path` or `unknown`).\n\n"
                 + calibration(faulty))
    wrong = [(r["name"], truths[r["name"]].about,
              "/".join(truths[r["name"]].truth.cause) if truths[r["name"]].truth else "healthy",
              f"{r['cause']} at {r['place']}" if r["detected"] else "-", r["why"])
             for r in run if not r["ok"]]
    parts.append("## Wrong\n\n" + (table(("case", "what it is", "truth", "said", "why it counts as "
                                          "wrong"), wrong) if wrong else "Nothing."))
    if unseen:
        parts.append("## Not to be seen from there\n\nNothing was reported, and nothing is counted "
                     "above.\n\n" + table(("case", "what it is", "why it cannot be seen"),
                                          [(r["name"], truths[r["name"]].about,
                                            truths[r["name"]].truth.unseen) for r in unseen]))
    not_run = [(r["name"], r["why"]) for r in results if r["skipped"] or r["broken"]]
    if not_run:
        parts.append("## Not run\n\n" + table(("case", "why"), not_run))
    return "\n\n".join(parts) + "\n"


def notes(path):
    """What people have written below the table: it stays."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        _, mark, text = file.read().partition(NOTES)
    return f"\n{mark}{text}" if mark else ""


def heading(seed):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=os.path.dirname(score.LAB),
                            capture_output=True, text=True, check=False).stdout.strip()
    return (f"# How right the verdicts are\n\n`make accuracy`, {time.strftime('%Y-%m-%d')}, commit "
            f"{commit or 'unknown'}, seed {seed}. Each case is a network of namespaces with real "
            "transfers; one thing in it is broken, and tcpstall sees it from the place that the case "
            "names. `lab list --matrix` lists the cases, `lab run NAME` runs one.\n\n")


def known(path):
    """Whether a result is there, and one of tcpstall's."""
    if not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as file:
        return not json.load(file)["broken"]


def accuracy(patterns, jobs, seed, keep, resume, write):
    """Status 0: every case was judged right."""
    cases = {scenario.name: scenario for scenario in matrix.cases(seed)}
    draws = {scenario.name: draw for scenario, draw in matrix.drawn(seed)}
    chosen = [name for name in cases
              if not patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    if not chosen:
        raise session.LabError("no case of that name; see lab list --matrix")

    def path(name):
        return f"{keep}/{name}.json"

    os.makedirs(keep, exist_ok=True)
    to_run = [name for name in chosen if not (resume and known(path(name)))]
    left = len(to_run)

    def finished(name, _result, said):
        nonlocal left
        left -= 1
        print(f"{said or f'FAIL {name}: no output'} ({left} left)", flush=True)

    score.run_many(to_run, jobs, keep, finished, seed)
    results = []
    for name in chosen:
        if os.path.exists(path(name)):
            with open(path(name), encoding="utf-8") as file:
                results.append(json.load(file))
    text = report(results, cases, draws)
    print("\n" + text)
    if write:
        text = heading(seed) + text + notes(write)  # before the file differs from the commit's
        with open(write, "w", encoding="utf-8") as file:
            file.write(text)
    return 0 if len(results) == len(chosen) and all(r["ok"] or r["skipped"] for r in results) else 1
