"""What the device never forgets: makes accepted, started, ended, and reports not yet stored by the server.

SQLite on the device's disk. Each method is one transaction, synced to the disk when it returns (all but
`stored`), and may block for as long as the disk does; it is called through `Carry`. It decides nothing.
A drink takes two synced commits, three if its machine is slow to answer; an idle agent writes nothing.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import msgspec

from agent.journal_file import JournalError, Lock, errors_of, opened
from agent.make import Record, entered_from
from agent.wire import Actuated, Code, MakeState, OpenMake, Report

KEEP_MS = 30 * 24 * 3600 * 1000
"""How long the id of an ended command is remembered: longer than any life and any replay."""

KEEP_NEWEST = 1000
"""Commands remembered whatever their age, since a device without a clock may date them wrongly."""

OPEN_MAKES_LIMIT = 200
"""Most open makes told in a `Hello`, so that it fits its frame."""

_COLUMNS = "command_id, payload_hash, order_id, drink_no, size, state, before, code, actuated, evidence, said"

P = ParamSpec("P")
T = TypeVar("T")


class Carry(Protocol):
    """How a blocking call is kept off the loop: `asyncio.to_thread`, or inline in a simulation."""

    def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]: ...


def wall_clock_ms() -> int:
    """Return UTC in milliseconds by the device's clock, which may be wrong."""
    return time.time_ns() // 1_000_000


class Journal:
    """The journal in the file `path`, made if absent, and locked against a second agent until `close`.

    `journal_id` is made with the file; `journal_high` is the highest report number given so far, 0 if none.
    """

    def __init__(
        self,
        path: Path | str,
        now_ms: Callable[[], int] = wall_clock_ms,
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
    ) -> None:
        """Open and check the journal. Raises JournalLocked, JournalCorrupt or JournalError."""
        self.path = Path(path)
        self._now_ms = now_ms
        self._guard = threading.Lock()
        self._lock = Lock(self.path)
        try:
            self._database = opened(self.path, connect)
        except BaseException:
            self._lock.release()
            raise
        with self._reading():
            self.journal_id = str(self._one("SELECT value FROM meta WHERE name = 'journal_id'"))
            # What is on the disk and perhaps more, so that a new command needs no reading.
            self._ids = {str(row[0]) for row in self._database.execute("SELECT command_id FROM commands")}
            query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'"
            self.journal_high = self._enqueued = int(str(self._one(query)))

    def close(self) -> None:
        """Close the file and let another agent have it. May be called twice."""
        with self._guard, contextlib.suppress(sqlite3.Error):
            self._database.close()
        self._lock.release()

    # --- commands ---------------------------------------------------------------------------------

    def may_know(self, command_id: str) -> bool:
        """Return at once, for any thread: False, if the command was never seen."""
        return command_id in self._ids

    def find(self, command_id: str) -> Record | None:
        """Return the command, or None if it was never seen."""
        with self._reading():
            query = f"SELECT {_COLUMNS} FROM commands WHERE command_id = ?"
            row = self._database.execute(query, (command_id,)).fetchone()
        return _record(row) if row else None

    def open_commands(self) -> list[Record]:
        """Return the commands that were received or started and have not ended, oldest first."""
        with self._reading():
            query = f"SELECT {_COLUMNS} FROM commands WHERE state IN ('received', 'started') ORDER BY rowid"
            return [_record(row) for row in self._database.execute(query)]

    def receive(self, record: Record) -> None:
        """Record an accepted command and its report. Only after this may `received` be said.

        Raises JournalError also when the command is known already.
        """
        with self._transaction():
            if not self._insert(record):
                raise JournalError(f"command {record.command_id} is in the journal already")
            self._enqueue(record)

    def reject(self, record: Record) -> None:
        """Record a command refused on sight (`rejected`, `expired`), so that its repeat is refused too.

        A command that was accepted and not started is refused as well; one that has ended stays as it is.
        """
        with self._transaction():
            if self._insert(record) or self._update(record, "ended_at_ms"):
                self._enqueue(record)

    def bury(self, record: Record) -> None:
        """Record a tombstone: `not_seen` is about to be said of this id. No report follows.

        Raises JournalError also when the command is known already.
        """
        with self._transaction():
            if not self._insert(record):
                raise JournalError(f"command {record.command_id} is in the journal already")

    def start(self, record: Record) -> None:
        """Record the start and the evidence from before, and the acceptance before it if that is not there.

        Only after this may the machine be moved. Raises JournalError also when the command is not `received`
        any more.
        """
        with self._transaction():
            self._receive_once(record)
            if not self._update(record, "started_at_ms"):
                raise JournalError(f"command {record.command_id} cannot be started now")
            self._enqueue(record)

    def end(self, record: Record) -> None:
        """Record the end of a command and its report, and its acceptance before it if that is not there.

        Does nothing if it has ended already.
        """
        with self._transaction():
            self._receive_once(record)
            if self._update(record, "ended_at_ms"):
                self._enqueue(record)

    def prune(self, older_than_ms: int = KEEP_MS) -> int:
        """Forget commands that ended longer ago than this, save the newest; return how many."""
        with self._transaction():
            rows = self._database.execute(
                "DELETE FROM commands WHERE ended_at_ms < ? AND state NOT IN ('received', 'started')"
                " AND rowid <= (SELECT max(rowid) FROM commands) - ?"
                " AND command_id NOT IN (SELECT command_id FROM outbox) RETURNING command_id",
                (self._now_ms() - older_than_ms, KEEP_NEWEST),
            ).fetchall()
        self._ids.difference_update(command_id for (command_id,) in rows)
        return len(rows)

    # --- reports ----------------------------------------------------------------------------------

    def open_makes(self) -> tuple[OpenMake, ...]:
        """Return the commands that have not ended, or whose reports the server has not all stored."""
        query = (
            "SELECT command_id, state FROM commands WHERE state IN ('received', 'started')"
            " OR command_id IN (SELECT command_id FROM outbox) ORDER BY rowid DESC LIMIT ?"
        )
        with self._reading():
            rows = self._database.execute(query, (OPEN_MAKES_LIMIT,)).fetchall()
        return tuple(OpenMake(command_id, MakeState(state)) for command_id, state in rows)

    def unsent_reports(self, after_seq: int, limit: int) -> list[Report]:
        """Return up to `limit` reports not yet stored by the server, numbered above `after_seq`, in order."""
        query = "SELECT seq, report FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._reading():
            rows = self._database.execute(query, (after_seq, limit)).fetchall()
            return [
                msgspec.structs.replace(msgspec.json.decode(report, type=Report), seq=seq)
                for seq, report in rows
            ]

    def stored(self, seqs: Iterable[int]) -> None:
        """Forget the reports that the server has stored.

        Not synced by itself, which spares the card: a power cut may bring them back, to be told once more.
        """
        with self._transaction(synced=False):
            self._database.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in seqs])

    def probe(self) -> None:
        """Write something of no meaning, to learn whether the journal can be written."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO meta VALUES ('probed_at_ms', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(self._now_ms()),),
            )

    # --- inside a transaction ---------------------------------------------------------------------

    def _receive_once(self, record: Record) -> None:
        accepted = Record(
            record.command_id, record.payload_hash, record.order_id, record.drink_no, record.size
        )
        if self._insert(accepted):
            self._enqueue(accepted)

    def _insert(self, record: Record) -> bool:
        self._ids.add(record.command_id)
        now = self._now_ms()
        inserted = self._database.execute(
            f"INSERT INTO commands ({_COLUMNS}, received_at_ms, ended_at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*astuple(record), now, now if record.state.ended else None),
        )
        return inserted.rowcount == 1

    def _update(self, record: Record, moment: str) -> bool:
        states = sorted(entered_from(record.state))
        updated = self._database.execute(
            f"UPDATE commands SET state = ?, before = ?, code = ?, actuated = ?, evidence = ?, said = ?,"
            f" {moment} = ? WHERE command_id = ? AND state IN ({', '.join('?' * len(states))})",
            (
                record.state,
                record.before,
                record.code,
                record.actuated,
                record.evidence,
                record.said,
                self._now_ms(),
                record.command_id,
                *states,
            ),
        )
        return updated.rowcount == 1

    def _enqueue(self, record: Record) -> None:
        report = msgspec.json.encode(record.report()).decode()
        inserted = self._database.execute(
            "INSERT INTO outbox (command_id, report) VALUES (?, ?)", (record.command_id, report)
        )
        self._enqueued = inserted.lastrowid or self._enqueued

    def _one(self, query: str) -> object:
        (value,) = self._database.execute(query).fetchone()
        return value

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._guard, errors_of(self.path):
            yield

    @contextlib.contextmanager
    def _transaction(self, synced: bool = True) -> Iterator[None]:
        with self._guard, errors_of(self.path):
            self._enqueued = self.journal_high
            self._database.execute("PRAGMA synchronous = FULL" if synced else "PRAGMA synchronous = NORMAL")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
                self.journal_high = self._enqueued
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                raise


def _record(row: tuple[str, ...]) -> Record:
    command_id, payload_hash, order_id, drink_no, size, state, before, code, actuated, evidence, said = row
    return Record(
        command_id,
        payload_hash,
        order_id,
        drink_no,
        size,
        MakeState(state),
        before,
        Code(code) if code else None,
        Actuated(actuated),
        evidence,
        said,
    )
