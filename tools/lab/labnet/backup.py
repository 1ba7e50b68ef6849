# SPDX-License-Identifier: GPL-2.0-only
"""The backup that stops: pg_basebackup through a NAT router that loses one of its two connections.

The connection that carries the data dies, the one that streams the log beside it goes on, and ping
and mtr see nothing. Two arrangements, a – switch – r1 (NAT, MTU 1492 behind it) – r2 – … – b:
    run    pg_basebackup at home (a), the server outside (b); tcpstall run around pg_basebackup
    watch  the server at home, reached through a forwarded port; tcpstall watches beside the server
"""

import re
import subprocess
import time
from dataclasses import dataclass

from . import session
from .judge import judge
from .monitor import Monitor
from .network import chain, forward_port
from .postgres import Server

STOP_AT_PERCENT = 25
PERCENT = re.compile(r"(\d+)/(\d+) kB \((\d+)%\)")


@dataclass
class Bulk:
    """The connection that carries the data, as the client's router and the vantage know it."""
    client_port: int
    local: tuple
    peer: tuple


class Backup:
    def __init__(self, scenario, bus):
        self.bus = bus
        self.at_home = scenario.mode == "backup-run"  # the client is
        self.network = chain(scenario.seed, **scenario.topology())
        self.network.build()
        nodes = self.network.nodes
        self.router = nodes["r1"]
        self.client, self.server_node = nodes["a"], nodes["b"]
        self.port = self.network.plan.port()
        self.host = self.server_node.address(4)
        if not self.at_home:
            self.client, self.server_node = self.server_node, self.client
            outside = self.router.interfaces[1]
            self.host = outside.v4
            forward_port(self.router, outside.name, self.port, self.server_node.address(4))
        self.server = Server(self.server_node.netns, self.port)
        self.megabytes = scenario.backup_mb
        self.percent, self.total_kb, self.client_lines = 0, 0, []
        self.process = None

    @property
    def vantage(self):
        return self.network.nodes["a"]

    def prepare(self):
        self.server.make(self.megabytes)
        self.server.start(self.bus)
        self.server.keep_writing()

    def start_client(self, wrap=()):
        """pg_basebackup, as an argument of `wrap`."""
        command = self.server.backup_command(self.host, self.port, session.FILES + "/backup")
        self.process = session.start([*wrap, *command], self.client.netns, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return self.process

    def heard(self, line):
        """A line of pg_basebackup."""
        match = PERCENT.search(line)
        if match:
            self.percent, self.total_kb = int(match[3]), int(match[2])

    def connections(self):
        """(bytes, port of the client) of the connections to the server, as the router counts them."""
        listing = session.call(["conntrack", "-L", "-f", "ipv4", "-p", "tcp", "--orig-port-dst",
                                str(self.port)], self.router.netns)
        found = []
        for line in listing.splitlines():
            port = re.search(r"\bsport=(\d+)", line)
            if port:
                found.append((sum(map(int, re.findall(r"\bbytes=(\d+)", line))), int(port[1])))
        return sorted(found)

    def find_bulk(self):
        port = self.connections()[-1][1]
        if self.at_home:
            return Bulk(port, (self.client.address(4), port), (self.host, self.port))
        return Bulk(port, (self.server_node.address(4), self.port), (self.client.address(4), port))

    def lose(self, bulk):
        """The router forgets this one connection."""
        session.call(["conntrack", "-D", "-f", "ipv4", "-p", "tcp", "--orig-port-src",
                      str(bulk.client_port), "--orig-port-dst", str(self.port)], self.router.netns)

    def since_progress_s(self, bulk):
        """How long the kernel at the vantage has seen nothing new of the connection."""
        state = session.call(["ss", "-tinH", "sport", "=", f":{bulk.local[1]}", "and", "dport", "=",
                              f":{bulk.peer[1]}"], self.vantage.netns)
        match = re.search(r"lastrcv:(\d+)" if self.at_home else r"lastack:(\d+)", state)
        return int(match[1]) / 1000 if match else None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.server.stop()


def run_scenario(scenario, bus, result, verdict_s, record=None):
    """Fills a Result (run.py); the story with JSON output, and no show."""
    backup = Backup(scenario, bus)
    monitor = Monitor(bus, record)
    try:
        backup.prepare()

        def heard(line):
            monitor.words.append(line)
            backup.heard(line)

        if backup.at_home:
            client = backup.start_client([*monitor.command("run", backup.vantage.netns), "--"])
            monitor.attach(client, heard)
        else:
            monitor.start_watch(backup.vantage.netns)
            monitor.wait_until_watching()
            bus.add_lines(backup.start_client().stderr, heard, b"\n\r")
        bus.require(lambda: backup.percent >= STOP_AT_PERCENT, 60, f"{STOP_AT_PERCENT} % copied")
        bulk = backup.find_bulk()
        backup.lose(bulk)
        src, dst = (bulk.peer, bulk.local) if backup.at_home else (bulk.local, bulk.peer)
        timing = {}

        def decided():
            incident = monitor.incident_of(src, dst)
            if incident and incident.verdicts and not timing:
                timing["s"] = backup.since_progress_s(bulk)
                timing["ns"] = time.monotonic_ns()
            return bool(timing)

        if bus.until(decided, verdict_s):
            bus.until(lambda: False, 3)
        monitor.stop()
        incident = monitor.incident_of(src, dst) if timing else None
        moved_ns = timing["ns"] - int(timing["s"] * 1e9) if timing.get("s") is not None else None
        judge(incident, backup.network, scenario.truth, moved_ns, result)
        main = {src, dst}
        result.other_stalls = [
            f"{i.flow['src']}:{i.flow['src_port']}" for i in monitor.incidents.values()
            if {(i.flow["src"], i.flow["src_port"]), (i.flow["dst"], i.flow["dst_port"])} != main]
    finally:
        if monitor.process:
            monitor.stop()
        backup.stop()
        result.lines = monitor.lines
        result.words = monitor.words[-40:]
