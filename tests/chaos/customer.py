"""A customer who buys whatever breaks: he asks again when nobody answers, and leaves when it is over."""

import asyncio
import json
import re
import time
from typing import Any

import aiohttp

from tests.chaos.breaker import Breaker
from tests.chaos.plan import Errand, Way
from tests.processes.site import Site

AGAIN_S = 0.4
TRIES_A_MACHINE_S = 12.0
PATIENCE_S = 90.0
LATE_S = 21.0
"""Longer than the campaign's FAST_TRACK_LIMIT_S."""
COPIES = 3

WEBHOOK = "/v1/yook-pay-webhook"
_PAYMENT = re.compile(r"/sandbox/pay/([^/?]+)")


class Astonished(Exception):
    """The server answered as it never should."""


class Customer:
    """Runs one errand; `order_id` is his order's."""

    def __init__(self, session: aiohttp.ClientSession, site: Site, breaker: Breaker, errand: Errand) -> None:
        self._session = session
        self._site = site
        self._breaker = breaker
        self._errand = errand
        self._leaves_at = 0.0
        self.order_id = ""

    async def run(self) -> None:
        """Buy. Raises Astonished when the server says what it should not, never because it is away."""
        self._leaves_at = time.monotonic() + PATIENCE_S
        await self._breaker.spoil(self._errand)
        machine = await self._choose()
        if machine is None or self._errand.way is Way.LEAVES:
            return
        if self._errand.way is Way.CHANGES_HIS_MIND and (pay_at := await self._go_to_bank()):
            await self._press(pay_at, "canceled")
            await self._see({"not_paid"})
        pay_at = await self._go_to_bank()
        if pay_at is None:
            return
        if self._errand.forges:
            await self._notify(pay_at, "payment.succeeded", "payment.canceled", "refund.succeeded")
        if self._errand.way in (Way.PAYS_LATE_FOR_DRINK, Way.PAYS_LATE_FOR_MONEY):
            await asyncio.sleep(LATE_S)
        self._breaker.strike(self._errand.blows, machine)
        await self._press(pay_at, "succeeded")
        if self._errand.repeats:
            await self._notify(pay_at, *["payment.succeeded"] * COPIES)
        await self._wait()

    async def _choose(self) -> int | None:
        """Open an order at the errand's machine, or at the next one that sells; return its place."""
        places = self._breaker.places
        for turn in range(len(places)):
            place = (self._errand.machine + turn) % len(places)
            self.order_id = f"chaos-{self._errand.number:05}-{turn}"
            link = {"deviceUuid": places[place].machine.device_uuid, "drinkNo": self._errand.drink}
            parameters = {**link, "drinkName": "?", "size": "0", "uuid": self.order_id}
            until = min(self._leaves_at, time.monotonic() + TRIES_A_MACHINE_S)
            while time.monotonic() < until:
                status, _ = await self._ask("GET", "/v1/pay", params=parameters)
                if status == 302:
                    return place
                self._expect(status, 503)
                await asyncio.sleep(AGAIN_S)
        return None

    async def _go_to_bank(self) -> str | None:
        """Press the button that starts the payment; return where to pay, None when it cannot be paid."""
        while time.monotonic() < self._leaves_at:
            answers = await self._twice("POST", "/v1/initiate-payment", json={"order_id": self.order_id})
            for status, body in answers:
                self._expect(status, 200, 503)
                if status == 200:
                    return str(json.loads(body)["redirect_url"])
            await asyncio.sleep(AGAIN_S)
        return None

    async def _press(self, pay_at: str, result: str) -> None:
        for status, _ in await self._twice("POST", pay_at, data={"result": result}):
            self._expect(status, 303)

    async def _wait(self) -> None:
        """Watch the order until nothing new can be expected; after a late payment, choose."""
        if await self._see({"manual_make"}) == "manual_make":
            choice = "make" if self._errand.way is Way.PAYS_LATE_FOR_DRINK else "refund"
            await self._twice("POST", "/v1/manual-make", json={"order_id": self.order_id, "choice": choice})
            await self._see(set())

    async def _see(self, statuses: set[str]) -> str:
        """Look at the order until it has one of the statuses, is over, or is in doubt."""
        while time.monotonic() < self._leaves_at:
            code, body = await self._ask("GET", f"/v1/order-status/{self.order_id}")
            self._expect(code, 200)
            state: dict[str, Any] = json.loads(body)
            if state["status"] in statuses or _is_over(state):
                return str(state["status"])
            await asyncio.sleep(AGAIN_S)
        return ""

    async def _notify(self, pay_at: str, *events: str) -> None:
        """Send the server notifications about a payment, all at once, as anybody could."""
        payment_id = _PAYMENT.search(pay_at)
        assert payment_id is not None, pay_at
        told = {"id": payment_id[1], "status": "succeeded", "payment_id": payment_id[1]}
        bodies = [{"type": "notification", "event": event, "object": told} for event in events]
        answers = await asyncio.gather(*(self._ask("POST", WEBHOOK, json=body) for body in bodies))
        for status, _ in answers:
            self._expect(status, 200)

    async def _twice(self, method: str, path: str, **content: Any) -> list[tuple[int, str]]:
        """Ask once, or twice at the same time when the customer presses every button twice."""
        presses = 2 if self._errand.way is Way.PRESSES_TWICE else 1
        return await asyncio.gather(*(self._ask(method, path, **content) for _ in range(presses)))

    async def _ask(self, method: str, path: str, **content: Any) -> tuple[int, str]:
        """Ask until somebody answers; return the status and the body. Raises Astonished when nobody does."""
        url = path if path.startswith("http") else self._site.url + path
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                async with self._session.request(method, url, allow_redirects=False, **content) as answer:
                    return answer.status, await answer.text()
            except (aiohttp.ClientError, TimeoutError):  # the server is being started again
                await asyncio.sleep(AGAIN_S)
        raise Astonished(f"order {self.order_id}: no answer from {path} ({self._errand})")

    def _expect(self, status: int, *fine: int) -> None:
        if status not in fine:
            raise Astonished(f"order {self.order_id}: HTTP {status}, expected {fine} ({self._errand})")


def _is_over(state: dict[str, Any]) -> bool:
    """Whether the order has ended, or its end is not known and a person is asked."""
    if state["status"] == "make_failed":
        return state["refund_status"] in ("succeeded", "failed")
    return state["status"] in ("successful", "failed") or state["failure"] is not None
