# SPDX-License-Identifier: GPL-2.0-only
"""A subscriber's line: a PPPoE session between two routers, dialled by pppd from the first and
answered by pppoe-server on the second. The line under it, a veth pair, has netem's delay, jitter and
rate each way. Once it stands, its two ends are interfaces like any others, of MTU 1492.

Needs a kernel with PPP and netem, and the packages ppp and pppoe.
"""

import os
import select
import shutil
import socket
import time

from . import kernel, session
from .events import PATIENCE

MTU = 1492
CARD = "dsl0"  # what the session runs over, at both ends
DIAL_S = 20
RTMGRP_IPV4_IFADDR = 0x10

# No compression, nothing to authenticate, no scripts: what is wanted is a plain session.
PLAIN = ("noauth", "noccp", "novj", "noipv6", "nodefaultroute", "mtu", str(MTU), "mru", str(MTU),
         "ip-up-script", "/bin/true", "ip-down-script", "/bin/true")


def _require():
    if not os.path.exists("/dev/ppp"):
        raise session.Unavailable("this kernel has no PPP")
    for program in ("pppd", "pppoe", "pppoe-server"):
        if not shutil.which(program):
            raise session.Unavailable(f"{program} is not installed")


def _line(node, delay_ms, jitter_ms, rate_bps):
    session.call(["ip", "-n", node.name, "link", "set", CARD, "up"])
    session.call(["tc", "-n", node.name, "qdisc", "add", "dev", CARD, "root", "netem", "delay",
                  f"{delay_ms}ms", f"{jitter_ms}ms", "distribution", "normal", "rate",
                  f"{rate_bps}bit", "limit", "200"])


def _addresses_of(node):
    """A socket that tells of addresses as they come."""
    with kernel.inside(node.netns):
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    events.bind((0, RTMGRP_IPV4_IFADDR))
    return events


def _await_address(events, address):
    wanted, end = socket.inet_aton(address), time.monotonic() + DIAL_S * PATIENCE
    while select.select([events], [], [], max(end - time.monotonic(), 0))[0]:
        if wanted in events.recv(65536):
            return
    raise session.LabError(f"pppoe-server: no session with {address} in {DIAL_S * PATIENCE:g} s")


def connect(segment):
    """Makes the session of a segment whose cards are there."""
    _require()
    client, server = segment.nodes
    near, far = (node.on(segment) for node in segment.nodes)
    for node in segment.nodes:
        _line(node, **segment.pppoe)
    options = f"{session.FILES}/pppoe-{server.name}"
    with open(options, "w", encoding="ascii") as file:
        print(*PLAIN, "ifname", far.name, file=file)
    with _addresses_of(server) as events:
        answering = session.start(
            ["pppoe-server", "-I", CARD, "-L", far.v4, "-R", near.v4, "-N", "1", "-q",
             shutil.which("pppd"), "-Q", shutil.which("pppoe"), "-O", options,
             "-X", f"{options}.pid"], server.netns)
        answering.wait()  # until it is in the background
        session.call(["pppd", "plugin", "pppoe.so", f"nic-{CARD}", "ifname", near.name,
                      "noipdefault", "updetach", *PLAIN], client.netns, limit_s=DIAL_S * PATIENCE)
        _await_address(events, far.v4)
