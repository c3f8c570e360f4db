"""T-Bank's client against the stand-in: over HTTP, each call, and one whose answer is lost."""

from collections.abc import AsyncIterator

import pytest

from server.payments import (
    Confirmation,
    Credentials,
    Declined,
    InDoubt,
    Method,
    Misconfigured,
    NotFound,
    PaymentStatus,
    RefundStatus,
    tbank_requests,
)
from server.payments.tbank import Tbank
from server.sandbox_tbank import PASSWORD, TERMINAL_KEY
from tests.fakes.asked import asked_for
from tests.server.sandbox_tbank.street import SHOP, Street, a_street


@pytest.fixture
async def street(database_url: str) -> AsyncIterator[Street]:
    async with a_street(database_url) as street:
        yield street


@pytest.fixture
def bank(street: Street) -> Tbank:
    return Tbank(street.session, SHOP, street.sandbox.api_url, read_timeout_s=5.0, write_timeout_s=5.0)


def body(street: Street, **otherwise: object) -> str:
    due = {
        "expires_at": street.clock() + 900_000,
        "notification_url": f"{street.sandbox.base_url}/hooks/tbank",
    }
    return tbank_requests.payment_body(asked_for(**{**due, **otherwise}))


async def test_a_payment_is_made_paid_and_given_back(street: Street, bank: Tbank):
    made = await bank.create_payment(body(street), "p1")
    assert made.status is PaymentStatus.PENDING
    assert made.confirmation is not None
    assert made.confirmation.kind == "redirect"
    await street.sandbox.teller.pay(made.provider_payment_id)
    paid = await bank.fetch_payment(made.provider_payment_id)
    assert (paid.status, paid.amount_minor, paid.account_id, paid.test) == (
        PaymentStatus.SUCCEEDED,
        15000,
        TERMINAL_KEY,
        True,
    )
    back = tbank_requests.refund_body(made.provider_payment_id, 15000, "RUB", "", "{}")
    first, again = [await bank.create_refund(back, "refund-1") for _ in range(2)]
    assert first == again
    assert (first.status, first.amount_minor) == (RefundStatus.SUCCEEDED, 15000)
    assert (await bank.fetch_refund(first.provider_refund_id)).status is RefundStatus.SUCCEEDED
    assert len(await bank.refunds_of(made.provider_payment_id)) == 1


@pytest.mark.parametrize(("take", "end"), [(True, PaymentStatus.SUCCEEDED), (False, PaymentStatus.CANCELED)])
async def test_held_money_is_taken_or_released(street: Street, bank: Tbank, take: bool, end: PaymentStatus):
    asked = body(street, hold=True)
    assert tbank_requests.is_hold(asked)
    made = (await bank.create_payment(asked, "p1")).provider_payment_id
    await street.sandbox.teller.pay(made)
    assert (await bank.fetch_payment(made, hold=True)).status is PaymentStatus.WAITING_FOR_CAPTURE
    about = (made, 15000, "RUB")
    if take:
        ended = await bank.capture_payment(made, tbank_requests.capture_body(*about, asked), "capture-p1")
    else:
        ended = await bank.release_payment(made, tbank_requests.release_body(*about), "refund-1")
    assert ended.status is end


async def test_sbp_is_a_link_to_open_or_to_draw(street: Street, bank: Tbank):
    made = await bank.create_payment(body(street, method=Method.SBP), "p1")
    assert isinstance(made.confirmation, Confirmation)
    assert made.confirmation.kind == "qr"
    await street.sandbox.teller.pay(made.provider_payment_id)
    assert (await bank.fetch_payment(made.provider_payment_id)).status is PaymentStatus.SUCCEEDED


async def test_a_payment_whose_answer_was_lost_is_found_again_and_not_made_twice(street: Street, bank: Tbank):
    first = await bank.create_payment(body(street), "p1")
    again = await bank.create_payment(body(street), "p1")
    assert again.provider_payment_id == first.provider_payment_id
    found = await bank.find_payment("p1", 0)
    assert found is not None
    assert found.provider_payment_id == first.provider_payment_id
    assert await bank.find_payment("p2", 0) is None


async def test_wrong_calls_say_what_they_are(street: Street, bank: Tbank):
    with pytest.raises(NotFound):
        await bank.fetch_payment("../x")
    with pytest.raises((NotFound, Declined)):
        await bank.fetch_payment("4000009999")
    stranger = Tbank(street.session, Credentials(TERMINAL_KEY, PASSWORD + "x"), street.sandbox.api_url)
    with pytest.raises(Misconfigured):
        await stranger.create_payment(body(street), "p1")
    nobody = Tbank(street.session, SHOP, "http://127.0.0.1:9", read_timeout_s=1.0, write_timeout_s=1.0)
    with pytest.raises(InDoubt):
        await nobody.create_payment(body(street), "p1")


@pytest.mark.parametrize("amount_minor", [0, -1])
def test_an_amount_is_always_there_since_none_would_mean_all(amount_minor: int):
    with pytest.raises(ValueError, match="at least one kopeck"):
        tbank_requests.refund_body("1", amount_minor, "RUB", "", "{}")
