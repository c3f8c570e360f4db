"""`serve`: one process that serves, or a pool of them; and what one of a pool has of its supervisor."""

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, fields

import structlog
from aiohttp import web

from server.errors import SettingError
from server.settings import Settings, environment

log = structlog.get_logger()

SHUTDOWN_TIMEOUT_S = 5.0
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
    from server.app import make_app

    sys.setswitchinterval(SWITCH_AFTER_S)

    def ready(_: str) -> None:
        log.info("server listens", url=settings.public_url, sandbox=settings.sandbox)
        if place is not None:
            os.write(place.line, b"serves")

    async def app() -> web.Application:
        made = await make_app(settings)
        if place is not None:
            made.cleanup_ctx.append(lambda _: _held_by(place.line))
        return made

    where: Mapping[str, object] = {"host": settings.host, "port": settings.port}
    if place is not None:
        where = {"sock": [socket.socket(fileno=number) for number in place.sockets]}
    try:
        web.run_app(
            app(),
            **where,  # type: ignore[arg-type]
            print=ready,
            access_log=None,
            backlog=BACKLOG,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
    except OSError as error:
        raise SettingError(not_listening(settings, error)) from error
    return 0


async def _held_by(line: int) -> AsyncIterator[None]:
    """Stop when the supervisor has gone, as if it had asked to: nobody would look after this process."""
    loop = asyncio.get_running_loop()
    loop.add_reader(line, os.kill, os.getpid(), signal.SIGTERM)
    yield
    loop.remove_reader(line)


def not_listening(settings: Settings, error: OSError) -> str:
    """Return which setting is wrong when the server cannot listen, and why."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"PORT: {settings.port} is taken by another program: stop it, or choose another port"
        case errno.EACCES:
            return f"PORT: {settings.port} may not be opened by this user: choose one above 1023"
        case _:
            return f"HOST: cannot listen on {settings.host!r}: {error.strerror}"
