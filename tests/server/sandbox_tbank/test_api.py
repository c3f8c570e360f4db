"""The API over HTTP, asked by a client's own texts: payments, holds, refunds, and every refusal."""

import asyncio
import json
from typing import Any

import pytest

from server.payments import Declined, PaymentStatus, RefundStatus, tbank_api
from server.payments.tbank_codes import REPEATED_ORDER_CODES
from server.sandbox_tbank import TERMINAL_KEY
from server.sandbox_tbank.api import CALLS_KEPT
from tests.server.sandbox_tbank.street import SHOP, Street, a_street, signed, told

MINUTE_MS = 60_000
RECEIPT = {
    "Email": "buyer@example.com",
    "Taxation": "usn_income",
    "Items": [{"Name": "Капучино", "Price": 15000, "Quantity": 1, "Amount": 15000, "Tax": "none"}],
}
HALF = {
    **RECEIPT,
    "Items": [{"Name": "Капучино", "Price": 5000, "Quantity": 1, "Amount": 5000, "Tax": "none"}],
}


async def held(street: Street) -> str:
    return await street.paid(two_stage=True)


# Who asks. ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "203"),
        ("OK", "203"),
        ("[]", "203"),
        ("[" * 50_000, "203"),
        ("{}", "203"),
        ('{"TerminalKey": "AnotherDEMO"}', "331"),
        (json.dumps({"TerminalKey": TERMINAL_KEY, "PaymentId": "7"}), "204"),
        (json.dumps({**signed({"PaymentId": "7"}), "PaymentId": "8"}), "204"),
        (json.dumps({**signed({"PaymentId": "7"}), "More": "x"}), "204"),
    ],
)
async def test_a_stranger_is_refused_with_http_200(street, body: str, code: str):
    answer = await street.call("GetState", body)
    assert (answer["Success"], answer["ErrorCode"]) == (False, code)
    assert answer["Message"] and answer["Details"]


async def test_what_is_nested_is_not_signed(street):
    body = signed({"Amount": 15000, "OrderId": "p1"})
    assert (await street.call("Init", json.dumps({**body, "DATA": {"Phone": "+70000000000"}})))["Success"]


async def test_a_method_that_does_not_exist_is_not_found(street):
    async with street.session.post(street.sandbox.api_url + "/Charge", data=b"{}") as response:
        assert response.status == 404


# Init and CheckOrder. -------------------------------------------------------------------------------


async def test_a_new_payment_has_an_id_and_a_page(street):
    answer = await street.call("Init", street.init_body())
    payment = tbank_api.payment(told(answer), two_stage=False)
    assert (payment.status, payment.amount_minor) == (PaymentStatus.PENDING, 15000)
    assert (payment.account_id, payment.test) == (TERMINAL_KEY, True)
    assert payment.metadata == {"payment_id": "p1"}
    assert payment.confirmation is not None
    assert payment.confirmation.url == f"{street.sandbox.base_url}/sandbox/tbank/pay/{answer['PaymentId']}"


async def test_the_same_order_is_refused_also_with_the_same_data(street):
    payment_id = await street.new()
    answer = await street.call("Init", street.init_body())
    with pytest.raises(Declined) as declined:
        told(answer)
    assert declined.value.code in REPEATED_ORDER_CODES
    assert answer["Details"] == "Заказ с таким order_id уже существует."
    found = await street.call("CheckOrder", tbank_api.check_order_body(SHOP, "p1"))
    assert [each.provider_payment_id for each in tbank_api.payments_of_order(found, False)] == [payment_id]


async def test_the_same_order_at_the_same_time_makes_one_payment(street):
    answers = await asyncio.gather(*[street.call("Init", street.init_body()) for _ in range(5)])
    assert sorted(answer["Success"] for answer in answers) == [False] * 4 + [True]


async def test_an_unknown_order_is_not_found(street):
    answer = await street.call("CheckOrder", tbank_api.check_order_body(SHOP, "p1"))
    assert answer["ErrorCode"] == "335"


async def test_an_order_tells_why_its_payment_failed(street):
    payment_id = await street.new()
    await street.sandbox.teller.decline(payment_id, "1051")
    answer = await street.call("CheckOrder", tbank_api.check_order_body(SHOP, "p1"))
    (listed,) = answer["Payments"]
    assert (listed["Status"], listed["Success"], listed["ErrorCode"]) == ("REJECTED", False, 1051)


@pytest.mark.parametrize("minutes", [15, 16])
async def test_an_unpaid_payment_ends_at_its_deadline_whoever_looks(street, minutes: int):
    payment_id = await street.new()
    street.clock.pass_minutes(minutes)
    payment = await street.snapshot(payment_id)
    assert (payment.status, payment.reason) == (PaymentStatus.CANCELED, "DEADLINE_EXPIRED")


async def test_a_payment_can_be_paid_until_its_deadline(street):
    payment_id = await street.new()
    street.clock.now_ms += 15 * MINUTE_MS - 1000  # RedirectDueDate has whole seconds
    await street.sandbox.teller.pay(payment_id)
    assert await street.status(payment_id) == "CONFIRMED"


@pytest.mark.parametrize("payment_id", [4000000001, "4000000001"])
async def test_an_unknown_payment_is_not_found_by_number_or_text(street, payment_id: Any):
    assert (await street.ask("GetState", PaymentId=payment_id))["ErrorCode"] == "255"


async def test_a_terminal_with_a_register_wants_a_receipt(street):
    street.sandbox.faults.receipts_required = True
    assert (await street.call("Init", street.init_body()))["ErrorCode"] == "309"
    assert (await street.call("Init", street.init_body(receipt=RECEIPT)))["Success"]


async def test_a_receipt_over_another_sum_is_refused(street):
    assert (await street.call("Init", street.init_body(receipt=HALF)))["ErrorCode"] == "308"


# Confirm. -------------------------------------------------------------------------------------------


async def test_money_that_is_held_is_confirmed(street):
    payment_id = await held(street)
    assert (await street.snapshot(payment_id, two_stage=True)).status is PaymentStatus.WAITING_FOR_CAPTURE
    answer = await street.call("Confirm", tbank_api.confirm_body(SHOP, payment_id, 15000))
    assert tbank_api.confirmed(told(answer)) is PaymentStatus.SUCCEEDED
    assert await street.status(payment_id) == "CONFIRMED"


async def test_less_than_is_held_may_be_confirmed_and_no_more(street):
    payment_id = await held(street)
    more = await street.call("Confirm", tbank_api.confirm_body(SHOP, payment_id, 15001))
    assert more["ErrorCode"] == "330"
    assert (await street.call("Confirm", tbank_api.confirm_body(SHOP, payment_id, 9000)))["Amount"] == 9000
    assert (await street.snapshot(payment_id)).amount_minor == 9000


async def test_without_an_amount_all_is_confirmed(street):
    payment_id = await held(street)
    assert (await street.ask("Confirm", PaymentId=payment_id))["Amount"] == 15000


async def test_a_receipt_of_a_confirmation_is_checked(street):
    payment_id = await held(street)
    body = tbank_api.confirm_body(SHOP, payment_id, 15000, HALF)
    assert (await street.call("Confirm", body))["ErrorCode"] == "308"


async def test_what_is_confirmed_or_not_held_is_not_confirmed(street):
    for payment_id in (await street.new("p1"), await street.paid("p2"), await street.paid_by_sbp("p3")):
        assert (await street.ask("Confirm", PaymentId=payment_id))["ErrorCode"] == "8"


async def test_a_hold_that_is_forgotten_goes_back_after_a_week(street):
    payment_id = await held(street)
    street.clock.pass_minutes(7 * 24 * 60)
    assert await street.status(payment_id) == "REVERSED"


# Cancel. --------------------------------------------------------------------------------------------


async def test_an_unpaid_payment_is_canceled_and_cannot_be_paid(street):
    payment_id = await street.new()
    answer = await street.cancel(payment_id, 100)
    assert (answer["Status"], answer["OriginalAmount"], answer["NewAmount"]) == ("CANCELED", 15000, 0)
    assert tbank_api.refund(told(answer), "r1").status is RefundStatus.SUCCEEDED
    assert (await street.snapshot(payment_id)).status is PaymentStatus.CANCELED


async def test_money_that_is_held_goes_back_in_parts(street):
    payment_id = await held(street)
    first, rest = await street.cancel(payment_id, 5000), await street.cancel(payment_id, 10000, "r2")
    assert (first["Status"], first["OriginalAmount"], first["NewAmount"]) == (
        "PARTIAL_REVERSED",
        15000,
        10000,
    )
    assert (rest["Status"], rest["OriginalAmount"], rest["NewAmount"]) == ("REVERSED", 10000, 0)


async def test_money_that_is_taken_goes_back_in_parts(street):
    payment_id = await street.paid()
    first, rest = await street.cancel(payment_id, 5000), await street.cancel(payment_id, 10000, "r2")
    assert (first["Status"], first["NewAmount"]) == ("PARTIAL_REFUNDED", 10000)
    assert (rest["Status"], rest["NewAmount"]) == ("REFUNDED", 0)
    assert (await street.snapshot(payment_id)).status is PaymentStatus.SUCCEEDED


async def test_without_an_amount_everything_goes_back(street):
    payment_id = await street.paid()
    assert (await street.ask("Cancel", PaymentId=payment_id))["NewAmount"] == 0
    assert await street.status(payment_id) == "REFUNDED"


async def test_no_more_goes_back_than_is_there(street):
    payment_id = await street.paid()
    assert (await street.cancel(payment_id, 15001))["ErrorCode"] == "330"
    both = [street.cancel(payment_id, 10000, "r2"), street.cancel(payment_id, 10000, "r3")]
    assert sorted(answer["Success"] for answer in await asyncio.gather(*both)) == [False, True]


@pytest.mark.parametrize("amount", [0, 99, -1, True, 10.5, "150"])
async def test_an_amount_that_is_too_small_or_none_gives_nothing_back(street, amount: Any):
    payment_id = await street.paid()
    answer = await street.ask("Cancel", PaymentId=payment_id, Amount=amount)
    assert answer["ErrorCode"] == "251"
    assert await street.status(payment_id) == "CONFIRMED"


async def test_the_same_request_gives_back_once(street):
    payment_id = await street.paid()
    first = await street.cancel(payment_id, 5000)
    assert await street.cancel(payment_id, 5000) == first
    assert (await street.cancel(payment_id, 5000, "r2"))["NewAmount"] == 5000


async def test_without_the_name_of_a_request_each_gives_back(street):
    payment_id = await street.paid()
    for left in (10000, 5000):
        answer = await street.ask("Cancel", PaymentId=payment_id, Amount=5000, ExternalRequestId="")
        assert (answer["NewAmount"], "ExternalRequestId" in answer) == (left, False)


async def test_the_same_request_at_the_same_time_gives_back_once(street):
    payment_id = await street.paid()
    answers = await asyncio.gather(*[street.cancel(payment_id, 5000) for _ in range(5)])
    assert {answer["NewAmount"] for answer in answers} == {10000}


async def test_a_refused_request_may_be_made_again(street):
    payment_id = await held(street)
    assert (await street.cancel(payment_id, 15001))["ErrorCode"] == "330"
    assert (await street.cancel(payment_id, 15000))["Status"] == "REVERSED"


@pytest.mark.parametrize(("old", "status"), [(False, "REFUNDED"), (True, "ASYNC_REFUNDING")])
async def test_a_repeat_tells_the_status_of_now_or_of_then(street, old: bool, status: str):
    street.sandbox.faults.replays_are_old = old
    payment_id = await street.paid_by_sbp()
    await street.cancel(payment_id)
    street.clock.now_ms += 2000
    answer = await street.cancel(payment_id)
    assert (answer["Status"], answer["OriginalAmount"], answer["NewAmount"]) == (status, 15000, 0)


async def test_what_is_over_is_not_canceled(street):
    payment_id = await street.new()
    await street.sandbox.teller.decline(payment_id)
    assert (await street.cancel(payment_id))["ErrorCode"] == "8"


@pytest.mark.parametrize(("only_new", "outcome"), [(False, "CANCELED"), (True, "FORM_SHOWED")])
async def test_a_payment_whose_page_was_shown_is_canceled_or_not(street, only_new: bool, outcome: str):
    street.sandbox.faults.only_new_is_canceled = only_new
    payment_id = await street.new()
    await street.sandbox.teller.show(payment_id)
    assert (await street.cancel(payment_id))["Success"] is not only_new
    assert await street.status(payment_id) == outcome


async def test_a_part_of_what_had_a_receipt_goes_back_with_one(street):
    payment_id = await street.paid(receipt=RECEIPT)
    assert (await street.cancel(payment_id, 5000))["ErrorCode"] == "309"
    body = tbank_api.cancel_body(SHOP, payment_id, 6000, "r1", HALF)
    assert (await street.call("Cancel", body))["ErrorCode"] == "308"
    body = tbank_api.cancel_body(SHOP, payment_id, 5000, "r1", HALF)
    assert (await street.call("Cancel", body))["Status"] == "PARTIAL_REFUNDED"
    assert (await street.cancel(payment_id, 10000, "r2"))["Status"] == "REFUNDED"


# The books. -----------------------------------------------------------------------------------------


async def test_only_the_latest_calls_are_kept(street):
    body = street.init_body()
    await street.call("Init", body)
    assert street.sandbox.api.calls[-1] == ("Init", body)
    assert street.sandbox.api.calls.maxlen == CALLS_KEPT


async def test_the_books_survive_a_restart(database_url):
    async with a_street(database_url) as before:
        payment_id = await before.paid_by_sbp()
        first = await before.cancel(payment_id, 5000)
    async with a_street(database_url, clock=before.clock) as after:
        assert await after.cancel(payment_id, 5000) == first
        after.clock.now_ms += 2000
        assert await after.status(payment_id) == "PARTIAL_REFUNDED"
        assert (await after.call("Init", after.init_body()))["ErrorCode"] == "8"
