"""How many notifications about payments that are not ours are taken at a time.

Anyone may post one, and each makes us ask every shop. One of ours is never refused; any other that is refused
is sent again by its provider, since it was not answered 200.
"""

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from server.attempts import network_of

PER_NETWORK = RateLimitItemPerMinute(60, namespace="stranger")


class Senders:
    """Counts the strangers of each network, in memory, for this process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def may_send(self, address: str) -> bool:
        """Count one; return whether its network has not sent too many within a minute."""
        return self._limiter.hit(PER_NETWORK, network_of(address))
