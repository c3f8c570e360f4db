"""No question of the server reads a table that grows with every order, however many are finished."""

import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from server.archiving import Whole
from server.db import Statement, Transaction
from server.db.sqlite import open_sqlite, sqlite_text
from server.errors import Conflict
from server.migrations import prepare_sqlite
from server.store import archives, cases, desk, devices, makes, orders, payments, receipts, servers, users

MODULES = (archives, cases, desk, devices, makes, orders, payments, receipts, servers, users)

COPIES: dict[Any, dict[str, Any]] = {
    archives.put_away: {"copies": {"1": Whole()}},
    archives.forget_notifications: {"copies": [{"notification_id": "1", "received_at": 1}]},
}
"""What an archive has a copy of."""

GROWING = (
    "orders|order_events|payments|captures|refunds|receipts|notifications|makes|cases|changes|"
    "taken|last|told|event"
)
"""Tables with a row or more for every order or mistake; the other names that questions give them."""

CHANGED = {
    devices.accept_session: "boot_id",
    devices.change_agent: "boot_id",
    makes.change: "said",
    payments.change_notification: "outcome",
}
"""A column that may be changed, where it is not `updated_at`."""

SMALL = {
    "cases_open",
    "captures_by_try",
    "makes_by_wake",
    "makes_one_in_flight",
    "makes_open_by_device",
    "notifications_open",
    "notifications_unmatched",
    "orders_by_deadline",
    "payments_by_check",
    "receipts_by_check",
    "refunds_by_try",
}
"""Indexes that hold only what is active, or came to nobody: these may be read whole."""

SCAN = re.compile(rf"SCAN ({GROWING})\b(?: USING (?:COVERING )?INDEX (\w+))?")


def questions() -> list[Any]:
    """Return every public function of the store that is a transaction."""
    return [
        pytest.param(function, id=f"{module.__name__.rpartition('.')[2]}.{name}")
        for module in MODULES
        for name, function in sorted(vars(module).items())
        if is_question(module, name, function)
    ]


def is_question(module: ModuleType, name: str, function: object) -> bool:
    mine = inspect.isgeneratorfunction(function) and function.__module__ == module.__name__
    return mine and not name.startswith("_")


def some(kind: Any) -> Any:
    """Return any value of a kind of argument."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: some(hints[field.name]) for field in fields(kind)})  # type: ignore[operator]
    if kind is desk.Place:
        return desk.NEWEST
    origin = getattr(kind, "__origin__", kind)
    if origin in (dict, Mapping):
        return {}
    if origin is Sequence:
        return ["pending"]
    return 1 if kind in (int, int | None) else "1"


def asked(function: Callable[..., Transaction[Any]], database: sqlite3.Connection) -> Iterator[str]:
    """Yield the statements of a question put to an empty database."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    given = {name: some(hints[name]) for name in parameters}
    given |= COPIES.get(function, {})
    if "changes" in given:
        given["changes"] = {CHANGED.get(function, "updated_at"): 1}
    transaction = function(**given)
    rows: Sequence[Any] | None = None
    while True:
        try:
            statement: Statement = next(transaction) if rows is None else transaction.send(rows)
        except (StopIteration, IndexError, Conflict):  # some need a row to go on; what follows is asked apart
            return
        yield statement.sql
        rows = []


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    prepare_sqlite(str(tmp_path / "shop.db"))
    connection = open_sqlite(str(tmp_path / "shop.db"))
    yield connection
    connection.close()


def read_whole(sql: str, database: sqlite3.Connection) -> list[str]:
    """Return the steps of a statement's plan that read a growing table from end to end."""
    values = [None] * len(set(re.findall(r"\$\d+", sql)))
    plan = database.execute(f"EXPLAIN QUERY PLAN {sqlite_text(sql)}", values)
    found = [SCAN.match(row["detail"]) for row in plan]
    return [step[0] for step in found if step and step[2] not in SMALL]


@pytest.mark.parametrize("function", questions())
def test_a_question_reads_no_table_that_grows(
    function: Callable[..., Transaction[Any]], database: sqlite3.Connection
):
    statements = list(asked(function, database))
    assert statements
    assert {sql: steps for sql in statements if (steps := read_whole(sql, database))} == {}


def test_a_table_read_whole_would_be_noticed(database: sqlite3.Connection):
    assert read_whole("SELECT * FROM payments WHERE detail = $1", database) == ["SCAN payments"]
    assert read_whole("SELECT count(*) FROM cases WHERE closed_at IS NULL", database) == []
