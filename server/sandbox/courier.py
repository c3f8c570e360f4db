"""Delivers the sandbox bank's notifications: repeated until the answer is 200, for a day, across restarts."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import structlog

from server.db import Database
from server.payments.notation import amount_text, minor_units
from server.sandbox import outbox
from server.sandbox.faults import Faults, NoticeFault
from server.sandbox.outbox import Notice

log = structlog.get_logger()

ANSWER_TIMEOUT_S = 10.0
AT_ONCE = 20
FIRST_PAUSE_MS = 1000
LONGEST_PAUSE_MS = 10 * 60 * 1000
"""YooKassa does not publish its pauses; these are ours."""

_COPIES: dict[NoticeFault | None, int] = {NoticeFault.DOUBLED: 2, NoticeFault.FIVEFOLD: 5}


def pause_ms(tries: int) -> int:
    """Return how long to wait after the given number of tries: doubled each time, up to ten minutes."""
    return min(FIRST_PAUSE_MS << min(tries, 20), LONGEST_PAUSE_MS)


def spoiled(body: str, fault: NoticeFault | None, huge_bytes: int) -> str:
    """Return what a fault makes of the body of a notification."""
    told: dict[str, Any] = json.loads(body)
    match fault:
        case NoticeFault.WRONG_AMOUNT:
            amount = told["object"]["amount"]
            more = amount_text(100 * minor_units(amount["value"]))
            told["object"]["amount"] = {**amount, "value": more}
        case NoticeFault.UNKNOWN_ID:
            told["object"]["id"] = f"00000000{str(told['object']['id'])[8:]}"
        case NoticeFault.UNKNOWN_EVENT:
            told["event"] = "payment.reconsidered"
        case NoticeFault.UNKNOWN_FIELDS:
            told |= {"version": 4, "trace": ["a"]}
            told["object"] |= {"mood": {"of": "the bank"}, "refunds": None}
        case NoticeFault.HUGE:
            told["object"]["padding"] = "x" * huge_bytes
        case _:
            return body
    return json.dumps(told)


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
        self._round = asyncio.Lock()

    async def deliver_due(self) -> None:
        """Try once to deliver each notification that is due; one round at a time, so that none goes twice."""
        async with self._round:
            while notices := await self._db.write(outbox.claim_notices, self._now_ms(), AT_ONCE):
                await asyncio.gather(*[self._deliver(notice) for notice in notices])

    async def _deliver(self, notice: Notice) -> None:
        fault = self._faults.notices.popleft() if self._faults.notices and notice.tries == 0 else None
        now_ms = self._now_ms()
        if fault is NoticeFault.DROPPED:
            next_try_at = None
        elif fault is NoticeFault.DELAYED:
            next_try_at = now_ms + self._faults.delay_ms
        else:
            body = spoiled(notice.body, fault, self._faults.huge_bytes)
            copies = _COPIES.get(fault, 1)
            send = self._send_from_elsewhere if fault is NoticeFault.ELSEWHERE else self._send
            taken = all(await asyncio.gather(*[send(body) for _ in range(copies)]))
            over = taken or now_ms - notice.created_at >= outbox.NOTICE_LIFE_MS
            next_try_at = None if over else now_ms + pause_ms(notice.tries)
        await self._db.write(outbox.notice_tried, notice, next_try_at)

    async def _send(self, body: str) -> bool:
        return await self._post(self._session, body)

    async def _send_from_elsewhere(self, body: str) -> bool:
        connector = aiohttp.TCPConnector(local_addr=(self._faults.wrong_address, 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            return await self._post(session, body)

    async def _post(self, session: aiohttp.ClientSession, body: str) -> bool:
        """Send one notification; any answer but 200 counts as none."""
        try:
            async with session.post(
                self._address(),
                data=body.encode(),
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
