# SPDX-License-Identifier: GPL-2.0-only
"""tcpstall at work in a scenario: starts it, reads its NDJSON."""

import json
import os
import signal
import subprocess
import time

from . import session
from .events import PATIENCE

SAID = "tcpstall: watching "
ATTACHED = "link_type:\titer"  # in /proc/PID/fdinfo: the scan, which is attached after all others


def ends_of(flow):
    return (flow["src"], flow["src_port"]), (flow["dst"], flow["dst_port"])


class Incident:
    def __init__(self, begin):
        self.begin = begin
        self.verdicts = []  # (line, CLOCK_MONOTONIC nanoseconds when read)
        self.end = None

    @property
    def flow(self):
        return self.begin["flow"]

    @property
    def slow(self):
        return self.begin["type"] == "slow_begin"

    @property
    def verdict(self):
        return self.verdicts[-1][0] if self.verdicts else None


class Monitor:
    def __init__(self, bus, record=None):
        """record: file for a recording."""
        self.bus = bus
        self.record = record
        self.process = None
        self.lines, self.words = [], []
        self.incidents = {}
        self.summary = None
        self.bad_lines = 0

    def command(self, verb, netns, options=()):
        """netns: the one to look at, or None for all."""
        where = ["--netns", netns] if netns else []
        record = ["--record", self.record] if self.record else []
        store = ["--store", session.STORE] if session.STORE else ["--no-store"]
        return [session.TCPSTALL, verb, "--json", "-n", *where, *record, *store, *options]

    def start_watch(self, netns, options=(), inside=None):
        """inside: the namespace to run in."""
        self.attach(session.start(self.command("watch", netns, options), inside,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE))

    def attach(self, process, on_words=None):
        """Reads the output of a tcpstall that has been started; on_words(line) for stderr."""
        self.process = process
        self.bus.add_lines(process.stdout, self._heard)
        self.bus.add_lines(process.stderr, on_words or self.words.append, b"\n\r")

    def _attached(self):
        """Whether its kernel programs are. That some are loaded says nothing: it may be trying them,
        one after the other."""
        folder = f"/proc/{self.process.pid}/fdinfo"
        for fd in os.listdir(folder):
            with open(f"{folder}/{fd}", encoding="ascii", errors="replace") as info:
                if ATTACHED in info.read():
                    return True
        return False

    def watching(self):
        """Whether it says so, or it shows in /proc only."""
        if any(SAID in words for words in self.words):
            return True
        try:
            return self._attached()
        except OSError:
            return False

    def wait_until_watching(self, timeout_s=15 * PATIENCE):
        end = time.monotonic() + timeout_s
        while not self.watching():
            if self.process.poll() is not None or time.monotonic() > end:
                self.bus.drain()
                kind = session.Unavailable if self.process.poll() == session.NOT_HERE \
                    else session.LabError
                raise kind("tcpstall does not run: " + " | ".join(self.words)[-300:])
            self.bus.until(lambda: False, 0.05)

    def keep(self, path):
        """Writes what was said to a file: lines, then words."""
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in [*map(json.dumps, self.lines), *self.words])

    def _heard(self, text):
        now_ns = time.monotonic_ns()
        try:
            line = json.loads(text)
            kind = line["type"]
        except (ValueError, KeyError, TypeError):
            self.bad_lines += 1
            return
        self.lines.append(line)
        if kind in ("stall_begin", "slow_begin"):
            self.incidents[line["incident"]] = Incident(line)
        elif kind == "verdict" and line["incident"] in self.incidents:
            self.incidents[line["incident"]].verdicts.append((line, now_ns))
        elif kind in ("stall_end", "slow_end") and line["incident"] in self.incidents:
            self.incidents[line["incident"]].end = line
        elif kind == "summary":
            self.summary = line

    def incidents_of(self, src, dst):
        """Those of the data that goes from src to dst, (address, port) pairs, the latest first."""
        return [incident for incident in reversed(self.incidents.values())
                if ends_of(incident.flow) == (src, dst)]

    def incident_of(self, src, dst):
        return next(iter(self.incidents_of(src, dst)), None)

    def stop(self, timeout_s=10):
        """Ends it as Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        if not self.bus.until_ended(self.process, timeout_s):
            self.process.kill()
            self.process.wait()
        self.bus.drain()
        return self.process.returncode
