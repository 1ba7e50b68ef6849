# SPDX-License-Identifier: GPL-2.0-only
"""Other tools beside a stalled transfer: how each is run, and what a reader who knows it makes of
its output. A reader is told nothing of the fault: neither its kind nor its place.

The rules are meant to be generous. A path that ends counts as a hole or as a dead peer, whichever
it is, at the last hop that answers or the link behind it. Loss counts where it begins and goes on
to the end. Repeated segments alone say that something is wrong, and not what.
"""

import re
from dataclasses import dataclass, field

LOSS_SHARE = 0.05  # of a path tool's packets, at a hop and at all behind it
REPEATED_SHARE = 0.01  # of the segments: more is called loss
SILENT_S = 2  # without progress: not only slow
RECENT_S = 10  # what is read of counts that go on
SS_EVERY_S = 0.1


@dataclass
class Reading:
    """What a tool said. causes: words of the contract, any of which is meant. places: as `where` in
    a verdict."""
    detects: bool = False
    causes: tuple = ()
    places: list = field(default_factory=list)


@dataclass
class Target:
    """What is asked about: a connection as the host knows it that the tools run on."""
    local: tuple
    peer: tuple

    def filter(self):
        return f"( sport = :{self.local[1]} and dport = :{self.peer[1]} )"


# Tools that ask the path.

def _at_end(address):
    """Places of a path whose last hop that answers is this one."""
    return [{"kind": "hop", "address": address}, {"kind": "link", "near": address}]


def read_path(hops, target):
    """hops: {ttl: (address, share lost)} of those that answered."""
    own = target.local[0]
    hops = {ttl: hop for ttl, hop in hops.items() if hop[0] != own}  # its own kernel gave up
    answered = sorted(hops)
    end = next((t for t in answered if hops[t][0] == target.peer[0]), None)
    if not hops:
        return Reading(True, ("neighbour-unreachable", "path-blackhole"),
                       [{"kind": "link", "near": own}])
    if end is None:
        return Reading(True, ("path-blackhole", "peer-gone"),
                       _at_end(hops[answered[-1]][0]))
    start = None
    for ttl in range(end, 0, -1):
        if ttl not in hops or hops[ttl][1] < LOSS_SHARE:
            break
        start = ttl
    if start is None:
        return Reading()
    before = hops[start - 1][0] if start - 1 in hops else own
    here = hops[start][0]
    return Reading(True, ("path-loss",), [{"kind": "hop", "address": here},
                                          {"kind": "hop", "address": before},
                                          {"kind": "link", "near": before, "far": here}])


def read_mtr(text, target):
    hops = {}
    for ttl, address, lost in re.findall(r"^\s*(\d+)\.\|--\s+(\S+)\s+([\d.]+)%?", text, re.M):
        if address != "???" and float(lost) < 100:
            hops[int(ttl)] = (address, float(lost) / 100)
    return read_path(hops, target)


def read_trace(text, target):
    """A line a hop: number, addresses, times, a star for what was not answered."""
    hops = {}
    for ttl, rest in re.findall(r"^\s*(\d+)\s+(.*)$", text, re.M):
        address = re.search(r"(?:\d+\.){3}\d+", rest)
        times = len(re.findall(r"[\d.]+ ?ms", rest))
        if address and times:
            hops[int(ttl)] = (address[0], 0 if rest.count("*") < 2 else 0.5)
    return read_path(hops, target)


def read_trace_mtu(text, target):
    """The same with full-size packets: `*mtu` is a smaller size that no ICMP message told of."""
    before = target.local[0]
    for address, silent, _ in re.findall(r"^\s*\d+\s+(\S+).*\[(\*?)mtu: (\d+)\]", text, re.M):
        if silent:
            return Reading(True, ("size-blackhole",),
                           [{"kind": "hop", "address": address}, {"kind": "hop", "address": before},
                            {"kind": "link", "near": before}])
        before = address
    return read_trace(text, target)


# Tools that look at the connection.

def _ss_samples(text):
    """[(seconds, line or "")] of a loop that prints the time before each look."""
    found = []
    for part in text.split("@")[1:]:
        stamp, _, line = part.partition("\n")
        found.append((float(stamp), line.strip()))
    return found


def _number(name, line):
    match = re.search(rf"\b{name}:(\d+)", line)
    return int(match[1]) if match else 0


def read_ss(text, _target):
    samples = _ss_samples(text)
    lines = [(at, line) for at, line in samples if line.startswith("ESTAB")]
    if not samples or not lines:
        return Reading(bool(samples))
    if not samples[-1][1].startswith("ESTAB"):
        return Reading(True)
    end_at, last = lines[-1]
    acked = _number("bytes_acked", last)
    since = next((at for at, line in lines if _number("bytes_acked", line) == acked), end_at)
    queued = int(last.split()[2])
    if end_at - since >= SILENT_S:
        if "timer:(persist" in last and _number("snd_wnd", last) < _number("mss", last):
            return Reading(True, ("receiver-not-reading",), [{"kind": "receiver-app"}])
        if not queued and not _number("unacked", last):
            return Reading(True, ("sender-idle",), [{"kind": "sender-app"}])
        return Reading(True)
    first = next(line for at, line in lines if at >= end_at - RECENT_S)
    repeated = [int(m[1]) if (m := re.search(r"retrans:\d+/(\d+)", line)) else 0
                for line in (first, last)]
    sent = _number("segs_out", last) - _number("segs_out", first)
    if sent and (repeated[1] - repeated[0]) / sent > REPEATED_SHARE:
        return Reading(True, ("path-loss",))
    return Reading()


def read_expert(text, _target):
    """The groups of tshark's expert information, each with its number."""
    counts = {what.strip(): int(number) for number, what in
              re.findall(r"^\s+(\d+)\s+\S+\s+\S+\s+(.+)$", text, re.M)}

    def count(*words):
        return sum(number for what, number in counts.items()
                   if any(word.lower() in what.lower() for word in words))

    if count("duplicate ip address"):
        return Reading(True, ("address-conflict",))
    if count("zero window segment", "zero window probe"):
        return Reading(True, ("receiver-not-reading",), [{"kind": "receiver-app"}])
    if count("connection reset"):
        return Reading(True, ("connection-reset",))
    again = count("retransmission")
    total = int(m[1]) if (m := re.search(r"^@frames (\d+)$", text, re.M)) else 0
    if again and total and again / total > REPEATED_SHARE:
        return Reading(True, ("path-loss",))
    return Reading(again > 2)


def read_tcptrace(text, target):
    """The long form, two columns; the data goes from our port to the peer's."""
    found = None
    for part in re.split(r"^=+$", text, flags=re.M):
        ports = re.findall(r"host \w+:\s+\S+:(\d+)", part)
        if set(map(int, ports)) == {target.local[1], target.peer[1]}:
            found = part, int(ports[0]) == target.local[1]
    if not found:
        return Reading()
    part, ours_first = found

    def value(name, ours=True):
        match = re.search(rf"{name}:\s+(\d+)[^:\n]*?{name}:\s+(\d+)", part)
        return int(match[1 if ours == ours_first else 2]) if match else 0

    if value("resets sent") or value("resets sent", False):
        return Reading(True, ("connection-reset",))
    if value("zero win adv", False):
        return Reading(True, ("receiver-not-reading",), [{"kind": "receiver-app"}])
    again, sent = value("rexmt data pkts"), value("actual data pkts")
    if sent and again / sent > REPEATED_SHARE:
        return Reading(True, ("path-loss",))
    return Reading(again > 2 or value("idletime max") >= SILENT_S * 1000)


def read_lines_of(text, target):
    """A tool that prints a line for each repeated segment."""
    port = str(target.local[1])
    return Reading(sum(port in line for line in text.splitlines()) > 1)


def read_top(text, target):
    """A table a second, without connections that moved nothing."""
    tables = re.split(r"^\d\d:\d\d:\d\d loadavg.*$", text, flags=re.M)[1:]
    port = f":{target.local[1]}"
    moved = [port in table for table in tables]
    return Reading(any(moved) and not any(moved[-SILENT_S - 1:]))


# name, command (address, port and own port are put in), reader, seconds at most.
ACTIVE = (
    ("mtr", "mtr -n -r -c 15 -i 1 {address}", read_mtr, 40),
    ("mtr --tcp", "mtr -n -r -c 15 -i 1 --tcp --port {port} {address}", read_mtr, 60),
    ("traceroute -T", "traceroute -n -T -p {port} -q 3 -w 2 -m 12 {address}", read_trace, 40),
    ("tcptraceroute", "tcptraceroute -n -q 3 -w 1 -m 10 {address} {port}", read_trace, 50),
    ("lft", "lft -n -S {address}:{port}", read_trace, 40),
    ("scamper tcp", "scamper -c 'trace -P tcp -d {port} -q 2 -w 2 -g 4' -i {address}",
     read_trace, 40),
    ("scamper -M", "scamper -c 'trace -M -P udp-paris -q 2 -w 2 -g 4' -i {address}",
     read_trace_mtu, 60),
)
SS = "while :; do echo @$(date +%s.%N); ss -tinoOH '{filter}'; sleep " f"{SS_EVERY_S}; done"
# Left running over the fault; both need kprobes.
TRACERS = (
    ("tcpretrans (bcc)", "tcpretrans-bpfcc", read_lines_of),
    ("tcptop (bcc)", "tcptop-bpfcc -C 1", read_top),
    ("tcpretrans.bt", "tcpretrans.bt", read_lines_of),
)
# Of a capture of the connection, and of ARP.
OFFLINE_FILTER = "(tcp.port=={local} and tcp.port=={peer}) or arp"
OFFLINE = (
    ("tshark expert", "tshark -n -q -r {file} -z expert,note; "
     "echo @frames $(tshark -n -r {file} -Y tcp | wc -l)", read_expert),
    ("tcptrace", "tcptrace -n -l {file}", read_tcptrace),
)
