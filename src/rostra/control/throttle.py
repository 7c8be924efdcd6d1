"""How often one peer may try to sign in: a bucket of tries that fills again slowly, for a bounded number of peers."""

import ipaddress
from collections import OrderedDict
from typing import Final

BURST: Final = 20
PER_S: Final = 0.5
PEERS_MOST: Final = 4096


class Throttle:
    """Where more than `peers_most` peers try, the one that tried longest ago is forgotten (and counted as such)."""

    def __init__(self, burst: int = BURST, per_s: float = PER_S, peers_most: int = PEERS_MOST) -> None:
        self._burst = burst
        self._per_s = per_s
        self._peers_most = peers_most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.forgotten = 0

    def wait_s(self, peer: str, now: float) -> float:
        """0 if the peer may try now (the try is then taken), else the seconds until it may. `now`: monotonic seconds."""
        key = _network(peer)
        left, since = self._buckets.pop(key, (float(self._burst), now))
        left = min(self._burst, left + max(0.0, now - since) * self._per_s)
        may = left >= 1
        self._buckets[key] = (left - 1 if may else left, now)
        if len(self._buckets) > self._peers_most:
            self._buckets.popitem(last=False)
            self.forgotten += 1
        return 0.0 if may else (1 - left) / self._per_s

    def __len__(self) -> int:
        return len(self._buckets)


def _network(peer: str) -> str:
    """One household's IPv6 network is one peer; who is no address shares one bucket."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return "unknown"
    if address.version == 6:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
