"""Make commands: what was asked of the machines and what became of it."""

from typing import Any

from server.db import Statement, Transaction
from server.store.rows import Make, columns, from_row, insert, many, one, update

_ALL = columns(Make)
_OPEN = "state IN ('queued', 'sent', 'received', 'started', 'overdue', 'unknown')"
"""As the index of what is open has it: SQLite uses it only where the same words stand."""

_QUEUED = (
    f"SELECT {_ALL} FROM makes WHERE device_uuid = $1 AND {_OPEN} AND state = 'queued' AND expires_at > $2"
)
_TAKEN = (
    "SELECT 1 FROM makes AS taken WHERE taken.device_uuid = $1 "
    "AND taken.state IN ('sent', 'received', 'started')"
)
_LONGEST = "ORDER BY created_at, command_id LIMIT 1"


def get(command_id: str) -> Transaction[Make | None]:
    """The command, or None."""
    return one(Make, (yield Statement(f"SELECT {_ALL} FROM makes WHERE command_id = $1", (command_id,))))


def add(make: Make) -> Transaction[None]:
    """A new command. Raises Conflict when the attempt exists."""
    yield Statement(*insert("makes", make))


def change(make: Make, changes: dict[str, Any]) -> Transaction[Make | None]:
    """Write just `changes` if the command still has `make`'s state; None: someone was first."""
    sql, values = update("makes", changes, "command_id = $1 AND state = $2", make.command_id, make.state)
    rows = yield Statement(f"{sql} RETURNING {_ALL}", values)
    return from_row(Make, rows[0]) if rows else None


def of_order(order_id: str) -> Transaction[list[Make]]:
    """All attempts of an order, first to last."""
    rows = yield Statement(f"SELECT {_ALL} FROM makes WHERE order_id = $1 ORDER BY attempt_no", (order_id,))
    return many(Make, rows)


def in_flight(device_uuid: str) -> Transaction[Make | None]:
    """The command that the device's machine is taken by, or None."""
    rows = yield Statement(
        f"SELECT {_ALL} FROM makes WHERE device_uuid = $1 AND state IN ('sent', 'received', 'started')",
        (device_uuid,),
    )
    return one(Make, rows)


def next_queued(device_uuid: str, now: int) -> Transaction[Make | None]:
    """The command that has waited longest for the device and still lives, or None."""
    return one(Make, (yield Statement(f"{_QUEUED} {_LONGEST}", (device_uuid, now))))


def next_for_free_machine(device_uuid: str, now: int) -> Transaction[Make | None]:
    """What `next_queued` gives, or None where the device's machine is taken by another command."""
    return one(Make, (yield Statement(f"{_QUEUED} AND NOT EXISTS ({_TAKEN}) {_LONGEST}", (device_uuid, now))))


def has_none_before(device_uuid: str, now: int) -> Transaction[bool]:
    """Whether nothing waits for the device or is with it: a new command may go to it at once."""
    rows = yield Statement(
        f"SELECT 1 AS first FROM makes WHERE device_uuid = $1 AND {_OPEN} AND ((state = 'queued' "
        "AND expires_at > $2) OR state IN ('sent', 'received', 'started')) LIMIT 1",
        (device_uuid, now),
    )
    return not rows


def open_on(device_uuid: str, limit: int = 100) -> Transaction[list[Make]]:
    """Commands that were sent to the device and have no final truth: the one in flight, then the newest."""
    rows = yield Statement(
        f"SELECT {_ALL} FROM makes WHERE device_uuid = $1 AND {_OPEN} AND state <> 'queued' "
        "ORDER BY state IN ('sent', 'received', 'started') DESC, created_at DESC LIMIT $2",
        (device_uuid, limit),
    )
    return many(Make, rows)


def open_or_waiting(device_uuid: str, now: int) -> Transaction[tuple[list[Make], bool]]:
    """What `open_on` gives, and whether a command waits to be sent."""
    unsettled = yield from open_on(device_uuid)
    return unsettled, (yield from next_queued(device_uuid, now)) is not None


def waiting_devices(now: int) -> Transaction[list[str]]:
    """The devices for which a command waits, and whose machine is free."""
    rows = yield Statement(
        "SELECT DISTINCT device_uuid FROM makes WHERE wake_at > $1 AND state = 'queued' AND NOT EXISTS ("
        "SELECT 1 FROM makes AS taken WHERE taken.device_uuid = makes.device_uuid "
        "AND taken.state IN ('sent', 'received', 'started'))",
        (now,),
    )
    return [row["device_uuid"] for row in rows]


_OURS = (
    "FROM makes LEFT JOIN agents ON agents.device_uuid = makes.device_uuid "
    "WHERE wake_at IS NOT NULL AND (agents.server_id = $1 OR agents.server_id IS NULL)"
)
"""A process looks after the commands of devices that it holds, and of those that nobody holds."""


def claim_due(server_id: str, now: int, until: int, limit: int = 100) -> Transaction[list[Make]]:
    """Commands that a process must look at now; no other gets them before `until`, their new `wake_at`."""
    rows = yield Statement(
        f"UPDATE makes SET wake_at = $3 WHERE wake_at <= $2 AND command_id IN (SELECT command_id {_OURS} "
        f"AND wake_at <= $2 ORDER BY wake_at LIMIT $4) RETURNING {_ALL}",
        (server_id, now, until, limit),
    )
    return many(Make, rows)


def next_wake(server_id: str) -> Transaction[int | None]:
    """When a process must look at a command next, or None."""
    rows = yield Statement(f"SELECT wake_at {_OURS} ORDER BY wake_at LIMIT 1", (server_id,))
    return rows[0]["wake_at"] if rows else None


def cancel_queued(order_id: str, now: int) -> Transaction[None]:
    """Commands of the order that were not sent yet never will be."""
    yield Statement(
        "UPDATE makes SET state = 'expired', ended_at = $2, wake_at = NULL "
        "WHERE order_id = $1 AND state = 'queued'",
        (order_id, now),
    )
