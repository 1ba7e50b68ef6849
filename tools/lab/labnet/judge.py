# SPDX-License-Identifier: GPL-2.0-only
"""Compares what tcpstall said with the truth of a scenario."""

import re
from dataclasses import dataclass, field


@dataclass
class Result:
    name: str
    ok: bool = False
    why: str = ""  # what is wrong, if anything
    skipped: bool = False
    broken: bool = False  # the lab itself failed: nothing is known of tcpstall
    healthy: bool = False
    unseen: bool = False  # nothing was reported, and nothing could be seen
    detected: bool = False
    cause: str = ""
    cause_ok: bool = False
    place: str = ""
    place_ok: bool = False
    outcome: str = ""
    first_verdict_s: float = None  # from the last byte of progress, as the transfer's own ends saw it
    final_verdict_s: float = None  # until it said what it said in the end, and stayed with it
    cause_confidence: float = None
    place_confidence: float = None
    slow: bool = False  # the times are from the fault then
    probes_sent: int = 0
    incident: str = ""  # that was judged
    other_stalls: list = field(default_factory=list)  # reported, though nothing was wrong with them
    lines: list = field(default_factory=list)  # all that tcpstall printed
    words: list = field(default_factory=list)  # the last of its diagnostics


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
        ends = [(where.get(side), network.nodes[name].addresses())
                for side, name in zip(("near", "far"), names.split("-"))]
        known = [(address, addresses) for address, addresses in ends if address]
        return bool(known) and all(address in addresses for address, addresses in known)
    return True


def probes_of(verdict):
    """Packets sent, as its hops say."""
    return sum(kind.get("sent", 0) for hop in verdict.get("hops") or []
               for kind in hop.values() if isinstance(kind, dict))


def conclusion(verdict):
    return verdict.get("cause"), place_text(verdict.get("where"))


def agree(earlier, final):
    """Whether two verdicts say the same; the later one may know an address more of the same link."""
    if earlier.get("cause") != final.get("cause"):
        return False
    was, now = earlier.get("where") or {}, final.get("where") or {}
    if was.get("kind") != "link":
        return place_text(was) == place_text(now)
    return now.get("kind") == "link" and any(was.get(end) for end in ("near", "far")) \
        and all(was.get(end) in (None, now.get(end)) for end in ("near", "far"))


def settled_ns(verdicts):
    """Since when the conclusion is what it is in the end."""
    final = verdicts[-1][0]
    since_ns = verdicts[-1][1]
    for line, ns in reversed(verdicts):
        if not agree(line, final):
            break
        since_ns = ns
    return since_ns


def judge(incident, network, truth, from_ns, result):
    """Fills the result from the last verdict of an incident; from_ns: the last progress that the
    transfer's own ends saw before the first verdict, or the fault of a transfer that goes on."""
    result.detected = bool(incident and incident.verdicts)
    if not incident and truth.unseen:
        result.unseen = True
        return
    if not result.detected:
        result.why = "stall seen, but no verdict" if incident else "no stall seen"
        return
    verdict = incident.verdict
    result.slow = incident.slow
    result.incident = verdict["incident"]
    result.cause, result.place = conclusion(verdict)
    result.cause_ok = result.cause in truth.cause
    result.place_ok = any(place_matches(verdict.get("where"), p, network) for p in truth.places)
    result.cause_confidence = verdict.get("cause_confidence")
    result.place_confidence = (verdict.get("where") or {}).get("confidence")
    result.probes_sent = verdict.get("probes_sent", probes_of(verdict))
    result.outcome = incident.end.get("outcome", "") if incident.end else ""
    if from_ns:
        result.first_verdict_s = round((incident.verdicts[0][1] - from_ns) / 1e9, 3)
        result.final_verdict_s = round((settled_ns(incident.verdicts) - from_ns) / 1e9, 3)
    if not result.cause_ok:
        result.why = f"cause is {result.cause}"
    elif not result.place_ok:
        result.why = f"place is {result.place}"
    elif truth.detail and not re.search(truth.detail, verdict.get("detail") or ""):
        result.why = f"detail is {verdict.get('detail')}"
    elif truth.outcome and result.outcome != truth.outcome:
        result.why = f"outcome is {result.outcome or 'missing'}"
