"""The `Channel` of the field: a WebSocket. One connection each; when to connect is `link`'s.

`wsproto` speaks the protocol, asyncio's streams carry it: together they weigh a tenth of aiohttp, and stay in
the memory of a small board for years. Redirects are not followed: the token goes to the named server, or
nowhere.
"""

import asyncio
import ssl
from collections import deque
from urllib.parse import SplitResult, urlsplit

import structlog
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from agent.session import LinkLost, TokenRefused
from agent.wire import MAX_FRAME_BYTES

log = structlog.get_logger()

CLOSE_LIMIT_S = 2.0
"""How long a closing connection waits for the other side."""

EYEBALLS_S = 0.25
"""How long one address of the server's name is tried before the next is tried beside it (RFC 8305)."""

READ_BYTES = 64 * 1024

_ANSWERING = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)
"""States in which a closing is answered; in the others it has ended without a word."""


class Server:
    """The server at `url` (`ws://` or `wss://`), which knows this agent by `token`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._parts = urlsplit(url)
        self._headers = [(b"Authorization", f"Bearer {token}".encode())]
        self._tls: ssl.SSLContext | None = None
        if self._parts.scheme == "ws" and self._parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            log.warning("token and commands travel unencrypted: use wss://", server=url)

    async def connect(self) -> "WebSocket":
        """Return a connection. Raises TokenRefused, or LinkLost that says why."""
        try:
            socket = WebSocket(*await self._open())
            try:
                answer = await socket.greet(_request(self._parts, self._headers))
            except BaseException:
                socket.abort()
                raise
        except (ProtocolError, OSError) as error:
            raise LinkLost(f"{self._url}: {error}") from None
        if isinstance(answer, AcceptConnection):
            return socket
        socket.abort()
        status = answer.status_code if isinstance(answer, RejectConnection) else "not as a WebSocket does"
        refused = TokenRefused if status == 401 else LinkLost
        raise refused(f"{self._url} answered {status}")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secure = self._parts.scheme == "wss"
        if secure and self._tls is None:
            self._tls = ssl.create_default_context()  # once: to read whom the system trusts takes a while
        return await asyncio.open_connection(
            self._parts.hostname,
            self._parts.port or (443 if secure else 80),
            ssl=self._tls,
            happy_eyeballs_delay=EYEBALLS_S,
        )


class WebSocket:
    """A `Channel` once `greet` was answered by AcceptConnection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._core = WSConnection(ConnectionType.CLIENT)
        self._events: deque[Event] = deque()
        self._message = bytearray()
        self._over = False

    async def greet(self, request: Request) -> Event | None:
        """Ask for a WebSocket; return the answer, None when the connection ended without one."""
        await self._write(request)
        return await self._next_event()

    async def send(self, text: str) -> None:
        """Send one frame. Raises LinkLost."""
        try:
            await self._write(TextMessage(data=text))
        except (ProtocolError, OSError) as error:
            raise LinkLost(f"the connection broke: {error}") from error

    async def receive(self) -> str | None:
        """Return the next frame, or None once the connection is closed or broken."""
        try:
            while (event := await self._next_event()) is not None:
                if isinstance(event, TextMessage | BytesMessage):
                    self._gather(event.data)
                    if event.message_finished:
                        return self._gathered()
        except (ProtocolError, OSError) as error:
            log.info("connection broke", reason=str(error))
        self._over = True
        return None

    async def close(self) -> None:
        """Close. May be called twice."""
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                if not self._over:
                    await self._write(CloseConnection(code=1000))
                    while await self._next_event() is not None:
                        pass
                self._writer.close()
                await self._writer.wait_closed()
        except (ProtocolError, OSError, TimeoutError) as error:
            log.info("connection did not close cleanly", reason=str(error))
        self._over = True
        self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()

    def _gather(self, data: str | bytes | bytearray) -> None:
        """Keep a part of a message. Raises ProtocolError when it is too long."""
        self._message += data.encode() if isinstance(data, str) else data
        if len(self._message) > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame is longer than {MAX_FRAME_BYTES} bytes")

    def _gathered(self) -> str:
        text = self._message.decode(errors="replace")
        self._message.clear()
        return text

    async def _next_event(self) -> Event | None:
        """Return what the server says next, pings aside; None once it has closed. To be cancelled is safe."""
        while not self._over:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, Ping):
                    await self._write(event.response())
                elif isinstance(event, CloseConnection):
                    self._over = True
                    if self._core.state in _ANSWERING:
                        await self._write(event.response())
                    return None
                else:
                    return event
            self._core.receive_data(await self._reader.read(READ_BYTES) or None)
            self._events.extend(self._core.events())
        return None

    async def _write(self, event: Event) -> None:
        self._writer.write(self._core.send(event))
        await self._writer.drain()


def _request(parts: SplitResult, headers: list[tuple[bytes, bytes]]) -> Request:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(host=parts.netloc.rpartition("@")[2], target=target, extra_headers=headers)
