"""This process among those that serve the same database: it says that it lives, and buries the silent.

Nobody's clock is compared with another's: a process is silent when its beats have not grown for a while by
the clock of the one who looks. One that was buried and lives (it hung, or the database was away) parts from
its agents, which come back. Who starts on the host of one that was killed buries it at once.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

import structlog

from server.db import Database
from server.due import every
from server.errors import DemitasseError
from server.store import servers
from server.store.servers import Server

log = structlog.get_logger()

BEAT_EVERY_S = 3.0
SILENT_AFTER_S = 12.0
CLOCKS_DIFFER_MS = 5_000
"""Leases last so much longer than a provider may take: clocks of different hosts must not differ more."""


def is_killed(other: Server) -> bool:
    """Whether a process of this host is there no more; of another host, or none, nobody can tell so."""
    if other.host != socket.gethostname() or not other.pid:
        return False
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it is another user's, but there
    return False


class Silence:
    """Who has not been heard for how long."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[int, float]] = {}

    def of(self, others: Sequence[Server], at_s: float) -> list[Server]:
        """Return those whose last beat was first seen too long ago."""
        heard: dict[str, tuple[int, float]] = {}
        for other in others:
            beats, since_s = self._heard.get(other.server_id, (other.beats, at_s))
            heard[other.server_id] = (other.beats, since_s if beats == other.beats else at_s)
        self._heard = heard
        return [other for other in others if at_s - heard[other.server_id][1] >= SILENT_AFTER_S]

    def forget(self) -> None:
        """Begin anew: it is not known since when each is silent."""
        self._heard = {}


class Presence:
    """Begins, beats, looks at the others, and ends. `buried` is called when the others took it for dead."""

    def __init__(
        self, db: Database, server_id: str, now_ms: Callable[[], int], buried: Callable[[], None]
    ) -> None:
        self.server_id = server_id
        self.is_eldest = False
        """Whether it does what only one process has to do."""
        self._db = db
        self._now_ms = now_ms
        self._buried = buried
        self._silence = Silence()
        self._where = (socket.gethostname(), os.getpid())
        self._ahead: set[str] = set()

    async def begin(self) -> None:
        """Join the others, and bury whom a kill has ended here; before anything else is done.

        Raises DatabaseError.
        """
        known = await self._db.write(servers.begin, self.server_id, self._now_ms(), *self._where)
        killed = [other for other in known if is_killed(other)]
        for other in killed:
            if await self._db.write(servers.bury, other, self._now_ms()):
                log.warning("a server was killed; its agents are free", server_id=other.server_id)
        self._look_up_to([other for other in known if other not in killed])

    async def end(self) -> None:
        """Leave the others; after everything else is done. What cannot be said now they find out."""
        try:
            await self._db.write(servers.end, self.server_id, self._now_ms())
        except DemitasseError as error:
            log.error("cannot tell the other servers that this one ends", why=str(error))

    async def run(self) -> None:
        """Beat and look until cancelled."""
        await every(BEAT_EVERY_S, self.beat)

    async def beat(self) -> None:
        """Say once that this process lives, and bury who does not. Raises DatabaseError."""
        try:
            await self._beat_and_look()
        except DemitasseError:
            self._silence.forget()  # nobody could be heard
            raise

    async def _beat_and_look(self) -> None:
        if not await self._db.write(servers.beat, self.server_id, self._now_ms()):
            log.error("taken for dead by the other servers", server_id=self.server_id)
            await self.begin()
            self._buried()
        known = await self._db.read(servers.every)
        self._look_up_to(known)
        others = [each for each in known if each.server_id != self.server_id]
        self._compare_clocks(others)
        for silent in self._silence.of(others, asyncio.get_running_loop().time()):
            if await self._db.write(servers.bury, silent, self._now_ms()):
                log.error("a server is silent; its agents are free", server_id=silent.server_id)

    def _look_up_to(self, known: Sequence[Server]) -> None:
        self.is_eldest = bool(known) and known[0].server_id == self.server_id

    def _compare_clocks(self, others: Sequence[Server]) -> None:
        """Warn once of each whose clock is ahead; one that is behind sees that ours is."""
        ahead = {each.server_id for each in others if each.seen_at - self._now_ms() > CLOCKS_DIFFER_MS}
        for server_id in ahead - self._ahead:
            log.warning("the clocks of two servers differ: both need NTP", server_id=server_id)
        self._ahead = ahead
