"""A customer in software: buys a drink over HTTP as a browser would, and tells how it went."""

import asyncio
import html
import re
import time

import aiohttp

POLL_S = 0.2
SETTLED_WITHIN_S = 120.0

_PAY_LINK = re.compile(r'href="(/v1/pay\?[^"]+)"')


async def buy_from_each(url: str, device_uuids: list[str]) -> int:
    """Buy one drink from each machine and print what became of each.

    Returns 0 only when the second order is `make_failed` with its money returned, all others `successful`.
    """
    async with aiohttp.ClientSession() as session:
        lives = await asyncio.gather(*(buy(session, url, uuid) for uuid in device_uuids))
    for uuid, life in zip(device_uuids, lives, strict=True):
        print(f"\n{uuid}")
        for line in life.lines:
            print(f"  {line}")
    made, failed, *others = ((life.last["status"], life.last["refund_status"]) for life in lives)
    fine = failed == ("make_failed", "succeeded") and all(
        status == "successful" for status, _ in [made, *others]
    )
    print(
        "\nEach payment ended as one drink, but for one: it ended as one refund."
        if fine
        else "\nThis is not how it should end."
    )
    return 0 if fine else 1


class Life:
    """What the order's page showed, each time it changed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.last: dict[str, str | None] = {"status": None, "refund_status": None}
        self._began = time.monotonic()
        self._seen = ""

    def saw(self, state: dict[str, object]) -> None:
        """Note a status JSON if it says something new."""
        failure = state["failure"]
        said = f"{state['status']}: {state['status_text']}"
        if isinstance(failure, dict):
            said += f" ({failure['code']}: {failure['text']})"
        if state["refund_status"]:
            said += f" refund {state['refund_status']}"
        self.last = {name: str(state[name]) for name in ("status", "refund_status")}
        if said != self._seen:
            self._seen = said
            self.lines.append(f"{time.monotonic() - self._began:5.1f} s  {said}")

    @property
    def over(self) -> bool:
        """Whether nothing more can be expected."""
        status, refund = self.last["status"], self.last["refund_status"]
        if status == "make_failed":
            return refund in ("succeeded", "failed")
        return status in ("successful", "failed", "not_paid")


async def buy(session: aiohttp.ClientSession, url: str, device_uuid: str) -> Life:
    """Open the menu, choose the first drink, pay, and watch the order until it is over."""
    life = Life()
    async with session.get(f"{url}/m/{device_uuid}") as menu:
        links = _PAY_LINK.findall(await menu.text())
    async with session.get(url + html.unescape(links[0])) as page:
        order_id = page.url.query["order_id"]
    life.saw(await _status(session, url, order_id))
    async with session.post(f"{url}/v1/initiate-payment", json={"order_id": order_id}) as answer:
        pay_at = (await answer.json())["redirect_url"]
    life.saw(await _status(session, url, order_id))
    async with session.post(pay_at, data={"result": "succeeded"}) as paid:
        paid.raise_for_status()
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while not life.over and time.monotonic() < deadline:
        life.saw(await _status(session, url, order_id))
        await asyncio.sleep(POLL_S)
    return life


async def _status(session: aiohttp.ClientSession, url: str, order_id: str) -> dict[str, object]:
    async with session.get(f"{url}/v1/order-status/{order_id}") as answer:
        answer.raise_for_status()
        state: dict[str, object] = await answer.json()
    return state
