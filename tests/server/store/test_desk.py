"""What the database tells of failures and cases."""

from collections.abc import AsyncIterator

import pytest

from agent.wire import Actuated, Code, MakeState
from server import make_progress, progress
from server.db import Database, Statement, Transaction, open_database
from server.order import Event
from server.payments import yookassa_api
from server.progress import Rules
from server.store import desk, makes, orders
from server.store.desk import NEWEST, Failure, Place
from server.store.rows import Make
from tests.server.clock import START_MS, Clock
from tests.server.fleet import EPOCH, JOURNAL, Fleet

RULES = Rules(
    make_life_ms=60_000,
    make_result_ms=180_000,
    manual_make_ms=600_000,
    late_after_ms=300_000,
    unknown_refund_ms=3_600_000,
    new_id=str,
    bodies=lambda scenario: yookassa_api,
)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = await open_database(database_url)
    yield db
    await db.close()


@pytest.fixture
async def fleet(db: Database) -> Fleet:
    """One machine, connected."""
    fleet = Fleet(db, Clock(), RULES)
    await fleet.add("dev-1", "ул. Ленина, 1")
    await fleet.connect("dev-1")
    return fleet


async def failures(fleet: Fleet, device_uuid: str = "dev-1") -> list[Failure]:
    return await fleet.db.read(desk.failures_before, device_uuid, NEWEST, 100)


async def make_again(fleet: Fleet, order_id: str) -> Make:
    """A person has the drink made again, and the command is with the agent."""
    return await fleet.db.write(_make_again, fleet.rules, order_id, fleet.clock())


def _make_again(rules: Rules, order_id: str, now: int) -> Transaction[Make]:
    order = yield from orders.get(order_id)
    assert order is not None
    yield from progress.happen(rules, order, Event.MAKE_AGAIN, now, "anna")
    make = yield from make_progress.claim_make(order.device_uuid, EPOCH, JOURNAL, now)
    assert make is not None
    return make


async def test_a_drink_that_was_made_is_no_failure(fleet: Fleet):
    make = await fleet.sell("dev-1", "order-1")
    await fleet.report(make, MakeState.DONE, actuated=Actuated.YES)
    assert await failures(fleet) == []


async def test_a_failure_has_the_time_at_which_it_was_known(fleet: Fleet):
    make = await fleet.sell("dev-1", "order-1")
    fleet.clock.go(30)
    await fleet.report(make, MakeState.FAILED, code=Code.NO_BEANS, said="FA:02", actuated=Actuated.PARTIAL)
    (failure,) = await failures(fleet)
    assert (failure.created_at, failure.at) == (START_MS, START_MS + 30_000)
    assert (failure.code, failure.said, failure.actuated) == ("no_beans", "FA:02", "partial")
    assert (failure.from_status, failure.to_status) == ("paid", "make_failed")
    assert failure.refund_status == "pending"


async def test_a_lost_outcome_changes_no_status_and_has_its_time(fleet: Fleet):
    make = await fleet.sell("dev-1", "order-1")
    await fleet.report(make, MakeState.STARTED)
    fleet.clock.go(200)
    await fleet.overdue(make.command_id)
    (failure,) = await failures(fleet)
    assert (failure.code, failure.state, failure.at) == ("timeout_no_result", "overdue", START_MS + 200_000)
    assert failure.from_status == failure.to_status == "make_pending"


async def test_late_proof_of_a_drink_is_no_failure_any_more(fleet: Fleet):
    make = await fleet.lose_sight("dev-1", "order-1")
    await fleet.report(make, MakeState.DONE, actuated=Actuated.YES)
    assert await failures(fleet) == []


async def test_each_attempt_of_one_order_is_a_failure_of_its_own(fleet: Fleet):
    first = await fleet.lose_sight("dev-1", "order-1")
    fleet.clock.go(60)
    second = await make_again(fleet, "order-1")
    await fleet.report(second, MakeState.STARTED)
    fleet.clock.go(60)
    await fleet.report(second, MakeState.UNKNOWN, code=Code.POWER_LOSS)
    told = [(failure.command_id, failure.at - START_MS) for failure in await failures(fleet)]
    assert told == [(second.command_id, 120_000), (first.command_id, 0)]


async def test_failures_go_on_from_a_place_both_ways(fleet: Fleet):
    for number in range(5):
        await fleet.fail("dev-1", f"order-{number}")
    newest_first = await failures(fleet)
    middle = Place(newest_first[2].created_at, newest_first[2].command_id)
    assert await fleet.db.read(desk.failures_before, "dev-1", middle, 9) == newest_first[3:]
    assert await fleet.db.read(desk.failures_after, "dev-1", middle, 9) == newest_first[:2]
    assert await fleet.db.read(desk.failures_after, "dev-1", middle, 1) == newest_first[1:2]


async def test_the_fleet_has_each_machines_own_last_failure(fleet: Fleet):
    await fleet.add("dev-2", "Ангарская, 5")
    await fleet.add("dev-3", "Яблочная, 7")
    await fleet.connect("dev-2")
    for order_id, device_uuid in (("order-1", "dev-1"), ("order-2", "dev-2"), ("order-3", "dev-1")):
        await fleet.fail(device_uuid, order_id)
    machines = await fleet.db.read(desk.fleet)
    last = {one.device.device_uuid: one.last_failure and one.last_failure.order_id for one in machines}
    assert last == {"dev-1": "order-3", "dev-2": "order-2", "dev-3": None}


async def test_one_machine_is_as_in_the_fleet(fleet: Fleet):
    await fleet.lose_sight("dev-1", "order-1")
    machine = await fleet.db.read(desk.machine, "dev-1")
    assert [machine] == await fleet.db.read(desk.fleet)
    assert machine is not None and machine.open_cases == 1


async def test_an_unknown_machine_is_none(fleet: Fleet):
    assert await fleet.db.read(desk.machine, "nothing") is None


async def test_a_case_brings_its_order_and_place(fleet: Fleet):
    await fleet.lose_sight("dev-1", "order-1")
    (case,) = await fleet.db.read(desk.open_cases)
    assert (case.kind, case.order_id, case.location) == ("outcome_unknown", "order-1", "ул. Ленина, 1")
    assert (case.drink_name, case.price_minor, case.failure_code) == ("Эспрессо", 9000, "power_loss")


async def test_a_case_without_an_order_is_shown_too(fleet: Fleet):
    now = fleet.clock()
    await fleet.db.write(progress.open_case, fleet.rules, "stray_money", "bank-77", now, "9000 kopecks")
    (case,) = await fleet.db.read(desk.open_cases)
    assert (case.order_id, case.location, case.detail) == (None, None, "9000 kopecks")


async def test_a_command_that_was_called_off_is_no_failure(fleet: Fleet):
    make = await fleet.sell("dev-1", "order-1")
    await fleet.db.write(_requeue, make)
    await fleet.db.write(makes.cancel_queued, "order-1", fleet.clock())
    assert await failures(fleet) == []


def _requeue(make: Make) -> Transaction[None]:
    yield Statement("UPDATE makes SET state = 'queued' WHERE command_id = $1", (make.command_id,))
