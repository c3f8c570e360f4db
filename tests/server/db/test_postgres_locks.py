"""What a write transaction says to PostgreSQL when it reads."""

import re

import pytest

from server.db.postgres_locks import GUARDS, TAKEN, deciding
from server.db.postgres_text import postgres_text
from server.migrations import schema_statements


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT payment_id, status FROM payments WHERE order_id = $1 ORDER BY attempt_no",
        "SELECT * FROM makes WHERE device_uuid = $1 ORDER BY created_at, command_id LIMIT 1",
        "SELECT 1 FROM cases WHERE kind = $1 AND subject = $2 LIMIT 1",
        "SELECT server_id FROM servers ORDER BY started_at",
        "SELECT 1 AS one FROM agents WHERE token_hash = $1",
        "SELECT order_id FROM orders WHERE deadline_at <= $1",
    ],
)
def test_rows_that_decide_are_taken(sql: str):
    assert deciding(sql) == f"{sql} FOR UPDATE"


def test_what_others_belong_to_is_written_as_it_is():
    sql = "SELECT order_id, status FROM orders WHERE order_id = $1"
    same = "UPDATE orders SET version = version WHERE order_id = $1 RETURNING order_id, status"
    assert deciding(sql) == same
    assert deciding("SELECT epoch FROM agents WHERE device_uuid = $1").startswith(
        "UPDATE agents SET epoch = "
    )


@pytest.mark.parametrize("table", GUARDS)
def test_what_is_written_as_it_is_stands_in_no_index(table: str):
    key, column = GUARDS[table]
    made = re.search(rf"CREATE TABLE {table} \((.*?)\n\);", schema_statements(), re.DOTALL)
    assert made is not None
    assert re.search(rf"\b{key} TEXT PRIMARY KEY", made[1])
    indexes = re.findall(rf"CREATE[A-Z ]* INDEX \w+ ON {table} (.*?);", schema_statements(), re.DOTALL)
    assert not [index for index in indexes if column in re.findall(r"\w+", index)]


@pytest.mark.parametrize("table", sorted(TAKEN | GUARDS.keys()))
def test_each_table_that_decides_is_there(table: str):
    assert f"CREATE TABLE {table} (" in schema_statements()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM merchants WHERE merchant_id = $1",
        "SELECT count(*) AS n FROM cases WHERE closed_at IS NULL",
        "SELECT min(next_check_at) AS at FROM payments WHERE next_check_at IS NOT NULL",
        "SELECT DISTINCT device_uuid FROM makes WHERE state = 'queued'",
        "SELECT wake_at FROM makes LEFT JOIN agents ON true WHERE wake_at IS NOT NULL",
        "SELECT receipt_id FROM receipts WHERE payment_id IN (SELECT payment_id FROM payments)",
        "SELECT device_uuid FROM makes WHERE true GROUP BY device_uuid",
        "UPDATE orders SET status = $2 WHERE order_id = $1 RETURNING order_id",
        "INSERT INTO order_events (seq) SELECT max(seq) FROM order_events WHERE order_id = $1",
    ],
)
def test_other_statements_are_left_as_they_are(sql: str):
    assert deciding(sql) == sql


def test_only_a_transaction_that_may_write_takes_rows_and_reading_is_no_change():
    sql = "SELECT status FROM orders WHERE order_id = $1"
    assert postgres_text(sql, ("o1",)).sql == "SELECT status FROM orders WHERE order_id = $1::text"
    text = postgres_text(sql, ("o1",), writes=True)
    assert text.sql == "UPDATE orders SET version = version WHERE order_id = $1::text RETURNING status"
    assert not text.changes
    assert not text.tells_number
