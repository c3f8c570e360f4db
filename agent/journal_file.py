"""The file of a journal: its lock, its schema, and what is wrong with it. `agent.journal` is what is in it.

Errors: JournalError
        ├── JournalLocked    another agent works on this file
        └── JournalCorrupt   the file is damaged, or is no journal
"""

import contextlib
import fcntl
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

WAL_PAGES = 250
"""A write-ahead log of this length (1 MB) is moved into the file and begun anew."""

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE commands (
    command_id      TEXT PRIMARY KEY,
    payload_hash    TEXT NOT NULL,
    order_id        TEXT NOT NULL,
    drink_no        TEXT NOT NULL,
    size            TEXT NOT NULL,
    state           TEXT NOT NULL,      -- agent.wire.MakeState; not_seen is a tombstone
    before          TEXT NOT NULL,      -- the driver's evidence from before the make
    code            TEXT,               -- agent.wire.Code
    actuated        TEXT NOT NULL,      -- agent.wire.Actuated
    evidence        TEXT NOT NULL,
    said            TEXT NOT NULL,      -- what the machine answered, for technicians
    received_at_ms  INTEGER NOT NULL,   -- UTC by the device's clock, for people only
    started_at_ms   INTEGER,
    ended_at_ms     INTEGER
);
CREATE INDEX commands_open ON commands (state) WHERE state IN ('received', 'started');
CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, also after deletes
    command_id  TEXT NOT NULL,
    report      TEXT NOT NULL           -- agent.wire.Report as JSON
);
"""


class JournalError(Exception):
    """The journal cannot be read or written; the message says why. No new make may be taken."""


class JournalLocked(JournalError):
    """Another agent works on this journal."""


class JournalCorrupt(JournalError):
    """The file is damaged, or is not an agent's journal. It is never replaced by itself."""


class Lock:
    """A lock file beside the journal, held as long as this process lives or until `release`."""

    def __init__(self, journal: Path) -> None:
        path = f"{journal}.lock"
        with errors_of(journal):
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip() or "unknown"
            self.release()
            message = f"{journal} is in use by another agent (process {holder})"
            raise JournalLocked(message) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the number too
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another agent have the journal. May be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk raise into JournalError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"journal {path}: {error}") from error


def opened(path: Path, connect: Callable[..., sqlite3.Connection]) -> sqlite3.Connection:
    """Return a connection to the checked journal; its schema is made if the file is new."""
    with errors_of(path):
        database = connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        try:
            _prepare(database, path)
        except BaseException:
            database.close()
            raise
        return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        problem = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise JournalCorrupt(f"journal {path} is damaged: {error}; {_ADVICE}") from error
    if problem != "ok":
        raise JournalCorrupt(f"journal {path} is damaged: {problem}; {_ADVICE}")
    if version != SCHEMA_VERSION and (version or tables):
        raise JournalCorrupt(f"{path} is not a journal of this agent (version {version}); {_ADVICE}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    database.execute(f"PRAGMA journal_size_limit = {WAL_PAGES * 4096}")
    if not version:
        _create(database)


_ADVICE = "keep the file for the technician and name another one in the setting `journal`"


def _create(database: sqlite3.Connection) -> None:
    database.executescript(
        f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};"
        f" INSERT INTO meta VALUES ('journal_id', '{uuid.uuid4()}'); COMMIT;"
    )
