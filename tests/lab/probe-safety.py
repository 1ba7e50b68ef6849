#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Probes inside a live connection: what the applications read stays as it was sent, both ways; on the
wire no more than 40 probes a second and 300 in all, none of them outside acknowledged bytes or with
SYN, FIN or RST. Then the NAT on the way forgets the connection: its own probes end there, while
those beside it reach the peer.

    a -- r1 -- r2 (NAT) -- r3 -- b      IPv4, then IPv6; namespaces of its own
"""

import atexit
import ctypes
import hashlib
import json
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", os.path.join(os.path.dirname(__file__), "../../build"))
PROBE_FLOW = os.path.join(BUILD, "tests/lab/probe_flow")
PREFIX = f"ts-probe-{os.getpid()}-"
NODES = ("a", "r1", "r2", "r3", "b")
RATE, BUDGET = 40, 300
PACE = 0.01  # seconds between two bits of what an application says
CLONE_NEWNET = 0x40000000
HOPS = {socket.AF_INET: ["10.7.1.2", "10.7.2.2", "203.0.113.2", "198.51.100.2"],
        socket.AF_INET6: ["fd07:1::2", "fd07:2::2", "2001:db8:3::2", "2001:db8:4::2"]}
LIBC = ctypes.CDLL(None, use_errno=True)


def sh(command):
    """Runs a command; its failure is ours."""
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def inside(node):
    """The prefix of a command that runs in a node."""
    return ["ip", "netns", "exec", PREFIX + node]


def cleanup():
    """Removes the namespaces, and with them whatever lives there."""
    for node in NODES:
        subprocess.run(["ip", "netns", "del", PREFIX + node], stderr=subprocess.DEVNULL,
                       check=False)


def link(left, left_if, right, right_if, v4, v6):
    """A cable between two nodes."""
    one, two = PREFIX + left, PREFIX + right
    sh(f"ip -n {one} link add {left_if} type veth peer name {right_if} netns {two}")
    for node, name, number in ((one, left_if, 1), (two, right_if, 2)):
        sh(f"ip -n {node} addr add {v4}.{number}/24 dev {name}")
        sh(f"ip -n {node} addr add {v6}::{number}/64 dev {name} nodad")
        sh(f"ip -n {node} link set {name} up")


def route(node, *routes):
    """Adds routes to a node."""
    for r in routes:
        sh(f"ip -n {PREFIX}{node} {'-6 ' if ':' in r else ''}route add {r}")


def network():
    """Builds it. Done when both ends are there for each other."""
    for node in NODES:
        sh(f"ip netns add {PREFIX}{node}")
        sh(f"ip -n {PREFIX}{node} link set lo up")
        sh(" ".join(inside(node)) + " sysctl -qw net.ipv4.ip_forward=1 "
           "net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0")
    link("a", "e0", "r1", "e0", "10.7.1", "fd07:1")
    link("r1", "e1", "r2", "e0", "10.7.2", "fd07:2")
    link("r2", "e1", "r3", "e0", "203.0.113", "2001:db8:3")
    link("r3", "e1", "b", "e0", "198.51.100", "2001:db8:4")
    route("a", "default via 10.7.1.2", "default via fd07:1::2")
    route("r1", "default via 10.7.2.2", "default via fd07:2::2")
    route("r2", "default via 203.0.113.2", "default via 2001:db8:3::2",
          "10.7.1.0/24 via 10.7.2.1", "fd07:1::/64 via fd07:2::1")
    route("r3", "10.7.0.0/16 via 203.0.113.1", "fd07::/16 via 2001:db8:3::1")
    route("b", "default via 198.51.100.1", "default via 2001:db8:4::1")
    nft("add table inet n\n"
        "add chain inet n post { type nat hook postrouting priority 100; }\n"
        "add rule inet n post oifname e1 masquerade\n"
        "add chain inet n pass { type filter hook forward priority 0; }\n")


def nft(rules):
    """Changes the rules of the NAT."""
    subprocess.run(inside("r2") + ["nft", "-f", "-"], input=rules, text=True, check=True)


def socket_in(node, family):
    """A TCP socket that lives in a node."""
    with open("/proc/self/ns/net", encoding="ascii") as home, \
            open(f"/run/netns/{PREFIX}{node}", encoding="ascii") as there:
        if LIBC.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(family, socket.SOCK_STREAM)
        finally:
            if LIBC.setns(home.fileno(), CLONE_NEWNET):
                os.abort()


def connection(family):
    """A connection from a to b; both ends."""
    listener, near = socket_in("b", family), socket_in("a", family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last one still closes
    listener.bind((HOPS[family][-1], 5432))
    listener.listen()
    near.settimeout(10)
    near.connect((HOPS[family][-1], 5432))
    far, _ = listener.accept()
    listener.close()
    for s in (near, far):
        s.setblocking(False)
    return near, far


class End:
    """One application: sends pseudo-random bytes bit by bit, and adds up what it reads."""

    def __init__(self, sock, seed):
        self.sock = sock
        self.random = random.Random(seed)
        self.pending = b""
        self.sent, self.read = hashlib.sha256(), hashlib.sha256()
        self.n_sent = self.n_read = 0
        self.ended = False

    def send_some(self):
        """One bit more, if there is room."""
        self.pending = self.pending or self.random.randbytes(3000)
        try:
            n = self.sock.send(self.pending)
        except BlockingIOError:
            return
        self.sent.update(self.pending[:n])
        self.n_sent += n
        self.pending = self.pending[n:]

    def read_all(self):
        """What is there."""
        while not self.ended:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                return
            self.ended = not data
            self.read.update(data)
            self.n_read += len(data)


class Prober:
    """tests/lab/probe_flow in node a, beside a connection."""

    def __init__(self, near):
        def text(name):
            return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"

        flow = f"{text(near.getsockname())}-{text(near.getpeername())}"
        self.child = subprocess.Popen(inside("a") + [PROBE_FLOW, flow], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        os.set_blocking(self.child.stdout.fileno(), False)
        self.buffer = b""

    def ask(self, first, last, count, size):
        """Starts a run."""
        self.child.stdin.write(f"{first} {last} {count} {size}\n".encode())
        self.child.stdin.flush()

    def lines(self):
        """Whole lines that have come."""
        data = self.child.stdout.read()
        if data == b"":
            raise RuntimeError("probe_flow has ended")
        *lines, self.buffer = (self.buffer + (data or b"")).split(b"\n")
        return [line.decode() for line in lines]

    def close(self):
        """Ends it by ending its input."""
        self.child.stdin.close()
        self.child.stdout.close()
        if self.child.wait(10):
            raise RuntimeError("probe_flow failed")


def talk(ends, prober, until):
    """Both ends talk until probe_flow says a word; what it observed before."""
    seen = []
    with selectors.DefaultSelector() as ready:
        ready.register(prober.child.stdout, selectors.EVENT_READ)
        for end in ends:
            ready.register(end.sock, selectors.EVENT_READ)
        due = time.monotonic()
        while True:
            ready.select(max(0, due - time.monotonic()))
            if time.monotonic() >= due:
                due += PACE
                for end in ends:
                    end.send_some()
            for end in ends:
                end.read_all()
            for line in prober.lines():
                if line == until:
                    return seen
                seen.append(json.loads(line))


def finish(ends):
    """Both ends say all they have and close; True if each read what the other sent."""
    with selectors.DefaultSelector() as ready:
        for end in ends:
            ready.register(end.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while any(end.pending for end in ends):
            ready.select(10)
            for end in ends:
                if end.pending:
                    end.send_some()
                end.read_all()
        for end in ends:
            ready.modify(end.sock, selectors.EVENT_READ)
            end.sock.shutdown(socket.SHUT_WR)
        while not all(end.ended for end in ends):
            if not ready.select(10):
                return False
            for end in ends:
                end.read_all()
    one, two = ends
    return one.read.digest() == two.sent.digest() and two.read.digest() == one.sent.digest()


class Capture:
    """tcpdump on the wire between a and r1."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(suffix=".pcap")
        self.child = subprocess.Popen(
            inside("r1") + ["tcpdump", "-Z", "root", "-i", "e0", "-s", "0", "--immediate-mode",
                            "-U", "-w", self.file.name, "tcp or (ip6 and tcp)"],
            stderr=subprocess.PIPE, text=True)
        while "listening" not in self.child.stderr.readline():
            if self.child.poll() is not None:
                raise RuntimeError("tcpdump failed")

    def packets(self):
        """Stops; (time, source address, ports, seq, ack, flags, payload, ttl, tcp) of each packet;
        tcp: its bytes without the checksum."""
        self.child.send_signal(signal.SIGTERM)
        self.child.communicate()
        data = self.file.read()
        pos = 24
        while pos + 16 <= len(data):
            sec, usec, caplen, _ = struct.unpack_from("<IIII", data, pos)
            frame = data[pos + 16:pos + 16 + caplen]
            pos += 16 + caplen
            ip = frame[14:]
            if ip[0] >> 4 == 4:
                header, total, src, ttl = (ip[0] & 15) * 4, struct.unpack_from("!H", ip, 2)[0], \
                    ip[12:16], ip[8]
            else:
                header, total, src, ttl = 40, 40 + struct.unpack_from("!H", ip, 4)[0], \
                    ip[8:24], ip[7]
            sport, dport, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", ip, header)
            yield (sec + usec / 1e6, src, (sport, dport), seq, ack, flags,
                   total - header - (offset >> 4) * 4, ttl,
                   ip[header:header + 16] + ip[header + 18:total])


def before(a, b):
    """a < b in sequence space."""
    return (a - b) & 0x80000000 != 0


def probes_on_the_wire(packets, address, own):
    """Times of all probes, None if one breaks the promise. own: ports of the connection."""
    una, rcv_nxt, times, kernels = None, None, [], set()
    for when, src, ports, seq, ack, flags, payload, ttl, tcp in packets:
        if src != address:
            if ports == own[::-1] and flags & 0x10:
                una = ack if una is None or before(una, ack) else una
                end = seq + payload & 0xffffffff
                rcv_nxt = end if rcv_nxt is None or before(rcv_nxt, end) else rcv_nxt
        elif ports != own:
            if flags == 0x02:
                times.append(when)
        elif una is not None and before(seq, una):
            times.append(when)
            end = seq + payload & 0xffffffff
            if before(una, end) or flags != 0x10 or not before(ack, rcv_nxt):
                print(f"# outside the promise: {seq=} {payload=} {una=} {flags=} {ack=} {rcv_nxt=}")
                return None
        elif ttl == 64:
            kernels.add(tcp)
        elif tcp in kernels and not flags & 0x07 and payload:
            times.append(when)
        else:
            print(f"# TTL {ttl} on what is not acknowledged: {seq=} {una=}")
            return None
    return times


def busiest_second(times):
    """Most probes in any second."""
    return max((sum(1 for t in times[i:i + 100] if t < start + 1)
                for i, start in enumerate(times)), default=0)


def answers(seen, kind):
    """Who answered a kind of probe, by TTL."""
    found = {}
    for s in seen:
        if s.get("kind") == kind and s["answer"] not in ("none", "not_sent"):
            found.setdefault(s["ttl"], set()).add((s["from"], s["answer"]))
    return found


RESULTS = []


def check(what, ok, *details):
    """A TAP test point."""
    RESULTS.append(ok)
    print(f"{'ok' if ok else 'not ok'} {len(RESULTS)} - {what}")
    if not ok:
        for d in details:
            print(f"# {d}")
    sys.stdout.flush()


def live(family, name):
    """Everything at once inside a connection that moves."""
    near, far = connection(family)
    address = socket.inet_pton(family, near.getsockname()[0])
    own = (near.getsockname()[1], near.getpeername()[1])
    capture = Capture()
    ends = (End(near, 1), End(far, 2))
    prober = Prober(near)
    talk(ends, prober, "ready")
    prober.ask(1, 4, 2, 1200)
    seen = talk(ends, prober, "done")
    prober.ask(1, 3, 20, 0)
    copies = talk(ends, prober, "done")
    prober.ask(64, 64, 110, 1200)
    rest = talk(ends, prober, "done")
    prober.close()
    same = finish(ends)
    times = probes_on_the_wire(list(capture.packets()), address, own)
    copied = sum(1 for s in copies if s["kind"] != "icmp" and s["answer"] != "not_sent")
    sent = copied + sum(1 for s in seen + rest
                        if s["kind"] != "icmp" and s["answer"] != "not_sent")
    over = sum(1 for s in rest if s["answer"] == "not_sent" and s["error"] == 122)

    check(f"{name}: both ends read what the other sent, probed {sent} times", same)
    check(f"{name}: every probe repeats acknowledged bytes, with ACK alone", times is not None)
    times = times or []
    check(f"{name}: {len(times)} probes on the wire, {sent} reported, at most {BUDGET}",
          len(times) == sent == BUDGET and over == 24 + 330 + copied - BUDGET,
          over, copied)
    check(f"{name}: at most {RATE} in any second", 0 < busiest_second(times) <= RATE,
          busiest_second(times))
    hops = HOPS[family]
    for kind, peer in (("in_flow", "ack"), ("in_flow_full", "ack"), ("control", "rst")):
        want = {ttl + 1: {(hop, "time_exceeded" if ttl < 3 else peer)}
                for ttl, hop in enumerate(hops)}
        got = answers(seen, kind)
        check(f"{name}: {kind} probes are answered by every hop and the peer", got == want, got)
    acks = [s for s in rest if s["kind"].startswith("in_flow") and s["answer"] != "not_sent"]
    check(f"{name}: the peer answers each of {len(acks)} probes inside the connection",
          all(s["answer"] == "ack" for s in acks), [s for s in acks if s["answer"] != "ack"][:3])
    near.close()
    far.close()


def lost(family, name):
    """The NAT drops this connection and no other."""
    near, far = connection(family)
    ends = (End(near, 3), End(far, 4))
    prober = Prober(near)
    talk(ends, prober, "ready")
    port = near.getsockname()[1]
    nft(f"add rule inet n pass tcp sport {port} drop\nadd rule inet n pass tcp dport {port} drop\n")
    prober.ask(1, 4, 2, 1200)
    seen = talk(ends, prober, "done")
    hops = HOPS[family]
    for kind in ("in_flow", "in_flow_full"):
        got = answers(seen, kind)
        check(f"{name}: {kind} probes end at the NAT that lost the connection",
              got == {i + 1: {(hops[i], "time_exceeded")} for i in range(2)}, got)
    got = answers(seen, "control")
    check(f"{name}: control probes reach the peer",
          got == {i + 1: {(hops[i], "time_exceeded" if i < 3 else "rst")} for i in range(4)}, got)
    nft("flush chain inet n pass\n")
    prober.close()
    check(f"{name}: once it recovers, both ends read what the other sent", finish(ends))
    near.close()
    far.close()


def owed(family, name):
    """The NAT drops the data of this connection; copies of what is owed get as far as it does."""
    near, far = connection(family)
    address = socket.inet_pton(family, near.getsockname()[0])
    own = (near.getsockname()[1], near.getpeername()[1])
    capture = Capture()
    ends = (End(near, 5), End(far, 6))
    prober = Prober(near)
    talk(ends, prober, "ready")
    nft(f"add rule inet n pass tcp sport {own[0]} meta length > 200 drop\n")
    prober.ask(1, 3, 1, 1200)
    talk(ends, prober, "done")
    prober.ask(1, 3, 2, 0)
    got = answers(talk(ends, prober, "done"), "in_flow_copy")
    hops = HOPS[family]
    check(f"{name}: copies of the segment that is owed end where it is dropped",
          got == {i + 1: {(hops[i], "time_exceeded")} for i in range(2)}, got)
    nft("flush chain inet n pass\n")
    prober.close()
    check(f"{name}: once it passes, both ends read what the other sent", finish(ends))
    check(f"{name}: every copy is what the kernel had sent, byte for byte",
          probes_on_the_wire(list(capture.packets()), address, own) is not None)
    near.close()
    far.close()


def main():
    """All of it."""
    if os.geteuid():
        print("needs root: network namespaces")
        return 77
    atexit.register(cleanup)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    network()
    print("1..30")
    for family, name in ((socket.AF_INET, "IPv4"), (socket.AF_INET6, "IPv6")):
        live(family, name)
        lost(family, name)
        owed(family, name)
    return not all(RESULTS)


if __name__ == "__main__":
    sys.exit(main())
