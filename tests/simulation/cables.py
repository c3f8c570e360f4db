"""The network between agents and server: sockets whose frames and ends suffer what the plan says."""

import asyncio
import random
from collections.abc import Callable

from agent.session import LinkLost
from tests.simulation import plan
from tests.simulation.life import Life

TRAVEL_S = 0.02
STRAY_AFTER_S = 90.0
"""Longest time after which a stray frame comes out of the next socket."""


class Network:
    """Makes sockets. `stormy` says whether faults still happen."""

    def __init__(self, faults: plan.Network, chance: random.Random, stormy: Callable[[], bool]) -> None:
        self.faults = faults
        self.chance = chance
        self._stormy = stormy
        self.cables: list[Cable] = []
        self.cuts = 0
        self._strays: dict[str, list[str]] = {}

    @property
    def stormy(self) -> bool:
        return self._stormy()

    def happens(self, how_often: float) -> bool:
        """Draw whether a fault of this chance happens now."""
        return how_often > 0 and self.chance.random() < how_often and self._stormy()

    def refuses(self) -> bool:
        """Draw whether a connection is not made."""
        return self.happens(self.faults.refuse)

    def connect(self, device_uuid: str, agent: Life, server: Life) -> "Cable":
        """Return a new socket between two processes."""
        cable = Cable(self, device_uuid, agent, server)
        self.cables.append(cable)
        loop = asyncio.get_running_loop()
        for frame in self._strays.pop(device_uuid, []):
            loop.call_later(self.chance.uniform(0.01, STRAY_AFTER_S), cable.to_agent.arrive, frame)
        if self.faults.cut_every_s and self._stormy():
            loop.call_later(self.chance.expovariate(1 / self.faults.cut_every_s), self._cut, cable)
        return cable

    def hold_back(self, device_uuid: str, frame: str) -> None:
        """Keep a frame for the device's next socket."""
        self._strays.setdefault(device_uuid, []).append(frame)

    def died(self, life: Life, *, silently: bool) -> None:
        """A process is gone, and with it its ends of sockets; the others notice unless it went silently."""
        for cable in self.cables:
            if cable.agent.life is life:
                cable.cut(server_notices=not silently)
            elif cable.server.life is life:
                cable.cut(agent_notices=not silently)
        self.cables = [cable for cable in self.cables if life not in (cable.agent.life, cable.server.life)]

    def _cut(self, cable: "Cable") -> None:
        if self._stormy() and cable.whole:
            self.cuts += 1
            unnoticed = self.faults.unnoticed
            cable.cut(
                agent_notices=self.chance.random() >= unnoticed,
                server_notices=self.chance.random() >= unnoticed,
            )


class Lane:
    """One direction of a socket."""

    def __init__(self, network: Network, device_uuid: str, *, may_stray: bool) -> None:
        self.frames: asyncio.Queue[str | None] = asyncio.Queue()
        self._network = network
        self._device_uuid = device_uuid
        self._may_stray = may_stray

    def carry(self, frame: str) -> None:
        """Take a frame to the other end, or do to it what the plan says."""
        network, faults = self._network, self._network.faults
        if network.happens(faults.drop):
            return
        if network.happens(faults.spoil):
            frame = frame[: network.chance.randrange(len(frame))]
        if self._may_stray and network.happens(faults.stray):
            network.hold_back(self._device_uuid, frame)
            return
        loop = asyncio.get_running_loop()
        for _ in range(2 if network.happens(faults.double) else 1):
            slow = network.happens(faults.slow)
            loop.call_later(
                network.chance.uniform(0, faults.slow_s) if slow else TRAVEL_S, self.arrive, frame
            )

    def arrive(self, frame: str | None) -> None:
        """Put a frame before its reader; None: there will be no more."""
        self.frames.put_nowait(frame)


class Cable:
    """A socket. While it is `whole` its ends hear of each other's close."""

    def __init__(self, network: Network, device_uuid: str, agent: Life, server: Life) -> None:
        self.whole = True
        self.to_server = Lane(network, device_uuid, may_stray=False)
        self.to_agent = Lane(network, device_uuid, may_stray=True)
        self.agent = End(self, agent, self.to_agent, self.to_server, LinkLost)
        self.server = End(self, server, self.to_server, self.to_agent, ConnectionError)

    def cut(self, *, agent_notices: bool = False, server_notices: bool = False) -> None:
        """Carry nothing any more. What is on its way still arrives where the cut is not noticed."""
        self.whole = False
        if agent_notices:
            self.agent.hang_up()
        if server_notices:
            self.server.hang_up()

    def other(self, end: "End") -> "End":
        return self.server if end is self.agent else self.agent


class End:
    """One end of a socket: the `Channel` of the agent's session, and that of the server's."""

    def __init__(self, cable: Cable, life: Life, inward: Lane, outward: Lane, lost: type[Exception]) -> None:
        self.life = life
        self._cable = cable
        self._inward = inward
        self._outward = outward
        self._lost = lost
        self._gone = False

    async def send(self, text: str) -> None:
        self.life.step()
        if self._gone:
            raise self._lost("the socket is gone")
        if self._cable.whole:
            self._outward.carry(text)
        self.life.step()

    async def receive(self) -> str | None:
        if self._gone and self._inward.frames.empty():
            return None
        frame = await self._inward.frames.get()
        self.life.step()
        return frame

    async def close(self) -> None:
        if not self.life.alive:
            self.life.step()
        if not self._gone:
            self.hang_up()
            if self._cable.whole:
                self._cable.whole = False
                asyncio.get_running_loop().call_later(TRAVEL_S, self._cable.other(self).hang_up)

    def hang_up(self) -> None:
        """From here on this end knows that the socket is gone."""
        if not self._gone:
            self._gone = True
            self._inward.arrive(None)
