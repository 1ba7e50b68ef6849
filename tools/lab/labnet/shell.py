# SPDX-License-Identifier: GPL-2.0-only
"""A shell in a scenario's network, to look around by hand."""

import os

from . import session
from .network import chain

HELP = """Nodes: {nodes}
`ip netns exec NODE COMMAND` runs a command there; leaving this shell takes everything down.
{lines}"""


def open_shell(scenario, node):
    network = chain(scenario.seed, **scenario.topology())
    network.build()
    if node not in network.nodes:
        raise session.LabError(f"no node {node}; there are {', '.join(network.nodes)}")
    lines = []
    for one in network.nodes.values():
        for i in one.interfaces:
            lines.append(f"  {one.name:4} {i.name}  {i.v4:16} {i.v6}")
    print(HELP.format(nodes=" ".join(network.nodes), lines="\n".join(lines)), flush=True)
    shell = session.start([os.environ.get("SHELL", "/bin/sh")], network.nodes[node].netns,
                          env=os.environ | {"PS1": f"lab {node}# "})
    return shell.wait()
