"""How often a transaction is tried again, and how long it waits before: each reason has its measure."""

import asyncio
import random
import time
from typing import Any

from server.errors import Conflict, DatabaseError

MEETINGS = 40
"""Tries of a transaction that meets others each time; the last ones wait a tenth of a second."""

VIOLATIONS = 2
"""Runs again after a broken rule of the schema: one that a meeting has caused is gone in the next run."""

OUTAGE_S = 5.0
"""How long a database that cannot be reached is waited for."""


class MetAnother(DatabaseError):
    """The transaction met another one and was rolled back: run again, it may succeed."""


class Violation(Conflict):
    """A rule of the schema was broken; it may be that a transaction met another that had the same in mind."""


class Unreachable(DatabaseError):
    """The database cannot be reached, and nothing of the transaction is kept."""


class InDoubt(DatabaseError):
    """The commit was sent and not answered. `value` is what the transaction returns if it was kept."""

    SETTLED_WITHIN_S = 20.0

    def __init__(self, number: str, value: Any, why: str) -> None:
        super().__init__(f"the commit was not answered: {why}")
        self.number = number
        self.value = value


class Patience:
    """For one transaction: waits before it is tried again, or raises what its caller is told."""

    def __init__(self, outage_s: float | None = None) -> None:
        self._outage_s = OUTAGE_S if outage_s is None else outage_s
        self._since: float | None = None
        self._met = 0
        self._violated = 0

    async def wait(self, error: DatabaseError) -> None:
        """Wait until it may be tried again. Raises Conflict or DatabaseError when it was tried enough."""
        if isinstance(error, Violation):
            self._violated += 1
            if self._violated > VIOLATIONS:
                raise error
        elif isinstance(error, MetAnother):
            self._met += 1
            if self._met >= MEETINGS:
                raise Conflict(f"met others {self._met} times: {error}") from error
            await asyncio.sleep(random.uniform(0, min(0.1, 0.001 * 2**self._met)))
        else:
            await self._wait_for_the_database(error)

    async def _wait_for_the_database(self, error: DatabaseError) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since >= self._outage_s:
            raise error
        await asyncio.sleep(random.uniform(0.02, 0.2))
