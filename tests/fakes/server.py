"""The server's end of the wire, on the real messages: over channels in memory, and over aiohttp.

It stores every numbered report and says so, and can be told to be late, silent, rude or gone.
"""

import asyncio
from typing import TypeVar

from aiohttp import WSMsgType, web

from agent import wire
from agent.session import LinkLost
from agent.wire import Hello, Make, MakeState, Message, Query, Report

M = TypeVar("M", bound=Message)


class MemoryChannel:
    """The agent's end of a connection in memory; the server holds the same object and uses its queues."""

    def __init__(self) -> None:
        self.to_server: asyncio.Queue[str | None] = asyncio.Queue()
        self.to_agent: asyncio.Queue[str | None] = asyncio.Queue()
        self.closed = False
        self.jammed = False

    async def send(self, text: str) -> None:
        if self.jammed:
            await asyncio.Event().wait()
        if self.closed:
            raise LinkLost("closed")
        self.to_server.put_nowait(text)

    async def receive(self) -> str | None:
        return None if self.closed and self.to_agent.empty() else await self.to_agent.get()

    async def close(self) -> None:
        self.cut()

    def cut(self) -> None:
        """Break the connection at both ends."""
        if not self.closed:
            self.closed = True
            self.to_agent.put_nowait(None)
            self.to_server.put_nowait(None)


class FakeServer:
    """A server for one agent. `heard` is everything decoded, `reports` what was stored, by number.

    Give `connect` to a `Link`. `refuses` is raised instead of a connection; `welcomes`, `stores` and `pongs`
    switch its answers off.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.heard: list[Message] = []
        self.heard_at: list[float] = []
        self.reports: dict[int, Report] = {}
        self.channel: MemoryChannel | None = None
        self.connections: list[float] = []
        self.refuses: LinkLost | None = None
        self.welcomes = self.stores = self.pongs = True
        self._serving: set[asyncio.Task[None]] = set()

    async def connect(self) -> MemoryChannel:
        """Return a new connection, as a `Link` wants it."""
        self.connections.append(asyncio.get_running_loop().time())
        if self.refuses:
            raise self.refuses
        self.channel = MemoryChannel()
        task = asyncio.create_task(self._serve(self.channel))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return self.channel

    def send(self, message: Message) -> None:
        """Say something to the connected agent."""
        self.send_text(wire.encode(message))

    def send_text(self, text: str) -> None:
        """Send a frame as it is."""
        if self.channel is None:
            raise LinkLost("no agent is connected")
        self.channel.to_agent.put_nowait(text)

    def order(self, command_id: str, drink_no: str = "espresso", ttl_ms: int = 60_000) -> None:
        """Send a `Make` of the present session."""
        order_id = f"order of {command_id}"
        self.send(Make(self.epoch, command_id, order_id, drink_no, "small", ttl_ms, issued_at_ms=0))

    def ask(self, command_id: str) -> None:
        """Send a `Query` of the present session."""
        self.send(Query(self.epoch, command_id))

    def cut(self) -> None:
        """Break the present connection."""
        if self.channel is not None:
            self.channel.cut()

    def all_heard(self, kind: type[M]) -> list[M]:
        """Return the messages of one kind, in order."""
        return [message for message in self.heard if isinstance(message, kind)]

    def states(self, command_id: str) -> list[MakeState]:
        """Return the stored states of a command, in the order of their numbers."""
        return [report.state for _, report in sorted(self.reports.items()) if report.command_id == command_id]

    def last(self, command_id: str) -> Report | None:
        """Return the newest thing said of a command, numbered or not."""
        said = [report for report in self.all_heard(Report) if report.command_id == command_id]
        return said[-1] if said else None

    async def _serve(self, channel: MemoryChannel) -> None:
        while (text := await channel.to_server.get()) is not None:
            for answer in self._hear(text):
                channel.to_agent.put_nowait(wire.encode(answer))

    def _hear(self, text: str) -> list[Message]:
        message = wire.decode_from_agent(text)
        self.heard.append(message)
        self.heard_at.append(asyncio.get_running_loop().time())
        match message:
            case Hello() if self.welcomes:
                self.epoch += 1
                return [wire.Welcome(self.epoch, server_time_ms=0, acked_seq=max(self.reports, default=0))]
            case Report(seq=int(seq)) if self.stores:
                self.reports[seq] = message
                return [wire.Stored(seq)]
            case wire.Ping() if self.pongs:
                return [wire.Pong()]
        return []


class HttpServer(FakeServer):
    """The same behind aiohttp, at `/v1/agent`, for one token. `app` goes to `aiohttp_server`."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.app = web.Application()
        self.app.router.add_get("/v1/agent", self._upgrade)
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.close_code: int | None = None
        self._token = token

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse(max_msg_size=wire.MAX_FRAME_BYTES, compress=False)
        await socket.prepare(request)
        channel = self.channel = MemoryChannel()
        saying = asyncio.create_task(self._say(channel, socket))
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    for answer in self._hear(frame.data):
                        channel.to_agent.put_nowait(wire.encode(answer))
        finally:
            self.close_code = socket.close_code
            channel.cut()
            await saying
        return socket

    async def _say(self, channel: MemoryChannel, socket: web.WebSocketResponse) -> None:
        while (text := await channel.to_agent.get()) is not None:
            await socket.send_str(text)
        await socket.close()
