"""What a write transaction reads of the rows that decide, it has to itself until it ends. Pure.

A write is a REPEATABLE READ transaction: it sees the database as it was at its beginning, and may take or
change no row that was changed since; then it is run again. So what a decision rests on must be rows that the
transaction takes or changes itself. What is read of the tables below is taken, by FOR UPDATE.

That is not enough for a decision from what is not there (no refund yet, no newer payment): a row that was
only taken and let go does not tell the next one that its view is old. So an order, an agent or a payment of
the sandbox that is read by its key is written, as it is. Of two transactions that read the same one, the
second is run again and sees all that the first has done. Therefore whoever adds to what belongs to an order,
or ends some of it, reads the order too; a unique key guards what belongs to none.
"""

import re

GUARDS = {
    "orders": ("order_id", "version"),
    "agents": ("device_uuid", "epoch"),
    "sandbox_payments": ("payment_id", "status"),
}
"""Table → its key, and a column that is written as it is and stands in no index."""

TAKEN = frozenset(
    {
        "orders",
        "payments",
        "captures",
        "refunds",
        "receipts",
        "notifications",
        "makes",
        "agents",
        "servers",
        "cases",
        "users",
        "sandbox_refunds",
        "sandbox_receipts",
        "sandbox_tbank_payments",
    }
)
"""Not what is loaded (merchants, devices, drinks): it is no order's, and many read it at once."""

_PLAIN = re.compile(r"SELECT ([\w, *]+) FROM (\w+)((?: WHERE .*| ORDER BY .*)?)")
_BY_KEY = re.compile(r" WHERE (\w+) = \$1")
_NOT_ROWS = re.compile(r"\b(SELECT|JOIN|GROUP|UNION|FOR)\b")


def deciding(sql: str) -> str:
    """Return the statement as a write transaction says it; one that does not read plain rows as it is."""
    found = _PLAIN.fullmatch(sql)
    if found is None or found[2] not in TAKEN | GUARDS.keys() or not _reads_rows(found[1], found[3]):
        return sql
    columns, table, which = found.groups()
    by_key = _BY_KEY.fullmatch(which)
    if table in GUARDS and by_key is not None and by_key[1] == GUARDS[table][0]:
        same = GUARDS[table][1]
        return f"UPDATE {table} SET {same} = {same}{which} RETURNING {columns}"
    return f"{sql} FOR UPDATE"


def _reads_rows(columns: str, which: str) -> bool:
    return not columns.startswith("DISTINCT ") and _NOT_ROWS.search(which) is None
