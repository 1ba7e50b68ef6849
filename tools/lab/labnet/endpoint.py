# SPDX-License-Identifier: GPL-2.0-only
"""One end of a transfer, a program of its own: endpoint.py SPEC, where SPEC is JSON.

It tells the lab over a UNIX socket what happens, a JSON object a line: `listening`, `open` (with
the addresses of the connection), `progress` (bytes that the kernel knows acknowledged or received,
and when that last changed), `late` (the program itself was not run for so long), `end` (why, and
the SHA-256 of what the program sent or received). It takes words from there: `finish` (send no
more, end in order), `reset` (end by RST), `buffer=N` (receive buffer of so many bytes), `work=N`
(hash what is moved so many times more).

SPEC: events (path of the socket), label, listen or connect ([address, port]), role (send, receive,
ask or answer) and the options of that role. Roles: `send` sends `bytes` (null: until told), `chunk`
bytes every `every_ms` (0: as fast as the socket takes it, at most `pace_bps`), then does what
`then` says: fin, hold or reset; its first `talk` bytes go in small pieces, as of a dialogue. `receive` reads all, at most `chunk` bytes every `every_ms`. `ask`
asks `answer` for `bytes` again and again, a connection each, every `every_ms`, and ends them by
`then`: fin, half (closes its own direction with the question) or reset (some time after all has
arrived, so that all of it has been acknowledged); `count`. With `asks` a connection carries so many
questions, `pause_ms` apart, and `answer` leaves it open (then: hold). What is received is written to
`store`, a disk that is filled round and round, or through a pipe to a program that `pipe` names.
"""

import hashlib
import json
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time

TICK_S = 0.02  # the option tick_s; how precisely times are known
RESET_AFTER_S = 0.3  # a delayed ACK has gone by then
LATE_S = 0.5  # more than the machine's load should make of a tick
BLOCK = 256 * 1024
TCP_INFO_BYTES = 136  # up to tcpi_bytes_received
SO_MAX_PACING_RATE = 47
TALK = {"chunk": 200, "every_ms": 40}


def acked_and_received(sock):
    """tcpi_bytes_acked, tcpi_bytes_received of linux/tcp.h."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    return struct.unpack_from("=QQ", info, 120)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Stream:
    """The bytes of a transfer: pseudo-random, the same for the same seed, different in each block."""

    def __init__(self, seed=1):
        self._base = random.Random(seed).randbytes(BLOCK)
        self._count = 0
        self._block = memoryview(b"")

    def take(self, most):
        if not self._block:
            self._count += 1
            self._block = memoryview(struct.pack("!Q", self._count) + self._base[8:])
        return self._block[:most]

    def used(self, count):
        self._block = self._block[count:]


class Store:
    """Where the program keeps what it receives."""

    def __init__(self, spec):
        self.fd, self.is_disk = -1, "store" in spec
        if self.is_disk:
            self.fd = os.open(spec["store"], os.O_WRONLY | os.O_DSYNC)
            self.size = os.lseek(self.fd, 0, os.SEEK_END)
            os.lseek(self.fd, 0, os.SEEK_SET)
        elif "pipe" in spec:
            self.reader = subprocess.Popen([spec["pipe"]], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL)
            self.fd = self.reader.stdin.fileno()

    def write(self, data):
        if self.is_disk and os.lseek(self.fd, 0, os.SEEK_CUR) + len(data) > self.size:
            os.lseek(self.fd, 0, os.SEEK_SET)
        if self.fd >= 0:
            os.write(self.fd, data)


class Connection:
    def __init__(self, end, sock):
        self.end, self.sock, self.spec = end, sock, end.spec
        self.sends = self.spec["role"] == "send"
        self.hash = hashlib.sha256()
        self.moved = 0  # by the program, not by the kernel
        self.known, self.told, self.changed_ns = 0, 0, 0
        self.next_s = 0.0  # when the next chunk is allowed
        self.chunk_left = self.spec.get("chunk", 0)
        self.finished = False
        self.buffer = bytearray(BLOCK)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.tell("open", pid=os.getpid(), local=sock.getsockname()[:2], peer=sock.getpeername()[:2])
        self.store = Store(self.spec)
        if self.sends:
            self.stream = Stream()

    def wants(self):
        waits = self.next_s > time.monotonic()
        if not self.sends:
            return 0 if waits else selectors.EVENT_READ
        if waits or self.finished:
            return selectors.EVENT_READ
        return selectors.EVENT_READ | selectors.EVENT_WRITE

    def pieces(self):
        """The options `chunk` and `every_ms`, as they are now."""
        return TALK if self.moved < self.spec.get("talk", 0) else self.spec

    def ready(self, events):
        try:
            if self.sends:
                if events & selectors.EVENT_READ and not self.sock.recv(4096):
                    self.close("fin")
                elif events & selectors.EVENT_WRITE:
                    self.send()
            else:
                self.receive()
        except BlockingIOError:
            pass
        except OSError as error:
            self.close(errno_word(error))

    def most(self):
        """How much of a chunk may still move now."""
        pieces = self.pieces()
        if not pieces.get("every_ms"):
            return BLOCK
        if self.chunk_left <= 0:
            self.chunk_left = pieces["chunk"]
        return self.chunk_left

    def count(self, data):
        every_ms = self.pieces().get("every_ms")
        self.hash.update(data)
        for _ in range(self.spec.get("work", 0)):
            hashlib.sha256(data)
        self.moved += len(data)
        if every_ms:
            self.chunk_left -= len(data)
            if self.chunk_left <= 0:
                self.next_s = time.monotonic() + every_ms / 1000

    def send(self):
        for _ in range(8):
            left = (self.spec.get("bytes") or 1 << 62) - self.moved
            if left <= 0 or self.end.finishing:
                self.finish()
                return
            data = self.stream.take(min(left, self.most()))
            sent = self.sock.send(data)
            self.count(data[:sent])
            self.stream.used(sent)
            if not self.wants() & selectors.EVENT_WRITE:
                return

    def finish(self):
        then = self.spec.get("then", "fin")
        self.finished = True
        self.end.tell("sent", bytes=self.moved, sha256=self.hash.hexdigest())
        if then == "fin":
            self.sock.shutdown(socket.SHUT_WR)
        elif then == "reset":
            self.close("reset by us", by_reset=True)

    def receive(self):
        count = self.sock.recv_into(self.buffer, min(self.most(), BLOCK))
        if not count:
            self.close("fin")
            return
        self.count(memoryview(self.buffer)[:count])
        self.store.write(memoryview(self.buffer)[:count])

    def sample(self, now_ns):
        acked, received = acked_and_received(self.sock)
        value = acked if self.sends else received
        if value != self.known:
            self.known, self.changed_ns = value, now_ns
            self.end.tell("progress", bytes=value, ns=now_ns)

    def close(self, why, by_reset=False):
        if self.sock.fileno() < 0:
            return
        try:
            Connection.sample(self, time.monotonic_ns())
        except OSError:
            pass
        self.end.forget(self)
        if by_reset:
            reset(self.sock)
        else:
            self.sock.close()
        self.end.tell("end", why=why, bytes=self.moved, sha256=self.hash.hexdigest())


class Answer(Connection):
    """Reads "N\\n", sends N bytes, closes, or leaves that to the other end (then: hold)."""

    def __init__(self, end, sock):
        super().__init__(end, sock)
        self.question, self.left = b"", None
        self.stream = Stream()
        self.sends = True

    def wants(self):
        return selectors.EVENT_WRITE if self.left else selectors.EVENT_READ

    def ready(self, events):
        try:
            if not self.left:
                data = self.sock.recv(64)
                self.question += data
                if b"\n" in self.question:
                    self.left, self.question = int(self.question), b""
                elif not data:
                    self.close("fin")
            elif self.left:
                sent = self.sock.send(self.stream.take(self.left))
                self.stream.used(sent)
                self.moved += sent
                self.left -= sent
            if self.left == 0 and self.spec.get("then") != "hold":
                self.close("fin")
        except BlockingIOError:
            pass
        except (OSError, ValueError) as error:
            self.close(errno_word(error))


class Ask(Connection):
    def __init__(self, end, sock):
        super().__init__(end, sock)
        self.asked = 0
        self.complete_s = None  # when the last answer was
        self.ask()

    def ask(self):
        self.asked += 1
        self.sock.send(b"%d\n" % self.spec["bytes"])
        if self.spec.get("then") == "half" and self.is_last():
            self.sock.shutdown(socket.SHUT_WR)

    def is_last(self):
        return self.asked >= self.spec.get("asks", 1)

    def answered(self):
        return self.moved >= self.spec["bytes"] * self.asked

    def wants(self):
        return 0 if self.complete_s else selectors.EVENT_READ

    def sample(self, now_ns):
        super().sample(now_ns)
        if self.complete_s and time.monotonic() > self.complete_s + RESET_AFTER_S:
            self.close("reset by us", by_reset=True)
        elif self.answered() and not self.is_last() and time.monotonic() >= self.next_s:
            try:
                self.ask()
            except OSError as error:
                self.close(errno_word(error))

    def ready(self, events):
        try:
            count = self.sock.recv_into(self.buffer)
            self.moved += count
            if not count:
                self.close("fin")
            elif self.answered() and not self.is_last():
                self.next_s = time.monotonic() + self.spec["pause_ms"] / 1000
            elif self.answered() and self.spec.get("then") == "reset":
                self.complete_s = time.monotonic()
            elif self.answered() and self.spec.get("asks"):
                self.close("fin")
        except BlockingIOError:
            pass
        except OSError as error:
            self.close(errno_word(error))


def errno_word(error):
    return getattr(error, "strerror", None) or str(error)


KINDS = {"send": Connection, "receive": Connection, "ask": Ask, "answer": Answer}


class End:
    def __init__(self, spec):
        self.spec = spec
        self.kind = KINDS[spec["role"]]
        self.events = socket.socket(socket.AF_UNIX)
        self.events.connect(spec["events"])
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.events, selectors.EVENT_READ, self.hear)
        self.connections = {}  # connection: events it is registered for
        self.finishing = False
        self.listener = None
        self.asked, self.next_ask_s = 0, 0.0

    def tell(self, event, **fields):
        line = {"label": self.spec["label"], "event": event, **fields}
        self.events.sendall(json.dumps(line).encode() + b"\n")

    def hear(self, _events):
        words = self.events.recv(4096).decode().split()
        if not words:
            sys.exit(0)  # the lab is gone
        for word in words:
            self.finishing |= word == "finish"
            for connection in list(self.connections):
                if word == "reset":
                    connection.close("reset by us", by_reset=True)
                elif word.startswith("buffer="):
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                               int(word.split("=")[1]))
                elif word.startswith("work="):
                    self.spec["work"] = int(word.split("=")[1])
                elif word == "finish" and connection.sends and not connection.finished:
                    connection.finish()

    def add(self, sock):
        connection = self.kind(self, sock)
        self.connections[connection] = 0

    def forget(self, connection):
        if self.connections.pop(connection, 0):
            self.selector.unregister(connection.sock)

    def new_socket(self, address):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family)
        if self.spec.get("congestion"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION,
                            self.spec["congestion"].encode())
        if self.spec.get("pace_bps"):
            sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE,
                            struct.pack("=I", min(self.spec["pace_bps"] // 8, 0xffffffff)))
        if self.spec.get("rcvbuf"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.spec["rcvbuf"])
        return sock

    def start(self):
        if "listen" in self.spec:
            self.listener = self.new_socket(self.spec["listen"])
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(tuple(self.spec["listen"]))
            self.listener.listen(64)
            self.selector.register(self.listener, selectors.EVENT_READ,
                                   lambda _: self.add(self.listener.accept()[0]))
            self.tell("listening")
        elif self.spec["role"] != "ask":
            self.connect()

    def connect(self):
        sock = self.new_socket(self.spec["connect"])
        sock.settimeout(25)
        try:
            sock.connect(tuple(self.spec["connect"]))
        except OSError as error:
            self.tell("end", why=f"connect: {errno_word(error)}", bytes=0, sha256="")
            return
        self.add(sock)

    def ask_again(self):
        now = time.monotonic()
        if self.spec["role"] != "ask" or self.connections or now < self.next_ask_s:
            return
        if self.finishing or self.asked >= self.spec.get("count", 1 << 30):
            return
        self.asked += 1
        self.next_ask_s = now + self.spec["every_ms"] / 1000
        self.connect()

    def register(self):
        for connection, registered in list(self.connections.items()):
            wanted = connection.wants()
            if wanted == registered:
                continue
            if not registered:
                self.selector.register(connection.sock, wanted, connection.ready)
            elif not wanted:
                self.selector.unregister(connection.sock)
            else:
                self.selector.modify(connection.sock, wanted, connection.ready)
            self.connections[connection] = wanted

    def run(self):
        self.start()
        tick_s = self.spec.get("tick_s", TICK_S)
        next_sample, before = 0.0, time.monotonic()
        while True:
            self.ask_again()
            self.register()
            for key, events in self.selector.select(tick_s):
                key.data(events)
            now = time.monotonic()
            if now - before > LATE_S:
                self.tell("late", seconds=now - before)
            before = now
            if now >= next_sample:
                next_sample = now + tick_s
                for connection in list(self.connections):
                    connection.sample(time.monotonic_ns())


if __name__ == "__main__":
    try:
        End(json.loads(sys.argv[1])).run()
    except (BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        pass
