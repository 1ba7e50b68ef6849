# SPDX-License-Identifier: GPL-2.0-only
"""The scenarios, by where the trouble is. To add one, add an entry to SCENARIOS of that file;
`lab list` prints them, `lab run NAME` runs it, `lab faults NAME` tries its fault without tcpstall."""

from . import application, dial_up, healthy, host, link, middlebox, neighbour, packets, path

ALL = [scenario for group in (middlebox, path, link, neighbour, host, application, packets,
                              healthy)
       for scenario in group.SCENARIOS]
BY_NAME = {scenario.name: scenario for scenario in (*ALL, *dial_up.SCENARIOS)}
assert len(BY_NAME) == len(ALL) + len(dial_up.SCENARIOS), "two scenarios have one name"
