"""The processes that serve this database, and what becomes of the agents and leases of one that is gone."""

from dataclasses import dataclass

from server.db import Statement, Transaction, serializable
from server.store import payments
from server.store.rows import columns, insert, many


@dataclass(frozen=True, slots=True)
class Server:
    """A row of `servers`."""

    server_id: str
    started_at: int
    beats: int
    seen_at: int
    host: str = ""
    pid: int = 0


_ALL = columns(Server)


def every() -> Transaction[list[Server]]:
    """All processes, the eldest first."""
    rows = yield Statement(f"SELECT {_ALL} FROM servers ORDER BY started_at, server_id")
    return many(Server, rows)


@serializable  # who is alone, and who begins meanwhile, have no row in common
def begin(server_id: str, now: int, host: str = "", pid: int = 0) -> Transaction[list[Server]]:
    """A process starts; return all there are. One that is alone owes nobody its leases."""
    sql, values = insert("servers", Server(server_id, now, 0, now, host, pid))
    yield Statement(f"{sql} ON CONFLICT (server_id) DO NOTHING", values)
    yield Statement(
        "UPDATE agents SET connected_at = NULL, server_id = NULL, last_seen_at = $1 "
        "WHERE connected_at IS NOT NULL "
        "AND (server_id IS NULL OR server_id NOT IN (SELECT server_id FROM servers))",
        (now,),
    )
    return (yield from _all_and_free_leases(now))


def beat(server_id: str, now: int) -> Transaction[bool]:
    """A process says that it lives; return whether the others still count it among them."""
    rows = yield Statement(
        "UPDATE servers SET beats = beats + 1, seen_at = $2 WHERE server_id = $1 RETURNING server_id",
        (server_id, now),
    )
    return bool(rows)


def end(server_id: str, now: int) -> Transaction[None]:
    """A process stops: it holds no agent any more."""
    yield Statement("DELETE FROM servers WHERE server_id = $1", (server_id,))
    yield from _part(server_id, now)


@serializable  # as above
def bury(dead: Server, now: int) -> Transaction[bool]:
    """Count a silent process among the dead, unless it was heard meanwhile; return whether it is."""
    rows = yield Statement(
        "DELETE FROM servers WHERE server_id = $1 AND beats = $2 RETURNING server_id",
        (dead.server_id, dead.beats),
    )
    if rows:
        yield from _part(dead.server_id, dead.seen_at)
        yield from _all_and_free_leases(now)
    return bool(rows)


def _part(server_id: str, seen_at: int) -> Transaction[None]:
    yield Statement(
        "UPDATE agents SET connected_at = NULL, server_id = NULL, last_seen_at = $2 WHERE server_id = $1",
        (server_id, seen_at),
    )


def _all_and_free_leases(now: int) -> Transaction[list[Server]]:
    """All processes; when there is but one, whatever is leased was taken up by a dead one."""
    servers = yield from every()
    if len(servers) == 1:
        yield from payments.forget_leases(now)
    return servers
