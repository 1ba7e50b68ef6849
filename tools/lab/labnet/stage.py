# SPDX-License-Identifier: GPL-2.0-only
"""A scenario on its stage: the network, its traffic, tcpstall, and the moment when it breaks."""

import os
import time

from . import arrange, faults
from .events import Bus
from .monitor import Monitor, ends_of
from .network import chain
from .scenario import WITNESSES, Transfer
from .traffic import Traffic

PROGRESS_S = 60  # until the transfer has moved enough for its fault


class Stage:
    """A running scenario."""

    def __init__(self, scenario, with_tcpstall=True, record=None):
        """record: file for a recording."""
        self.scenario = scenario
        self.family = scenario.family
        self.main = scenario.main or Transfer("main")
        self.others = WITNESSES if scenario.others is None else scenario.others
        self.bus = Bus()
        self.network = chain(scenario.seed, **scenario.topology())
        self.traffic = Traffic(self.network, self.bus, scenario.family, scenario.congestion)
        self.monitor = Monitor(self.bus, record) if with_tcpstall else None
        self.broken_ns = None  # when the fault was switched on
        self.disk = None  # see arrange.disk()
        self.when_connected = []  # functions, for what needs the main transfer's ports

    def node_of(self, which):
        return self.traffic.node(self.main, which)

    def end_at(self, node):
        """The end of the main transfer that runs on this node."""
        which = "opener" if self.main.opener == node else "listener"
        return self.traffic.end(self.main, which)

    @property
    def vantage(self):
        """The node that tcpstall runs on."""
        which = self.scenario.vantage
        if which in self.network.nodes:
            return self.network.nodes[which]
        if which == "around":
            return self.network.nodes["r1"]
        return self.network.nodes[self.node_of(which)]

    def flow(self, transfer):
        """(src, dst) of a transfer's data as the vantage knows them. A router knows those of the
        sender: no NAT then."""
        which = "receiver" if self.scenario.vantage == "receiver" else "sender"
        end = self.traffic.end(transfer, which)
        return (end.local, end.peer) if which == "sender" else (end.peer, end.local)

    def watch(self):
        """Starts tcpstall watch."""
        node, options = self.vantage, self.scenario.options
        if any("{port}" in option for option in options):
            port = self.traffic.end(self.main, "listener").local[1]
            options = [option.format(port=port) for option in options]
        if self.scenario.vantage in self.network.nodes:
            side = node.on(self.network.towards(node.name, "b"))
            self.monitor.start_watch(None, ["--source", "pcap", "-i", side.name, *options],
                                     inside=node.netns)
        elif self.scenario.vantage == "around":
            self.monitor.start_watch(None, options, inside=node.netns)
        else:
            self.monitor.start_watch(node.netns, options)

    def build(self):
        self.network.build()
        for name in self.scenario.arrange:
            arrange.find(name)(self)

    def start(self):
        scenario = self.scenario
        self.build()
        if scenario.fault and not scenario.fault.after_bytes:
            self.break_it()
        for transfer in self.others:
            self.traffic.start(transfer)
        if not self.monitor:
            self.traffic.start(self.main)
        elif scenario.mode == "run":
            command = self.monitor.command("run", self.vantage.netns, scenario.options)
            opener = self.traffic.start(self.main, [*command, "--"])
            self.monitor.attach(opener.process)
        else:
            self.bus.require(lambda: all(self.traffic.connected(t) for t in self.others), 30,
                             "witnesses connected")
            if not any("{port}" in option for option in scenario.options):
                self.watch()
            self.traffic.start(self.main)
        self.bus.require(lambda: self.traffic.connected(self.main), 30, "main transfer connected")
        for begin in self.when_connected:
            begin()
        if not self.monitor:
            return
        if not self.monitor.process:
            self.watch()
        self.monitor.wait_until_watching()

    def break_it(self):
        fault = self.scenario.fault
        self.broken_ns = time.monotonic_ns()
        return faults.find(fault.name)(self, fault.at, **fault.options)

    def await_fault(self):
        """Lets the transfer move under tcpstall's eyes, then switches the fault on; how to undo it."""
        fault = self.scenario.fault
        if not fault.after_bytes:
            return None
        goal = self.traffic.received(self.main) + fault.after_bytes
        self.bus.require(lambda: self.traffic.received(self.main) >= goal, PROGRESS_S,
                         f"{goal} bytes received")
        return self.break_it()

    def incidents(self):
        """Of the main transfer, the latest first; those of the wanted kind only."""
        truth = self.scenario.truth
        found = self.monitor.incidents_of(*self.flow(self.main))
        return [i for i in found if not truth or truth.slow is None or i.slow == truth.slow]

    def incident(self):
        return next(iter(self.incidents()), None)

    def collateral(self):
        """Incidents of connections that nothing should be reported of. Those to the same peer, or
        through the same hole, stall with the main one where the fault is not of one connection."""
        fault = self.scenario.fault
        main = self.flow(self.main)
        nodes = self.network.nodes
        here = [nodes["a"], nodes["r1"]] if self.scenario.vantage == "around" else nodes.values()
        ours = {os.stat(node.netns).st_ino for node in here}
        found = []
        for incident in self.monitor.incidents.values():
            ends = ends_of(incident.flow)
            if ends in (main, main[::-1]) or fault and faults.is_of_all(fault.name):
                continue
            if incident.flow["netns"] and incident.flow["netns"] not in ours:
                continue  # of another host of the lab, or of another run on this machine
            found.append(f"{ends[0][0]}:{ends[0][1]} > {ends[1][0]}:{ends[1][1]} "
                         f"{incident.verdict['cause'] if incident.verdict else ''}")
        return found

    def stop(self):
        """Ends tcpstall and the traffic."""
        if self.monitor and self.monitor.process:
            self.monitor.stop()
        if self.disk:
            self.disk.end()  # who waits for it cannot be killed
        self.traffic.stop()
