"""Two servers over one database never ask a provider about the same thing at the same time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import wraps
from typing import Any

import pytest

from agent import wire
from server.payments.yookassa import Yookassa
from tests.fakes.shop import Shop, until


@pytest.fixture
async def other(shop: Shop) -> AsyncIterator[Shop]:
    async with shop.beside() as other:
        yield other


class Asked:
    """What was asked at the same time at most, by the call and what it was about."""

    def __init__(self) -> None:
        self.now: Counter[tuple[str, str]] = Counter()
        self.most: Counter[tuple[str, str]] = Counter()
        self.times: Counter[str] = Counter()

    def later(self, server: Shop) -> None:
        """Let time pass, unless somebody is asking: no call takes as long as its lease."""
        server.later(0.0 if self.now.total() else 0.1)

    def watch(self, patch: pytest.MonkeyPatch, call: str) -> None:
        """Watch a call of the client; each takes a while."""
        real = getattr(Yookassa, call)

        @wraps(real)
        async def watched(client: Yookassa, about: str, *more: Any, **how: Any) -> Any:
            key = (call, about)
            self.times[call] += 1
            self.now[key] += 1
            self.most[key] = max(self.most[key], self.now[key])
            try:
                await asyncio.sleep(0.02)
                return await real(client, about, *more, **how)
            finally:
                self.now[key] -= 1

        patch.setattr(Yookassa, call, watched)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    for call in ("create_payment", "fetch_payment", "create_refund", "fetch_refund"):
        asked.watch(monkeypatch, call)
    return asked


async def test_a_button_pressed_at_both_servers_makes_one_payment(shop: Shop, other: Shop, asked: Asked):
    await shop.agent()
    await shop.scan()
    answers = await asyncio.gather(*(server.initiate() for server in (shop, other, shop, other)))
    assert len({answer.json["redirect_url"] for answer in answers}) == 1
    assert asked.times["create_payment"] == 1


async def test_hints_and_timers_of_both_servers_ask_one_after_another(shop: Shop, other: Shop, asked: Asked):
    agent = await shop.agent()
    page = await shop.at_bank()
    (payment_id,) = await shop.column("SELECT provider_payment_id FROM payments")
    hint = {"type": "notification", "event": "payment.succeeded", "object": {"id": payment_id}}
    for _ in range(10):
        for server in (shop, other):
            assert (await server.post("/v1/yook-pay-webhook", json=hint)).status == 200
            asked.later(server)
    await shop.finish(page)

    async def known() -> bool:
        shop.later(0.1)  # the bank's word may meet a hint that was answered just before: then a timer asks
        return (await shop.state())["status"] != "pending"

    await until(known)
    await agent.hear(wire.Make)
    assert asked.times["fetch_payment"] > 1
    assert max(asked.most.values()) == 1


async def test_a_refund_is_sent_by_one_of_both(shop: Shop, other: Shop, asked: Asked):
    agent = await shop.agent()
    await shop.pay()
    await agent.fail(await agent.hear(wire.Make))

    async def given_back() -> bool:
        for server in (shop, other):
            asked.later(server)
        return (await shop.state())["refund_status"] == "succeeded"

    await until(given_back)
    assert asked.times["create_refund"] == 1
    assert max(asked.most.values()) == 1


async def test_an_order_that_is_over_is_ended_by_one_of_both(shop: Shop, other: Shop, logs: list[Any]):
    await shop.agent()
    await shop.scan()
    for server in (other, shop):
        server.later(901)
    await shop.becomes("failed")
    other.later(1)
    await other.state()
    assert [record["event"] for record in logs if record["log_level"] in ("error", "critical")] == []


async def test_what_the_bank_tells_is_told_once(shop: Shop, other: Shop):
    await shop.agent()
    await shop.pay()
    for server in (other, shop):
        server.later(30)
    await shop.until_rows("SELECT 1 FROM sandbox_notifications WHERE next_try_at IS NULL")
    assert await shop.column("SELECT tries FROM sandbox_notifications") == [1]
