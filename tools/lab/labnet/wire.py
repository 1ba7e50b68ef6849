# SPDX-License-Identifier: GPL-2.0-only
"""Starts a wire (wire.c) and speaks to it."""

import itertools
import os
import socket
import subprocess

from . import session

_number = itertools.count(1)


class Wire:
    def __init__(self, ends, shape, seed):
        """ends: (namespace, interface) of a and b. The interfaces exist when this returns."""
        self.ends = [netns for netns, _ in ends]
        self.shape = shape
        path = f"{session.FILES}/wire{next(_number)}"
        ends = [f"{session.SCRATCH}/{netns},{name}" for netns, name in ends]
        read_end, write_end = os.pipe()
        self.process = session.start([session.WIRE, *ends, path, str(seed)], pass_fds=(write_end,),
                                     env=os.environ | {"READY_FD": str(write_end)},
                                     stderr=subprocess.PIPE)
        os.close(write_end)
        ready = os.read(read_end, 1)
        os.close(read_end)
        if not ready:
            raise session.LabError(self.process.stderr.read().decode().strip() or "wire ended")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self._buffer = b""
        self.fired = {}  # rule: when it first hit, CLOCK_MONOTONIC nanoseconds
        self.set("both", **shape)

    def _line(self):
        while b"\n" not in self._buffer:
            data = self.socket.recv(4096)
            if not data:
                raise session.LabError("wire ended")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()

    def command(self, text):
        self.socket.sendall(text.encode() + b"\n")
        while True:
            word, _, rest = self._line().partition(" ")
            if word == "fired":
                rule, when = rest.split()
                self.fired[int(rule)] = int(when)
            elif word == "ok":
                return rest
            else:
                raise session.LabError(f"wire: {text}: {rest}")

    def set(self, direction, **shape):
        """direction: ab, ba or both. Keys as in wire.c, with their units."""
        self.command(f"set {direction} " + " ".join(f"{k}={v}" for k, v in shape.items()))

    def change(self, direction, **shape):
        """As set(); returns how to undo it."""
        self.set(direction, **shape)
        return lambda: self.set(direction, **{key: self.shape.get(key, 0) for key in shape})

    def rule(self, direction, action, **match):
        """The number of the rule, for unrule()."""
        words = " ".join(f"{k}={v}" for k, v in match.items())
        return int(self.command(f"rule {direction} {action} {words}".strip()))

    def unrule(self, number):
        self.command(f"unrule {number}")

    def stats(self):
        return self.command("stats")
