"""The rows of the database as frozen records, and how a row becomes one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, TypeVar

from server.db import Row

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Order:
    """A row of `orders`."""

    order_id: str
    device_uuid: str
    drink_no: str
    drink_name: str
    size: str
    price_minor: int
    currency: str
    payment_scenario: str
    status: str
    refund_status: str | None
    failure_code: str | None
    failure_said: str | None
    attempt_no: int
    created_at: int
    updated_at: int
    expires_at: int
    payment_started_at: int | None
    paid_at: int | None
    deadline_at: int | None
    version: int
    email: str | None


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """A row of `order_events`."""

    order_id: str
    seq: int
    at: int
    event: str
    from_status: str
    to_status: str
    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A row of `payments`."""

    payment_id: str
    order_id: str
    attempt_no: int
    scenario: str
    merchant_id: str
    method: str
    amount_minor: int
    currency: str
    idempotence_key: str
    body: str
    provider_payment_id: str | None
    confirmation_url: str | None
    confirmation_kind: str | None
    status: str
    detail: str
    checks: int
    next_check_at: int | None
    created_at: int
    updated_at: int
    leased_until: int | None = None
    unasked_since: int | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """A row of `captures`: held money of a payment that is to be taken."""

    payment_id: str
    idempotence_key: str
    body: str
    status: str
    detail: str
    tries: int
    next_try_at: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Refund:
    """A row of `refunds`."""

    refund_id: str
    payment_id: str
    order_id: str
    kind: str
    amount_minor: int
    currency: str
    reason: str
    idempotence_key: str
    body: str
    provider_refund_id: str | None
    status: str
    detail: str
    tries: int
    next_try_at: int | None
    created_at: int
    updated_at: int
    leased_until: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A row of `receipts`: of a payment or of its refund, whose id it has."""

    receipt_id: str
    payment_id: str
    kind: str
    status: str
    amount_minor: int
    storage_number: str | None
    document_number: str | None
    attribute: str | None
    registered_at: str | None
    tries: int
    next_check_at: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Make:
    """A row of `makes`: one attempt at one drink."""

    command_id: str
    order_id: str
    attempt_no: int
    device_uuid: str
    drink_no: str
    size: str
    price_minor: int
    state: str
    code: str | None
    actuated: str
    evidence: str
    said: str
    epoch: int | None
    journal_id: str | None
    created_at: int
    expires_at: int
    sent_at: int | None
    received_at: int | None
    started_at: int | None
    ended_at: int | None
    wake_at: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """A row of `devices` with what its merchant says: name, validity, holding, receipts."""

    device_uuid: str
    merchant_id: str
    merchant_name: str
    valid_until: int | None
    holds_cards_since: int | None
    receipt: str | None
    location: str
    payment_scenario: str
    redirect_url: str | None
    logo_url: str | None
    client_info: str | None
    client_info_pending: str | None
    client_info_paid: str | None
    client_info_not_paid: str | None
    client_info_make_pending: str | None
    client_info_manual_make: str | None
    client_info_successful: str | None
    client_info_make_failed: str | None
    client_error_info: str | None


TEXT_FIELDS = (
    "client_info",
    "client_info_pending",
    "client_info_paid",
    "client_info_not_paid",
    "client_info_make_pending",
    "client_info_manual_make",
    "client_info_successful",
    "client_info_make_failed",
)
"""The customer's texts of a device, as the status JSON carries them."""


@dataclass(frozen=True, slots=True)
class Drink:
    """A row of `drinks`; `prices` maps a size to kopecks."""

    drink_no: str
    name: str
    prices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Agent:
    """A row of `agents`."""

    device_uuid: str
    epoch: int
    boot_id: str | None
    journal_id: str | None
    acked_seq: int
    connected_at: int | None
    last_seen_at: int | None
    machine_state: str | None
    machine_model: str | None
    machine_code: str | None
    machine_said: str | None
    machine_at: int | None
    server_id: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """A row of `cases`."""

    case_id: str
    kind: str
    subject: str
    order_id: str | None
    device_uuid: str | None
    detail: str
    opened_at: int
    closed_at: int | None
    closed_by: str | None
    resolution: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Notification:
    """A row of `notifications`."""

    notification_id: str
    provider: str
    event: str
    object_id: str
    body: str
    received_at: int
    handled_at: int | None
    outcome: str
    tries: int
    next_try_at: int | None


_NAMES: dict[type, tuple[str, ...]] = {}
_VALUES: dict[type, Callable[[Row], tuple[Any, ...]]] = {}


def names(record: type) -> tuple[str, ...]:
    """Return the record's columns in its order."""
    known = _NAMES.get(record)
    if known is None:
        known = _NAMES[record] = tuple(field.name for field in fields(record))
    return known


def columns(record: type) -> str:
    """Return the record's columns for a SELECT or an INSERT."""
    return ", ".join(names(record))


def from_row(record: type[R], row: Row) -> R:
    """Return the row as a record."""
    values_of = _VALUES.get(record)
    if values_of is None:
        values_of = _VALUES[record] = itemgetter(*names(record))
    values = values_of(row)
    if record is Drink:
        values = (*values[:-1], json.loads(values[-1]))
    return record(*values)


def one(record: type[R], rows: Sequence[Row]) -> R | None:
    """Return the only row as a record, or None."""
    return from_row(record, rows[0]) if rows else None


def many(record: type[R], rows: Sequence[Row]) -> list[R]:
    """Return the rows as records."""
    return [from_row(record, row) for row in rows]


def insert(table: str, record: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the INSERT of a record into its table, and its values."""
    own = names(type(record))
    return _insertion(table, own), tuple(getattr(record, name) for name in own)


@cache
def _insertion(table: str, own: tuple[str, ...]) -> str:
    marks = ", ".join(f"${number}" for number in range(1, len(own) + 1))
    return f"INSERT INTO {table} ({', '.join(own)}) VALUES ({marks})"


def update(table: str, changes: Mapping[str, Any], where: str, *values: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the UPDATE that writes just `changes`; `where` uses $1, $2, ... for `values`."""
    return _alteration(table, tuple(changes), where, len(values) + 1), (*values, *changes.values())


@lru_cache(maxsize=1024)
def _alteration(table: str, own: tuple[str, ...], where: str, start: int) -> str:
    written = ", ".join(f"{name} = ${number}" for number, name in enumerate(own, start))
    return f"UPDATE {table} SET {written} WHERE {where}"
