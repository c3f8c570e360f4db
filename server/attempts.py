"""How often a login may be tried. In memory, for this process."""

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

PER_NAME_AND_ADDRESS = RateLimitItemPerMinute(5, namespace="name")
PER_ADDRESS = RateLimitItemPerMinute(20, namespace="address")


class LoginAttempts:
    """Counts attempts in a window that moves."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def wait_s(self, name: str, address: str) -> int:
        """Count one attempt; return 0 when it may be made, or for how many seconds it may not."""
        network = network_of(address)
        for limit, key in ((PER_ADDRESS, (network,)), (PER_NAME_AND_ADDRESS, (name[:100], network))):
            if not self._limiter.hit(limit, *key):
                over_at = self._limiter.get_window_stats(limit, *key).reset_time
                return max(1, math.ceil(over_at - time.time()))
        return 0

    def succeeded(self, name: str, address: str) -> None:
        """Forget the attempts of someone who has proved who he is."""
        self._limiter.clear(PER_NAME_AND_ADDRESS, name[:100], network_of(address))


def network_of(address: str) -> str:
    """Return the address, or the /64 of an IPv6 one: a whole /64 is in one hand."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
