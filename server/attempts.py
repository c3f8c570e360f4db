"""How often a login may be tried: decided from the attempts within the last minute."""

import hashlib
import ipaddress
from collections.abc import Sequence

WINDOW_MS = 60_000
PER_NAME_AND_NETWORK = 5
PER_NETWORK = 20
MARK_LENGTH = 4


def wait_ms(of_network: Sequence[tuple[str, int]], mark: str, now: int) -> int:
    """Return 0 when a name may be tried from a network, or for how long it may not.

    `of_network` has mark of the name and time of each attempt from there, the oldest first.
    """
    recent = [attempt for attempt in of_network if attempt[1] > now - WINDOW_MS]
    of_name = [at for marked, at in recent if marked == mark]
    waits = [_wait_ms(of_name, PER_NAME_AND_NETWORK, now)]
    waits.append(_wait_ms([at for _, at in recent], PER_NETWORK, now))
    return max(waits)


def _wait_ms(times: Sequence[int], limit: int, now: int) -> int:
    """Return when so few attempts are left in the window that one more may be made."""
    return times[-limit] + WINDOW_MS - now if len(times) >= limit else 0


def mark_of(name: str) -> str:
    """Return what is kept of a name that was typed, since it may be a password in the wrong field.

    So short that nothing can be guessed from it, and that few names share one.
    """
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:MARK_LENGTH]


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
