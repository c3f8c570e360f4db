"""What a technician asks: how each machine stands, what failed on it, and what waits for a decision."""

from dataclasses import dataclass
from typing import NamedTuple

from server.db import Statement, Transaction
from server.store import cases, devices
from server.store.rows import Agent, Device, many


@dataclass(frozen=True, slots=True)
class Failure:
    """One make attempt that failed or whose outcome is not known, with its order.

    `at` is when it became known; `from_status` and `to_status` are what it did to the order, None when it did
    nothing. `newest_attempt` is the order's attempt that counts now.
    """

    command_id: str
    order_id: str
    attempt_no: int
    device_uuid: str
    size: str
    state: str
    code: str
    actuated: str
    evidence: str
    said: str
    created_at: int
    at: int
    from_status: str | None
    to_status: str | None
    drink_no: str
    drink_name: str
    price_minor: int
    currency: str
    status: str
    refund_status: str | None
    newest_attempt: int


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case with its machine's place and its order, where it has them."""

    case_id: str
    kind: str
    detail: str
    opened_at: int
    order_id: str | None
    device_uuid: str | None
    location: str | None
    drink_name: str | None
    price_minor: int | None
    status: str | None
    failure_code: str | None
    failure_said: str | None
    refund_status: str | None


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant's account at a provider, and when a notification about a payment of it came last."""

    merchant_name: str
    scenario: str
    heard_at: int | None


@dataclass(frozen=True)
class Machine:
    """A device with all that its line in the list says. `agent` is None until it had a token."""

    device: Device
    agent: Agent | None
    last_failure: Failure | None
    open_cases: int


class Place(NamedTuple):
    """Where a failure stands in the list of its machine; the list is by time of the command, newest first."""

    created_at: int
    command_id: str


_FAILURES = """
    SELECT makes.command_id, makes.order_id, makes.attempt_no, makes.device_uuid, makes.size, makes.state,
        makes.code, makes.actuated, makes.evidence, makes.said, makes.created_at,
        coalesce(event.at, makes.ended_at, makes.created_at) AS at, event.from_status, event.to_status,
        orders.drink_no, orders.drink_name, orders.price_minor, orders.currency, orders.status,
        orders.refund_status, orders.attempt_no AS newest_attempt
    FROM makes
    JOIN orders ON orders.order_id = makes.order_id
    LEFT JOIN order_events AS event ON event.order_id = makes.order_id AND event.seq = (
        SELECT min(told.seq) FROM order_events AS told
        WHERE told.order_id = makes.order_id AND told.detail LIKE makes.code || ':%'
            AND told.at >= makes.created_at AND (makes.ended_at IS NULL OR told.at = makes.ended_at))
"""


def failures_before(device_uuid: str, place: Place, limit: int) -> Transaction[list[Failure]]:
    """The device's failures older than `place`, newest first."""
    rows = yield Statement(
        f"{_FAILURES} WHERE makes.device_uuid = $1 AND makes.code IS NOT NULL "
        "AND (makes.created_at, makes.command_id) < ($2, $3) "
        "ORDER BY makes.created_at DESC, makes.command_id DESC LIMIT $4",
        (device_uuid, *place, limit),
    )
    return many(Failure, rows)


def failures_after(device_uuid: str, place: Place, limit: int) -> Transaction[list[Failure]]:
    """The device's failures next newer than `place`, newest first."""
    rows = yield Statement(
        f"{_FAILURES} WHERE makes.device_uuid = $1 AND makes.code IS NOT NULL "
        "AND (makes.created_at, makes.command_id) > ($2, $3) "
        "ORDER BY makes.created_at, makes.command_id LIMIT $4",
        (device_uuid, *place, limit),
    )
    return many(Failure, rows)[::-1]


def last_failures() -> Transaction[dict[str, Failure]]:
    """The newest failure of each device that has any."""
    rows = yield Statement(
        f"{_FAILURES} WHERE makes.command_id IN (SELECT (SELECT last.command_id FROM makes AS last "
        "WHERE last.device_uuid = devices.device_uuid AND last.code IS NOT NULL "
        "ORDER BY last.created_at DESC, last.command_id DESC LIMIT 1) FROM devices)"
    )
    return {failure.device_uuid: failure for failure in many(Failure, rows)}


def fleet() -> Transaction[list[Machine]]:
    """Every machine, by place."""
    agents = {agent.device_uuid: agent for agent in (yield from devices.every_agent())}
    failed = yield from last_failures()
    waiting = yield from cases.open_per_device()
    return [
        Machine(
            device,
            agents.get(device.device_uuid),
            failed.get(device.device_uuid),
            waiting.get(device.device_uuid, 0),
        )
        for device in (yield from devices.every())
    ]


NEWEST = Place(2**62, "")


def machine(device_uuid: str) -> Transaction[Machine | None]:
    """The machine, or None."""
    device = yield from devices.get(device_uuid)
    if device is None:
        return None
    agent = yield from devices.agent(device_uuid)
    failed = yield from failures_before(device_uuid, NEWEST, 1)
    waiting = yield from cases.open_per_device()
    return Machine(device, agent, failed[0] if failed else None, waiting.get(device_uuid, 0))


def open_cases(limit: int = 200) -> Transaction[list[OpenCase]]:
    """Open cases, oldest first."""
    rows = yield Statement(
        "SELECT cases.case_id, cases.kind, cases.detail, cases.opened_at, cases.order_id, "
        "coalesce(cases.device_uuid, orders.device_uuid) AS device_uuid, devices.location, "
        "orders.drink_name, orders.price_minor, orders.status, orders.failure_code, orders.failure_said, "
        "orders.refund_status FROM cases LEFT JOIN orders ON orders.order_id = cases.order_id "
        "LEFT JOIN devices ON devices.device_uuid = coalesce(cases.device_uuid, orders.device_uuid) "
        "WHERE cases.closed_at IS NULL ORDER BY cases.opened_at, cases.case_id LIMIT $1",
        (limit,),
    )
    return many(OpenCase, rows)


def shops() -> Transaction[list[Shop]]:
    """Every merchant's account at a provider, by name."""
    rows = yield Statement(
        "SELECT merchants.name AS merchant_name, scenario, heard_at FROM credentials "
        "JOIN merchants ON merchants.merchant_id = credentials.merchant_id ORDER BY name, scenario"
    )
    return many(Shop, rows)
