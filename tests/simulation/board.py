"""The board beside a machine: the real agent on a disk that outlives it, killed and started again."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from agent.journal import Journal
from agent.journal_file import JournalError
from agent.link import Link
from agent.runner import Runner
from tests.simulation.cables import Network
from tests.simulation.disk import Disk
from tests.simulation.life import Killed, Life
from tests.simulation.machine import Driver, Iron
from tests.simulation.plan import Plan
from tests.simulation.service import START_MS, Entrance

P = ParamSpec("P")
T = TypeVar("T")

DAY_MS = 24 * 3600 * 1000


class Board:
    """Runs one life of the agent after another at one machine. The token is that of `device_uuid`."""

    def __init__(
        self,
        name: str,
        device_uuid: str,
        folder: Path,
        plan: Plan,
        service: Entrance,
        network: Network,
        stormy: Callable[[], bool],
        complain: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self.device_uuid = device_uuid
        self._lock_path = folder / name
        self._plan = plan
        self._service = service
        self._network = network
        self._stormy = stormy
        self._complain = complain
        self._chance = random.Random(f"{plan.seed}/board/{name}")
        self.iron = Iron(plan.machine, random.Random(f"{plan.seed}/iron/{name}"), stormy, _now)
        self.full_between = _window(self._chance, plan)
        self.disk = self._new_disk()
        self.old_disks: list[Disk] = []
        self.clock_off_ms = 0
        self.deaths_left = plan.agent.times
        self.deaths = 0
        self.retired = False
        self.life: Life | None = None
        self._past: list[
            Life
        ] = []  # asyncio keeps tasks only weakly: one that waits for the dead would vanish
        self.runner: Runner | None = None
        self.link: Link | None = None
        self._journal: Journal | None = None

    # --- life and death -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life on what the disk has."""
        if self.retired or (self.life is not None and self.life.alive):
            return
        life = self.life = Life(self._fuse(), self._died, self._complain)
        self._past.append(life)
        self._set_clock()
        try:
            self._build(life)
        except Killed:
            return
        except JournalError:  # the disk is full: systemd tries again
            life.end()
            return
        assert self.runner is not None
        life.begin(self._run(life, self.runner))

    def _build(self, life: Life) -> None:
        journal = Journal(self._lock_path, self._wall_ms, connect=partial(_connect, self.disk, life))
        self._journal = journal
        chance = random.Random(self._chance.random())
        carry: Any = partial(self._carry, life)
        connect = partial(self._service.connect, self.device_uuid, life)
        link = self.link = Link(connect, journal, carry=carry, chance=chance)
        driver = Driver(self.iron, life, self._making)
        self.runner = Runner(driver, journal, link, carry=carry, drain_s=20.0)

    async def _run(self, life: Life, runner: Runner) -> None:
        with contextlib.suppress(JournalError):
            await runner.run()
        life.end()

    def stop(self) -> None:
        """Ask the agent to stop, as systemd does."""
        if self.runner is not None and self.life is not None and self.life.alive and self._stormy():
            self.runner.stop()

    def _died(self, life: Life) -> None:
        self.deaths += 1
        power_cut = self._chance.random() < self._plan.power_cuts
        if self._journal is not None:  # soon, since it may be the journal's own commit that kills
            asyncio.get_running_loop().call_soon(self._journal.close)
            self._journal = None
        if power_cut:
            self.disk.lose_power()
        self._network.died(life, silently=power_cut)
        if self._stormy() and self._chance.random() < self._plan.new_card:
            self.old_disks.append(self.disk)
            self.disk = self._new_disk()
        pause = self._chance.uniform(0.05, self._plan.agent.down_s)
        asyncio.get_running_loop().call_later(pause, self.start)

    def _fuse(self) -> int | None:
        if not self.deaths_left or not self._stormy():
            return None
        self.deaths_left -= 1
        if self._chance.random() < self._plan.agent.asked:
            asyncio.get_running_loop().call_later(self._chance.uniform(1, 40), self.stop)
            return None
        return self._chance.randint(1, self._plan.agent.within_steps)

    # --- the disk and the clock ---------------------------------------------------------------------

    def _new_disk(self) -> Disk:
        return Disk(_now, self._full)

    def _full(self) -> bool:
        begin, end = self.full_between
        return begin < _now() < end

    def _set_clock(self) -> None:
        days = self._plan.clock_days
        self.clock_off_ms = int(self._chance.uniform(-days, days) * DAY_MS)

    def _wall_ms(self) -> int:
        return START_MS + int(_now() * 1000) + self.clock_off_ms

    async def _carry(self, life: Life, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work as a thread would: it goes on when nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def thread() -> None:
            if not life.alive:
                return
            try:
                value = work(*args, **kwargs)
            except Killed:
                return
            except Exception as error:
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(value)

        slow = self._plan.slow_disks and self._stormy()
        loop.call_later(self._chance.choice((0.0, 0.01, 0.5, 3.0)) if slow else 0.0, thread)
        return await done

    def _making(self) -> str:
        """Return the command that the runner drives through the machine."""
        busy_with = self.runner._busy_with if self.runner is not None else None
        return busy_with or "nothing"


def _connect(disk: Disk, life: Life, *args: Any, **kwargs: Any) -> Any:
    life.step()
    return disk.open(life)


def _window(chance: random.Random, plan: Plan) -> tuple[float, float]:
    if not plan.agent_disk_full_s:
        return 0.0, 0.0
    begin = chance.uniform(0, plan.span_s)
    return begin, min(plan.span_s, begin + chance.uniform(0.5, 1) * plan.agent_disk_full_s)


def _now() -> float:
    return asyncio.get_running_loop().time()


Carry = Callable[..., Awaitable[Any]]
