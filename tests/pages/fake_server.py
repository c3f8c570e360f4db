"""A server of the templates alone: each sample, and one order whose statuses a test writes down."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import segno
from aiohttp import web

from tests.pages.render import CONTENT_SECURITY_POLICY, STATIC, render
from tests.pages.samples import STATES, order


class ScriptedOrder:
    """An order that answers what the test put into `state`, and counts who asked."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = order("created")
        self.broken = False
        self.asked = 0
        self.posts: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {"redirect_url": "/bank"}
        self.previewed: list[dict[str, Any]] = []
        self._speaking = asyncio.Event()
        self._speaking.set()

    def becomes(self, status: str, **changes: Any) -> None:
        """Let the order be in `status` from now on."""
        self.state = order(status, **changes)

    @asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """Leave questions for the status without an answer while the context lasts."""
        self._speaking.clear()
        try:
            yield
        finally:
            self._speaking.set()

    def application(self) -> web.Application:
        """Return the application: the order's page, its status, what it posts to, and the samples."""
        app = web.Application(middlewares=[_guarded])
        app.router.add_static("/static/", STATIC)
        app.router.add_get("/sample/{name}", _sample)
        app.router.add_get("/order", self._page)
        app.router.add_get("/v1/order-status/{order_id}", self._status)
        app.router.add_post("/v1/initiate-payment", self._post)
        app.router.add_post("/v1/manual-make", self._post)
        app.router.add_post("/tech/preview", self._preview)
        app.router.add_get("/bank", _bank)
        app.router.add_get("/v1/order-qr/{order_id}", _picture)
        app.router.add_get("/v1/order-receipt/{order_id}/{number}", _picture)
        return app

    async def _page(self, request: web.Request) -> web.Response:
        page = render("customer/order.html", order=self.state, now=request.query.get("now"))
        return web.Response(text=page, content_type="text/html")

    async def _status(self, request: web.Request) -> web.Response:
        self.asked += 1
        await self._speaking.wait()
        if self.broken:
            return web.json_response({"error": "no"}, status=503)
        if request.match_info["order_id"] != self.state["order_id"]:
            return web.json_response({"error": "no such order"}, status=404)
        return web.json_response(self.state)

    async def _post(self, request: web.Request) -> web.Response:
        self.posts.append({"path": request.path, **await request.json()})
        return web.json_response(self.answer, status=400 if "error" in self.answer else 200)

    async def _preview(self, request: web.Request) -> web.Response:
        self.previewed.append({"csrf": request.headers.get("X-CSRF"), **await request.json()})
        return web.json_response({"html": "<b>как есть</b>"})


@web.middleware
async def _guarded(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


async def _sample(request: web.Request) -> web.Response:
    template, context = STATES[request.match_info["name"]]
    return web.Response(text=render(template, **context), content_type="text/html")


async def _picture(request: web.Request) -> web.Response:
    picture = io.BytesIO()
    segno.make(request.path, micro=False).save(picture, kind="svg")
    return web.Response(body=picture.getvalue(), content_type="image/svg+xml")


async def _bank(request: web.Request) -> web.Response:
    return web.Response(
        text="<!doctype html><link rel=icon href=data:,><title>bank</title>", content_type="text/html"
    )


@asynccontextmanager
async def pages_on_loopback() -> AsyncIterator[str]:
    """Serve the samples on a free port of the loopback while the context lasts; gives the address."""
    runner = web.AppRunner(ScriptedOrder().application())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
