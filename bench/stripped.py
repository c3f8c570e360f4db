"""`python -m bench.stripped`: the whole path with nothing left of it but what physics asks for.

HTTP POST → one durable commit, grouped → WebSocket → client → pseudo-terminal → echo. Nothing else.
"""

import asyncio
import queue
import sqlite3
import threading

from aiohttp import web

from bench.children import Said, obey

Waiting = tuple[int, "asyncio.Future[None]"]


class GroupCommit:
    """One UPDATE and one INSERT per sale, committed with whatever else is waiting."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: queue.SimpleQueue[Waiting] = queue.SimpleQueue()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, status TEXT);"
            "CREATE TABLE events (order_id INTEGER, event TEXT)"
        )
        threading.Thread(target=self._commit, daemon=True).start()

    def add_orders(self, orders: int) -> None:
        """Make the rows that the sales change."""
        self._database.execute("BEGIN")
        rows = ((number,) for number in range(orders))
        self._database.executemany("INSERT INTO orders VALUES (?, 'pending')", rows)
        self._database.execute("COMMIT")

    async def sold(self, number: int) -> None:
        """Write one sale; it is on the disk when this returns."""
        done = self._loop.create_future()
        self._waiting.put((number, done))
        await done

    def _commit(self) -> None:
        while True:
            group = [self._waiting.get()]
            while not self._waiting.empty():
                group.append(self._waiting.get())
            self._database.execute("BEGIN IMMEDIATE")
            for number, _ in group:
                self._database.execute("UPDATE orders SET status = 'paid' WHERE order_id = ?", (number,))
                self._database.execute("INSERT INTO events VALUES (?, 'paid')", (number,))
            self._database.execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, [done for _, done in group])


def _tell(committed: "list[asyncio.Future[None]]") -> None:
    for done in committed:
        done.set_result(None)


class Stripped:
    """The bare server: `/sale/{number}/{client}` commits and tells the client on its WebSocket."""

    def __init__(self) -> None:
        self._clients: dict[int, web.WebSocketResponse] = {}

    async def do(self, order: Said) -> Said:
        """Serve with a database of so many orders; return the port."""
        self._commits = GroupCommit(order["path"], asyncio.get_running_loop())
        self._commits.add_orders(order["orders"])
        app = web.Application()
        app.add_routes(
            [web.post("/sale/{number}/{client}", self._sale), web.get("/client/{id}", self._client)]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        return {"port": runner.addresses[0][1]}

    async def _sale(self, request: web.Request) -> web.Response:
        number, client = int(request.match_info["number"]), int(request.match_info["client"])
        await request.read()
        await self._commits.sold(number)
        await self._clients[client].send_str(f'{{"kind": "make", "order": {number}}}')
        return web.Response(body=b"{}", content_type="application/json")

    async def _client(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._clients[int(request.match_info["id"])] = socket
        async for _ in socket:
            pass
        return socket


if __name__ == "__main__":
    asyncio.run(obey(Stripped().do))
