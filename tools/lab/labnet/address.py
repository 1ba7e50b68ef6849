# SPDX-License-Identifier: GPL-2.0-only
"""Addresses of a lab network, drawn from a seed so that nothing comes to depend on one set.

Only ranges that belong to nobody: RFC 1918 and RFC 6598 inside NAT, RFC 5737 outside, RFC 3849 and
RFC 4193 for IPv6.
"""

import ipaddress

_OUTSIDE = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
_LAN = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_CARRIER = ipaddress.ip_network("100.64.0.0/10")


def _pick(rng, network, prefix):
    index = rng.randrange(2 ** (prefix - network.prefixlen))
    step = 2 ** (network.max_prefixlen - prefix)
    return ipaddress.ip_network((int(network.network_address) + index * step, prefix))


class AddressPlan:
    def __init__(self, rng):
        self._rng = rng
        self._used = []

    def _fresh(self, ranges, prefix):
        for _ in range(1000):
            network = _pick(self._rng, self._rng.choice(ranges), prefix)
            if not any(network.overlaps(u) for u in self._used if u.version == network.version):
                self._used.append(network)
                return network
        raise RuntimeError("address ranges are used up")

    def subnet_v4(self, kind):
        """kind: lan, carrier (between two NATs) or outside."""
        if kind == "lan":
            return self._fresh(_LAN, 24)
        if kind == "carrier":
            return self._fresh([_CARRIER], 24)
        return self._fresh(_OUTSIDE, 28)

    def subnet_v6(self, kind):
        base = "2001:db8::/32" if kind == "outside" else "fd00::/8"
        return self._fresh([ipaddress.ip_network(base)], 64)

    def hosts(self, network, count):
        """Different addresses of the subnet, anywhere in its first few hundred."""
        room = min(network.num_addresses - 2, 250)
        return [str(network.network_address + 1 + i) for i in self._rng.sample(range(room), count)]

    def port(self):
        return self._rng.randrange(2000, 30000)
