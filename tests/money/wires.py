"""HTTP without sockets: what the server and its banks say to each other, in virtual time, spoiled at will.

Requests go through the real handlers of an application; only the transport is left out.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

TRAVEL_S = 0.02
HANG_S = 300.0


class Harm(StrEnum):
    """What becomes of one request."""

    LOST = "the request never arrives"
    UNANSWERED = "the answer never comes back"
    SILENT = "it is done, and nothing is heard of it until the caller's patience is over"
    TWICE = "it arrives twice at the same time"
    LATE = "it is taken at once, and arrives in a minute"
    BUSY = "HTTP 429 from a proxy, and nothing is done"
    REFUSED = "HTTP 400, and nothing is done"
    BAD_GATEWAY = "it is done, and a proxy answers HTTP 502"


LATE_S = 60.0


class Answer:
    """A response of aiohttp's client, as far as it is read here."""

    def __init__(self, status: int, body: bytes = b"", headers: Any = None) -> None:
        self.status = status
        self.headers = headers if headers is not None else CIMultiDict[str]()
        self._body = body
        self.content = self

    async def read(self) -> bytes:
        return self._body

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield self._body

    def close(self) -> None:
        """Nothing is open."""


class Wires:
    """Stands for an `aiohttp.ClientSession`; `app_at` says whose a path is, None when nobody is there.

    `harms` has what becomes of the next requests, by what `about` says of them.
    """

    def __init__(self, app_at: Callable[[str], web.Application | None]) -> None:
        self._app_at = app_at
        self.harms: defaultdict[str, deque[Harm]] = defaultdict(deque)
        self._late: set[asyncio.Task[Answer]] = set()

    def post(self, url: str, **options: Any) -> Any:
        return self.request("POST", url, **options)

    @asynccontextmanager
    async def request(
        self, method: str, url: str, timeout: aiohttp.ClientTimeout | None = None, **options: Any
    ) -> AsyncIterator[Answer]:
        path, patience_s = urlsplit(url).path, (timeout and timeout.total) or HANG_S
        async with asyncio.timeout(patience_s):
            yield await self._carry(about(method, path), method, path, options)

    async def _carry(self, kind: str, method: str, path: str, options: Any) -> Answer:
        await asyncio.sleep(TRAVEL_S)
        harm = self.harms[kind].popleft() if self.harms[kind] else None
        match harm:
            case Harm.LOST:
                raise aiohttp.ServerDisconnectedError
            case Harm.BUSY:
                return Answer(429)
            case Harm.REFUSED:
                return Answer(400, b"{}")
            case Harm.LATE:
                task = asyncio.create_task(self._arrive_late(method, path, options))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                return Answer(200, b"OK")
            case Harm.TWICE:
                answers = [self._arrive(method, path, options) for _ in range(2)]
                return (await asyncio.gather(*answers))[0]
        answer = await self._arrive(method, path, options)
        match harm:
            case Harm.UNANSWERED:
                raise aiohttp.ServerDisconnectedError
            case Harm.SILENT:
                await asyncio.sleep(HANG_S)
            case Harm.BAD_GATEWAY:
                return Answer(502, b"<html>")
        await asyncio.sleep(TRAVEL_S)
        return answer

    async def _arrive_late(self, method: str, path: str, options: Any) -> Answer:
        await asyncio.sleep(LATE_S)
        return await self._arrive(method, path, options)

    async def _arrive(self, method: str, path: str, options: Any) -> Answer:
        """Let the application answer."""
        app = self._app_at(path)
        if app is None:
            raise aiohttp.ServerDisconnectedError
        response = await app._handle(_request(method, path, options))
        assert isinstance(response, web.Response)
        content = response.body
        assert content is None or isinstance(content, bytes)
        return Answer(response.status, content or b"", response.headers)


def about(method: str, path: str) -> str:
    """Say what a request is: a notification, a question, or something that moves money, and what."""
    last = path.rsplit("/", 1)[1]
    if "webhook" in path:
        return "notification"
    if method == "GET" or last in ("GetState", "CheckOrder"):
        return "question"
    if last in ("payments", "Init", "GetQr"):
        return "payment"
    return "capture" if last in ("capture", "Confirm") else "back"


class _Nobody:
    """The protocol and the writer of a request that came over no socket."""

    ssl_context = peername = sockname = None


def _request(method: str, path: str, options: Any) -> web.Request:
    loop = asyncio.get_running_loop()
    query = urlencode(options.get("params") or {})
    url = URL(f"http://shop.test{path}?{query}")
    headers = CIMultiDict(options.get("headers") or {})
    body = StreamReader(BaseProtocol(loop), 2**20)
    body.feed_data(options.get("data") or b"")
    body.feed_eof()
    message = RawRequestMessage(
        method, str(url), HttpVersion11, CIMultiDictProxy(headers), (), False, None, False, False, url
    )
    nobody: Any = _Nobody()
    task: Any = asyncio.current_task()
    return web.Request(message, body, nobody, nobody, task, loop, client_max_size=2**20)
