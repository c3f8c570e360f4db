"""Delivers the sandbox T-Bank's notifications: repeated until the answer is 200 and `OK`, across restarts.

Every hour for a day, then every day for a month (intro/developer/notification).
"""

import asyncio
import json
from collections.abc import Callable

import aiohttp
import structlog

from server.db import Database
from server.payments.tbank_api import NOTIFICATION_REPLY, token
from server.sandbox_tbank import outbox
from server.sandbox_tbank.faults import Faults, NoticeFault
from server.sandbox_tbank.outbox import Notice

log = structlog.get_logger()

ANSWER_TIMEOUT_S = 10.0
AT_ONCE = 20
HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS
NOTICE_LIFE_MS = 31 * DAY_MS

_EXPECTED = NOTIFICATION_REPLY.encode()


def pause_ms(age_ms: int) -> int:
    """Return how long to wait after a try that found a notification so old."""
    return HOUR_MS if age_ms < DAY_MS else DAY_MS


class Courier:
    """Carries what is in the outbox to the addresses that payments were asked for with."""

    def __init__(
        self, db: Database, session: aiohttp.ClientSession, now_ms: Callable[[], int], faults: Faults
    ) -> None:
        self._db = db
        self._session = session
        self._now_ms = now_ms
        self._faults = faults

    async def deliver_due(self) -> None:
        """Try once to deliver each notification that is due; those due together go out at the same time."""
        while notices := await self._db.write(outbox.claim_notices, self._now_ms(), AT_ONCE):
            faulty = [(notice, self._take_fault(notice)) for notice in notices]
            for last in (False, True):
                await asyncio.gather(
                    *[
                        self._deliver(notice, fault)
                        for notice, fault in faulty
                        if (fault is NoticeFault.OVERTAKEN) is last
                    ]
                )

    def _take_fault(self, notice: Notice) -> NoticeFault | None:
        return self._faults.notices.popleft() if self._faults.notices and notice.tries == 0 else None

    async def _deliver(self, notice: Notice, fault: NoticeFault | None) -> None:
        now_ms = self._now_ms()
        if fault is NoticeFault.DROPPED:
            next_try_at = None
        elif fault is NoticeFault.DELAYED:
            next_try_at = now_ms + self._faults.delay_ms
        else:
            body = _wrongly_signed(notice.body) if fault is NoticeFault.WRONG_TOKEN else notice.body
            copies = 2 if fault is NoticeFault.DOUBLED else 1
            taken = all(await asyncio.gather(*[self._post(notice.address, body) for _ in range(copies)]))
            age_ms = now_ms - notice.created_at
            next_try_at = None if taken or age_ms >= NOTICE_LIFE_MS else now_ms + pause_ms(age_ms)
        await self._db.write(outbox.notice_tried, notice, next_try_at)

    async def _post(self, address: str, body: str) -> bool:
        """Send one notification; any answer but 200 with the body `OK` counts as none."""
        try:
            async with self._session.post(
                address,
                data=body.encode(),
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                answer = await response.read()
                if response.status == 200 and answer == _EXPECTED:
                    return True
                log.warning("sandbox T-Bank notification refused", status=response.status, body=answer[:40])
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("sandbox T-Bank notification not delivered", error=type(error).__name__)
        return False


def _wrongly_signed(body: str) -> str:
    fields = json.loads(body)
    return json.dumps({**fields, "Token": token(fields, "another password")})
