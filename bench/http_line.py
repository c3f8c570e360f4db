"""One connection of a load: sends ready bytes and waits for the whole answer. As cheap as Python can be.

The generator shares the machine with what it measures, so that nothing here parses what nobody asks for.
"""

import asyncio
import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


class HttpLine(asyncio.Protocol):
    """A keep-alive connection; one question at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._got = b""
        self._whole = 0

    @classmethod
    async def open(cls, port: int) -> "HttpLine":
        """Return a connection to a server on loopback."""
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return line

    async def ask(self, question: bytes) -> bytes:
        """Send a request and return its answer, head and body. Raises ConnectionError."""
        if self._transport is None:
            raise ConnectionError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(question)
        return await self._answer

    @property
    def closed(self) -> bool:
        """Whether the server or we have closed it."""
        return self._transport is None

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """(asyncio.Protocol)"""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """(asyncio.Protocol)"""
        self._got += data
        if not self._whole:
            end = self._got.find(_END)
            if end < 0:
                return
            length = _LENGTH.search(self._got, 0, end)
            self._whole = end + len(_END) + (int(length[1]) if length else 0)
        if len(self._got) >= self._whole and self._answer is not None:
            answer, self._answer = self._answer, None
            whole, self._got, self._whole = self._got, b"", 0
            if not answer.done():
                answer.set_result(whole)

    def connection_lost(self, error: Exception | None) -> None:
        """(asyncio.Protocol)"""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"closed by the server: {error}"))


def get(path: str) -> bytes:
    """Return a GET as a customer's browser sends it, without the half that servers do not read."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        "Accept-Language: ru-RU,ru;q=0.9\r\nUser-Agent: bench\r\n\r\n"
    ).encode()


def post(path: str, body: bytes) -> bytes:
    """Return a POST of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
