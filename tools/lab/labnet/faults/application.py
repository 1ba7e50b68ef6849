# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the two programs."""

import os
import signal

from .. import session
from .common import of_all
from .path import blackhole


def program_stopped(stage, at):
    """at: sender or receiver. The program is stopped as by Ctrl-Z."""
    end = stage.traffic.end(stage.main, at)
    end.signal(signal.SIGSTOP)
    return lambda: end.signal(signal.SIGCONT)


def reset_by_program(stage, at):
    """The program at this end closes with unread data or SO_LINGER 0: its kernel sends a reset."""
    stage.traffic.end(stage.main, at).say("reset")
    return None


def reader_stopped(stage, at):
    """The program that this end hands its data to through a pipe is stopped."""
    end = stage.traffic.end(stage.main, at)
    helper = session.descendants_of(end.pid)[-1]
    os.kill(helper, signal.SIGSTOP)
    return lambda: os.kill(helper, signal.SIGCONT)


def disk_hangs(stage, at):  # pylint: disable=unused-argument
    """The disk that the receiver writes to answers no more."""
    stage.disk.hang()
    return stage.disk.go_on


@of_all
def given_up(stage, at):
    """A router forwards nothing any more, and the sending program soon gives up, by a reset, while it
    is found out why."""
    blackhole(stage, at)
    return lambda: stage.traffic.end(stage.main, "sender").say("reset")
