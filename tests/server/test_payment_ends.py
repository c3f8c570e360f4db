"""A payment of which nobody can be asked: after a day a person is told, and no longer once it can."""

from collections.abc import Awaitable, Callable

import pytest

from agent import wire
from tests.fakes.shop import Shop, until
from tests.server.test_case_work import decide

DAY_S = 24 * 3600


async def unasked(shop: Shop) -> None:
    """The shop's credentials are gone for a day."""
    await shop.change("UPDATE payments SET scenario = 'Yookassa', checks = 0")
    shop.later(61)
    await shop.until_rows("SELECT 1 FROM payments WHERE checks > 0")
    assert await shop.open_cases() == []
    shop.later(DAY_S)
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'payment_unasked' AND closed_at IS NULL")


async def held(shop: Shop) -> None:
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    agent = await shop.agent()
    await shop.pay()
    await agent.hear(wire.Make)
    assert await shop.column("SELECT status FROM payments") == ["held"]


async def pending(shop: Shop) -> None:
    await shop.agent()
    await shop.at_bank()


@pytest.mark.parametrize("paid", [pending, held])
async def test_a_payment_that_cannot_be_asked_for_a_day_is_a_case_until_it_can(
    shop: Shop, paid: Callable[[Shop], Awaitable[None]]
):
    await paid(shop)
    await unasked(shop)
    await shop.change("UPDATE payments SET scenario = 'Sandbox'")
    answered = "SELECT 1 FROM cases WHERE kind = 'payment_unasked' AND resolution = 'answered'"

    async def is_answered() -> object:
        shop.later(61)  # again: a question that was under way when time was moved has failed still
        return await shop.rows(answered)

    await until(is_answered)


async def test_a_case_that_a_person_has_closed_is_not_opened_again_in_the_same_silence(shop: Shop):
    await held(shop)
    await unasked(shop)
    (case_id,) = await shop.column("SELECT case_id FROM cases WHERE kind = 'payment_unasked'")
    await decide(shop, "settled_at_bank", case_id=case_id)
    for _ in range(2):
        await shop.change("UPDATE payments SET checks = 0")
        shop.later(DAY_S)
        await shop.until_rows("SELECT 1 FROM payments WHERE checks > 0")
    assert await shop.column("SELECT count(*) FROM cases WHERE kind = 'payment_unasked'") == [1]
    assert await shop.column("SELECT status FROM payments") == ["held"]


async def test_a_person_can_end_what_cannot_be_asked_any_more(shop: Shop):
    await pending(shop)
    await unasked(shop)
    await decide(shop, "settled_at_bank")
    await shop.becomes("not_paid")
    assert await shop.column("SELECT next_check_at FROM payments") == [None]
