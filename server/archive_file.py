"""An archive: a SQLite file with the server's schema, that holds orders moved out of the database.

One file and nothing beside it (no write-ahead log), so that it can be copied and put on a disk that cannot be
written. What `keep` and `settle` have done is on the disk when they return.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from server.archiving import TABLES, Whole
from server.db import Row, Transaction
from server.db.sqlite import drive
from server.errors import SettingError
from server.migrations import steps, upgrade
from server.store import archives
from server.store.archives import Archive

P = ParamSpec("P")
T = TypeVar("T")

APPLICATION_ID = 0x44454D41
"""Marks the file as an archive of ours (`file` shows it); the letters are DEMA."""

BUSY_MS = 60_000
"""How long a report that reads the file is waited for."""

_MOVING = "CREATE TABLE IF NOT EXISTS moving (order_id TEXT PRIMARY KEY)"
"""Orders that are here and may still be in the database: a step was taken, and not the next."""


class ArchiveFile:
    """The archive in the file `path`, made if absent, to be written by one program at a time.

    Raises SettingError that names `--to` when it cannot be.
    """

    def __init__(self, path: Path, before: int, now: int) -> None:
        self.path = path.absolute()
        self._before = before
        self._lock = _lock(self.path)
        try:
            self._connection = _opened(self.path)
            self.archive_id = self._named(now)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise SettingError(f"--to: cannot write {path}: {error}") from error
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let another program have it."""
        self._connection.close()
        os.close(self._lock)

    def note(self, orders: int, now: int, before_at: int | None = None) -> Archive:
        """Return what the database must know of `orders` moved here."""
        return Archive(self.archive_id, str(self.path), before_at or self._before, orders, now)

    def moving(self) -> list[str]:
        """The orders that a run before this one left on their way."""
        return [order_id for (order_id,) in self._connection.execute("SELECT order_id FROM moving")]

    def others_named(self, copies: Mapping[str, Whole]) -> set[str]:
        """Which of the orders have the id of another order that is here already."""
        query = "SELECT 1 FROM orders WHERE order_id = ? AND created_at <> ?"
        ids = [(order_id, whole.order["created_at"]) for order_id, whole in copies.items()]
        return {each[0] for each in ids if self._connection.execute(query, each).fetchone()}

    def keep(self, copies: Mapping[str, Whole], merchants: Sequence[Row], devices: Sequence[Row]) -> None:
        """Keep copies of orders, and note that they are on their way. The same again changes nothing."""
        with self._transaction():
            for table, rows in (("merchants", merchants), ("devices", devices)):
                self._put(table, rows)
            drive(self._connection, archives.remove(list(copies)))
            for whole in copies.values():
                for table in TABLES:
                    self._put(table, whole.rows[table])
            self._connection.executemany(
                "INSERT OR IGNORE INTO moving VALUES (?)", [(name,) for name in copies]
            )

    def settle(self, stayed: Sequence[str]) -> None:
        """Nothing is on its way any more; the copies of those that stayed are thrown away."""
        with self._transaction():
            if stayed:
                drive(self._connection, archives.remove(stayed))
            self._connection.execute("DELETE FROM moving")

    def finish(self, now: int) -> None:
        """Write down how many orders are here: by that a report sees that no step is missing."""
        with self._transaction():
            (orders,) = self._connection.execute("SELECT count(*) FROM orders").fetchone()
            (before,) = self._connection.execute("SELECT before_at FROM archives").fetchone()
            drive(
                self._connection,
                archives.correct(self.note(orders, now, before_at=max(before, self._before))),
            )

    def keep_notifications(self, copies: Sequence[Row]) -> None:
        """Keep copies of notifications; one that came again replaces itself."""
        with self._transaction():
            self._put("notifications", copies)

    def _put(self, table: str, rows: Sequence[Row]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            sql = f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})"
            self._connection.execute(sql, tuple(row.values()))

    def _named(self, now: int) -> str:
        found = self._connection.execute("SELECT archive_id FROM archives").fetchone()
        if found is not None:
            return str(found[0])
        name = f"archive-{secrets.token_hex(12)}"
        with self._transaction():
            drive(self._connection, archives.note(Archive(name, str(self.path), self._before, 0, now)))
        return name

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            # Rows of owners are replaced while orders refer to them: looked at when all is there.
            self._connection.execute("PRAGMA defer_foreign_keys = ON")
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def check_target(path: Path) -> None:
    """Raise SettingError when the archive cannot be made or written at `path`. Makes nothing."""
    if path.is_dir():
        raise SettingError(f"--to: {path} is a folder: name a file in it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise SettingError(f"--to: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise SettingError(f"--to: {path} cannot be written: correct the rights of it and of its folder")


def _lock(path: Path) -> int:
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SettingError(f"--to: cannot write {path}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingError(f"--to: another program writes to {path} just now") from None
    return descriptor


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000)
    connection.row_factory = sqlite3.Row
    try:
        check_archive(connection, path, "--to")
        connection.execute("PRAGMA journal_mode = DELETE")
        # EXTRA: also the folder is synced, or a journal that was deleted could come back and undo a commit.
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        upgrade(connection, path)
        connection.execute(_MOVING)
    except BaseException:
        connection.close()
        raise
    return connection


def check_archive(connection: sqlite3.Connection, path: Path, name: str) -> None:
    """Raise SettingError for a file that is of something else. A new one may become an archive."""
    try:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        raise SettingError(f"{name}: {path} is no archive: {error}") from error
    if mark != APPLICATION_ID and (mark or tables):
        raise SettingError(f"{name}: {path} is no archive, but a database of something else")


class ReadArchive:
    """An archive that is only read. Nobody can write to it before `close`: what is read is of one moment.

    Raises SettingError that names `--archive` for a file that cannot be read, or is no archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise SettingError(f"--archive: there is no file {path}")
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._check()
        except sqlite3.Error as error:
            raise SettingError(f"--archive: cannot read {path}: {error}") from error

    def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a transaction that only selects."""
        return drive(self._connection, transaction(*args, **kwargs))

    def known(self) -> Archive:
        """What the file says of itself."""
        (archive,) = self.read(archives.every)
        return archive

    def is_being_written(self) -> bool:
        """Whether orders are on their way into it, or were when the program that moved them ended."""
        (number,) = self._connection.execute("SELECT count(*) FROM moving").fetchone()
        return bool(number)

    def close(self) -> None:
        """Let it be written again."""
        self._connection.close()

    def _check(self) -> None:
        check_archive(self._connection, self.path, "--archive")
        self._connection.execute("BEGIN")
        found = self._connection.execute("SELECT version FROM schema_version").fetchone()
        newest = max(steps())
        if found[0] != newest:
            raise SettingError(
                f"--archive: {self.path} has version {found[0]}, this program {newest}: "
                "`archive --to` it once to upgrade it"
            )
