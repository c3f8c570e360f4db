"""Attempts to sign in, kept while they count against further ones."""

from server.db import Statement, Transaction


def from_network(network: str, since: int) -> Transaction[list[tuple[str, int]]]:
    """Mark and time of each attempt made from there after `since`, the oldest first."""
    rows = yield Statement(
        "SELECT mark, at FROM login_attempts WHERE network = $1 AND at > $2 ORDER BY at", (network, since)
    )
    return [(row["mark"], row["at"]) for row in rows]


def keep(attempt_id: str, network: str, mark: str, at: int) -> Transaction[None]:
    """An attempt was made."""
    yield Statement(
        "INSERT INTO login_attempts (attempt_id, network, mark, at) VALUES ($1, $2, $3, $4)",
        (attempt_id, network, mark, at),
    )


def forget(network: str, mark: str) -> Transaction[None]:
    """The attempts at this name from there count no more."""
    yield Statement("DELETE FROM login_attempts WHERE network = $1 AND mark = $2", (network, mark))


def forget_until(at: int) -> Transaction[None]:
    """Attempts up to then count no more."""
    yield Statement("DELETE FROM login_attempts WHERE at <= $1", (at,))
