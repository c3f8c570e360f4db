"""`python -m bench.stripped_clients`: the clients of the stripped path, with serial lines, and its load."""

import asyncio
import json
import time

import aiohttp

from bench import selling
from bench.children import Said, obey
from bench.http_line import HttpLine, post
from bench.notification import notification
from bench.serial_line import SerialLine


class Clients:
    """WebSocket clients that pass each command on to a serial line."""

    def __init__(self) -> None:
        self._lines: list[SerialLine] = []
        self._sockets: list[asyncio.Task[None]] = []
        self._open: dict[int, asyncio.Future[None]] = {}
        self._idle: list[HttpLine] = []

    async def do(self, order: Said) -> Said:
        """`connect` the clients, then `sell` as often as wished."""
        if order["do"] == "connect":
            return await self._connect(order["port"], order["clients"])
        places = dict(order["sales"])

        async def sell(number: int) -> float:
            return await self._sell(number, places[number])

        if order.get("per_s"):
            return await selling.at_a_pace(sell, list(places), order["per_s"])
        return await selling.at_once(sell, list(places), order["at_once"], order["seconds"])

    async def _connect(self, port: int, clients: int) -> Said:
        self._port = port
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        for number in range(clients):
            socket = await self._http.ws_connect(f"ws://127.0.0.1:{port}/client/{number}", compress=0)
            line = SerialLine()
            self._lines.append(line)
            self._sockets.append(asyncio.ensure_future(self._pass_on(socket, line)))
        return {"connected": clients}

    async def _pass_on(self, socket: aiohttp.ClientWebSocketResponse, line: SerialLine) -> None:
        async for message in socket:
            number = json.loads(message.data)["order"]
            await line.command()
            self._open[number].set_result(None)

    async def _sell(self, number: int, place: int) -> float:
        done = self._open[number] = asyncio.get_running_loop().create_future()
        http = self._idle.pop() if self._idle else await HttpLine.open(self._port)
        begun = time.monotonic()
        await http.ask(post(f"/sale/{number}/{place}", notification(number)))
        self._idle.append(http)
        await done
        del self._open[number]
        return self._lines[place].first_byte_at - begun


if __name__ == "__main__":
    asyncio.run(obey(Clients().do))
