"""What a sale asks of the database is answered by an index, however many finished orders there are."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from server.db.sqlite import sqlite_text
from server.store import devices, makes, orders, payments

SCHEMA = Path(__file__).resolve().parents[3] / "schema.sql"

QUESTIONS: list[tuple[Any, tuple[Any, ...]]] = [
    (orders.get, ("order-1",)),
    (orders.history, ("order-1",)),
    (orders.next_deadline, ()),
    (orders.past_deadline, (1,)),
    (payments.get, ("pay-1",)),
    (payments.by_provider_id, ("bp-1",)),
    (payments.of_order, ("order-1",)),
    (payments.waiting, ("order-1",)),
    (payments.refund_of, ("pay-1",)),
    (payments.refunds_of_order, ("order-1",)),
    (payments.next_check, ()),
    (payments.next_refund, ()),
    (payments.next_capture, ()),
    (payments.next_notification, ()),
    (makes.get, ("make-1",)),
    (makes.of_order, ("order-1",)),
    (makes.in_flight, ("dev-1",)),
    (makes.next_queued, ("dev-1", 1)),
    (makes.open_on, ("dev-1",)),
    (makes.waiting_devices, (1,)),
    (makes.next_wake, ("server-1",)),
    (makes.cancel_queued, ("order-1", 1)),
    (devices.device_of_token, ("hash",)),
    (devices.is_newer_token, ("hash",)),
]


@pytest.fixture(scope="module")
def empty() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.executescript(SCHEMA.read_text(encoding="utf-8"))
    return database


@pytest.mark.parametrize(("question", "values"), QUESTIONS, ids=lambda part: getattr(part, "__name__", None))
def test_no_question_of_a_sale_reads_a_whole_table(empty: sqlite3.Connection, question: Any, values: Any):
    statement = next(question(*values))
    plan = empty.execute(f"EXPLAIN QUERY PLAN {sqlite_text(statement.sql)}", statement.values).fetchall()
    assert [step for *_, step in plan if step.startswith("SCAN")] == []
