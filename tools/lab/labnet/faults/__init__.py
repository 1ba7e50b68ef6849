# SPDX-License-Identifier: GPL-2.0-only
"""Faults, each a function of a running scenario (run.py) that returns how to undo it.

`stage` gives network, traffic and the main transfer; `at` is a node, an end or a wire. All are
switched on by events of the traffic, after so many bytes, never by the clock. A fault belongs to
the file of the scenarios that use it and is found there by its name.
"""

from . import application, host, link, middlebox, neighbour, path

_GROUPS = (middlebox, path, link, neighbour, host, application)


def find(name):
    return next(getattr(group, name) for group in _GROUPS if hasattr(group, name))


def is_of_all(name):
    """Whether what goes the same way stops too, see common.of_all()."""
    return getattr(find(name), "of_all", False)
