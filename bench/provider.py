"""`python -m bench.provider`: the bank's stand-in. Every payment it is asked for has succeeded.

As cheap as Python can be, since it shares the machine with what is measured: it parses no more than the id.
"""

import asyncio
import re

from bench.children import Said, obey
from bench.notification import payment

ASKED = re.compile(rb"GET /v3/payments/bp-(\d+) HTTP/1\.1\r\n")
END = b"\r\n\r\n"


class Teller(asyncio.Protocol):
    """A connection on which `GET /v3/payments/{id}` is answered as YooKassa does, at once."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """(asyncio.Protocol)"""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """(asyncio.Protocol)"""
        *asked, self._got = (self._got + data).split(END)
        for head in asked:
            self._answer(head + END)

    def _answer(self, head: bytes) -> None:
        assert self._transport is not None
        found = ASKED.match(head)
        if found is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        body = payment(int(found[1])).encode()
        told = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(told + body)


async def serve(order: Said) -> Said:
    """Serve; return the port."""
    server = await asyncio.get_running_loop().create_server(Teller, "127.0.0.1", 0)
    return {"port": server.sockets[0].getsockname()[1]}


if __name__ == "__main__":
    asyncio.run(obey(serve))
