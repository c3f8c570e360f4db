"""That the bank is faithful is shown by YooKassa's own client, which knows nothing of it but the address.

It is synchronous and keeps its settings in its class, so each call runs in a thread beside the server.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from yookassa import Configuration, Payment, Receipt, Refund
from yookassa.domain.exceptions import (
    BadRequestError,
    ForbiddenError,
    GoneError,
    InternalServerError,
    NotFoundError,
    ResponseProcessingError,
    TooManyRequestsError,
    UnauthorizedError,
)
from yookassa.domain.notification import WebhookNotificationFactory

from server.sandbox import ACCOUNT_ID, SECRET_KEY, Harm
from tests.server.sandbox.street import RECEIPT_DELAY_MS, Street, a_street

pytestmark = pytest.mark.one_database  # test_api.py puts the same questions to both databases

BACK = "https://shop.example/o/1"
REDIRECT = {"type": "redirect", "return_url": BACK}
ROUBLES = {"value": "150.00", "currency": "RUB"}
RECEIPT = {
    "customer": {"email": "buyer@example.com"},
    "internet": False,
    "items": [
        {
            "description": "Капучино",
            "quantity": 1,
            "amount": ROUBLES,
            "vat_code": 1,
            "measure": "piece",
            "payment_subject": "commodity",
            "payment_mode": "full_payment",
        }
    ],
}
RECEIPT_LATER = RECEIPT | {"send": True, "settlements": [{"type": "cashless", "amount": ROUBLES}]}


@pytest.fixture
async def street(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Street]:
    """A bank that the official client is set to, without any proxy between them."""
    for name in ("api_url", "account_id", "secret_key", "auth_token", "timeout", "max_attempts", "verify"):
        monkeypatch.setattr(Configuration, name, getattr(Configuration, name))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with a_street(database_url) as street:
        Configuration.configure(ACCOUNT_ID, SECRET_KEY, api_url=street.sandbox.api_url)
        yield street


async def sdk(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the official client answers, or raise what it raises."""
    return await asyncio.to_thread(call, *arguments)


def asked(**options: Any) -> dict[str, Any]:
    return {"amount": ROUBLES, "capture": True, "confirmation": REDIRECT, "description": "Капучино"} | options


async def paid(street: Street, **options: Any) -> Any:
    made = await sdk(Payment.create, asked(**options))
    await street.sandbox.teller.pay(made.id)
    return await sdk(Payment.find_one, made.id)


async def test_a_card_is_paid_on_the_page_that_the_payment_names(street):
    made = await sdk(Payment.create, asked(metadata={"order_id": "1"}), "pay-1")
    assert (made.status, made.paid, made.test, made.refundable) == ("pending", False, True, False)
    async with street.session.post(
        made.confirmation.confirmation_url, data={"result": "succeeded"}, allow_redirects=False
    ) as response:
        assert (response.status, response.headers["Location"]) == (303, BACK)
    found = await sdk(Payment.find_one, made.id)
    assert (found.status, found.paid, found.refundable) == ("succeeded", True, True)
    assert (str(found.amount.value), str(found.income_amount.value)) == ("150.00", "144.75")
    assert (found.payment_method.type, found.payment_method.card.last4) == ("bank_card", "4444")
    assert found.authorization_details.three_d_secure.applied is True
    assert found.metadata == {"order_id": "1", "cms_name": "yookassa_sdk_python"}


async def test_the_same_key_makes_one_payment(street):
    first, second = [await sdk(Payment.create, asked(), "k") for _ in range(2)]
    assert first.id == second.id
    with pytest.raises(BadRequestError) as refused:
        await sdk(Payment.create, asked(description="Латте"), "k")
    assert refused.value.error.parameter == "Idempotence-Key"


async def test_a_hold_is_captured_in_part_or_given_back(street):
    held, released = [await paid(street, capture=False) for _ in range(2)]
    assert (held.status, held.paid) == ("waiting_for_capture", True)
    assert held.expires_at > held.created_at
    taken = await sdk(Payment.capture, held.id, {"amount": {"value": "100.00", "currency": "RUB"}})
    assert (taken.status, str(taken.amount.value)) == ("succeeded", "100.00")
    back = await sdk(Payment.cancel, released.id)
    assert (back.status, back.cancellation_details.reason) == ("canceled", "canceled_by_merchant")
    for call in (Payment.capture, Payment.cancel):
        with pytest.raises(BadRequestError):
            await sdk(call, back.id)


async def test_sbp_is_paid_by_a_qr_code_and_goes_back_by_sbp(street):
    sbp = {"payment_method_data": {"type": "sbp"}, "confirmation": {"type": "qr"}}
    made = await sdk(Payment.create, asked(**sbp))
    assert (made.confirmation.type, made.payment_method.type) == ("qr", "sbp")
    async with street.session.post(made.confirmation.confirmation_data, data={"result": "succeeded"}) as page:
        assert page.status == 200
    found = await sdk(Payment.find_one, made.id)
    assert len(found.payment_method.sbp_operation_id) == 32
    assert found.payment_method.payer_bank_details.bic == "044525225"
    refund = await sdk(Refund.create, {"payment_id": made.id, "amount": ROUBLES})
    street.clock.pass_minutes(1)
    ended = await sdk(Refund.find_one, refund.id)
    assert (ended.status, ended.refund_method.type) == ("succeeded", "sbp")
    assert len(ended.refund_method.sbp_operation_id) == 32


async def test_sbp_holds_nothing(street):
    with pytest.raises(BadRequestError) as refused:
        await sdk(Payment.create, asked(payment_method_data={"type": "sbp"}, capture=False))
    assert refused.value.error.parameter == "capture"


async def test_a_receipt_is_registered_with_the_payment_and_with_its_refund(street):
    payment = await paid(street, receipt=RECEIPT)
    assert payment.receipt_registration == "pending"
    street.clock.now_ms += RECEIPT_DELAY_MS
    assert (await sdk(Payment.find_one, payment.id)).receipt_registration == "succeeded"
    (receipt,) = (await sdk(Receipt.list, {"payment_id": payment.id})).items
    found = await sdk(Receipt.find_one, receipt.id)
    assert (found.type, found.status, found.payment_id) == ("payment", "succeeded", payment.id)
    assert (found.items[0].description, found.items[0].quantity, found.internet) == ("Капучино", 1, False)
    numbers = (found.fiscal_document_number, found.fiscal_storage_number, found.fiscal_attribute)
    assert [len(number) for number in numbers] == [1, 16, 10]
    assert found.registered_at == "2026-11-20T11:30:03.000+03:00"
    refund = await sdk(Refund.create, {"payment_id": payment.id, "amount": ROUBLES})
    assert refund.receipt_registration == "pending"
    street.clock.now_ms += RECEIPT_DELAY_MS
    assert (await sdk(Refund.find_one, refund.id)).receipt_registration == "succeeded"
    (returned,) = (await sdk(Receipt.list, {"refund_id": refund.id})).items
    assert (returned.type, returned.fiscal_document_number) == ("refund", "2")


async def test_a_receipt_may_come_with_the_capture_or_after_the_payment(street):
    held = await paid(street, capture=False)
    taken = await sdk(Payment.capture, held.id, {"amount": ROUBLES, "receipt": RECEIPT})
    assert taken.receipt_registration == "pending"
    later = await sdk(Receipt.create, RECEIPT_LATER | {"type": "payment", "payment_id": held.id})
    assert (later.status, later.settlements[0].type) == ("pending", "cashless")
    street.clock.now_ms += RECEIPT_DELAY_MS
    both = (await sdk(Receipt.list, {"payment_id": held.id, "status": "succeeded"})).items
    assert {receipt.fiscal_document_number for receipt in both} == {"1", "2"}


async def test_a_refund_is_pending_then_succeeds_and_no_more_goes_back_than_came(street):
    payment = await paid(street)
    part = {"payment_id": payment.id, "amount": {"value": "100.00", "currency": "RUB"}, "description": "1"}
    refund = await sdk(Refund.create, part, "r1")
    assert refund.status == "pending"
    with pytest.raises(BadRequestError) as refused:
        await sdk(Refund.create, part, "r2")
    assert refused.value.error.parameter == "amount.value"
    street.clock.pass_minutes(1)
    assert (await sdk(Refund.find_one, refund.id)).status == "succeeded"
    found = await sdk(Payment.find_one, payment.id)
    assert (found.status, str(found.refunded_amount.value)) == ("succeeded", "100.00")
    assert [each.id for each in (await sdk(Refund.list, {"payment_id": payment.id})).items] == [refund.id]


async def test_lists_are_read_to_their_end_by_the_cursor(street):
    made = set()
    for _ in range(5):
        made.add((await sdk(Payment.create, asked())).id)
        street.clock.now_ms += 1
    found: list[str] = []
    question = {"limit": 2, "status": "pending", "created_at.gte": "2026-11-20T08:30:00.000Z"}
    while True:
        page = await sdk(Payment.list, question)
        found += [payment.id for payment in page.items]
        if page.next_cursor is None:
            break
        question["cursor"] = page.next_cursor
    assert (len(found), set(found)) == (5, made)


async def test_the_official_client_reads_the_notification(street):
    payment = await paid(street)
    await street.sandbox.do_due()
    notification = WebhookNotificationFactory().create(street.webhook.received[0])
    assert (notification.event, notification.object.id) == ("payment.succeeded", payment.id)


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"amount": {"value": "0.50", "currency": "RUB"}}, "amount.value"),
        ({"amount": {"value": "150.00", "currency": "USD"}}, "amount.currency"),
        ({"confirmation": {"type": "embedded"}}, "confirmation.type"),
        ({"confirmation": {"type": "external"}}, "confirmation.type"),
        ({"confirmation": {"type": "qr"}}, "confirmation.type"),
        ({"payment_method_data": {"type": "yoo_money"}}, "payment_method_data.type"),
        ({"metadata": {"k" * 33: "v"}}, "metadata"),
        ({"receipt": RECEIPT | {"tax_system_code": 7}}, "receipt.tax_system_code"),
        ({"receipt": RECEIPT, "amount": {"value": "151.00", "currency": "RUB"}}, "receipt.items"),
    ],
)
async def test_a_wrong_payment_is_a_bad_request_that_names_its_parameter(street, wrong, parameter):
    with pytest.raises(BadRequestError) as refused:
        await sdk(Payment.create, asked(**wrong))
    assert (refused.value.error.code, refused.value.error.parameter) == ("invalid_request", parameter)


@pytest.mark.parametrize("find", [Payment.find_one, Refund.find_one, Receipt.find_one])
async def test_what_is_not_there_is_not_found(street, find):
    with pytest.raises(NotFoundError) as refused:
        await sdk(find, "none")
    assert refused.value.error.code == "not_found"


async def test_a_wrong_key_is_unauthorized(street):
    Configuration.secret_key = "wrong"
    with pytest.raises(UnauthorizedError) as refused:
        await sdk(Payment.list)
    assert refused.value.error.code == "invalid_credentials"


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (Harm.ERROR, InternalServerError),
        (Harm.TOO_MANY, TooManyRequestsError),
        (Harm.FORBIDDEN, ForbiddenError),
        (Harm.GONE, GoneError),
        (Harm.PROCESSING, ResponseProcessingError),
    ],
)
async def test_each_answer_that_is_injected_is_the_error_that_it_stands_for(street, harm, error):
    street.sandbox.faults.next_create(harm)
    with pytest.raises(error):
        await sdk(Payment.create, asked(), "k")
    assert (await sdk(Payment.create, asked(), "k")).status == "pending"
