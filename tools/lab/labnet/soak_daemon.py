# SPDX-License-Identifier: GPL-2.0-only
"""The daemon among the traffic of a soak, with true stalls in between: each is told once and ends,
nothing else is, and neither memory nor descriptors grow.

Two or three times a minute the line to one host dies for some seconds, while the daemon's targets
fail in turns, its configuration is read again, and rubbish comes to its control socket and its metrics
port. A build with sanitizers (BUILD=build-asan) tells of leaks at the end; its memory says nothing.

A look at memory and descriptors goes before each stall; what was seen in the first third of them, while
tables and buffers come to their size, is not compared. Descriptors: the least of the last third is that
of the second. Memory: a leak shows in most spans of GROWTH_SPAN stalls, a buffer that doubles in those
around it only; so the median of all spans is held to GROWTH_KIB, and STEPS_KIB are left for the rest.
"""

import http.server
import json
import os
import signal
import socket
import statistics
import subprocess
import threading
import time

from . import session
from .monitor import Monitor
from .scenario import MBIT
from .soak import TRAFFIC, WIRES, Soak, narrator, status_of
from .traffic import Transfer

VICTIM = Transfer("victim", listener="victim", send={"pace_bps": 3 * MBIT})
CYCLE_S, DEAD_S, BACK_S = 20, 7.0, 25
GROWTH_SPAN, GROWTH_KIB, STEPS_KIB = 5, 32, 512
CONF = """[daemon]
netns = {netns}
runtime-dir = {files}/run
[store]
dir = {files}/store
max-size = 16M
[metrics]
listen = unix:{files}/metrics
textfile = {files}/tcpstall.prom
textfile-every = 5s
[alerts]
group-wait = 0s
end-wait = 1s
per-hour = 1000
[sink told]
type = program
command = /usr/bin/tee -a {files}/told
[sink hook]
type = webhook
url = {url}
timeout = 2s
[sink am]
type = alertmanager
url = {url}
resend-every = 2s
timeout = 2s
"""


class Target(http.server.BaseHTTPRequestHandler):
    """Answers in turns: well, 500, 429, late, with far more than anybody asked for."""
    turn = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Target.turn += 1
        kind = Target.turn % 8
        try:
            if kind == 3:
                time.sleep(3)
            self.send_response({1: 500, 2: 429}.get(kind, 200))
            self.end_headers()
            if kind == 4:
                for _ in range(64):
                    self.wfile.write(bytes(65536))
        except OSError:
            pass  # it has had enough

    def log_message(self, *_):
        pass


class UnixConnection(socket.socket):
    def __init__(self, path):
        super().__init__(socket.AF_UNIX)
        self.settimeout(5)
        self.connect(path)


class DaemonSoak(Soak):
    wires = {**WIRES, "victim": {"delay_us": 13000, "rate_bps": 50 * MBIT, "queue_bytes": 400000}}
    transfers = (*TRAFFIC, VICTIM)

    def __init__(self, seed):
        super().__init__(seed)
        self.stalls, self.samples, self.next_stall = 0, [], 0
        self.conf = f"{session.FILES}/tcpstall.conf"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def start_watchers(self):
        url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(CONF.format(netns=self.network.nodes["a"].netns, files=session.FILES, url=url))
        self.monitors["daemon"] = monitor = Monitor(self.bus)
        monitor.attach(session.start([session.TCPSTALL, "daemon", "--json", "-c", self.conf],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE))
        self.bus.require(lambda: any("transfers of" in word for word in monitor.words), 30,
                         "the daemon watches")
        self.begun = time.monotonic()
        self.next_stall = self.begun + CYCLE_S / 2

    @property
    def monitor(self):
        return self.monitors["daemon"]

    def status(self):
        return json.loads(session.call([session.TCPSTALL, "status", "--json", "-c", self.conf]))

    def sample(self):
        """Memory and descriptors of the daemon and its broker."""
        row = []
        for pid in (self.monitor.process.pid, self.status()["broker"]["pid"]):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                row.append(int(next(line for line in file if line.startswith("RssAnon")).split()[1]))
            row.append(len(os.listdir(f"/proc/{pid}/fd")))
        return tuple(row)

    def rubbish(self):
        for path in ("run/control", "metrics"):
            with UnixConnection(f"{session.FILES}/{path}") as client:
                client.sendall(os.urandom(200))
        with UnixConnection(f"{session.FILES}/metrics") as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            while client.recv(65536):
                pass

    def stall(self):
        """The line to the victim is dead for a while, and it is told of."""
        wire = self.network.wire_between("r4", "victim")
        number = wire.rule("both", "drop")
        self.monitor.process.send_signal(signal.SIGHUP)
        self.rubbish()
        self.bus.until(lambda: False, DEAD_S)
        wire.unrule(number)
        self.stalls += 1
        self.bus.until(lambda: len(self.true()) >= self.stalls and
                       all(i.end for i in self.true()), BACK_S)

    def outage(self):
        super().outage()
        if time.monotonic() < self.next_stall:
            return
        self.samples.append(self.sample())
        self.stall()
        self.next_stall += CYCLE_S

    def true(self):
        port = self.traffic.port(VICTIM)
        return [i for i in self.monitor.incidents.values()
                if port in (i.flow["src_port"], i.flow["dst_port"])]

    def alarms(self):
        return [("daemon", i) for i in self.monitor.incidents.values() if i not in self.true()]

    def told(self):
        path = f"{session.FILES}/told"
        if not os.path.exists(path):  # the first alert makes it
            return []
        with open(path, encoding="utf-8") as file:
            return [json.loads(line)["type"] for line in file]

    def faults(self):
        """What is wrong, a line each."""
        begun = [i for i in self.true() if not i.slow]
        if len(begun) != self.stalls or any(not i.end for i in begun):
            yield (f"{self.stalls} stalls, {len(begun)} reported, "
                   f"{sum(bool(i.end) for i in begun)} with an end")
        kinds = self.told()
        if not kinds.count("alert_begin") == kinds.count("alert_end") == self.stalls:
            yield f"{self.stalls} stalls, told: {({kind: kinds.count(kind) for kind in set(kinds)})}"
        names = ("memory of the daemon, KiB", "its descriptors", "memory of the broker, KiB",
                 "its descriptors")
        for name, column, (_, middle, last) in zip(names, zip(*self.samples), self.thirds()):
            memory = "KiB" in name
            if memory and "asan" in session.BUILD:
                continue
            if last - middle > (STEPS_KIB if memory else 0):
                yield f"{name}: at least {middle} in the second third, {last} in the last"
            if memory and self.growth(column) > GROWTH_KIB:
                yield f"{name}: {self.growth(column)} more with each {GROWTH_SPAN} stalls"

    @staticmethod
    def growth(column):
        """From one look to that GROWTH_SPAN stalls later, the median behind the first third; 0: too short."""
        settled = column[len(column) // 3:]
        return statistics.median([b - a for a, b in zip(settled, settled[GROWTH_SPAN:])] or [0])

    def thirds(self):
        """Of each thing that is looked at, the least in each third; nothing if it was too short."""
        third = len(self.samples) // 3
        parts = self.samples[:third], self.samples[third:-third], self.samples[-third:]
        return [tuple(map(min, cut)) for cut in zip(*(zip(*part) for part in parts))]

    def finish(self):
        """Ends the daemon; what it left behind."""
        self.monitor.process.send_signal(signal.SIGTERM)
        self.bus.until_ended(self.monitor.process, 20)
        if self.monitor.process.returncode:
            yield f"exit status {self.monitor.process.returncode}: " + " | ".join(self.monitor.words[-8:])


def soak(seconds, seed, keep=None):
    """Prints what was wrong; 0: nothing. NOT_HERE: stalls were told on a machine too busy to tell."""
    say = narrator()
    stage = DaemonSoak(seed)
    why, alarms, late_s = [], [], 0
    try:
        stage.start()
        stage.go_on(seconds, say)
        stage.bus.until(lambda: not stage.status()["alerts"], BACK_S)
        stage.bus.until(lambda: False, 2)  # what was said last is on its way
        late_s = stage.late_s()
        alarms = stage.alarms()
        why += [f"{name} has not moved" for name in stage.still()]
        why += stage.faults()
        status = stage.status()
        why += stage.finish()
    finally:
        stage.stop()
        if keep:
            os.makedirs(keep, exist_ok=True)
            stage.monitor.keep(f"{keep}/daemon.ndjson")
    for text in [stage.describe(*alarm) for alarm in alarms] + why:
        say(text)
    say(f"{len(stage.transfers)} kinds of traffic, {stage.outages} outages, {stage.stalls} stalls, "
        f"{len(alarms)} alarms that were none; memory in KiB and "
        "descriptors of daemon and broker, the least of each third: "
        + (", ".join("-".join(map(str, least)) for least in stage.thirds())
           or "not compared, it was too short")
        + f"; {stage.growth([row[0] for row in stage.samples])} KiB with each {GROWTH_SPAN} stalls; sinks "
        + ", ".join(f"{s['name']} {s['sent']} sent {s['retried']} again {s['lost'] + s['failed']} lost"
                    for s in status["sinks"])
        + f"; lost {status['events_lost']}; the lab itself waited {late_s:.1f} s at most")
    return status_of(alarms, why, late_s)
