"""`python -m bench.provider`: the bank's stand-in. Every payment it is asked for has succeeded."""

import asyncio

from aiohttp import web

from bench.children import Said, obey
from bench.notification import payment


class Provider:
    """Answers `GET /payments/{id}` as YooKassa does, at once."""

    async def do(self, order: Said) -> Said:
        """Serve; return the port."""
        app = web.Application()
        app.add_routes([web.get("/v3/payments/{id}", self._payment)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return {"port": runner.addresses[0][1]}

    async def _payment(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"].removeprefix("bp-"))
        return web.Response(body=payment(number).encode(), content_type="application/json")


if __name__ == "__main__":
    asyncio.run(obey(Provider().do))
