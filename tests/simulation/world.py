"""One town from one seed: built, run through its storm, and on until nothing more happens."""

import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.db import Statement, Transaction
from server.db.sqlite import drive
from tests.simulation import complaints
from tests.simulation.bank import ACCOUNT_ID, Bank
from tests.simulation.board import Board
from tests.simulation.cables import Network
from tests.simulation.clockwork import Clockwork
from tests.simulation.life import Killed
from tests.simulation.people import Customer, Technician
from tests.simulation.plan import Plan, draw
from tests.simulation.service import Entrance, Service

CALM_LIMIT_S = 1800.0
"""A town that is not quiet so long after its storm is stuck."""

LOOK_EVERY_S = 5.0


class World:
    """Everything of one run. After `run` the rows of the database and the books of the bank can be read."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.loop = Clockwork()
        self.complaints: list[str] = []
        self.unquiet: list[str] = []
        self._calm = False
        self.network = Network(plan.network, random.Random(f"{plan.seed}/network"), self.stormy)
        self.bank = Bank(plan.bank, random.Random(f"{plan.seed}/bank"), self.stormy, self._notify)
        about = (plan, self.bank, self.network, self.stormy, self.complain)
        self.service = Service(*about)
        self.services = [self.service]
        if plan.neighbour is not None:
            self.services.append(Service(*about, elder=self.service))
        for service in self.services:
            service.others = [other for other in self.services if other is not service]
        self.entrance = Entrance(self.services, random.Random(f"{plan.seed}/entrance"))
        names = [(f"board-{number}", f"dev-{number}") for number in range(1, plan.devices + 1)]
        twins = [("twin", "dev-1")] if plan.twin else []
        self.boards = [
            Board(name, device_uuid, folder, plan, self.entrance, self.network, self.stormy, self.complain)
            for name, device_uuid in (*names, *twins)
        ]
        self.customers = [
            Customer(number, f"dev-{number % plan.devices + 1}", plan, self.entrance, self.bank)
            for number in range(1, plan.orders + 1)
        ]
        self.technician = Technician(plan, self.entrance, [board.iron for board in self.boards])
        self._furnish()

    def stormy(self) -> bool:
        """Whether faults still happen."""
        return not self._calm

    def complain(self, error: BaseException) -> None:
        """Keep an exception that nobody caught."""
        self.complaints.append(f"nobody caught {error!r}")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return what the server's database says."""
        return [dict(row) for row in self.service.connection.execute(query)]

    # --- a run --------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let the story happen, in virtual time."""
        self.loop.set_exception_handler(self._lost_exception)
        with complaints.heard() as alarms:
            try:
                self.loop.run_until_complete(self._story())
            finally:
                self.loop.run_until_complete(self._end_everything())
                self.loop.close()
        self.complaints += alarms

    async def _story(self) -> None:
        for service in self.services:
            service.start()
        await asyncio.sleep(0.01)
        for board in self.boards:
            self._begin_board(board)
        self._unsettle_clocks()
        self._mislead()
        people = [asyncio.ensure_future(customer.buy()) for customer in self.customers]
        if self.plan.people.technician:
            people.append(asyncio.ensure_future(self.technician.work(rounds=3)))
        await asyncio.sleep(self.plan.span_s)
        self._end_storm()
        await asyncio.gather(*people)
        await self._until_quiet()

    def _begin_board(self, board: Board) -> None:
        if board.name == "twin":
            chance = random.Random(f"{self.plan.seed}/twin")
            self.loop.call_later(chance.uniform(0, self.plan.span_s * 0.8), board.start)
        else:
            board.start()

    def _end_storm(self) -> None:
        self._calm = True
        for process in (*self.services, *self.boards):
            if process.life is not None:
                process.life.spare()
        for board in self.boards:
            board.iron.mute_until = 0.0
            if board.name == "twin":
                board.retired = True
                if board.life is not None:
                    board.life.end()

    def _unsettle_clocks(self) -> None:
        chance = random.Random(f"{self.plan.seed}/clocks")
        for _ in range(4 if self.plan.server_clock_ms else 0):
            self.loop.call_later(chance.uniform(0, self.plan.span_s), self._step_clock, chance)
        faults = self.plan.machine
        for board in self.boards:
            if faults.mute_every_s:
                self.loop.call_later(chance.expovariate(1 / faults.mute_every_s), self._mute, board, chance)
            if self.plan.clock_days:
                self.loop.call_later(chance.uniform(0, self.plan.span_s), board._set_clock)

    def _step_clock(self, chance: random.Random) -> None:
        step = self.plan.server_clock_ms
        for service in self.services:
            service.clock_off_ms += chance.randint(-step, step)

    def _mute(self, board: Board, chance: random.Random) -> None:
        if self.stormy():
            board.iron.mute_until = self.loop.time() + chance.uniform(0.5, self.plan.machine.mute_s)
            again = self.plan.machine.mute_s + chance.expovariate(1 / self.plan.machine.mute_every_s)
            self.loop.call_later(again, self._mute, board, chance)

    def _mislead(self) -> None:
        """Send notifications that are not the bank's, and let strangers pay into the same account."""
        chance = random.Random(f"{self.plan.seed}/forger")
        for number in range(self.plan.bank.forge):
            known = chance.random() < 0.7
            object_id = f"bp-{chance.randint(1, 4):03}" if known else f"nobody-{number}"
            event = chance.choice(("payment.succeeded", "payment.canceled", "refund.succeeded"))
            self.loop.call_later(chance.uniform(0, self.plan.span_s), self.bank.forge, event, object_id)
        for number in range(self.plan.bank.strangers):
            self.loop.call_later(chance.uniform(0, self.plan.span_s), self._stranger_pays, number)

    def _stranger_pays(self, number: int) -> None:
        payment = self.bank.create(f"stranger-{number}", 5000, {"shop": "another"})
        self.bank.pay(payment.payment_id)

    # --- when it is over ----------------------------------------------------------------------------

    async def _until_quiet(self) -> None:
        deadline = self.loop.time() + CALM_LIMIT_S
        while self.loop.time() < deadline:
            self.unquiet = self._unquiet()
            if not self.unquiet:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _unquiet(self) -> list[str]:
        """Return what still has to happen."""
        found = [f"bank: {self.bank.waiting} things to do"] if self.bank.waiting else []
        for what, query in _UNFINISHED.items():
            found += [f"{what}: {tuple(row)}" for row in self.service.connection.execute(query)]
        for board in self.boards:
            if board.retired:
                continue
            if board.iron.busy:
                found.append(f"{board.name}: the machine is busy")
            if board.link is None or not board.link.connected:
                found.append(f"{board.name}: not connected")
            elif board.name != "twin" and not self._is_held(board.device_uuid):
                found.append(f"{board.name}: has not noticed yet that its session is over")
            elif board.name != "twin" and self._is_away(board.device_uuid):
                found.append(f"{board.name}: its server has not noticed yet that it was taken for dead")
            found += [f"{board.name}: {what} of {row}" for what, row in _open_on(board)]
        return found

    def _is_held(self, device_uuid: str) -> bool:
        """Whether some process has the newest session of the device."""
        query = "SELECT epoch FROM agents WHERE device_uuid = ?"
        (newest,) = self.service.connection.execute(query, (device_uuid,)).fetchone()
        agents = [service.parts.agents for service in self.services if service.is_open]
        held = [each.connection(device_uuid) for each in agents]
        return newest in [connection.epoch for connection in held if connection is not None]

    def _is_away(self, device_uuid: str) -> bool:
        query = "SELECT connected_at FROM agents WHERE device_uuid = ?"
        return self.service.connection.execute(query, (device_uuid,)).fetchone()[0] is None

    async def _end_everything(self) -> None:
        """Kill what still lives, and wait until all of it is gone."""
        self._calm = True
        for process in (*self.services, *self.boards):
            if process.life is not None:
                process.life.end()
        here = asyncio.current_task()
        while left := [task for task in asyncio.all_tasks() if task is not here]:
            for task in left:
                task.cancel()
            await asyncio.wait(left)

    def close(self) -> None:
        """Throw disks and database away."""
        self.service.connection.close()
        for board in self.boards:
            for disk in (board.disk, *board.old_disks):
                disk.close()

    def _lost_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), Killed):
            return  # of a task of a dead process: nobody is left to hear of it
        self.complaints.append(f"the loop: {context.get('message')}: {context.get('exception')!r}")

    async def _notify(self, body: bytes) -> bool:
        return await self.entrance.hear(body)

    def _furnish(self) -> None:
        connection = self.service.connection
        connection.execute("BEGIN")
        drive(connection, _furnishing(self.plan))
        connection.execute("COMMIT")


_UNFINISHED = {
    "order": "SELECT order_id, status FROM orders "
    "WHERE status = 'pending' OR deadline_at - updated_at < 3600000",
    "payment": "SELECT payment_id, status FROM payments WHERE next_check_at IS NOT NULL",
    "capture": "SELECT payment_id, status FROM captures WHERE next_try_at IS NOT NULL",
    "refund": "SELECT refund_id, status FROM refunds WHERE next_try_at IS NOT NULL",
    "notification": "SELECT object_id, event FROM notifications WHERE handled_at IS NULL",
    "make": "SELECT command_id, state FROM makes WHERE wake_at IS NOT NULL",
}


def _open_on(board: Board) -> list[tuple[str, Any]]:
    found = [("unstored report", row) for row in board.disk.rows("SELECT seq, command_id FROM outbox")]
    query = "SELECT command_id, state FROM commands WHERE state IN ('received', 'started')"
    return found + [("open command", row) for row in board.disk.rows(query)]


def _furnishing(plan: Plan) -> Transaction[None]:
    yield Statement(
        "INSERT INTO merchants (merchant_id, name, updated_at, holds_cards_since) "
        "VALUES ('m1', 'Shop', 0, $1)",
        (0 if plan.holds else None,),
    )
    body = f'{{"account_id": "{ACCOUNT_ID}", "secret_key": "live_key"}}'
    yield Statement(
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) VALUES ('m1', 'Yookassa', $1, 0)",
        (body,),
    )
    for number in range(1, plan.devices + 1):
        uuid = f"dev-{number}"
        yield Statement(
            "INSERT INTO devices (device_uuid, merchant_id, location, payment_scenario, updated_at) "
            "VALUES ($1, 'm1', 'here', 'Yookassa', 0)",
            (uuid,),
        )
        yield Statement("INSERT INTO agents (device_uuid, token_hash) VALUES ($1, $1)", (uuid,))
        for drink in range(1, plan.orders + 1):
            yield Statement(
                "INSERT INTO drinks (device_uuid, drink_no, name, prices, position, updated_at) "
                "VALUES ($1, $2, 'Coffee', '{\"small\": 9000}', 0, 0)",
                (uuid, f"drink-{drink}"),
            )


def run_seed(seed: int, change: Callable[[Plan], Plan] = lambda plan: plan) -> World:
    """Run the town of a seed and return it; the caller closes it."""
    world = World(change(draw(seed)), _folder())
    world.run()
    return world


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def _folder() -> Path:
    """Return the folder of the boards' lock files, one for this process."""
    if not _FOLDERS:
        _FOLDERS.append(tempfile.TemporaryDirectory(prefix="demitasse-town-"))
    return Path(_FOLDERS[0].name)
