"""The disk: SQLite in memory that outlives the agent, may be full, and forgets what was not synced."""

import sqlite3
from collections.abc import Callable
from typing import Any

from tests.simulation.life import Life

WRITE_BACK_S = 10.0
"""How long a commit that was not synced stays in the board's memory: a power cut loses it."""


class Disk:
    """One card. `full` is asked at each write; `now` is virtual seconds."""

    def __init__(self, now: Callable[[], float], full: Callable[[], bool]) -> None:
        self._now = now
        self.full = full
        self.file = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.synced = True
        self._unsynced: list[tuple[float, bytes]] = []

    def open(self, life: Life) -> "Connection":
        """Return what an agent of this life sees as its SQLite connection."""
        self._roll_back()
        return Connection(self, life)

    def lose_power(self) -> None:
        """Forget the commits that were not synced."""
        self._roll_back()
        lost = [image for at, image in self._unsynced if at > self._now() - WRITE_BACK_S]
        if lost:
            self.file.deserialize(lost[0])
        self._unsynced.clear()

    def before_commit(self) -> None:
        """Remember the file as it is on the disk, if the commit will not be; a synced one takes all along."""
        if self.synced:
            self._unsynced.clear()
        else:
            self._unsynced.append((self._now(), self.file.serialize()))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the file says now."""
        try:
            return self.file.execute(query).fetchall()
        except sqlite3.OperationalError:  # no agent has made its tables yet
            return []

    def close(self) -> None:
        """Throw the card away."""
        self.file.close()

    def _roll_back(self) -> None:
        if self.file.in_transaction:
            self.file.execute("ROLLBACK")


class Connection:
    """What the journal uses of `sqlite3.Connection`. Each commit is two steps of the agent's life."""

    def __init__(self, disk: Disk, life: Life) -> None:
        self._disk = disk
        self._life = life
        self._file = disk.file

    @property
    def in_transaction(self) -> bool:
        return self._file.in_transaction

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            return self._commit()
        if sql.startswith("PRAGMA synchronous"):
            self._disk.synced = sql.rsplit(maxsplit=1)[-1] in ("FULL", "EXTRA")
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            self._check_room()
        if not self._life.alive:
            self._life.step()
        return self._file.execute(sql, values)

    def executemany(self, sql: str, values: Any) -> sqlite3.Cursor:
        self._check_room()
        self._life.step()
        return self._file.executemany(sql, values)

    def executescript(self, script: str) -> sqlite3.Cursor:
        self._life.step()
        return self._file.executescript(script)

    def close(self) -> None:
        pass

    def _commit(self) -> sqlite3.Cursor:
        self._life.step()
        self._check_room()
        self._disk.before_commit()
        done = self._file.execute("COMMIT")
        self._life.step()
        return done

    def _check_room(self) -> None:
        if self._disk.full():
            raise sqlite3.OperationalError("database or disk is full")
