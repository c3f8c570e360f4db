"""`python -m bench.filler`: fills a shop's database with finished orders, as years of selling leave them.

Written straight into the SQLite file that nobody has open. Ids are spread as real ones are, so that a new
order finds its place in the middle of every index; texts that nobody looks for are shorter than real ones.
"""

import asyncio
import os
import sqlite3
from pathlib import Path

from bench.children import Said, obey

YEAR_MS = 365 * 24 * 3_600_000
DAY_MS = 24 * 3_600_000
CACHE_KIB = 256 * 1024

TABLES = ("orders", "order_events", "payments", "refunds", "makes", "cases", "notifications")

_ID = "printf('%08x%04x', n * 4294967296 / :orders, n * 40503 & 65535)"
"""Ascending, so that the index of a key is written once from left to right."""

_NUMBERED = f"""
WITH RECURSIVE
    numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :orders),
    sold (n, id, device, at, fate) AS (
        SELECT n, {_ID}, 'dev-' || (n % :machines),
            :now - {DAY_MS} - n * 1000003 % :orders * {YEAR_MS} / :orders,
            CASE WHEN n % 100 IN (0, 1) THEN 'make_failed' WHEN n % 100 = 2 THEN 'not_paid'
                ELSE 'successful' END
        FROM numbers
    )
"""
"""Of a hundred orders two failed and were paid back, and one was never paid."""

_ROWS = (
    """
    INSERT INTO orders (order_id, device_uuid, drink_no, drink_name, size, price_minor, currency,
        payment_scenario, refund_status, failure_code, attempt_no, created_at, updated_at, expires_at,
        payment_started_at, paid_at, version, status)
    {numbered}
    SELECT 'm-' || id, device, 'espresso', 'Эспрессо', 'small', 9000, 'RUB', 'Yookassa',
        CASE WHEN fate = 'make_failed' THEN 'succeeded' END,
        CASE WHEN fate = 'make_failed' THEN 'no_water' END,
        fate <> 'not_paid', at, at + 90000, at + 900000, at + 5000,
        CASE WHEN fate <> 'not_paid' THEN at + 30000 END, 5, fate
    FROM sold
    """,
    """
    INSERT INTO order_events (order_id, seq, at, event, from_status, to_status, cause)
    {numbered}
    SELECT 'm-' || id, seq, at + seq * 30000, event, from_status,
        CASE seq WHEN 3 THEN fate ELSE to_status END, cause
    FROM sold CROSS JOIN (
        SELECT 1 AS seq, 'created' AS event, 'created' AS from_status, 'created' AS to_status,
            'customer' AS cause
        UNION ALL SELECT 2, 'payment_started', 'created', 'pending', 'customer'
        UNION ALL SELECT 3, 'ended', 'pending', '', 'agent'
    )
    """,
    """
    INSERT INTO payments (payment_id, order_id, attempt_no, scenario, merchant_id, method, amount_minor,
        currency, idempotence_key, body, provider_payment_id, status, created_at, updated_at)
    {numbered}
    SELECT 'pay-' || id, 'm-' || id, 1, 'Yookassa', 'm1', 'card', 9000, 'RUB', 'pay-' || id, '{{}}',
        printf('%08x-000f-5000', n), CASE fate WHEN 'not_paid' THEN 'canceled' ELSE 'succeeded' END,
        at + 5000, at + 30000
    FROM sold
    """,
    """
    INSERT INTO refunds (refund_id, payment_id, order_id, kind, amount_minor, currency, reason,
        idempotence_key, body, provider_refund_id, status, created_at, updated_at)
    {numbered}
    SELECT 'refund-' || id, 'pay-' || id, 'm-' || id, 'refund', 9000, 'RUB', 'make_failed', 'refund-' || id,
        '{{}}', printf('%08x-0015-5000', n), 'succeeded', at + 90000, at + 95000
    FROM sold WHERE fate = 'make_failed'
    """,
    """
    INSERT INTO makes (command_id, order_id, attempt_no, device_uuid, drink_no, size, price_minor, state,
        code, actuated, evidence, epoch, journal_id, created_at, expires_at, sent_at, received_at, started_at,
        ended_at)
    {numbered}
    SELECT 'make-' || id, 'm-' || id, 1, device, 'espresso', 'small', 9000,
        CASE fate WHEN 'successful' THEN 'done' ELSE 'failed' END,
        CASE fate WHEN 'make_failed' THEN 'no_water' END,
        CASE fate WHEN 'successful' THEN 'yes' ELSE 'no' END,
        'counter_delta', 1, 'journal', at + 30000, at + 90000, at + 30100, at + 30200, at + 30300, at + 90000
    FROM sold WHERE fate <> 'not_paid'
    """,
    """
    INSERT INTO cases (case_id, kind, subject, order_id, device_uuid, opened_at, closed_at, closed_by,
        resolution)
    {numbered}
    SELECT 'case-' || id, 'outcome_unknown', 'make-' || id, 'm-' || id, device, at + 90000, at + 600000,
        'ivan', 'made'
    FROM sold WHERE n % 1000 = 999
    """,
    """
    INSERT INTO notifications (notification_id, provider, event, object_id, body, received_at, handled_at,
        outcome)
    {numbered}
    SELECT id || id, 'Yookassa', 'payment.succeeded', printf('%08x-000f-5000', n), '{{}}', at + 29000,
        at + 30000, 'succeeded'
    FROM sold WHERE fate <> 'not_paid'
    """,
)


def fill(path: Path, orders: int, machines: int, now: int) -> None:
    """Put so many finished orders of the year before `now` into a shop's database, and have them on the disk.

    What a crash leaves of it is worth nothing: it is written without a journal.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        indexes = _taken_away(connection)
        for rows in _ROWS:
            sql = rows.format(numbered=_NUMBERED)
            connection.execute(sql, {"orders": orders, "machines": machines, "now": now})
        for index in indexes:
            connection.execute(index)
    finally:
        connection.close()
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _taken_away(connection: sqlite3.Connection) -> list[str]:
    """Drop the indexes that can be built when all rows are there; return how each is made."""
    marks = ", ".join("?" * len(TABLES))
    found = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL "
        f"AND tbl_name IN ({marks})",
        TABLES,
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [sql for _, sql in found]


async def do(order: Said) -> Said:
    """Fill the database of an order to this process."""
    fill(Path(order["path"]), order["orders"], order["machines"], order["now"])
    return {}


if __name__ == "__main__":
    asyncio.run(obey(do))
