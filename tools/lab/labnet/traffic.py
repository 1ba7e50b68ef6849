# SPDX-License-Identifier: GPL-2.0-only
"""Transfers: pairs of endpoint programs and what they report."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field

from . import session

ENDPOINT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "endpoint.py")


@dataclass(frozen=True)
class Transfer:
    """opener connects to listener. send, receive: options of endpoint.py for the end that sends and
    the one that receives; sender says which of the two that is."""
    name: str
    opener: str = "a"
    listener: str = "b"
    sender: str = "opener"
    send: dict = field(default_factory=dict)
    receive: dict = field(default_factory=dict)
    ask: bool = False  # roles ask and answer


class End:
    """What is known of one end while it runs."""

    def __init__(self, process):
        self.process = process
        self.socket = None
        self.local = self.peer = None
        self.bytes, self.moved, self.sha256 = 0, 0, None
        self.progress = []  # (CLOCK_MONOTONIC nanoseconds, bytes)
        self.ended = None  # why
        self.listening, self.program = False, None
        self.connections = 0
        self.late_s = 0.0  # the longest that the program was not run

    def say(self, word):
        self.socket.sendall(word.encode() + b"\n")

    @property
    def pid(self):
        """Of the program itself, which may be a child of what was started."""
        return self.program or self.process.pid

    def signal(self, number):
        os.kill(self.pid, number)


class Traffic:
    def __init__(self, network, bus, family, congestion="cubic", **options):
        """options: of all endpoints."""
        self.options = {"congestion": congestion, **options}
        self.network, self.bus, self.family = network, bus, family
        self.ends = {}  # label: End
        self._ports = {}  # of the listener, by the transfer's name
        self.path = session.FILES + "/events"
        bus.listen(self.path, self._accepted)

    def _accepted(self, connection):
        def heard(line):
            event = json.loads(line)
            end = self.ends[event["label"]]
            end.socket = connection
            getattr(self, "_on_" + event["event"])(end, event)
        self.bus.add_lines(connection, heard)

    @staticmethod
    def _on_listening(end, _event):
        end.listening = True

    @staticmethod
    def _on_open(end, event):
        end.local, end.peer = tuple(event["local"]), tuple(event["peer"])
        end.program = event["pid"]
        end.connections += 1

    @staticmethod
    def _on_progress(end, event):
        end.bytes = event["bytes"]
        end.progress.append((event["ns"], event["bytes"]))

    @staticmethod
    def _on_late(end, event):
        end.late_s = max(end.late_s, event["seconds"])

    @staticmethod
    def _on_sent(end, event):
        end.sha256, end.moved = event["sha256"], event["bytes"]

    @staticmethod
    def _on_end(end, event):
        end.ended = event["why"]
        end.sha256, end.moved = event["sha256"], event["bytes"]

    def _start(self, label, node, spec, wrap=()):
        spec = {"label": label, "events": self.path, **self.options, **spec}
        command = [*wrap, sys.executable, "-I", ENDPOINT, json.dumps(spec)]
        self.ends[label] = End(session.start(command, self.network.nodes[node].netns,
                                             stdin=subprocess.DEVNULL,
                                             stdout=subprocess.PIPE if wrap else None,
                                             stderr=subprocess.PIPE if wrap else None))
        return self.ends[label]

    def start(self, transfer, wrap_opener=()):
        """Starts both ends; true connections may take until self.connected(). wrap_opener: command
        that runs the opener."""
        listener = self.network.nodes[transfer.listener]
        address = [listener.address(self.family), self.network.plan.port()]
        self._ports[transfer.name] = address[1]
        one, other = ("ask", "answer") if transfer.ask else ("send", "receive")
        sender_opens = transfer.ask or transfer.sender == "opener"
        specs = [{"role": one, **transfer.send}, {"role": other, **transfer.receive}]
        opener, answerer = specs if sender_opens else reversed(specs)
        end = self._start(f"{transfer.name}/listener", transfer.listener,
                          {"listen": address, **answerer})
        self.bus.require(lambda: end.listening, 30, f"{transfer.name}: listening")
        return self._start(f"{transfer.name}/opener", transfer.opener,
                           {"connect": address, **opener}, wrap_opener)

    @staticmethod
    def _side(transfer, which):
        """opener or listener. which: that, or sender or receiver."""
        if which == "sender":
            return transfer.sender
        if which == "receiver":
            return "listener" if transfer.sender == "opener" else "opener"
        return which

    def end(self, transfer, which):
        """which: sender, receiver, opener or listener."""
        return self.ends[f"{transfer.name}/{self._side(transfer, which)}"]

    def port(self, transfer):
        """The listener's."""
        return self._ports[transfer.name]

    def node(self, transfer, which):
        """The name of the node that this end runs on."""
        return getattr(transfer, self._side(transfer, which))

    def connected(self, transfer):
        return all(self.end(transfer, w).local or self.end(transfer, w).ended
                   for w in ("opener", "listener"))

    def received(self, transfer):
        return self.end(transfer, "receiver").bytes

    def last_progress_ns(self, transfer, before_ns):
        """When the transfer last moved, as either end saw it."""
        times = [ns for which in ("sender", "receiver")
                 for ns, _ in self.end(transfer, which).progress if ns <= before_ns]
        return max(times, default=None)

    def stop(self):
        for end in self.ends.values():
            if end.process.poll() is None:
                end.process.send_signal(signal.SIGKILL)
                end.process.wait()
