"""The agents' WebSocket: the token is checked before the upgrade, then `server.agents` converses."""

from aiohttp import WSMsgType, hdrs, web

from agent.wire import MAX_FRAME_BYTES, WireError
from server import keys
from server.errors import Unauthorized
from server.store import devices
from server.tokens import token_hash


def routes() -> list[web.RouteDef]:
    """Return the agents' address."""
    return [web.get("/v1/agent", agent)]


async def agent(request: web.Request) -> web.StreamResponse:
    """One agent's session."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    kept = token_hash(token.strip())
    known = None
    if scheme.lower() == "bearer" and token:
        known = await request.app[keys.DB].glance(devices.device_of_token, kept)
    if known is None:
        raise Unauthorized("agent_token_wrong", "an agent without a valid token")
    device_uuid, is_newer = known
    if is_newer:
        await request.app[keys.DB].write(devices.token_used, kept)
    socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_FRAME_BYTES)
    await socket.prepare(request)
    await request.app[keys.AGENTS].converse(SocketChannel(socket), device_uuid)
    return socket


class SocketChannel:
    """An aiohttp WebSocket as `server.connection.Channel`."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        """Send one frame. Raises ConnectionError when the socket is gone."""
        await self._socket.send_str(text)

    async def receive(self) -> str | None:
        """Return the next text frame, None at the end. Raises WireError for a binary one."""
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            return str(message.data)
        if message.type is WSMsgType.BINARY:
            raise WireError("a binary frame")
        return None

    async def close(self) -> None:
        """Close the socket; may be called twice."""
        await self._socket.close()
