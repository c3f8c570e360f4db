"""Ports for servers whose address must be known before they listen."""

import itertools
import socket

_FIRST, _LAST = 15_000, 31_000
"""Below the ports that the system gives to outgoing connections, which would take one in the meantime."""

_BLOCK = 500


def _claim_block() -> tuple[socket.socket, int]:
    """Take a block of ports for this process. The claim is a name, which the system gives away only once."""
    for first in range(_FIRST, _LAST, _BLOCK):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0demitasse test ports {first}")
        except OSError:
            claim.close()
            continue
        return claim, first
    raise OSError("too many test runs side by side: no block of ports is left")


_CLAIM, _OURS = _claim_block()
_next = itertools.cycle(range(_OURS, _OURS + _BLOCK))


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that no other process is given."""
    return next(port for port in _next if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
