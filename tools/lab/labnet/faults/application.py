# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the two programs."""

import signal


def program_stopped(stage, at):
    """at: sender or receiver. The program is stopped as by Ctrl-Z."""
    end = stage.traffic.end(stage.main, at)
    end.signal(signal.SIGSTOP)
    return lambda: end.signal(signal.SIGCONT)


def reset_by_program(stage, at):
    """The program at this end closes with unread data or SO_LINGER 0: its kernel sends a reset."""
    stage.traffic.end(stage.main, at).say("reset")
    return None
