"""The client against the sandbox over HTTP: each way a call can end, and what a repeat does."""

from typing import Any

import aiohttp
import pytest
import structlog
from aioresponses import aioresponses

from server.payments import (
    Credentials,
    Declined,
    InDoubt,
    Misconfigured,
    NotFound,
    PaymentStatus,
    RefundStatus,
    RetryLater,
    reading,
    yookassa,
)
from server.payments.yookassa import Yookassa
from server.sandbox import ACCOUNT_ID, Harm
from server.sandbox.api import Call
from tests.server.sandbox.street import Street, a_street

SHOP = "https://bank.example/v3"
PAYMENT = {
    "id": "2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d",
    "status": "pending",
    "amount": {"value": "150.00", "currency": "RUB"},
}


async def payments_made(street: Street) -> int:
    _, page = await street.call("GET", "/payments")
    return len(page["items"])


def creates(street: Street) -> list[Call]:
    return [call for call in street.sandbox.api.calls if call.method == "POST"]


async def test_a_payment_is_made_and_waits_for_its_customer(street):
    payment = await street.create()
    assert payment.status is PaymentStatus.PENDING
    assert (payment.amount_minor, payment.currency) == (15000, "RUB")
    assert payment.metadata == {"order_id": "order-1", "payment_id": "p1", "attempt": "1"}
    assert (payment.account_id, payment.test) == (ACCOUNT_ID, True)
    assert payment.confirmation.url.startswith(street.sandbox.base_url)


async def test_a_paid_payment_has_succeeded_and_nothing_is_left_to_open(street):
    payment = await street.paid()
    assert payment.status is PaymentStatus.SUCCEEDED
    assert payment.confirmation is None
    assert payment.refunded_minor == 0


async def test_a_declined_payment_says_why(street):
    payment = await street.create()
    await street.sandbox.teller.decline(payment.provider_payment_id, "insufficient_funds")
    after = await street.shop.fetch_payment(payment.provider_payment_id)
    assert (after.status, after.reason) == (PaymentStatus.CANCELED, "insufficient_funds")


async def test_a_refund_is_made_settles_and_is_counted_in_its_payment(street):
    payment = await street.paid()
    refund = await street.refund(payment, 15000)
    assert (refund.status, refund.amount_minor) == (RefundStatus.PENDING, 15000)
    street.clock.now_ms += 2000
    refund = await street.shop.fetch_refund(refund.provider_refund_id)
    assert (refund.status, refund.provider_payment_id) == (
        RefundStatus.SUCCEEDED,
        payment.provider_payment_id,
    )
    assert (await street.shop.fetch_payment(payment.provider_payment_id)).refunded_minor == 15000


async def test_a_canceled_refund_says_why(street):
    street.sandbox.faults.refunds_canceled_because = "insufficient_funds"
    refund = await street.refund(await street.paid(), 15000)
    street.clock.now_ms += 2000
    refund = await street.shop.fetch_refund(refund.provider_refund_id)
    assert (refund.status, refund.reason) == (RefundStatus.CANCELED, "insufficient_funds")


async def test_the_refunds_of_a_payment_are_listed_and_no_others(street):
    one, other = await street.paid("k1"), await street.paid("k2")
    first = await street.refund(one, 5000, "r1")
    second = await street.refund(one, 6000, "r2")
    await street.refund(other, 7000, "r3")
    refunds = await street.shop.refunds_of(one.provider_payment_id)
    assert {refund.provider_refund_id for refund in refunds} == {
        first.provider_refund_id,
        second.provider_refund_id,
    }


@pytest.mark.parametrize("harm", [Harm.ERROR, Harm.ABORT, Harm.PROCESSING, Harm.BAD_GATEWAY, Harm.TRUNCATED])
async def test_a_payment_whose_answer_was_lost_is_one_payment_after_a_repeat(street, harm):
    street.sandbox.faults.next_create(harm, after_effect=True)
    with pytest.raises(InDoubt):
        await street.create()
    assert await payments_made(street) == 1
    assert (await street.create()).status is PaymentStatus.PENDING
    assert await payments_made(street) == 1


@pytest.mark.parametrize("harm", [Harm.ERROR, Harm.ABORT, Harm.BAD_GATEWAY])
async def test_a_payment_that_was_never_made_is_made_by_the_repeat(street, harm):
    street.sandbox.faults.next_create(harm)
    with pytest.raises(InDoubt):
        await street.create()
    assert await payments_made(street) == 0
    await street.create()
    assert await payments_made(street) == 1


async def test_a_slow_answer_leaves_the_payment_in_doubt_and_the_repeat_finds_it(database_url):
    async with a_street(database_url, timeout_s=0.3) as street:
        street.sandbox.faults.slow_s = 0.6
        street.sandbox.faults.next_create(Harm.SLOW)
        with pytest.raises(InDoubt):
            await street.create()
        await street.create()
        assert await payments_made(street) == 1
        assert len({call.key for call in creates(street)}) == 1


async def test_a_lost_answer_to_a_refund_gives_money_back_once(street):
    payment = await street.paid()
    street.sandbox.faults.next_create(Harm.ABORT, after_effect=True)
    with pytest.raises(InDoubt):
        await street.refund(payment, 15000)
    await street.refund(payment, 15000)
    assert len(await street.shop.refunds_of(payment.provider_payment_id)) == 1


async def test_too_many_requests_are_to_be_repeated_later(street):
    street.sandbox.faults.next_create(Harm.TOO_MANY)
    with pytest.raises(RetryLater) as refused:
        await street.create()
    assert refused.value.after_s > 0


async def test_processing_names_the_time_to_repeat(street):
    street.sandbox.faults.next_create(Harm.PROCESSING)
    with pytest.raises(InDoubt) as doubt:
        await street.create()
    assert doubt.value.after_s == 1.8


async def test_a_wrong_request_is_declined_and_names_the_parameter(street):
    body = street.body().replace('"150.00"', '"150"')
    with pytest.raises(Declined) as declined:
        await street.shop.create_payment(body, "pay-1")
    assert (declined.value.code, declined.value.parameter) == ("invalid_request", "amount.value")


async def test_a_used_key_with_another_body_is_declined(street):
    await street.create()
    with pytest.raises(Declined, match="duplicated"):
        await street.create(amount_minor=16000)


async def test_a_wrong_secret_is_for_the_operator(street):
    shop = Yookassa(street.session, Credentials(ACCOUNT_ID, "wrong"), street.sandbox.api_url)
    with pytest.raises(Misconfigured):
        await shop.fetch_payment("2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d")


async def test_an_account_with_a_colon_is_for_the_operator(street):
    shop = Yookassa(street.session, Credentials("a:b", "secret"), street.sandbox.api_url)
    with pytest.raises(Misconfigured):
        await shop.fetch_payment("2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d")


async def test_an_unknown_payment_or_refund_is_not_found(street):
    with pytest.raises(NotFound):
        await street.shop.fetch_payment("2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d")
    with pytest.raises(NotFound):
        await street.shop.fetch_refund("2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d")


async def test_an_id_that_would_leave_its_path_is_never_sent(street):
    with pytest.raises(NotFound):
        await street.shop.fetch_payment("../refunds")
    assert list(street.sandbox.api.calls) == []


async def test_a_failed_question_is_in_doubt(street):
    payment = await street.create()
    street.sandbox.faults.next_read(Harm.BAD_GATEWAY)
    with pytest.raises(InDoubt):
        await street.shop.fetch_payment(payment.provider_payment_id)


async def test_a_lost_payment_is_found_by_our_own_id_across_pages(street, monkeypatch):
    monkeypatch.setattr(yookassa, "PAGE_SIZE", 2)
    for number in range(5):
        await street.create(f"k{number}", payment_id=f"p{number}")
        street.clock.now_ms += 1
    found = await street.shop.find_payment("p0", street.clock.now_ms - 5)
    assert found is not None and found.metadata["payment_id"] == "p0"
    assert await street.shop.find_payment("p0", street.clock.now_ms - 4) is None
    assert await street.shop.find_payment("p9", 0) is None


async def test_a_list_without_end_is_given_up(street, monkeypatch):
    monkeypatch.setattr(yookassa, "PAGE_SIZE", 1)
    monkeypatch.setattr(yookassa, "PAGES_AT_MOST", 2)
    for number in range(4):
        await street.create(f"k{number}", payment_id=f"p{number}")
    with pytest.raises(InDoubt, match="goes on"):
        await street.shop.find_payment("p9", 0)


@pytest.fixture
async def shop():
    async with aiohttp.ClientSession() as session:
        yield Yookassa(session, Credentials("100500", "secret-of-ours"), SHOP)


@pytest.mark.parametrize(
    "injected",
    [
        {"exception": aiohttp.ServerDisconnectedError()},
        {"exception": aiohttp.ClientPayloadError("cut")},
        {"exception": TimeoutError()},
        {"exception": ConnectionResetError()},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": "[]"},
        {"status": 200, "body": b"\xff\xfe"},
        {"status": 200, "body": "[" * 100_000},
        {"status": 200, "payload": {**PAYMENT, "amount": {"value": 150.0, "currency": "RUB"}}},
        {"status": 200, "payload": {**PAYMENT, "id": "../x"}},
        {"status": 200, "payload": {}},
        {"status": 201, "payload": PAYMENT},
        {"status": 302, "headers": {"Location": "https://other.example/"}},
        {"status": 408},
        {"status": 409},
        {"status": 503},
    ],
)
async def test_whatever_is_no_clear_answer_is_in_doubt(shop, answers: aioresponses, injected: Any):
    answers.post(f"{SHOP}/payments", **injected)
    with pytest.raises(InDoubt):
        await shop.create_payment("{}", "k")


async def test_an_answer_without_end_is_not_read_to_its_end(shop, answers, monkeypatch):
    monkeypatch.setattr(reading, "ANSWER_LIMIT_BYTES", 100)
    answers.post(f"{SHOP}/payments", body=b" " * 101)
    with pytest.raises(InDoubt, match="longer"):
        await shop.create_payment("{}", "k")


async def test_an_answer_about_another_payment_is_in_doubt(shop, answers):
    answers.get(f"{SHOP}/payments/another", payload=PAYMENT)
    with pytest.raises(InDoubt, match="another"):
        await shop.fetch_payment("another")


async def test_the_saved_body_and_key_are_sent_as_they_are(shop, answers):
    answers.post(f"{SHOP}/payments", payload=PAYMENT)
    await shop.create_payment('{"a":  "ё"}', "pay-1")
    (request,) = next(iter(answers.requests.values()))
    assert request.kwargs["data"] == '{"a":  "ё"}'.encode()
    assert request.kwargs["headers"]["Idempotence-Key"] == "pay-1"
    assert request.kwargs["headers"]["Authorization"] == "Basic MTAwNTAwOnNlY3JldC1vZi1vdXJz"
    assert request.kwargs["allow_redirects"] is False


async def test_an_unknown_status_is_pending_and_told_in_the_log(shop, answers):
    answers.get(f"{SHOP}/payments/{PAYMENT['id']}", payload={**PAYMENT, "status": "thinking"})
    with structlog.testing.capture_logs() as logs:
        payment = await shop.fetch_payment(PAYMENT["id"])
    assert payment.status is PaymentStatus.PENDING
    assert [entry["status"] for entry in logs if entry["log_level"] == "warning"] == ["thinking"]


async def test_the_log_tells_the_call_and_no_secret(shop, answers):
    answers.post(f"{SHOP}/payments", status=500)
    with structlog.testing.capture_logs() as logs, pytest.raises(InDoubt):
        await shop.create_payment('{"receipt":{"customer":{"email":"buyer@example.com"}}}', "key-1")
    (entry,) = logs
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/payments", 500)
    assert not any(word in str(logs) for word in ("secret", "Basic", "key-1", "@"))


def test_credentials_do_not_show_their_secret():
    assert "hush" not in repr(Credentials("100500", "hush"))
