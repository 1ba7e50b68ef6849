# SPDX-License-Identifier: GPL-2.0-only
"""Captures a scenario's stall where its data is sent, on a router half way and where it is received:
three small pcapng files, of headers only."""

import gzip
import os
import signal
import struct
import subprocess
from dataclasses import replace

from . import session
from .run import RECOVER_S
from .scenario import WITNESSES, Transfer
from .stage import Stage

POINTS = ("sender", "middle", "receiver")
AMOUNT = 512 << 10  # moved before the fault
PACE = {"pace_bps": 6000000}
WITNESS = {"chunk": 8 << 10, "every_ms": 500}
SILENT_S = 9  # of which the receiver hears nothing, for several retransmissions
AFTERWARDS_S = 2

ETHERNET = 1
SNAPLEN = 160  # the longest headers: Ethernet, IPv6, TCP with 40 bytes of options, and to spare


def small(scenario):
    """The same scenario with little traffic."""
    fault = scenario.fault
    if fault.name == "state_over_bytes":
        fault = replace(fault, options={"over_bytes": AMOUNT})
    main = scenario.main or Transfer("main")
    others = WITNESSES if scenario.others is None else scenario.others
    return replace(scenario, fault=replace(fault, after_bytes=min(fault.after_bytes, AMOUNT)),
                   main=replace(main, send={**PACE, **main.send}),
                   others=tuple(replace(t, send=WITNESS) for t in others))


def headers_end(frame):
    """Where the data begins in an Ethernet frame with TCP in it; what is not TCP stays whole."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[23] == 6:
        tcp = 14 + (frame[14] & 15) * 4
    elif kind == b"\x86\xdd" and frame[20] == 6:
        tcp = 54
    else:
        return len(frame)
    return tcp + (frame[tcp + 12] >> 4) * 4 if len(frame) > tcp + 12 else len(frame)


def block(kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def write_pcapng(pcap, path):
    """What tcpdump wrote, nanoseconds, without data, packed. Returns the number of packets."""
    with open(pcap, "rb") as file:
        data = file.read()
    out = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
           block(1, struct.pack("<HHI", ETHERNET, 0, SNAPLEN) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0))]
    at = 24
    while at + 16 <= len(data):
        seconds, nanoseconds, captured, length = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16:at + 16 + captured]
        frame = frame[:headers_end(frame)]
        now = seconds * 10**9 + nanoseconds
        out.append(block(6, struct.pack("<IIIII", 0, now >> 32, now & 0xFFFFFFFF, len(frame), length)
                         + frame))
        at += 16 + captured
    with gzip.GzipFile(path, "wb", 9, mtime=0) as file:
        file.write(b"".join(out))
    return len(out) - 2


class Tap:
    """tcpdump on one interface."""

    def __init__(self, netns, interface, name):
        self.file = f"{session.FILES}/{name}.pcap"
        self.process = session.start(
            ["tcpdump", "-n", "-U", "--immediate-mode", "--time-stamp-precision=nano", "-Z", "root",
             "-s", str(SNAPLEN), "-i", interface, "-w", self.file, "tcp or icmp or icmp6"],
            netns, stderr=subprocess.PIPE, text=True)
        while "listening" not in (line := self.process.stderr.readline()):
            if not line:
                raise session.LabError("tcpdump has ended")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=10)[1]
        if "\n0 packets dropped by kernel" not in said:
            raise session.LabError(f"tcpdump: {said.strip()}")


class TappedStage(Stage):
    def __init__(self, scenario):
        super().__init__(scenario, with_tcpstall=False)
        self.taps = []

    def build(self):
        super().build()
        network, path = self.network, list(self.network.path)
        if self.main.sender != "opener":
            path.reverse()
        middle = len(path) // 2
        for point, at, beside in zip(POINTS, (0, middle, -1), (1, middle - 1, -2)):
            node = network.nodes[path[at]]
            interface = node.on(network.segment_between(path[at], path[beside]))
            self.taps.append(Tap(node.netns, interface.name, point))


def let_it_stall(stage):
    """To the end of what the captures should hold."""
    scenario, bus, traffic = stage.scenario, stage.bus, stage.traffic
    undo = stage.await_fault()
    ends = [traffic.end(stage.main, which) for which in ("sender", "receiver")]
    if scenario.truth.outcome == "reset":
        bus.require(lambda: any(end.ended for end in ends), 10, "reset")
        bus.until(lambda: False, AFTERWARDS_S)
    else:
        bus.until(lambda: False, scenario.fault.undo_after_s or SILENT_S)
    if scenario.truth.outcome == "recovered":
        undo()
        before = traffic.received(stage.main)
        bus.require(lambda: traffic.received(stage.main) > before, RECOVER_S, "recovery")
        bus.until(lambda: False, AFTERWARDS_S)


def capture(scenario, directory):
    """Writes NAME-sender.pcapng.gz and so on into the directory."""
    stage = TappedStage(small(scenario))
    os.makedirs(directory, exist_ok=True)
    try:
        stage.start()
        let_it_stall(stage)
        for point, tap in zip(POINTS, stage.taps):
            tap.stop()
            path = f"{directory}/{scenario.name}-{point}.pcapng.gz"
            print(f"{path}: {write_pcapng(tap.file, path)} packets", flush=True)
    finally:
        stage.stop()
    return 0
