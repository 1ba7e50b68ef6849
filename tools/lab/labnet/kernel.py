# SPDX-License-Identifier: GPL-2.0-only
"""The few system calls that Python 3.11 has no function for."""

import contextlib
import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_NOSUID_NODEV = 0x2 | 0x4
MS_BIND = 0x1000
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function, *arguments):
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), function.__name__)


def unshare(flags):
    _call(_libc.unshare, flags)


def setns(fd, kind):
    _call(_libc.setns, fd, kind)


@contextlib.contextmanager
def inside(netns):
    """This (single-threaded) process is in the namespace for a while."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(netns, os.O_RDONLY)
    try:
        setns(there, CLONE_NEWNET)
        yield
    finally:
        setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


def mount(source, target, kind=None, flags=0, data=None):
    def text(value):
        return value.encode() if value is not None else None
    _call(_libc.mount, text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data))


def die_with_parent(parent):
    """The kernel kills this process when its parent ends. Call after any change of user."""
    _call(_libc.prctl, PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def become_subreaper():
    _call(_libc.prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
