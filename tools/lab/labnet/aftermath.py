# SPDX-License-Identifier: GPL-2.0-only
"""What a run has left in the store, opened again: the export, the page, and the cause that analyze
finds in the packets alone."""

import json
import os
import re
import shutil
import subprocess
import tempfile

from . import session
from .events import PATIENCE

LIMIT_S = 60 * PATIENCE
OTHERS = (("capinfos",), ("tcpdump", "-n", "-r"), ("tshark", "-Y", "_ws.malformed", "-r"))
SENT = ("in_flow", "control", "in_flow_full_size")

# What only the host knows, and no packet shows: its interfaces, neighbours and programs, its own
# drops, counters of its sockets, and how fast a transfer went before the last packets that are kept.
HOST_KNOWS = ("address-conflict", "link-degraded", "link-down", "local-drop", "neighbour-unreachable",
              "rate-limit", "sender-idle", "window-limited")


def _tcpstall(*words):
    return subprocess.run([session.TCPSTALL, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=LIMIT_S, check=False)


def _lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def _direction(line):
    return tuple(line["flow"][key] for key in ("src", "src_port", "dst", "dst_port"))


def cause_of_packets(live, path):
    """What analyze says of the same stall, or None: it sees no stall."""
    kind = "slow_" if live["type"].startswith("slow") else "stall_"
    lines = [line for line in _lines(_tcpstall("analyze", "--json", "--min-bytes", "1k", path))
             if "flow" in line and _direction(line) == _direction(live)]
    same = {line["incident"] for line in lines if line["type"].startswith(kind)}
    causes = [line["cause"] for line in lines
              if line["type"] == "verdict" and line["incident"] in same]
    return causes[-1] if causes else None


def refused(path):
    """The programs, of those that are here, which cannot read it; or find what is malformed."""
    for words in OTHERS:
        if not shutil.which(words[0]):
            continue
        try:
            done = subprocess.run([*words, path], stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            yield f"{words[0]} (in {LIMIT_S:g} s)"
            continue
        if done.returncode or ("-Y" in words and done.stdout):
            yield words[0]


def missing(live, store, path):
    """What the export, made at path, and the page of an incident lack: words, [] if nothing."""
    done = _tcpstall("export", live["incident"], "--store", store, "--witnesses", "-o", path)
    if done.returncode or done.stderr:
        return [f"export: {done.stderr.decode().strip()}"]
    with open(path, "rb") as file:
        packets = file.read()
    found = []
    if f"cause: {live['cause']}".encode() not in packets:
        found.append("the verdict")
    if b"last progress" not in packets and not live["type"].startswith("slow"):
        found.append("last progress")
    sent = sum(hop.get(kind, {}).get("sent", 0) for hop in live["hops"] for kind in SENT)
    probes = len(re.findall(rb"probe[a-z -]*, TTL", packets))
    if probes < sent:
        found.append(f"{sent - probes} of {sent} probes")
    found += [f"what {program} reads" for program in refused(path)]
    page = path + ".html"
    done = _tcpstall("report", live["incident"], "--store", store, "-o", page)
    if done.returncode:
        return [*found, f"report: {done.stderr.decode().strip()}"]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    if text.count("<svg ") < 3 or live["cause"] not in text:
        found.append("pictures or the verdict on the page")
    return found


def look(store, incident, beside=False):
    """What is missing of a kept incident, the cause that was found live, and that of its packets.
    beside: also what is missing of those towards the same peer, which were probed together."""
    lines = _lines(_tcpstall("incidents", "--json", "--store", store))
    live = next((line for line in lines if line["incident"] == incident), None)
    if not live:
        return ["the incident"], None, None
    with tempfile.TemporaryDirectory(prefix="tcpstall-lab-") as scratch:
        path = f"{scratch}/export.pcapng"
        lacks = missing(live, store, path)
        found = cause_of_packets(live, path) if os.path.exists(path) else None
        for other in lines if beside else []:
            if other is not live and other["flow"]["dst"] == live["flow"]["dst"]:
                lacks += missing(other, store, f"{scratch}/{other['incident']}.pcapng")
    return lacks, live["cause"], found
