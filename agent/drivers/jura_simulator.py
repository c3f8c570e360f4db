"""A simulated Jura behind a pseudo-terminal, inside a program or from the command line."""

import argparse
import asyncio
import contextlib
import json
import os
import pty
import random
import signal
import tty
from pathlib import Path
from time import time

import structlog

from agent.drivers.jura_frames import COUNTERS, FILLER_5B, FILLER_DB, Decoder, Line, words_of
from agent.drivers.jura_simulated import MODELS, Behaviour, Fail, Poured, SimulatedJura, wire_groups

log = structlog.get_logger()

_TICK_S = 0.05
"""How often the machine lets time pass when nobody speaks to it."""
_GROUP_BREAK_S = 0.1
"""Silence that ends a group of what the agent sends."""


class JuraSimulator:
    """A machine whose serial port is the symbolic link `link`. Use as `async with`; `machine` is its inside.

    Clients may come and go. Commands that no agent may send are logged, written to the ledger as FORBIDDEN,
    and kept in `machine.forbidden`. Raises ValueError when `link` cannot be made.
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
        self.tasks: list[asyncio.Task[None]] = []
        self._replies = 0

    async def __aenter__(self) -> "JuraSimulator":
        self._plug()
        self.tasks = [asyncio.create_task(self._serve()), asyncio.create_task(self._live())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        self._save()
        self._unplug()
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

    def _plug(self) -> None:
        """Make a pseudo-terminal and let the link point at it, in one step."""
        if self.link.exists() and not self.link.is_symlink():
            raise ValueError(f"--link: {self.link} exists and is not a link")
        if not self.link.parent.is_dir():
            raise ValueError(f"--link: there is no folder {self.link.parent}")
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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a simulated Jura."""
    add = parser.add_argument
    default = Behaviour()
    add(
        "--link",
        required=True,
        type=Path,
        metavar="PATH",
        help="where the machine's serial port shall appear",
    )
    add("--model", choices=MODELS, default=default.model, help="which Jura to be (default: %(default)s)")
    add(
        "--filler",
        choices=("DB", "5B"),
        default="DB",
        help="filler of the bytes it sends (default: %(default)s)",
    )
    add(
        "--fail",
        choices=[fail.value for fail in Fail],
        default=Fail.NONE.value,
        metavar="MODE",
        help="what goes wrong: none; no-water: it takes the key and finds its tank empty; no-beans: it brews "
        "dry and counts nothing; silent: it answers nothing; locked: it ignores the keys; no-count: it brews "
        "but counts nothing; late: it counts --late-s after the drink; double: it counts two; unplugged: its "
        "cable comes out when a key is pressed; unplugged-before: its cable comes out when it is first "
        "asked; power-cut: it goes dead half-way through the drink; noise: junk on the line, all else works "
        "(default: %(default)s)",
    )
    add(
        "--fail-after",
        type=int,
        default=0,
        metavar="N",
        help="make N good drinks first (default: %(default)s)",
    )
    add("--recover-s", type=float, metavar="S", help="the fault is put right S seconds after it showed")
    add("--again", action="store_true", help="a fault that was put right comes back at the next drink")
    add("--back-s", type=float, metavar="S", help="a cable that came out is back after S seconds")
    add(
        "--brew-s",
        type=float,
        default=default.brew_s,
        metavar="S",
        help="seconds that a drink takes (default: %(default)s)",
    )
    add(
        "--late-s",
        type=float,
        default=default.late_s,
        metavar="S",
        help="how late 'late' counts (default: %(default)s)",
    )
    add("--slow-every", type=int, default=0, metavar="N", help="every Nth reply is late (default: none)")
    add("--slow-reply-s", type=float, default=6.0, metavar="S", help="how late (default: %(default)s)")
    add("--inkasso", action="store_true", help="understand the payment mode ?M3, ?M1, as an S90 does")
    add(
        "--eeprom",
        type=Path,
        metavar="FILE",
        help="its counters at first: 64 hexadecimal digits, or a JSON list",
    )
    add("--state", type=Path, metavar="FILE", help="keep the counters here, over restarts")
    add("--ledger", type=Path, metavar="FILE", help="append a JSON line for each drink that really came out")
    add(
        "--seed",
        type=int,
        default=default.seed,
        metavar="N",
        help="for the junk of 'noise' (default: %(default)s)",
    )


async def simulate(options: argparse.Namespace) -> int:
    """Be the machine until SIGTERM or SIGINT; SIGUSR1 puts a fault right.

    Returns the exit code: 0, or 1 when a command came that no agent may send. Raises ValueError that names
    the option for a file of counters or a link that cannot be used.
    """
    behaviour = Behaviour(
        model=options.model,
        filler=FILLER_5B if options.filler == "5B" else FILLER_DB,
        fail=Fail(options.fail),
        fail_after=options.fail_after,
        recover_s=options.recover_s,
        again=options.again,
        back_s=options.back_s,
        brew_s=options.brew_s,
        late_s=options.late_s,
        slow_reply_s=options.slow_reply_s,
        slow_every=options.slow_every,
        inkasso=options.inkasso,
        seed=options.seed,
    )
    counters = read_counters(options.eeprom) if options.eeprom else None
    simulator = JuraSimulator(options.link, behaviour, counters, options.ledger, options.state)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, simulator.machine.heal)
    async with simulator:
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait([waiting, *simulator.tasks], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    return 1 if simulator.machine.forbidden else 0


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
