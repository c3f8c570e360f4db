"""Machines with agents and orders in a real database, brought there by the server's own transactions."""

from dataclasses import dataclass, replace
from typing import Any

from agent.wire import Actuated, Code, MachineReport, MachineState, MakeState, Report
from server import load, make_progress, progress
from server.db import Database, Statement, Transaction
from server.order import Event, Status
from server.progress import Rules
from server.shop_file import DeviceEntry, DrinkEntry, File, MerchantEntry, Prices
from server.store import devices, makes, orders
from server.store.rows import Make, Order, Payment, insert
from tests.server.clock import Clock

MERCHANT = MerchantEntry(id="m1", name="Кофе у дома")
EPOCH, JOURNAL = 1, "journal-1"


def _drink() -> DrinkEntry:
    return DrinkEntry(drink_no="espresso", name="Эспрессо", prices=Prices(small=9000))


@dataclass
class Fleet:
    """The merchant's machines. Each call happens at the clock's time."""

    db: Database
    clock: Clock
    rules: Rules
    ids: int = 0

    def __post_init__(self) -> None:
        self.rules = replace(self.rules, new_id=self._new_id)  # ids in the order of their making

    def _new_id(self, kind: str) -> str:
        self.ids += 1
        return f"{kind}-{self.ids:04}"

    async def add(self, device_uuid: str, location: str, **texts: str) -> None:
        """A machine whose agent has never been connected."""
        entry = DeviceEntry(
            device_uuid=device_uuid,
            merchant="m1",
            location=location,
            payment_scenario="Sandbox",
            drinks=[_drink()],
            **texts,  # type: ignore[arg-type]
        )
        await self.db.write(load.load, File([MERCHANT], [entry]), self.clock())

    async def connect(
        self, device_uuid: str, state: str = "ready", code: Code | None = None, said: str = ""
    ) -> None:
        """Its agent is connected and tells the machine's state."""
        machine = MachineReport(MachineState(state), "Jura Z10", code, said)
        await self.db.write(_accept, device_uuid, machine, self.clock())

    async def part(self, device_uuid: str) -> None:
        """Its agent is gone."""
        gone = {"connected_at": None, "last_seen_at": self.clock()}
        await self.db.write(devices.change_agent, device_uuid, EPOCH, gone)

    async def sell(self, device_uuid: str, order_id: str) -> Make:
        """A paid order whose command is with the agent."""
        order = _order(device_uuid, order_id, self.clock())
        return await self.db.write(_sell, self.rules, order, self.clock())

    async def sell_late(self, device_uuid: str, order_id: str) -> None:
        """An order whose money came when its time was over: the customer chooses."""
        order = _order(device_uuid, order_id, self.clock())
        await self.db.write(_sell_late, self.rules, order, self.clock())

    async def report(self, make: Make, state: MakeState, **told: Any) -> None:
        """The agent says what became of a command."""
        report = Report(make.command_id, state, **told)
        device_uuid, now = make.device_uuid, self.clock()
        await self.db.write(make_progress.take_report, self.rules, device_uuid, EPOCH, JOURNAL, report, now)

    async def fail(
        self, device_uuid: str, order_id: str, code: Code = Code.NO_WATER, said: str = "FA:01 fill tank"
    ) -> Make:
        """A paid order that the machine could not make."""
        make = await self.sell(device_uuid, order_id)
        await self.report(make, MakeState.FAILED, code=code, said=said, actuated=Actuated.NO)
        return make

    async def overdue(self, command_id: str) -> None:
        """Nothing is heard of a command any more."""
        make = await self.db.read(makes.get, command_id)
        assert make is not None and make.wake_at is not None
        overdue = (self.rules, command_id, make.wake_at, self.clock())
        await self.db.write(make_progress.overdue_make, *overdue)

    async def lose_sight(self, device_uuid: str, order_id: str) -> Make:
        """A paid order of which nobody can tell whether the drink came out."""
        make = await self.sell(device_uuid, order_id)
        await self.report(make, MakeState.STARTED)
        await self.report(make, MakeState.UNKNOWN, code=Code.POWER_LOSS, said="power was cut")
        return make


def _accept(device_uuid: str, machine: MachineReport, now: int) -> Transaction[None]:
    yield from devices.set_token(device_uuid, f"hash of {device_uuid}")
    yield Statement("UPDATE agents SET epoch = 0 WHERE device_uuid = $1", (device_uuid,))
    told = {"machine_state": machine.state, "machine_model": machine.model, "machine_code": machine.code}
    told |= {"machine_said": machine.said, "machine_at": now, "connected_at": now, "last_seen_at": now}
    yield from devices.accept_session(device_uuid, {**told, "journal_id": JOURNAL})


def _order(device_uuid: str, order_id: str, now: int) -> Order:
    return Order(
        order_id=order_id,
        device_uuid=device_uuid,
        drink_no="espresso",
        drink_name="Эспрессо",
        size="small",
        price_minor=9000,
        currency="RUB",
        payment_scenario="Sandbox",
        status=Status.PENDING,
        refund_status=None,
        failure_code=None,
        failure_said=None,
        attempt_no=0,
        created_at=now,
        updated_at=now,
        expires_at=now + 900_000,
        payment_started_at=now,
        paid_at=None,
        deadline_at=None,
        version=0,
        email=None,
    )


def _payment(rules: Rules, order: Order, now: int) -> Payment:
    payment_id = rules.new_id("pay")
    return Payment(
        payment_id=payment_id,
        order_id=order.order_id,
        attempt_no=1,
        scenario="Sandbox",
        merchant_id="m1",
        method="card",
        amount_minor=order.price_minor,
        currency="RUB",
        idempotence_key=payment_id,
        body="{}",
        provider_payment_id=f"bank-{payment_id}",
        confirmation_url=None,
        confirmation_kind=None,
        status="succeeded",
        detail="",
        checks=0,
        next_check_at=None,
        created_at=now,
        updated_at=now,
    )


def _sell_late(rules: Rules, order: Order, now: int) -> Transaction[None]:
    yield from orders.add(order)
    yield Statement(*insert("payments", _payment(rules, order, now)))
    yield from progress.happen(rules, order, Event.PAID_LATE, now, "provider")


def _sell(rules: Rules, order: Order, now: int) -> Transaction[Make]:
    yield from orders.add(order)
    yield Statement(*insert("payments", _payment(rules, order, now)))
    yield from progress.happen(rules, order, Event.PAYMENT_SUCCEEDED, now, "provider")
    make = yield from make_progress.claim_make(order.device_uuid, EPOCH, JOURNAL, now)
    assert make is not None
    return make
