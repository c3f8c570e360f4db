"""Delivers the sandbox bank's notifications: repeated until the answer is 200, for a day, across restarts."""

import asyncio
from collections.abc import Callable

import aiohttp
import structlog

from server.db import Database
from server.sandbox import outbox
from server.sandbox.faults import Faults, NoticeFault
from server.sandbox.outbox import Notice

log = structlog.get_logger()

ANSWER_TIMEOUT_S = 10.0
AT_ONCE = 20
FIRST_PAUSE_MS = 1000
LONGEST_PAUSE_MS = 10 * 60 * 1000
"""YooKassa does not publish its pauses; these are ours."""


def pause_ms(tries: int) -> int:
    """Return how long to wait after the given number of tries: doubled each time, up to ten minutes."""
    return min(FIRST_PAUSE_MS << min(tries, 20), LONGEST_PAUSE_MS)


class Courier:
    """Carries what is in the outbox to one address."""

    def __init__(
        self,
        db: Database,
        session: aiohttp.ClientSession,
        address: Callable[[], str],
        now_ms: Callable[[], int],
        faults: Faults,
    ) -> None:
        self._db = db
        self._session = session
        self._address = address
        self._now_ms = now_ms
        self._faults = faults

    async def deliver_due(self) -> None:
        """Try once to deliver each notification that is due."""
        while notices := await self._db.read(outbox.notices_due, self._now_ms(), AT_ONCE):
            await asyncio.gather(*[self._deliver(notice) for notice in notices])

    async def _deliver(self, notice: Notice) -> None:
        fault = self._faults.notices.popleft() if self._faults.notices and notice.tries == 0 else None
        now_ms = self._now_ms()
        if fault is NoticeFault.DROPPED:
            next_try_at = None
        elif fault is NoticeFault.DELAYED:
            next_try_at = now_ms + self._faults.delay_ms
        else:
            copies = 2 if fault is NoticeFault.DOUBLED else 1
            taken = all(await asyncio.gather(*[self._post(notice) for _ in range(copies)]))
            over = taken or now_ms - notice.created_at >= outbox.NOTICE_LIFE_MS
            next_try_at = None if over else now_ms + pause_ms(notice.tries)
        await self._db.write(outbox.notice_tried, notice, next_try_at)

    async def _post(self, notice: Notice) -> bool:
        """Send one notification; any answer but 200 counts as none."""
        try:
            async with self._session.post(
                self._address(),
                data=notice.body.encode(),
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                if response.status == 200:
                    return True
                log.warning("sandbox notification refused", status=response.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("sandbox notification not delivered", error=type(error).__name__)
        return False
