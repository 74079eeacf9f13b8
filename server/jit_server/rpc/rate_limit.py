"""How often one address may call before anybody proved who they are.

A token bucket per address, checked before a password or a token is looked at.  The table is bounded: when it is full
the address that was idle longest is forgotten, which can only give somebody a fresh bucket, never lock anybody out.
"""

import ipaddress
import urllib.parse
from collections import OrderedDict
from collections.abc import Callable

from jit_server.errors import JitError

BURST = 20
PER_SECOND = 1.0
MAX_ADDRESSES = 10_000


class TooManyCalls(JitError):
    """This address called too often."""

    code = "try_again"


class RateLimiter:
    """Buckets of `BURST` calls that refill with `PER_SECOND`; `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, address: str) -> bool:
        """Count one call of the address; False when it called too often."""
        now = self._monotonic()
        tokens, since = self._buckets.pop(address, (float(BURST), now))
        tokens = min(BURST, tokens + (now - since) * PER_SECOND)
        admitted = tokens >= 1
        self._buckets[address] = (tokens - 1 if admitted else tokens, now)
        while len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return admitted


def address_of(peer: str) -> str:
    """What gRPC calls the peer, without its port; an IPv6 host counts as its /64, of which it may own every address."""
    _, _, rest = urllib.parse.unquote(peer).partition(":")
    host = rest.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
