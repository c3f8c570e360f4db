"""`serve`: one process that serves, or a pool of them; and what one of a pool has of its supervisor."""

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web

from server.errors import SettingError
from server.settings import Settings, environment

log = structlog.get_logger()

SHUTDOWN_TIMEOUT_S = 5.0
LINGER_S = 1.0
"""How long a worker that is replaced waits for requests on connections that it has accepted."""
SWITCH_AFTER_S = 0.0005
"""How long the loop may keep the interpreter from the database's threads: of Python's own 5 ms each of the
ten statements of a transaction may wait some."""
BACKLOG = 4096
"""Connections that may wait to be accepted: after a restart ten thousand agents come back at once."""


@dataclass(frozen=True)
class Place:
    """What a supervisor gives to a worker: its number, sockets that listen, and a line to the supervisor.

    The worker says on the line that it serves; a line that ends means that the supervisor is gone.
    """

    number: int
    sockets: tuple[int, ...]
    line: int

    def __str__(self) -> str:
        return f"{self.number}:{self.line}:{','.join(map(str, self.sockets))}"


def place_of(text: str) -> Place:
    """Return the place that was written as text."""
    number, line, sockets = text.split(":")
    return Place(int(number), tuple(map(int, sockets.split(","))), int(line))


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `serve` to the command line; return its parser."""
    parser = subparsers.add_parser("serve", help="run the server")
    parser.add_argument("--place", type=place_of, help=argparse.SUPPRESS)  # what the supervisor gives
    parser.set_defaults(run=run, place=None)
    return parser


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Serve until stopped; return the exit code. Raises SettingError."""
    if options.place is not None:
        return _serve(settings, options.place)
    if settings.workers == 1:
        return _serve(settings)
    if settings.database_url.startswith("sqlite:"):
        raise SettingError("WORKERS: more than 1 needs PostgreSQL: set DATABASE_URL, or WORKERS to 1")
    from server.workers import Pool

    return asyncio.run(Pool(settings, {**environment(), **flags_of(options)}).run())


def flags_of(options: argparse.Namespace) -> dict[str, str]:
    """Return the settings that were given as flags, as an environment would give them."""
    names = [setting.name for setting in fields(Settings)]
    return {name.upper(): value for name in names if (value := getattr(options, name, None)) is not None}


def _serve(settings: Settings, place: Place | None = None) -> int:
    sys.setswitchinterval(SWITCH_AFTER_S)
    asyncio.run(_until_stopped(settings, place))
    return 0


async def _until_stopped(settings: Settings, place: Place | None) -> None:
    """Serve until a signal, or the end of the supervisor's line, says stop. Raises SettingError."""
    stopped = asyncio.Event()
    starting = asyncio.create_task(_start(settings, place, stopped))

    def stop() -> None:
        stopped.set()
        starting.cancel()

    _heed(stop, place)
    await asyncio.wait((starting,))
    if starting.cancelled():
        return
    runner = starting.result()
    try:
        if place is not None:
            with contextlib.suppress(BrokenPipeError):  # the supervisor is gone, which `_heed` hears too
                os.write(place.line, b"serves")
        await stopped.wait()
        if place is not None:
            await _linger(runner)
    finally:
        await runner.cleanup()


async def _start(settings: Settings, place: Place | None, stopped: asyncio.Event) -> web.AppRunner:
    """Return what serves already. Raises SettingError."""
    from server.app import make_app

    app = await make_app(settings)
    app.on_response_prepare.append(partial(_say_that_we_leave, stopped))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    try:
        await runner.setup()
        await _listen(_sites(runner, settings, place), settings)
    except BaseException:
        await runner.cleanup()
        raise
    log.info("server listens", url=settings.public_url, sandbox=settings.sandbox, pid=os.getpid())
    return runner


def _heed(stop: Callable[[], None], place: Place | None) -> None:
    """Let signals stop us, and the supervisor's end as if it had asked to: nobody would look after us."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if place is None:
        return
    line = place.line

    def end() -> None:
        loop.remove_reader(line)
        stop()

    loop.add_reader(line, end)


def _sites(runner: web.AppRunner, settings: Settings, place: Place | None) -> list[web.BaseSite]:
    if place is None:
        return [web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG)]
    sockets = [socket.socket(fileno=number) for number in place.sockets]
    return [web.SockSite(runner, each, backlog=BACKLOG) for each in sockets]


async def _listen(sites: Sequence[web.BaseSite], settings: Settings) -> None:
    try:
        for site in sites:
            await site.start()
    except OSError as error:
        raise SettingError(not_listening(settings, error)) from error


async def _linger(runner: web.AppRunner) -> None:
    """Accept no more, and answer those who are connected already: their request may be on its way.

    What connects from now on is taken by another worker: closing our sockets leaves the supervisor's open.
    """
    for site in list(runner.sites):
        await site.stop()
    await asyncio.sleep(LINGER_S)


async def _say_that_we_leave(
    stopped: asyncio.Event, _: web.BaseRequest, response: web.StreamResponse
) -> None:
    """Once stopped, ask whoever gets an answer to connect anew for his next request."""
    if stopped.is_set() and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"


def not_listening(settings: Settings, error: OSError) -> str:
    """Return which setting is wrong when the server cannot listen, and why."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"PORT: {settings.port} is taken by another program: stop it, or choose another port"
        case errno.EACCES:
            return f"PORT: {settings.port} may not be opened by this user: choose one above 1023"
        case _:
            return f"HOST: cannot listen on {settings.host!r}: {error.strerror}"
