# SPDX-License-Identifier: GPL-2.0-only
"""The backup that stops, as a show: what everybody would look at, and what tcpstall says."""

import re
import shutil
import signal
import subprocess
import time

from . import session
from .backup import STOP_AT_PERCENT, Backup
from .events import Bus
from .scenarios import BY_NAME

VERDICT = re.compile(r"VERDICT (\S+) at hop (\d+) \((\S+?)\)")
VERDICT_S = 30

PICTURE = """\
A backup is fetched over the internet: pg_basebackup -X stream, as every night.

    {client:<16}      {inside:<16}                               {server}
    backup host --[switch]-- R1 ---------- R2 --- R3 --- R4 --- R5 ---- PostgreSQL
                             NAT, MTU 1492                 20 ms
"""


class Demo:
    def __init__(self):
        self.bus = Bus()
        self.begin = time.monotonic()
        self.backup = None
        self.verdict = None  # the match of VERDICT
        self.silence_s = None  # from the last byte to the verdict
        self.bulk = None
        self.told_percent = -10

    def say(self, who, text):
        print(f"[{time.monotonic() - self.begin:5.1f} s] {who:>12} | {text}", flush=True)

    def heard(self, line):
        """A line of tcpstall, or of pg_basebackup under it. Of the progress, only each tenth."""
        before = self.backup.percent
        self.backup.heard(line)
        if " kB (" in line and "tablespace" in line:
            if self.backup.percent < self.told_percent + 5 and not self.bulk:
                return
            if self.bulk and self.backup.percent == before:
                return
            self.told_percent = self.backup.percent
            self.say("pg_basebackup", line.strip())
            return
        if not line.strip():
            return
        self.say("tcpstall" if self.bulk else "", line)
        match = VERDICT.search(line)
        if match and self.bulk and not self.verdict:
            self.verdict = match
            self.silence_s = self.backup.since_progress_s(self.bulk)

    def tool(self, name, command):
        """Runs a tool beside the rest and prints what it says."""
        if not shutil.which(command[0]):
            self.say(name, "not installed")
            return None
        self.say("$", " ".join(command))
        child = session.start(command, self.backup.client.netns, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.bus.add_lines(child.stdout, lambda line: line.strip() and self.say(name, line))
        return child

    def run(self):
        backup = self.backup = Backup(BY_NAME["backup-run"], self.bus)
        client, host = backup.client.address(4), backup.host
        print(PICTURE.format(client=client, inside=backup.router.interfaces[0].v4, server=host))
        self.say("lab", "making the database, a few hundred MB")
        backup.prepare()
        wrap = [session.TCPSTALL, "run", "-n", "--no-store", "--"]
        command = backup.server.backup_command(host, backup.port, session.FILES + "/backup")
        command[0] = "pg_basebackup"
        self.say("$", "tcpstall run -n -- " + " ".join(command))
        child = backup.start_client(wrap)
        self.bus.add_lines(child.stdout, self.heard)
        self.bus.add_lines(child.stderr, self.heard, b"\n\r")
        self.bus.require(lambda: backup.percent >= STOP_AT_PERCENT or child.poll() is not None, 60,
                         f"{STOP_AT_PERCENT} % copied")
        if child.poll() is not None:
            self.bus.drain()
            kind = session.Unavailable if child.returncode == session.NOT_HERE else session.LabError
            raise kind(f"the backup ended early, status {child.returncode}")
        log_before = dict(backup.server.senders()).get("streaming", 0)
        bulk = backup.find_bulk()
        backup.lose(bulk)
        self.bulk = bulk
        self.say("lab", f"R1 loses the state of the connection that carries the data (port "
                 f"{bulk.client_port}). Nothing else is touched.")
        self.tool("ping", ["ping", "-n", "-c", "5", "-i", "0.3", host])
        self.bus.until(lambda: self.verdict, VERDICT_S)
        # One after the other and a packet a second: routers answer no more (icmp_ratelimit).
        mtr = ["mtr", "-n", "-r", "-c", "4", "-i", "1"]
        for name, command in (("mtr", [*mtr, host]),
                              ("mtr --tcp", [*mtr, "--tcp", "--port", str(backup.port), host])):
            tool = self.tool(name, command)
            if tool:
                self.bus.until_ended(tool, 20)
                self.bus.drain()
        for state, sent in backup.server.senders():
            moved = f", {sent - log_before} bytes of log since" if state == "streaming" else ""
            self.say("PostgreSQL", f"pg_stat_replication: {state}{moved}")
        child.send_signal(signal.SIGINT)
        self.bus.until_ended(child, 5)
        self.bus.drain()
        return self.judge()

    def judge(self):
        print()
        if not self.verdict:
            print(f"tcpstall has given no place within {VERDICT_S} s.")
            return 1
        cause, ttl, address = self.verdict.groups()
        right = cause == "connection-state-lost" and address in self.backup.router.addresses()
        print(f"tcpstall named hop {ttl}, {address}, {self.silence_s:.1f} s after the last byte: "
              + ("the router that lost the connection." if right else "wrong."))
        return 0 if right else 1


def demo():
    show = Demo()
    try:
        return show.run()
    finally:
        if show.backup:
            show.backup.stop()
