# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the hosts' own kernels."""

from .. import session
from .common import chain, nft


def drop_output(stage, at):
    """The host's own firewall drops what this connection sends."""
    end = stage.end_at(at)
    return nft(stage, at, chain("output", f"tcp sport {end.local[1]} counter drop"))


def drop_input(stage, at):
    """The host's own firewall drops what this connection receives."""
    end = stage.end_at(at)
    return nft(stage, at, chain("input", f"tcp dport {end.local[1]} counter drop"))


def buffer_cut(stage, at, bytes):  # pylint: disable=redefined-builtin
    """at: sender or receiver. The program makes its receive buffer small."""
    stage.traffic.end(stage.main, at).say(f"buffer={bytes}")


def throttled(stage, at, percent, work=20000):
    """The program gets so much of one processor, by a control group, and has to compute much for
    each byte from now on."""
    stage.traffic.end(stage.main, at).say(f"work={work}")
    group = session.control_group("cpu")
    for file, value in {"cgroup.procs": stage.traffic.end(stage.main, at).pid,
                        "cpu.cfs_quota_us": percent * 1000}.items():
        with open(f"{group}/{file}", "w", encoding="ascii") as out:
            out.write(str(value))
