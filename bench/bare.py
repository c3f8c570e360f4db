"""`python -m bench.bare`: aiohttp with nothing of ours, the yardstick: ready answers, echoing WebSockets."""

import asyncio

from aiohttp import WSMsgType, web

from bench.children import Said, obey


class Bare:
    """The bare server; `body` is what it answers."""

    def __init__(self) -> None:
        self._body = b""

    async def do(self, order: Said) -> Said:
        """Serve `body`; return the port."""
        self._body = order["body"].encode()
        app = web.Application()
        app.add_routes([web.get("/ready-answer/{name}", self._answer), web.get("/echo", self._echo)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        return {"port": runner.addresses[0][1]}

    async def _answer(self, request: web.Request) -> web.Response:
        return web.Response(body=self._body, content_type="application/json", charset="utf-8")

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, heartbeat=30)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
        return socket


if __name__ == "__main__":
    asyncio.run(obey(Bare().do))
