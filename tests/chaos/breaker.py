"""Breaks a site on purpose: kills its processes by their ids, cuts its cables, and counts what it broke."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tests.chaos.plan import Blow, Errand, Trouble
from tests.processes.cable import Cable
from tests.processes.site import Machine, Process, Site, until

BREW_S = "0.5"
MAKE_LIMIT_S = 8.0
WORKER_LIVES_S = (3.0, 10.0)
"""How long it is from one killed worker to the next."""


class Place:
    """A machine with its agent and the cable between agent and server."""

    def __init__(self, machine: Machine, cable: Cable) -> None:
        self.machine = machine
        self.cable = cable


class Breaker:
    """Sets up the places of a site, and breaks them. `broke` counts each trouble that was brought about."""

    def __init__(self, site: Site, stack: AsyncExitStack) -> None:
        self.broke: Counter[str] = Counter()
        self.places: list[Place] = []
        self._site = site
        self._stack = stack
        self._held: dict[Process, asyncio.Lock] = {}
        self._blows: set[asyncio.Task[None]] = set()

    async def set_up(self, machines: int) -> None:
        """Put up that many machines."""
        self.places = list(await asyncio.gather(*(self._place() for _ in range(machines))))

    async def _place(self) -> Place:
        cable = await self._stack.enter_async_context(Cable(self._site.port))
        machine = await self._site.machine(
            "--brew-s", BREW_S, agent_server=cable.url, make_limit_s=MAKE_LIMIT_S
        )
        return Place(machine, cable)

    async def kill_workers(self) -> None:
        """Kill one of the server's workers, again and again; its supervisor starts another."""
        while True:
            await asyncio.sleep(random.uniform(*WORKER_LIVES_S))
            if not self._hold(self._site.server).locked() and (workers := self._site.server.children()):
                os.kill(random.choice(workers), signal.SIGKILL)
                self.broke["workers killed"] += 1

    async def spoil(self, errand: Errand) -> None:
        """Let the errand's machine fail as the errand says."""
        if errand.fault is not None:
            self.broke["machines made to fail"] += 1
            await self._cut_power(self.places[errand.machine], 0, *errand.fault)

    def strike(self, blows: tuple[Blow, ...], machine: int) -> None:
        """Let the blows fall on the machine, each at its time, while others go on."""
        for blow in blows:
            task = asyncio.create_task(self._fall(blow, self.places[machine]))
            self._blows.add(task)

    async def give_up(self) -> None:
        """Let no blow fall any more."""
        for task in self._blows:
            task.cancel()
        await asyncio.gather(*self._blows, return_exceptions=True)

    async def calm(self) -> None:
        """Wait until every blow has fallen, then make everything whole."""
        await asyncio.gather(*self._blows)
        await asyncio.gather(*(self._cut_power(place, 0) for place in self.places))
        for place in self.places:
            place.cable.cut()

    def dead(self) -> list[str]:
        """Name the processes that have ended without being killed."""
        places = [(place.machine.simulator, place.machine.agent) for place in self.places]
        processes = [self._site.server, *(process for pair in places for process in pair)]
        free = (process for process in processes if not self._hold(process).locked())
        return [process.name for process in free if process.has_ended()]

    async def _fall(self, blow: Blow, place: Place) -> None:
        await asyncio.sleep(blow.after_s)
        self.broke[blow.trouble] += 1
        match blow.trouble:
            case Trouble.AGENT_KILLED:
                await self._kill(place.machine.agent, blow.lasts_s)
            case Trouble.SERVER_KILLED:
                await self._kill(self._site.server, blow.lasts_s, self._site.ready)
            case Trouble.POWER_CUT:
                await self._cut_power(place, blow.lasts_s)
            case Trouble.CABLE_CUT:
                place.cable.cut()
            case Trouble.DOUBLED:
                place.cable.double()
                place.cable.cut()
            case Trouble.CABLE_DEAD:
                place.cable.go_dead()
            case Trouble.DEAD_UPWARDS:
                place.cable.go_dead(down=False)
            case Trouble.DEAD_DOWNWARDS:
                place.cable.go_dead(up=False)

    async def _kill(
        self, process: Process, away_s: float, ready: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        async with self._hold(process):
            process.kill()
            await asyncio.sleep(away_s)
            process.start()
            if ready is not None:
                await ready()

    async def _cut_power(self, place: Place, away_s: float, *behaviour: str) -> None:
        """Switch the machine off and on: a drink in the making is lost, what was counted is kept."""
        simulator = place.machine.simulator
        async with self._hold(simulator):
            await asyncio.to_thread(simulator.stop)
            await asyncio.sleep(away_s)
            simulator.start(*behaviour)
            await until(place.machine.port.is_symlink, f"{simulator.name} is back")

    def _hold(self, process: Process) -> asyncio.Lock:
        return self._held.setdefault(process, asyncio.Lock())
