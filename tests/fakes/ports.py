"""Ports for servers whose address must be known before they listen."""

import itertools
import os
import socket

_FIRST, _LAST = 15_000, 31_000
"""Below the ports that the system gives to outgoing connections, which would take one in the meantime."""

_next = itertools.count(os.getpid() * 37)  # so that test runs side by side do not ask for the same


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    for number in _next:
        port = _FIRST + number % (_LAST - _FIRST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the count has no end")
