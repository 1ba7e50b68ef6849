# SPDX-License-Identifier: GPL-2.0-only
"""A daemon with a configuration, and transfers between two namespaces, for the tests beside this."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import tap

TCPSTALL = os.path.join(tap.ROOT, os.environ.get("BUILD", "build"), "tcpstall")
A, B = (f"ts-daemon-{os.getpid()}-{end}" for end in "ab")
PORT, TIME_S, CLONE_NEWNS = 5432, 40, 0x20000
# argv: port, connections, and bytes and seconds from one piece to the next
SEND = """
import select, socket, sys, time
port, n, size, every = *map(int, sys.argv[1:4]), float(sys.argv[4])
piece, all = bytes(size), [socket.create_connection(("192.0.2.2", port)) for _ in range(n)]
for s in all:
    s.setblocking(n == 1)
while True:
    for s in select.select([], all, [])[1]:
        s.send(piece)
    time.sleep(every)
"""
TAKE = """
import selectors, socket, sys
l, ready = socket.create_server(("192.0.2.2", int(sys.argv[1])), backlog=1024), selectors.DefaultSelector()
ready.register(l, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in ready.select():
        if key.fileobj is l:
            ready.register(l.accept()[0], selectors.EVENT_READ)
        elif not key.fileobj.recv(65536):
            ready.unregister(key.fileobj)
"""


def sh(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=TIME_S)


def tcpstall(*words):
    return sh(TCPSTALL, *words, check=False)


def until(what, why, seconds=TIME_S):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds} s: {why}")
        time.sleep(0.05)


def descriptors(pid):
    """What those of a process stand for."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass  # closed in between


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def need(*tools, libraries=("libinih", "libcurl", "libmicrohttpd", "libsystemd")):
    """A skip if something is missing; else a mount namespace of our own."""
    tap.need_root()
    for tool in ("nft", "setpriv", *tools):
        if not shutil.which(tool):
            print(f"needs {tool}")
            sys.exit(tap.SKIP)
    built = sh(TCPSTALL, "version").stdout
    for library in libraries:
        if library not in built:
            print(f"needs a build with {library}")
            sys.exit(tap.SKIP)
    if ctypes.CDLL(None).unshare(CLONE_NEWNS):
        print("needs a mount namespace of its own")
        sys.exit(tap.SKIP)
    sh("mount", "--make-rprivate", "/")


class Daemon:
    def __init__(self, where, conf, **environment):
        """conf: what it is told beside its directories and the sink `program`, which writes to the
        file `told`."""
        self.where, self.process, self.port = where, None, free_port()
        self.environment = {**os.environ, **environment}
        self.told = os.path.join(where, "told")
        self.conf = os.path.join(where, "tcpstall.conf")
        self.text = f"""
[daemon]
runtime-dir = {where}/run
[store]
dir = {where}/store
[metrics]
listen = 127.0.0.1:{self.port}
[sink program]
type = program
command = /usr/bin/tee -a {self.told}
{conf}"""
        self.configure(self.text)

    def configure(self, text):
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(text)

    def start(self):
        self.words = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ("setpriv", "--pdeathsig", "KILL", TCPSTALL, "daemon", "-c", self.conf),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.words,
            env=self.environment)
        until(lambda: self.process.poll() is not None or tcpstall("status", "-c", self.conf)
              .returncode == 0, "the daemon answers")
        assert self.process.poll() is None, self.said()

    def said(self):
        self.words.seek(0)
        return self.words.read()

    def status(self):
        done = tcpstall("status", "--json", "-c", self.conf)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def sink(self, name):
        return next(s for s in self.status()["sinks"] if s["name"] == name)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def metric(self, name):
        return next(float(line.split()[-1]) for line in self.get("/metrics").splitlines()
                    if line.startswith(name + " "))

    def alerts(self):
        if not os.path.exists(self.told):
            return []
        with open(self.told, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def told_kinds(self):
        return [alert["type"] for alert in self.alerts()]

    def kill(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(TIME_S)
        return self.process.returncode if self.process else None


class Transfer:
    """From A to B, which can be made deaf."""

    def __init__(self):
        self.running = []
        sh("ip", "netns", "add", A)
        sh("ip", "netns", "add", B)
        sh("ip", "-n", A, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", B)
        for netns, address in ((A, "192.0.2.1/24"), (B, "192.0.2.2/24")):
            sh("ip", "-n", netns, "addr", "add", address, "dev", "wire")
            for device in ("lo", "wire"):
                sh("ip", "-n", netns, "link", "set", device, "up")

    def run(self, netns, code, *words, **options):
        process = subprocess.Popen(("setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", netns,
                                    sys.executable, "-c", code, *map(str, words)), text=True,
                                   **options)
        self.running.append(process)
        return process

    def begin(self, connections=1, size=65536, every_s=0.005, port=PORT):
        self.run(B, TAKE, port, stdout=subprocess.PIPE).stdout.readline()
        self.run(A, SEND, port, connections, size, every_s, stderr=subprocess.DEVNULL)

    @staticmethod
    def cut():
        sh("ip", "netns", "exec", B, "nft", "add table inet t; add chain inet t in "
           "{ type filter hook input priority 0; }; "
           f"add rule inet t in tcp dport {PORT} drop")
        return time.monotonic()

    @staticmethod
    def mend():
        sh("ip", "netns", "exec", B, "nft", "delete table inet t")

    def end(self):
        for process in self.running:
            process.kill()
            process.wait()
        self.running = []

    def close(self):
        self.end()
        for netns in (A, B):
            sh("ip", "netns", "del", netns, check=False)
