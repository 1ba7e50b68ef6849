# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the hosts' own kernels."""

from .common import chain, nft


def drop_output(stage, at):
    """The host's own firewall drops what this connection sends."""
    end = stage.end_at(at)
    return nft(stage, at, chain("output", f"tcp sport {end.local[1]} counter drop"))


def drop_input(stage, at):
    """The host's own firewall drops what this connection receives."""
    end = stage.end_at(at)
    return nft(stage, at, chain("input", f"tcp dport {end.local[1]} counter drop"))
