"""Several processes that serve one port: started, started again when they die, and replaced one by one.

The sockets that listen are the supervisor's: what connects while a worker is replaced waits for the next one
and is not refused. Signals: TERM and INT end all, HUP replaces each worker by a new one that serves already.
"""

import asyncio
import contextlib
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
ENDS_WITHIN_S = SHUTDOWN_TIMEOUT_S + 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
FREE_WITHIN_S = 5.0
LIVED_S = 2.0
"""One that died sooner after it came to serve is started again after a pause twice as long."""

Process = asyncio.subprocess.Process


@dataclass
class Slot:
    """The place of one worker: its sockets outlive it."""

    number: int
    sockets: list[socket.socket]
    process: Process | None = None
    replacing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the worker is replaced, so that it is not taken for one that died."""


class Pool:
    """Runs `settings.workers` processes in `around` as their environment until it is stopped."""

    def __init__(self, settings: Settings, around: Mapping[str, str]) -> None:
        self._settings = settings
        self._around = dict(around)
        self._slots: list[Slot] = []
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
            first = self._slots[0]
            first.process, serves = await self._start(first)  # alone: it brings the database up to date
            if not serves:
                await self._end(first.process)
                return max(first.process.returncode or 1, 1)
            keeping = [asyncio.create_task(self._keep(slot)) for slot in self._slots]
            await self._stopped.wait()
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await asyncio.gather(*(self._close(slot) for slot in self._slots))
            return 0

    def stop(self) -> None:
        """End every worker, then `run`."""
        self._stopped.set()

    async def replace(self) -> None:
        """Replace one worker after another. When a new one does not serve, the old ones stay."""
        for slot in self._slots:
            async with slot.replacing:
                old = slot.process
                new, serves = await self._start(slot)
                if not serves:
                    log.error("a new worker does not serve; the old ones stay", worker=slot.number)
                    await self._end(new)
                    return
                slot.process = new
                if old is not None:
                    await self._end(old)
        log.info("every worker was replaced", workers=len(self._slots))

    # --- one worker ---------------------------------------------------------------------------------

    async def _keep(self, slot: Slot) -> None:
        """Start the slot's worker again whenever it has died."""
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            async with slot.replacing:
                if slot.process is None or slot.process.returncode is not None:
                    slot.process, _ = await self._start(slot)
            watched, begun = slot.process, loop.time()
            code = await watched.wait()
            async with slot.replacing:
                if slot.process is not watched:
                    continue
            self._bury(watched)
            pause_s = FIRST_PAUSE_S if loop.time() - begun >= LIVED_S else min(2 * pause_s, LONGEST_PAUSE_S)
            log.error("a worker has died; it is started again", worker=slot.number, code=code, in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _start(self, slot: Slot) -> tuple[Process, bool]:
        """Start a worker; return it, and whether it came to serve."""
        ours, theirs = socket.socketpair()
        place = Place(slot.number, tuple(each.fileno() for each in slot.sockets), theirs.fileno())
        command = (sys.executable, "-m", "server", "serve", "--place", str(place))
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self._around,
            pass_fds=(*place.sockets, place.line),
            start_new_session=True,  # Ctrl+C reaches the supervisor alone, which ends them in order
        )
        theirs.close()
        self._lines[process.pid] = ours
        try:
            serves = await _serves(ours)
        except asyncio.CancelledError:
            await self._end(process)
            raise
        log.info("a worker was started", worker=slot.number, pid=process.pid, serves=serves)
        return process, serves

    async def _close(self, slot: Slot) -> None:
        async with slot.replacing:
            if slot.process is not None:
                await self._end(slot.process)

    async def _end(self, process: Process) -> None:
        """Ask a worker to end; end it when it does not."""
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                await process.wait()
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()
        self._bury(process)

    def _bury(self, process: Process) -> None:
        """Forget what the dead process alone had: its line, its gauges. What it has counted stays counted."""
        self._lines.pop(process.pid).close()
        folder = self._around["PROMETHEUS_MULTIPROC_DIR"]
        multiprocess.mark_process_dead(process.pid, folder)  # type: ignore[no-untyped-call]

    # --- around them --------------------------------------------------------------------------------

    async def _open_sockets(self, open_: contextlib.ExitStack) -> None:
        """Let each slot listen at every address of HOST. Raises SettingError."""
        settings = self._settings
        try:
            found = socket.getaddrinfo(
                settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
            for each in addresses:
                await _until_free(*each)
            for number in range(1, settings.workers + 1):
                sockets = [open_.enter_context(_listening(*each, shared=True)) for each in addresses]
                self._slots.append(Slot(number, sockets))
        except OSError as error:
            raise SettingError(not_listening(settings, error)) from error

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        replacing: set[asyncio.Task[None]] = set()

        def replace() -> None:
            if not replacing:
                replacing.add(task := asyncio.create_task(self.replace()))
                task.add_done_callback(replacing.discard)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, replace)


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal. Not by asyncio, whose way takes the exit code of one that has just died."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _until_free(family: int, address: object) -> None:
    """Wait a little for workers whose supervisor was killed. Raises OSError: two pools share no port."""
    loop = asyncio.get_running_loop()
    until = loop.time() + FREE_WITHIN_S
    while True:
        try:
            _listening(family, address, shared=False).close()
            return
        except OSError:
            if loop.time() >= until:
                raise
        await asyncio.sleep(0.1)


def _listening(family: int, address: object, shared: bool) -> socket.socket:
    """Return a socket that listens. The kernel spreads connections over those that share an address."""
    listens = socket.socket(family, socket.SOCK_STREAM)
    try:
        listens.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listens.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            listens.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listens.bind(address)  # type: ignore[arg-type]
        listens.listen(BACKLOG)
    except OSError:
        listens.close()
        raise
    return listens


async def _serves(line: socket.socket) -> bool:
    """Wait until a worker says that it serves; False when it ends before, or takes too long."""
    line.setblocking(False)
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            return bool(await asyncio.get_running_loop().sock_recv(line, 16))
    except (TimeoutError, ConnectionError):
        return False
