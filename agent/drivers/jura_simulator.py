"""A simulated Jura behind a pseudo-terminal. `jura_command` is the same from the command line."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import random
import tty
from pathlib import Path
from time import time

import structlog

from agent.drivers.jura_frames import COUNTERS, Decoder, Line, words_of
from agent.drivers.jura_simulated import Behaviour, Poured, SimulatedJura, wire_groups

log = structlog.get_logger()

_TICK_S = 0.05
"""How often the machine lets time pass when nobody speaks to it."""
_GROUP_BREAK_S = 0.1
"""Silence that ends a group of what the agent sends."""


class JuraSimulator:
    """A machine whose serial port is the symbolic link `link`. Use as `async with`; `machine` is its inside.

    Clients may come and go. Commands that no agent may send are logged, written to the ledger as FORBIDDEN,
    and kept in `machine.forbidden`. Raises ValueError when `link` cannot be made, or is another simulator's.
    """

    def __init__(
        self,
        link: Path,
        behaviour: Behaviour | None = None,
        counters: list[int] | None = None,
        ledger: Path | None = None,
        state: Path | None = None,
    ) -> None:
        self.link = link
        self._ledger = ledger
        self._state = state
        loaded = _saved_counters(state) or counters or [0] * COUNTERS
        self.machine = SimulatedJura(behaviour or Behaviour(), loaded, self._poured)
        self._saved = list(loaded)
        self._chance = random.Random(self.machine.behaviour.seed)
        self._heard = asyncio.Queue[bytes]()
        self._ends: tuple[int, int] | None = None
        self._lock: int | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self._replies = 0

    async def __aenter__(self) -> "JuraSimulator":
        self._check_link()
        self._lock = _locked(self.link)
        try:
            self._plug()
        except BaseException:
            os.close(self._lock)
            raise
        self.tasks = [asyncio.create_task(self._serve()), asyncio.create_task(self._live())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        self._save()
        self._unplug()
        if self._lock is not None:
            os.close(self._lock)
        for task in self.tasks:
            if not task.cancelled():
                task.result()  # a machine that broke says why

    async def _live(self) -> None:
        """Let time pass, and put the cable in or out as the machine has it."""
        while True:
            self.machine.advance(asyncio.get_running_loop().time())
            self._save()
            if self.machine.unplugged and self._ends:
                self._unplug()
            elif not self.machine.unplugged and not self._ends:
                self._plug()
            await asyncio.sleep(_TICK_S)

    async def _serve(self) -> None:
        decoder = Decoder()
        while True:
            try:
                async with asyncio.timeout(_GROUP_BREAK_S):
                    data = await self._heard.get()
            except TimeoutError:
                decoder.gap()
                continue
            for item in decoder.feed(data):
                if isinstance(item, Line):
                    await self._hear(item.text)

    async def _hear(self, text: str) -> None:
        known = len(self.machine.forbidden)
        reply = self.machine.hear(text, asyncio.get_running_loop().time())
        log.info("simulated machine heard", text=text, reply=reply)
        if len(self.machine.forbidden) > known:
            log.error("FORBIDDEN command heard: it would erase or write the machine's memory", text=text)
            self._write_ledger({"time": time(), "FORBIDDEN": text})
        if self.machine.unplugged:
            self._unplug()
        elif reply is not None:
            await self._reply(reply)

    async def _reply(self, text: str) -> None:
        behaviour = self.machine.behaviour
        self._replies += 1
        if behaviour.slow_every and self._replies % behaviour.slow_every == 0:
            await asyncio.sleep(behaviour.slow_reply_s)
        for group in wire_groups(text, behaviour, self._chance):
            if self._ends is None:
                return
            with contextlib.suppress(BlockingIOError):  # nobody reads: the bytes fall off, as on a wire
                os.write(self._ends[0], group)
            await asyncio.sleep(behaviour.group_gap_s)

    def _check_link(self) -> None:
        if self.link.exists() and not self.link.is_symlink():
            raise ValueError(f"--link: {self.link} exists and is not a link")
        if not self.link.parent.is_dir():
            raise ValueError(f"--link: there is no folder {self.link.parent}")

    def _plug(self) -> None:
        """Make a pseudo-terminal and let the link point at it, in one step."""
        self._check_link()
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        # Our own hold on the slave keeps the pair alive while clients close and open it.
        self._ends = (master, slave)
        asyncio.get_running_loop().add_reader(master, self._readable, master)
        fresh = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self.link)
        log.info("simulated machine connected", link=str(self.link), model=self.machine.behaviour.model)

    def _unplug(self) -> None:
        if self._ends is None:
            return
        ends, self._ends = self._ends, None
        asyncio.get_running_loop().remove_reader(ends[0])
        if self.link.is_symlink() and str(self.link.readlink()) == os.ttyname(ends[1]):
            self.link.unlink()
        for end in ends:
            os.close(end)
        log.info("simulated machine disconnected", link=str(self.link))

    def _readable(self, master: int) -> None:
        with contextlib.suppress(OSError):
            self._heard.put_nowait(os.read(master, 4096))

    def _poured(self, poured: Poured) -> None:
        log.info("simulated machine poured", key=poured.key, before=poured.before, after=poured.after)
        self._write_ledger(
            {
                "time": time(),
                "code": f"FA:{poured.key}",
                "counter_before": poured.before,
                "counter_after": poured.after,
            }
        )

    def _write_ledger(self, entry: dict[str, object]) -> None:
        if self._ledger is None:
            return
        descriptor = os.open(self._ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, json.dumps(entry).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _save(self) -> None:
        if self._state and self._saved != self.machine.counters:
            self._saved = list(self.machine.counters)
            fresh = self._state.with_name(f".{self._state.name}.new")
            fresh.write_text(json.dumps(self._saved))
            fresh.replace(self._state)


def _locked(link: Path) -> int:
    """Return the descriptor of a lock beside the link, which lives as long as its holder.

    The file stays: whoever deletes a lock takes it from one who has just opened it.
    """
    descriptor = os.open(f"{link}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ValueError(
            f"--link: another simulated machine is at {link}: stop it, or choose another PATH"
        ) from None
    return descriptor


def read_counters(path: Path, option: str = "--eeprom") -> list[int]:
    """Return the 16 counters in a file: 64 hexadecimal digits as in `rt:`, or a JSON list of numbers.

    Raises ValueError that names the option for a file that cannot be read or holds something else.
    """
    try:
        text = path.read_text().strip().removeprefix("rt:")
        counters = json.loads(text) if text.startswith("[") else list(words_of(text))
    except OSError as error:
        raise ValueError(f"{option}: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{option}: {path} is neither hexadecimal nor JSON: {error}") from error
    if len(counters) != COUNTERS or not all(
        isinstance(count, int) and 0 <= count <= 0xFFFF for count in counters
    ):
        raise ValueError(f"{option}: {path} must have {COUNTERS} counters from 0 to 65535")
    return counters


def _saved_counters(state: Path | None) -> list[int] | None:
    return read_counters(state, "--state") if state and state.exists() else None
