"""Cases: what a person has to decide or to know."""

from server.db import Statement, Transaction
from server.store.rows import Case, columns, insert, many, one

_ALL = columns(Case)


def open_case(case: Case) -> Transaction[None]:
    """Open a case, unless one of this kind is open for this subject already."""
    sql, values = insert("cases", case)
    yield Statement(f"{sql} ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO NOTHING", values)


def get(case_id: str) -> Transaction[Case | None]:
    """The case, or None."""
    return one(Case, (yield Statement(f"SELECT {_ALL} FROM cases WHERE case_id = $1", (case_id,))))


def known(kind: str, subject: str, since: int = 0) -> Transaction[bool]:
    """Whether a case of this kind was opened for this subject since then, be it open or closed."""
    rows = yield Statement(
        "SELECT 1 FROM cases WHERE kind = $1 AND subject = $2 AND opened_at >= $3 LIMIT 1",
        (kind, subject, since),
    )
    return bool(rows)


def told(kind: str, subject: str, detail: str) -> Transaction[bool]:
    """Whether there was ever a case of this kind for this subject that says so, or one is open."""
    rows = yield Statement(
        "SELECT 1 FROM cases WHERE kind = $1 AND subject = $2 AND (detail = $3 OR closed_at IS NULL) LIMIT 1",
        (kind, subject, detail),
    )
    return bool(rows)


def close(kind: str, subject: str, at: int, by: str, resolution: str, reason: str = "") -> Transaction[bool]:
    """Close the open case of this kind and subject; return whether there was one."""
    rows = yield Statement(
        "UPDATE cases SET closed_at = $3, closed_by = $4, resolution = $5, reason = $6 "
        "WHERE kind = $1 AND subject = $2 AND closed_at IS NULL RETURNING case_id",
        (kind, subject, at, by, resolution, reason),
    )
    return bool(rows)


def open_cases(limit: int = 200) -> Transaction[list[Case]]:
    """Open cases, oldest first."""
    rows = yield Statement(
        f"SELECT {_ALL} FROM cases WHERE closed_at IS NULL ORDER BY opened_at LIMIT $1", (limit,)
    )
    return many(Case, rows)


def open_per_device() -> Transaction[dict[str, int]]:
    """How many cases are open, by device."""
    rows = yield Statement(
        "SELECT device_uuid, count(*) AS n FROM cases "
        "WHERE closed_at IS NULL AND device_uuid IS NOT NULL GROUP BY device_uuid"
    )
    return {row["device_uuid"]: row["n"] for row in rows}


def count_open() -> Transaction[int]:
    """How many cases are open."""
    rows = yield Statement("SELECT count(*) AS n FROM cases WHERE closed_at IS NULL")
    count: int = rows[0]["n"]
    return count
