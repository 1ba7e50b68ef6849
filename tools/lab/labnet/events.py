# SPDX-License-Identifier: GPL-2.0-only
"""Waiting for what programs say: lines from pipes and sockets, until something is true."""

import os
import selectors
import socket
import time

from . import session

# An emulated machine takes that many times longer.
PATIENCE = float(os.environ.get("LAB_PATIENCE", "1"))


class Bus:
    def __init__(self):
        self._selector = selectors.DefaultSelector()

    def add_lines(self, file, handler, separators=b"\n"):
        """handler(line) for each line that comes from a pipe or socket (text without its end)."""
        fd = file.fileno()
        os.set_blocking(fd, False)
        rest = b""

        def readable():
            nonlocal rest
            try:
                data = os.read(fd, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(file)
                if rest:
                    handler(rest.decode(errors="replace"))
                return
            for separator in separators[1:]:
                data = data.replace(bytes([separator]), separators[:1])
            *lines, rest = (rest + data).split(separators[:1])
            for line in lines:
                handler(line.decode(errors="replace"))

        self._selector.register(file, selectors.EVENT_READ, readable)

    def listen(self, path, accepted):
        """accepted(socket) for each program that connects to the UNIX socket."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        os.chmod(path, 0o777)
        server.listen(64)
        self._selector.register(server, selectors.EVENT_READ, lambda: accepted(server.accept()[0]))

    def until(self, true, timeout_s):
        """Handles events until true() or the time is up; whether it became true."""
        end = time.monotonic() + timeout_s
        while not true():
            left = end - time.monotonic()
            if left <= 0:
                return False
            for key, _ in self._selector.select(left):
                key.data()
        return True

    def until_ended(self, process, timeout_s):
        """Handles events until a Popen has ended; whether it has."""
        if process.poll() is not None:
            return True
        fd = os.pidfd_open(process.pid)
        self._selector.register(fd, selectors.EVENT_READ, lambda: None)
        try:
            return self.until(lambda: process.poll() is not None, timeout_s)
        finally:
            self._selector.unregister(fd)
            os.close(fd)

    def require(self, true, timeout_s, what):
        timeout_s *= PATIENCE
        if not self.until(true, timeout_s):
            raise session.LabError(f"{what}: not within {timeout_s:g} s")

    def drain(self):
        """Handles what is there, without waiting."""
        while events := self._selector.select(0):
            for key, _ in events:
                key.data()
