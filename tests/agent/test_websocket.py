"""The real WebSocket, on loopback: what it sends, how its losses are told, and a drink over it."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.journal import Journal
from agent.link import Link
from agent.runner import Runner
from agent.session import LinkLost, TokenRefused
from agent.websocket import Server
from agent.wire import MAX_FRAME_BYTES, MakeState
from tests.fakes.clock import until
from tests.fakes.machine import FakeMachine
from tests.fakes.server import HttpServer

TOKEN = "s3cret"


@pytest.fixture
async def server(aiohttp_server: Callable[..., Any]) -> HttpServer:
    fake = HttpServer(TOKEN)
    started = await aiohttp_server(fake.app)
    fake.url = f"ws://127.0.0.1:{started.port}/v1/agent"
    return fake


async def test_frames_go_both_ways_and_the_token_goes_along(server: HttpServer):
    channel = await Server(server.url, TOKEN).connect()
    await channel.send('{"kind": "ping"}')
    assert await channel.receive() == '{"kind":"pong"}'
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    assert "Sec-WebSocket-Extensions" not in server.headers[0]
    await channel.close()
    await channel.close()


async def test_a_wrong_token_is_told_apart(server: HttpServer):
    with pytest.raises(TokenRefused):
        await Server(server.url, "wrong").connect()


async def test_a_wrong_path_is_told_without_the_token(server: HttpServer):
    with pytest.raises(LinkLost, match="answered 404") as error:
        await Server(server.url + "s", TOKEN).connect()
    assert TOKEN not in str(error.value)


async def test_nobody_there_is_told(unused_tcp_port: int):
    with pytest.raises(LinkLost, match=r"127\.0\.0\.1"):
        await Server(f"ws://127.0.0.1:{unused_tcp_port}/v1/agent", TOKEN).connect()


async def test_a_peer_that_is_no_server_is_told():
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        writer.close()
        await writer.wait_closed()

    peer = await asyncio.start_server(babble, "127.0.0.1", 0, family=socket.AF_INET)
    async with peer:
        port = peer.sockets[0].getsockname()[1]
        with pytest.raises(LinkLost):
            await Server(f"ws://127.0.0.1:{port}/v1/agent", TOKEN).connect()


async def test_the_end_of_the_connection_is_heard_and_felt(server: HttpServer):
    channel = await Server(server.url, TOKEN).connect()
    server.cut()
    assert await channel.receive() is None
    with pytest.raises(LinkLost):
        await channel.send("too late")
    await channel.close()


async def test_a_frame_that_is_too_long_ends_the_connection(server: HttpServer):
    channel = await Server(server.url, TOKEN).connect()
    server.send_text("x" * (MAX_FRAME_BYTES + 1))
    assert await channel.receive() is None
    await channel.close()


async def test_a_binary_frame_is_read_as_text(aiohttp_server: Callable[..., Any]):
    async def speak(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.send_bytes(b"\xffbinary")
        await response.receive()
        return response

    app = web.Application()
    app.router.add_get("/", speak)
    started = await aiohttp_server(app)
    channel = await Server(f"ws://127.0.0.1:{started.port}/", TOKEN).connect()
    assert await channel.receive() == "\ufffdbinary"
    await channel.close()


async def talk(aiohttp_server: Callable[..., Any], speak: Callable[[web.WebSocketResponse], Any]) -> Any:
    """Return a channel to a server that does `speak` with each socket."""

    async def answer(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(autoping=False)
        await response.prepare(request)
        await speak(response)
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    started = await aiohttp_server(app)
    return await Server(f"ws://127.0.0.1:{started.port}/", TOKEN).connect()


async def test_a_ping_is_answered_while_a_frame_is_waited_for(aiohttp_server: Callable[..., Any]):
    async def speak(response: web.WebSocketResponse) -> None:
        await response.ping(b"there?")
        pong = await response.receive()
        await response.send_str(f"{pong.type.name} {pong.data.decode()}")
        await response.receive()

    channel = await talk(aiohttp_server, speak)
    assert await channel.receive() == "PONG there?"
    await channel.close()


async def test_a_read_that_was_given_up_loses_nothing(aiohttp_server: Callable[..., Any]):
    heard = asyncio.Event()

    async def speak(response: web.WebSocketResponse) -> None:
        await heard.wait()
        await response.send_str("first")
        await response.send_str("second")
        await response.receive()

    channel = await talk(aiohttp_server, speak)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await channel.receive()
    heard.set()
    assert [await channel.receive(), await channel.receive()] == ["first", "second"]
    await channel.close()


async def test_the_token_does_not_follow_a_redirect(aiohttp_server: Callable[..., Any], server: HttpServer):
    async def lead_away(request: web.Request) -> web.Response:
        raise web.HTTPFound(server.url.replace("ws:", "http:"))

    app = web.Application()
    app.router.add_get("/", lead_away)
    started = await aiohttp_server(app)
    with pytest.raises(LinkLost, match="answered 302"):
        await Server(f"ws://127.0.0.1:{started.port}/", TOKEN).connect()
    assert server.headers == []


async def test_the_path_and_the_host_are_those_of_the_address(aiohttp_server: Callable[..., Any]):
    asked = []

    async def note(request: web.Request) -> web.Response:
        asked.append((request.path_qs, request.host))
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/{tail:.*}", note)
    started = await aiohttp_server(app)
    with pytest.raises(LinkLost, match="answered 503"):
        await Server(f"ws://127.0.0.1:{started.port}/v1/agent?a=1", TOKEN).connect()
    assert asked == [("/v1/agent?a=1", f"127.0.0.1:{started.port}")]


@pytest.mark.parametrize(
    ("url", "warned"),
    [("ws://coffee.example/a", True), ("wss://coffee.example/a", False), ("ws://127.0.0.1:1/a", False)],
)
def test_an_open_line_across_the_net_is_warned_of(url: str, warned: bool, capsys: pytest.CaptureFixture[str]):
    Server(url, TOKEN)
    out = capsys.readouterr().out
    assert ("unencrypted" in out) is warned
    assert TOKEN not in out


async def test_a_drink_over_a_real_socket_and_a_cut(server: HttpServer, tmp_path: Path):
    machine = FakeMachine(brew_s=0.2, prepare_s=0)
    journal = Journal(tmp_path / "agent.db")
    link = Link(Server(server.url, TOKEN).connect, journal)
    runner = Runner(machine, journal, link)
    running = asyncio.create_task(runner.run())
    await until(lambda: link.connected, limit_s=5, every_s=0.01)
    server.order("c1")
    await until(lambda: machine.made, limit_s=5, every_s=0.01)
    server.cut()
    await until(lambda: MakeState.DONE in server.states("c1"), limit_s=5, every_s=0.01)
    runner.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    journal.close()
    assert server.states("c1") == [MakeState.RECEIVED, MakeState.STARTED, MakeState.DONE]
    assert (machine.made, server.epoch) == (1, 2)
