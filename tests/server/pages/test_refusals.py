"""What was refused, and what was asked by one who does not wait for the answer."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from server.pages.refusals import answer_refusals


async def test_an_agent_that_is_gone_before_its_upgrade_is_no_failure(
    logs: list[Any], caplog: pytest.LogCaptureFixture
):
    async def agent(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        while request.transport is not None:  # noqa: ASYNC110 - the loop tells the protocol, not us
            await asyncio.sleep(0)
        await (socket := web.WebSocketResponse()).prepare(request)
        return socket

    app = web.Application(middlewares=[answer_refusals])
    app.router.add_get("/v1/agent", agent)
    runner = web.AppRunner(app)  # pytest-aiohttp's would cancel the handler of one who is gone
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    writer.write(f"GET /v1/agent HTTP/1.1\r\nHost: here\r\n{upgrade}{key}\r\n".encode())
    async with asyncio.timeout(10):
        while not logs:  # noqa: ASYNC110 - the handler goes on after its peer has gone
            await asyncio.sleep(0)
    writer.close()
    await runner.cleanup()
    assert [(each["event"], each["log_level"]) for each in logs] == [("whoever asked is gone", "info")]
    assert caplog.records == []
