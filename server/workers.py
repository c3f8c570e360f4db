"""Several processes that serve one port: started, started again when they die, and replaced one by one.

All listen on the same sockets, which are the supervisor's: whichever worker lives takes what connects, and
while none does it waits and is not refused. Signals: TERM and INT end all, HUP replaces each worker by a new
one that serves already.
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client import multiprocess

from server.errors import SettingError
from server.serving import BACKLOG, SHUTDOWN_TIMEOUT_S, Place, not_listening
from server.settings import Settings

log = structlog.get_logger()

STARTS_WITHIN_S = 60.0
"""Except for the first: an upgrade of a large database takes what it takes, and must come to its end."""
ENDS_WITHIN_S = SHUTDOWN_TIMEOUT_S + 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
FREE_WITHIN_S = 10.0
"""How long workers whose supervisor was killed may keep the port: they let go of it first, if they can."""
LIVED_S = 2.0
"""One that died sooner after it came to serve is started again after a pause twice as long."""

Process = asyncio.subprocess.Process


class _NotServing(Exception):
    """A worker did not come to serve. `code` is its own exit code; None: it was killed, or hung."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class _Pauses:
    """How long to wait before a worker is started again: longer and longer, if it does not live."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    async def pause(self, lived_s: float) -> None:
        """Wait, after a worker that served so long."""
        if lived_s >= LIVED_S:
            self._next_s = FIRST_PAUSE_S
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_PAUSE_S)
        await asyncio.sleep(pause_s)


@dataclass
class Slot:
    """The place of one worker."""

    number: int
    process: Process | None = None
    replacing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the worker is replaced, so that it is not taken for one that died."""


class Pool:
    """Runs `settings.workers` processes in `around` as their environment until it is stopped."""

    def __init__(self, settings: Settings, around: Mapping[str, str]) -> None:
        self._settings = settings
        self._around = dict(around)
        self._slots = [Slot(number) for number in range(1, settings.workers + 1)]
        self._sockets: list[socket.socket] = []
        self._lines: dict[int, socket.socket] = {}
        """By the worker's process; a worker whose line is closed ends."""
        self._stopped = asyncio.Event()

    async def run(self) -> int:
        """Serve until stopped; return the exit code: 0, or that of a first worker that cannot start."""
        with contextlib.ExitStack() as open_:
            folder = open_.enter_context(tempfile.TemporaryDirectory(prefix="demitasse-metrics-"))
            self._around["PROMETHEUS_MULTIPROC_DIR"] = folder
            await self._open_sockets(open_)
            self._heed_signals()
            serving = asyncio.create_task(self._serve())
            stopped = asyncio.create_task(self._stopped.wait())
            await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not self._stopped.is_set():
                stopped.cancel()
                return await serving
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await asyncio.gather(*(self._close(slot) for slot in self._slots))
            return 0

    async def _serve(self) -> int:
        """Keep every worker alive; return only if the first cannot start, with its exit code."""
        first, pauses = self._slots[0], _Pauses()
        while first.process is None:
            try:
                async with first.replacing:  # alone: it brings the database up to date
                    first.process = first.process or await self._start(first, None)
            except _NotServing as failed:
                if failed.code is not None:
                    return max(failed.code, 1)
                await pauses.pause(0.0)
        await asyncio.gather(*(self._keep(slot) for slot in self._slots))
        raise AssertionError("a worker is kept for ever")

    def stop(self) -> None:
        """End every worker, then `run`."""
        self._stopped.set()

    async def replace(self) -> None:
        """Replace one worker after another. When a new one does not serve, the old ones stay."""
        for slot in self._slots:
            async with slot.replacing:
                if self._stopped.is_set():  # the slot's worker has been ended, or will be
                    return
                old = slot.process
                try:
                    slot.process = await self._start(slot, STARTS_WITHIN_S)
                except _NotServing:
                    log.error("a new worker does not serve; the old ones stay", worker=slot.number)
                    return
                if old is not None:
                    await self._end(old)
        log.info("every worker was replaced", workers=len(self._slots))

    # --- one worker ---------------------------------------------------------------------------------

    async def _keep(self, slot: Slot) -> None:
        """Start the slot's worker again whenever it has died."""
        pauses, clock = _Pauses(), asyncio.get_running_loop()
        while True:
            try:
                async with slot.replacing:
                    if slot.process is None:
                        slot.process = await self._start(slot, STARTS_WITHIN_S)
            except _NotServing:
                await pauses.pause(0.0)
                continue
            watched, begun = slot.process, clock.time()
            code = await watched.wait()
            async with slot.replacing:
                if slot.process is not watched:
                    continue
                slot.process = None
                self._bury(watched)
            log.error("a worker has died; it is started again", worker=slot.number, code=code)
            await pauses.pause(clock.time() - begun)

    async def _start(self, slot: Slot, within_s: float | None) -> Process:
        """Start a worker; return it when it serves. Raises _NotServing when it does not, or not in time."""
        ours, theirs = socket.socketpair()
        place = Place(slot.number, tuple(each.fileno() for each in self._sockets), theirs.fileno())
        command = (sys.executable, "-m", "server", "serve", "--place", str(place))
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=self._around,
                pass_fds=(*place.sockets, place.line),
                start_new_session=True,  # Ctrl+C reaches the supervisor alone, which ends them in order
            )
        except OSError as error:  # too many processes, no memory: that may pass
            log.error("a worker cannot be started", worker=slot.number, why=str(error))
            ours.close()
            raise _NotServing(None) from error
        finally:
            theirs.close()
        self._lines[process.pid] = ours
        try:
            serves = await _serves(ours, within_s)
            log.info("a worker was started", worker=slot.number, pid=process.pid, serves=serves)
            if serves:
                return process
            code = await self._end(process)
        except asyncio.CancelledError:
            await self._end(process)
            raise
        raise _NotServing(code if code > 0 else None)

    async def _close(self, slot: Slot) -> None:
        async with slot.replacing:
            if slot.process is not None:
                await self._end(slot.process)

    async def _end(self, process: Process) -> int:
        """Ask a worker to end; end it when it does not. Return its exit code, below 0 if it was killed."""
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                await process.wait()
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()
        self._bury(process)
        assert process.returncode is not None
        return process.returncode

    def _bury(self, process: Process) -> None:
        """Forget what the dead process alone had: its line, its gauges. What it has counted stays counted."""
        self._lines.pop(process.pid).close()
        folder = self._around["PROMETHEUS_MULTIPROC_DIR"]
        multiprocess.mark_process_dead(process.pid, folder)  # type: ignore[no-untyped-call]

    # --- around them --------------------------------------------------------------------------------

    async def _open_sockets(self, open_: contextlib.ExitStack) -> None:
        """Listen at every address of HOST. Raises SettingError."""
        settings = self._settings
        try:
            found = socket.getaddrinfo(
                settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
            self._sockets = [open_.enter_context(await _listening_when_free(*each)) for each in addresses]
        except OSError as error:
            raise SettingError(not_listening(settings, error)) from error

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        replacing: set[asyncio.Task[None]] = set()
        turn = asyncio.Lock()

        async def replace_in_turn() -> None:
            async with turn:
                await self.replace()

        def replace() -> None:
            if len(replacing) < 2:  # one that waits its turn does for all who ask meanwhile
                replacing.add(task := asyncio.create_task(replace_in_turn()))
                task.add_done_callback(replacing.discard)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, replace)


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal. Not by asyncio, whose way takes the exit code of one that has just died."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _listening_when_free(family: int, address: object) -> socket.socket:
    """Return a socket that listens; wait for workers whose supervisor was killed. Raises OSError."""
    loop = asyncio.get_running_loop()
    until, told = loop.time() + FREE_WITHIN_S, False
    while True:
        try:
            return _listening(family, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or loop.time() >= until:
                raise
        if not told:
            log.warning("the port is taken; waiting for workers of a killed server to end", address=address)
            told = True
        await asyncio.sleep(0.1)


def _listening(family: int, address: object) -> socket.socket:
    listens = socket.socket(family, socket.SOCK_STREAM)
    try:
        listens.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listens.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listens.bind(address)  # type: ignore[arg-type]
        listens.listen(BACKLOG)
    except OSError:
        listens.close()
        raise
    return listens


async def _serves(line: socket.socket, within_s: float | None) -> bool:
    """Wait until a worker says that it serves; False when it ends before, or takes too long."""
    line.setblocking(False)
    try:
        async with asyncio.timeout(within_s):
            return bool(await asyncio.get_running_loop().sock_recv(line, 16))
    except (TimeoutError, ConnectionError):
        return False
