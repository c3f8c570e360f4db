"""A refund that the provider neither ends nor refuses: a person is told, and it is followed all the same."""

from dataclasses import replace
from typing import Any

import pytest

from agent import wire
from server.payments import RefundSnapshot, RefundStatus
from server.payments.yookassa import Yookassa
from tests.fakes.shop import Shop

DAY_S = 24 * 3600


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While it has True at its end, the provider calls every refund pending."""
    fetch, is_stuck = Yookassa.fetch_refund, [True]

    async def say_pending(self: Yookassa, refund_id: str) -> RefundSnapshot:
        told = await fetch(self, refund_id)
        return replace(told, status=RefundStatus.PENDING) if is_stuck[-1] else told

    monkeypatch.setattr(Yookassa, "fetch_refund", say_pending)
    return is_stuck


async def failed(shop: Shop) -> dict[str, Any]:
    agent = await shop.agent()
    await shop.pay()
    await agent.fail(await agent.hear(wire.Make))
    return await shop.becomes("make_failed", refund="pending")


async def test_a_refund_pending_for_days_is_a_case_until_it_ends(shop: Shop, stuck: list[bool]):
    await failed(shop)
    await shop.until_rows("SELECT 1 FROM refunds WHERE provider_refund_id IS NOT NULL")
    assert await shop.open_cases() == []
    shop.later(3 * DAY_S + 1)
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'refund_failed'")
    assert (await shop.state())["refund_status"] == "pending"
    stuck.append(False)
    shop.later(61)
    await shop.becomes("make_failed", refund="succeeded")
    assert await shop.open_cases() == []
