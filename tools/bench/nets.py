# SPDX-License-Identifier: GPL-2.0-only
"""Namespaces of the benches, and how commands are run in them."""

import json
import os
import subprocess

PREFIX = f"ts-bench-{os.getpid()}"
NAMES = (PREFIX + "-a", PREFIX + "-b")
BOTH = PREFIX + "-c"  # has both ends
ADDRESSES = ("192.0.2.1", "192.0.2.2")


class BenchError(Exception):
    """The bench itself cannot go on."""


def sh(*command, check=True):
    """Runs a command to its end; its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise BenchError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def tied(*command):
    """A command that ends with us, however we end."""
    return ("setpriv", "--pdeathsig", "KILL") + command


def inside(end, *command):
    """A command in the first or second namespace."""
    return ("ip", "netns", "exec", NAMES[end]) + command


class Network:
    """Two namespaces and a wire. They live in our private mount namespace and end with it."""

    def __init__(self):
        for name in NAMES:
            sh("ip", "netns", "add", name)
        sh("ip", "-n", NAMES[0], "link", "add", "wire", "type", "veth",
           "peer", "name", "wire", "netns", NAMES[1])
        for name, address in zip(NAMES, ADDRESSES):
            sh("ip", "-n", name, "addr", "add", address + "/24", "dev", "wire")
            for device in ("lo", "wire"):
                sh("ip", "-n", name, "link", "set", device, "up")

    def offload(self, on):
        """Whether packets larger than the MTU travel between the namespaces."""
        for end in (0, 1):
            sh(*inside(end, "ethtool", "-K", "wire",
                       *(word for what in ("tso", "gso", "gro") for word in (what, on))))

    def close(self):
        """Takes everything down."""
        for name in NAMES:
            sh("ip", "netns", "del", name, check=False)


class Limit:
    """A rate at which the first namespace may send to the second, for a while."""

    def __init__(self, rate):
        self.rate = rate

    def __enter__(self):
        sh(*inside(0, "tc", "qdisc", "add", "dev", "wire", "root", "tbf", "rate", self.rate,
                   "burst", "256kb", "latency", "20ms"))

    def __exit__(self, *_):
        sh(*inside(0, "tc", "qdisc", "del", "dev", "wire", "root"), check=False)


class Loop:
    """One namespace with both ends of a wire, over which they reach each other."""

    def __init__(self, offload):
        sh("ip", "netns", "add", BOTH)
        self.ip("link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
        self.ip("link", "set", "lo", "up")
        for end, (own, other) in enumerate((ADDRESSES, ADDRESSES[::-1])):
            wire = f"wire{end}"
            self.ip("addr", "add", own + "/32", "dev", wire)
            self.ip("link", "set", wire, "up")
            self.ip("route", "add", other, "dev", wire, "src", own, "table", str(100 + end))
            self.ip("rule", "add", "pref", str(10 + end), "iif", wire, "lookup", "local")
            self.ip("rule", "add", "pref", str(20 + end), "to", other, "lookup", str(100 + end))
            self.run("sysctl", "-q", f"net.ipv4.conf.{wire}.accept_local=1",
                     f"net.ipv4.conf.{wire}.rp_filter=0")
            self.run("ethtool", "-K", wire, "tso", offload, "gso", offload, "gro", offload)
        self.ip("rule", "add", "pref", "30", "lookup", "local")
        self.ip("rule", "del", "pref", "0")

    @staticmethod
    def run(*command):
        """In the namespace."""
        sh("ip", "netns", "exec", BOTH, *command)

    @staticmethod
    def ip(*command):
        """The same, ip(8)."""
        sh("ip", "-n", BOTH, *command)

    def packets(self):
        """Sent so far, from either end."""
        return sum(link["stats64"]["tx"]["packets"]
                   for link in json.loads(sh("ip", "-n", BOTH, "-j", "-s", "link"))
                   if link["ifname"].startswith("wire"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        sh("ip", "netns", "del", BOTH, check=False)
