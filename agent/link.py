"""The agent's side of the WebSocket: connect, greet, back off, connect again. It makes no drink.

What is said within one connection is `session`'s; what carries it is a `Channel`, so that a simulation can
pass one in memory.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from agent import __version__
from agent.journal import Carry, Journal
from agent.session import Channel, Desk, LinkLost, Session, TokenRefused
from agent.wire import Message

log = structlog.get_logger()

CONNECT_LIMIT_S = 10.0
"""How long a connection may take to be made."""

BACKOFF_FIRST_S = 0.5
BACKOFF_CAP_S = 30.0
BACKOFF_GROWTH = 1.5
"""How the longest wait grows with each failure. Were it doubled, the last of many agents would be away for as
long again as the server was; so it is about two thirds of that."""
FAILURES_TO_CAP = 11
"""Failures in a row after which the wait is drawn from 0 to the cap."""

LIVED_S = 20.0
"""A welcomed session of this length was a good one: the next connection is tried quickly."""


def longest_wait_s(failures: int) -> float:
    """Return how long to wait at most after so many failures in a row."""
    return min(BACKOFF_CAP_S, BACKOFF_FIRST_S * BACKOFF_GROWTH ** min(failures, FAILURES_TO_CAP))


class Link:
    """Keeps one session with the server, for as long as `run` runs.

    `connect` makes a connection, or raises LinkLost. `chance` gives the boot's id and the waiting times.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Channel]],
        journal: Journal,
        *,
        carry: Carry = asyncio.to_thread,
        chance: random.Random | None = None,
    ) -> None:
        self._connect = connect
        self._journal = journal
        self._carry = carry
        self._chance = chance or random.SystemRandom()
        self._session: Session | None = None
        self.boot_id = f"{self._chance.getrandbits(64):016x}"

    @property
    def connected(self) -> bool:
        """Whether the server has welcomed this agent and the session lives."""
        return self._session is not None and self._session.welcomed

    def tell(self, message: Message) -> None:
        """Say something that nobody keeps; it is lost when there is no session."""
        if self._session is not None:
            self._session.tell(message)

    def outbox_grew(self) -> None:
        """Send what the journal's outbox now has."""
        if self._session is not None:
            self._session.outbox_grew()

    async def run(self, desk: Desk) -> None:
        """Talk with the server for ever; `desk` takes its commands."""
        clock = asyncio.get_running_loop()
        failures = 0
        while True:
            begun = clock.time()
            failures += 1
            shortest = 0.0
            try:
                await self._talk_once(desk)
            except TokenRefused as error:
                log.error("server refuses this agent's token: make a new one and set it", reason=str(error))
                shortest, failures = BACKOFF_CAP_S / 2, FAILURES_TO_CAP
            except LinkLost as error:
                if error.welcomed and clock.time() - begun >= LIVED_S:
                    failures = 0
                log.warning("no session with the server", reason=str(error), failures=failures)
            except Exception:
                log.exception("session broke by a mistake of ours")
            await asyncio.sleep(self._chance.uniform(shortest, longest_wait_s(failures)))

    async def _talk_once(self, desk: Desk) -> None:
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                channel = await self._connect()
        except TimeoutError:
            raise LinkLost(f"no connection in {CONNECT_LIMIT_S:.0f} s") from None
        try:
            session = Session(channel, self._journal, desk, carry=self._carry, chance=self._chance)
            self._session = session
            await session.talk(self.boot_id, __version__)
        finally:
            self._session = None
            await channel.close()
