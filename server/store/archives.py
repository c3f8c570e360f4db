"""What an archive takes out of the database: whole orders, handled notifications; and the note of where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.archiving import TABLES, Whole, wholes, why_it_stays
from server.db import Row, Statement, Transaction, serializable
from server.store.rows import columns, many


@dataclass(frozen=True, slots=True)
class Archive:
    """A row of `archives`: a file to which orders were moved."""

    archive_id: str
    file: str
    before_at: int
    orders: int
    updated_at: int


_ALL = columns(Archive)

_OF_ORDER = dict.fromkeys(TABLES, "order_id IN ({ids})") | dict.fromkeys(
    ("captures", "receipts"), "payment_id IN (SELECT payment_id FROM payments WHERE order_id IN ({ids}))"
)
"""How the rows of some orders are found in each table."""


def every() -> Transaction[list[Archive]]:
    """All archives, the oldest first."""
    return many(Archive, (yield Statement(f"SELECT {_ALL} FROM archives ORDER BY before_at, archive_id")))


def get(archive_id: str) -> Transaction[Archive | None]:
    """What is known of an archive, or None."""
    rows = yield Statement(f"SELECT {_ALL} FROM archives WHERE archive_id = $1", (archive_id,))
    return many(Archive, rows)[0] if rows else None


def note(archive: Archive) -> Transaction[None]:
    """Remember where orders went. `orders` are added to those that went there before."""
    yield Statement(
        f"INSERT INTO archives ({_ALL}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (archive_id) DO UPDATE "
        "SET file = excluded.file, orders = archives.orders + excluded.orders, "
        "updated_at = excluded.updated_at, before_at = CASE WHEN excluded.before_at > archives.before_at "
        "THEN excluded.before_at ELSE archives.before_at END",
        (archive.archive_id, archive.file, archive.before_at, archive.orders, archive.updated_at),
    )


def begin(archive: Archive) -> Transaction[None]:
    """Have the moves to this archive to itself until `end`. Raises Conflict while another has them."""
    yield from note(archive)
    yield Statement("UPDATE archives SET moving = 1 WHERE archive_id = $1", (archive.archive_id,))


def end(archive_id: str) -> Transaction[None]:
    """Let another archive be moved to."""
    yield Statement("UPDATE archives SET moving = NULL WHERE archive_id = $1", (archive_id,))


def moved_to() -> Transaction[str | None]:
    """The file of the archive a move to which has not ended, or None."""
    rows = yield Statement("SELECT file FROM archives WHERE moving = 1")
    return rows[0]["file"] if rows else None


def correct(archive: Archive) -> Transaction[None]:
    """Write down what is true of an archive now."""
    yield Statement(
        "UPDATE archives SET file = $2, before_at = $3, orders = $4, updated_at = $5 WHERE archive_id = $1",
        (archive.archive_id, archive.file, archive.before_at, archive.orders, archive.updated_at),
    )


def present(order_ids: Sequence[str]) -> Transaction[set[str]]:
    """Which of the orders are in this database."""
    ids = ", ".join(f"${number}" for number in range(1, len(order_ids) + 1))
    rows = yield Statement(f"SELECT order_id FROM orders WHERE order_id IN ({ids})", tuple(order_ids))
    return {row["order_id"] for row in rows}


def device_ids() -> Transaction[list[str]]:
    """Every device."""
    rows = yield Statement("SELECT device_uuid FROM devices ORDER BY device_uuid")
    return [row["device_uuid"] for row in rows]


def older(
    device_uuid: str, before: int, after: tuple[int, str], limit: int
) -> Transaction[list[tuple[int, str]]]:
    """Time and id of the device's orders made before then, oldest first, from `after` on."""
    rows = yield Statement(
        "SELECT created_at, order_id FROM orders WHERE device_uuid = $1 AND created_at < $2 "
        "AND (created_at, order_id) > ($3, $4) ORDER BY created_at, order_id LIMIT $5",
        (device_uuid, before, *after, limit),
    )
    return [(row["created_at"], row["order_id"]) for row in rows]


def whole(order_ids: Sequence[str]) -> Transaction[dict[str, Whole]]:
    """The orders with these ids, each with all its rows."""
    ids = ", ".join(f"${number}" for number in range(1, len(order_ids) + 1))
    found: dict[str, list[Mapping[str, Any]]] = {}
    for table in TABLES:
        where = _OF_ORDER[table].format(ids=ids)
        rows = yield Statement(f"SELECT * FROM {table} WHERE {where}", tuple(order_ids))
        found[table] = sorted(map(dict, rows), key=str)
    return wholes(found)


def disputed() -> Transaction[set[str]]:
    """What open cases are about."""
    rows = yield Statement("SELECT subject, order_id FROM cases WHERE closed_at IS NULL")
    return {row["subject"] for row in rows} | {row["order_id"] for row in rows if row["order_id"]}


def owners(device_uuids: Sequence[str]) -> Transaction[tuple[list[Row], list[Row]]]:
    """The merchants of all payments there are, and these devices."""
    ids = ", ".join(f"${number}" for number in range(1, len(device_uuids) + 1))
    merchants = yield Statement("SELECT * FROM merchants")
    devices = yield Statement(f"SELECT * FROM devices WHERE device_uuid IN ({ids})", tuple(device_uuids))
    return [dict(row) for row in merchants], [dict(row) for row in devices]


@serializable  # a case that a comparison opens may name no order
def put_away(archive: Archive, copies: Mapping[str, Whole]) -> Transaction[list[str]]:
    """Take out the orders whose copies in the archive are still all there is of them; return their ids.

    One that has changed since, or has a case now, stays.
    """
    now = yield from whole(list(copies))
    about = yield from disputed()
    moved = [
        order_id
        for order_id, copy in copies.items()
        if now.get(order_id) == copy and why_it_stays(copy, archive.before_at, about) is None
    ]
    if moved:
        yield from remove(moved)
        yield from note(
            Archive(archive.archive_id, archive.file, archive.before_at, len(moved), archive.updated_at)
        )
    return moved


def remove(order_ids: Sequence[str]) -> Transaction[None]:
    """Delete orders with all that belongs to them."""
    ids = ", ".join(f"${number}" for number in range(1, len(order_ids) + 1))
    for table in reversed(TABLES):
        where = _OF_ORDER[table].format(ids=ids)
        yield Statement(f"DELETE FROM {table} WHERE {where}", tuple(order_ids))


# --- notifications ------------------------------------------------------------------------------------


def handled(before: int, after: tuple[int, str], limit: int) -> Transaction[list[dict[str, Any]]]:
    """Notifications that came before then and are done with, oldest first, from `after` on."""
    rows = yield Statement(
        "SELECT * FROM notifications WHERE received_at < $1 AND (received_at, notification_id) > ($2, $3) "
        "AND handled_at IS NOT NULL ORDER BY received_at, notification_id LIMIT $4",
        (before, *after, limit),
    )
    return [dict(row) for row in rows]


def forget_notifications(copies: Sequence[Mapping[str, Any]]) -> Transaction[int]:
    """Delete notifications unless they came again meanwhile; return how many."""
    gone = 0
    for copy in copies:
        rows = yield Statement(
            "DELETE FROM notifications WHERE notification_id = $1 AND received_at = $2 "
            "AND handled_at IS NOT NULL RETURNING notification_id",
            (copy["notification_id"], copy["received_at"]),
        )
        gone += len(rows)
    return gone
