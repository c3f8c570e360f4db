"""The `Channel` of the field: a WebSocket by aiohttp. One connection each; when to connect is `link`'s."""

import asyncio
from urllib.parse import urlsplit

import aiohttp
import structlog

from agent.session import LinkLost, TokenRefused
from agent.wire import MAX_FRAME_BYTES

log = structlog.get_logger()

CLOSE_LIMIT_S = 2.0
"""How long a closing connection waits for the other side."""


class Server:
    """The server at `url` (`ws://` or `wss://`), which knows this agent by `token`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        parts = urlsplit(url)
        if parts.scheme == "ws" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            log.warning("token and commands travel unencrypted: use wss://", server=url)

    async def connect(self) -> "WebSocket":
        """Return a connection. Raises TokenRefused, or LinkLost that says why."""
        client = aiohttp.ClientSession(headers=self._headers)
        try:
            socket = await client.ws_connect(
                self._url,
                max_msg_size=MAX_FRAME_BYTES,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_LIMIT_S),
            )
        except aiohttp.WSServerHandshakeError as error:
            await client.close()
            if error.status == 401:
                raise TokenRefused(f"{self._url} answered 401") from None
            raise LinkLost(f"{self._url} answered {error.status}") from None
        except (aiohttp.ClientError, OSError) as error:
            await client.close()
            raise LinkLost(f"{self._url}: {error}") from None
        except BaseException:
            await client.close()
            raise
        return WebSocket(client, socket)


class WebSocket:
    """A connected `Channel`, with the HTTP client that it owns."""

    def __init__(self, client: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._client = client
        self._socket = socket

    async def send(self, text: str) -> None:
        """Send one frame. Raises LinkLost."""
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError) as error:
            raise LinkLost(f"the connection broke: {error}") from error

    async def receive(self) -> str | None:
        """Return the next frame, or None once the connection is closed or broken."""
        message = await self._socket.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return str(message.data)
            case aiohttp.WSMsgType.BINARY:
                return bytes(message.data).decode(errors="replace")
        return None

    async def close(self) -> None:
        """Close. May be called twice."""
        try:
            async with asyncio.timeout(2 * CLOSE_LIMIT_S):
                await self._socket.close()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.info("connection did not close cleanly", reason=str(error))
        await self._client.close()
