"""The server's process: the real parts on a database that outlives them, killed and started again."""

import asyncio
import itertools
import random
import sqlite3
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agent.session import LinkLost
from server.errors import DatabaseError
from server.parts import Parts, for_ever
from server.payments import NotANotification
from server.payments.accounts import Accounts
from server.payments.yookassa_api import parse_notification
from server.progress import Rules
from server.sale import Sale
from server.till import Pace
from tests.fakes.inline_database import Gate, InlineDatabase, new_connection
from tests.simulation import bank as banks
from tests.simulation.cables import End, Network
from tests.simulation.life import Killed, Life
from tests.simulation.plan import Plan

T = TypeVar("T")

START_MS = 1_795_000_000_000
ORDER_LIFE_MS = 60_000
TOLD_AFTER_S = 0.01
FAR_OFF_MS = 36_000_000
PACE = Pace(fast_ms=3_000, slow_ms=15_000, fast_until_ms=60_000, longest_pause_s=10.0)


class Unreachable(Exception):
    """The server gives no answer."""


class Service:
    """Runs one life of a server process after another. `now_ms` is its clock; `elder` shares its database."""

    def __init__(
        self,
        plan: Plan,
        bank: banks.Bank,
        network: Network,
        stormy: Callable[[], bool],
        complain: Callable[[BaseException], None],
        elder: "Service | None" = None,
    ) -> None:
        self._plan = plan
        self._bank = bank
        self._network = network
        self._stormy = stormy
        self._complain = complain
        self._chance = random.Random(f"{plan.seed}/service" if elder is None else f"{plan.seed}/service/2")
        self.connection = new_connection() if elder is None else elder.connection
        self._dies = plan.server if elder is None or plan.neighbour is None else plan.neighbour
        self.deaths_left = self._dies.times
        self.others: list[Service] = []
        self.db: InlineDatabase
        self.deaths = 0
        self.clock_off_ms = 0
        self.full_between = _window(self._chance, plan.span_s, plan.server_disk_full_s)
        self._ids = itertools.count(1) if elder is None else elder._ids
        self.life: Life | None = None
        self._past: list[
            Life
        ] = []  # asyncio keeps tasks only weakly: one that waits for the dead would vanish
        self._listens = False
        self.parts: Parts
        self.sale: Sale
        self.rules = Rules(
            make_life_ms=self._chance.choice((15_000, 30_000, 60_000)),
            make_result_ms=self._chance.choice((60_000, 120_000, 180_000)),
            manual_make_ms=40_000,
            unknown_refund_ms=self._chance.choice((40_000, 240_000, FAR_OFF_MS)),
            late_after_ms=self._chance.choice((20_000, 60_000)),
            new_id=self._new_id,
            bodies=lambda scenario: banks.Bodies(),
        )
        if elder is not None:
            self.rules = elder.rules

    def now_ms(self) -> int:
        return START_MS + int(asyncio.get_running_loop().time() * 1000) + self.clock_off_ms

    # --- life and death -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life on what was committed."""
        if self.life is not None and self.life.alive:
            return
        fuse = None
        if self.deaths_left and self._stormy():
            self.deaths_left -= 1
            asked = self._chance.random() < self._dies.asked
            if asked:
                asyncio.get_running_loop().call_later(self._chance.uniform(1, 40), self._ask_to_stop)
            else:
                fuse = self._chance.randint(1, self._dies.within_steps)
        self._listens = False
        life = self.life = Life(fuse, self._died, self._complain)
        self._past.append(life)
        db = self.db = _Told(self, _Passage(self, life))
        client = banks.Client(self._bank, life)
        accounts = Accounts(db, lambda credentials: client, None)
        self.parts = Parts(db, accounts, self.rules, PACE, "https://coffee.test", self.now_ms)
        self.sale = Sale(db, self.now_ms, ORDER_LIFE_MS, online_threshold_ms=30_000)
        life.begin(self._serve(life, self.parts))

    async def _serve(self, life: Life, parts: Parts) -> None:
        while True:
            try:
                await parts.presence.begin()
                self._listens = True
                break
            except DatabaseError:  # the start failed; systemd tries again
                await asyncio.sleep(1.0)
        for run in parts.works:
            life.begin(for_ever(run))

    def _ask_to_stop(self) -> None:
        if self.life is not None and self.life.alive and self._stormy():
            life = self.life
            for connection in self.parts.agents.everyone():
                connection.end()
            asyncio.get_running_loop().call_later(0.5, life.end)

    def _died(self, life: Life) -> None:
        self.deaths += 1
        self._network.died(life, silently=self._chance.random() < 0.3)
        pause = self._chance.uniform(0.05, self._dies.down_s)
        asyncio.get_running_loop().call_later(pause, self.start)

    # --- who comes in -------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it takes who comes in."""
        return self.life is not None and self.life.alive and self._listens

    async def request(self, handle: Callable[["Service"], Awaitable[T]]) -> T:
        """Let the server handle a request. Raises Unreachable when it dies, and what the handler raises."""
        life = self.life
        if life is None or not self.is_open:
            raise Unreachable
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                value = await handle(self)
            except (Killed, asyncio.CancelledError):
                answer.cancel()
                raise
            except Exception as error:
                answer.set_exception(error)
            else:
                answer.set_result(value)

        task = life.begin(work())
        await asyncio.wait([task])
        if answer.cancelled() or not life.alive:
            if answer.done() and not answer.cancelled():
                answer.exception()
            raise Unreachable
        return answer.result()

    async def hear(self, body: bytes) -> bool:
        """Take a notification; return whether it was acknowledged."""

        async def webhook(service: "Service") -> None:
            try:
                hint = parse_notification(body)
            except NotANotification:
                return
            await service.parts.notifications.keep("yookassa", hint, body.decode())

        try:
            await self.request(webhook)
        except (Unreachable, DatabaseError):
            return False
        return True

    async def connect(self, device_uuid: str, agent: Life) -> End:
        """Give an agent a socket. Raises LinkLost."""
        agent.step()
        await asyncio.sleep(0.05)
        if self.life is None or not self.is_open or self._network.refuses():
            raise LinkLost("the server is away")
        cable = self._network.connect(device_uuid, agent, self.life)
        self.life.begin(self.parts.agents.converse(cable.server, device_uuid))
        agent.step()
        return cable.agent

    # --- what happens on the way to the database ----------------------------------------------------

    @property
    def disk_full(self) -> bool:
        begin, end = self.full_between
        return begin < asyncio.get_running_loop().time() < end

    def pause_s(self) -> float:
        """Return how long the disk takes."""
        if not self._plan.slow_disks or not self._stormy():
            return 0.0
        return self._chance.choice((0.0, 0.001, 0.05, 1.0))

    def tell_others(self, channel: str, payload: str) -> None:
        """Tell the other processes; every second word is lost."""
        for other in self.others:
            if other.is_open and self._chance.random() < 0.5:
                asyncio.get_running_loop().call_later(TOLD_AFTER_S, other.db.hear, channel, payload)

    def _new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._ids):04}"


class Entrance:
    """The address of the server: whoever comes in meets one of its processes."""

    def __init__(self, services: list[Service], chance: random.Random) -> None:
        self._services = services
        self._chance = chance

    def _one(self) -> Service:
        if len(self._services) == 1:
            return self._services[0]
        return self._chance.choice([each for each in self._services if each.is_open] or self._services)

    async def request(self, handle: Callable[[Service], Awaitable[T]]) -> T:
        """As `Service.request`."""
        return await self._one().request(handle)

    async def hear(self, body: bytes) -> bool:
        """As `Service.hear`."""
        return await self._one().hear(body)

    async def connect(self, device_uuid: str, agent: Life) -> End:
        """As `Service.connect`."""
        return await self._one().connect(device_uuid, agent)


class _Told(InlineDatabase):
    """A process's way to the database; what it tells on a channel others may hear."""

    def __init__(self, service: Service, gate: Gate) -> None:
        super().__init__(service.connection, gate)
        self._service = service

    async def notify(self, channel: str, payload: str) -> None:
        await super().notify(channel, payload)
        self._service.tell_others(channel, payload)


class _Passage(Gate):
    """Each read and commit is a step of the server's life; a full disk refuses the commit."""

    def __init__(self, service: Service, life: Life) -> None:
        self._service = service
        self._life = life

    def reading(self) -> None:
        if not self._life.alive:
            self._life.step()

    def committing(self) -> None:
        self._life.step()
        if self._service.disk_full:
            raise sqlite3.OperationalError("database or disk is full")

    def committed(self) -> None:
        self._life.step()

    def pause_s(self) -> float:
        return self._service.pause_s()


def _window(chance: random.Random, span_s: float, longest_s: float) -> tuple[float, float]:
    """Return a stretch of time of at most `longest_s` that ends with the storm at the latest."""
    if not longest_s:
        return 0.0, 0.0
    begin = chance.uniform(0, span_s)
    return begin, min(span_s, begin + chance.uniform(0.5, 1) * longest_s)
