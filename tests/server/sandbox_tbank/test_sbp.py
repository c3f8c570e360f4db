"""SBP at the bank: codes, their tests, and refunds that take their time."""

from typing import Any

import pytest

from server.payments import RefundStatus, tbank_api
from tests.server.sandbox_tbank.street import SHOP, told

pytestmark = pytest.mark.one_database  # test_api.py puts the same questions to both databases


async def test_a_code_leads_to_the_page_of_its_payment(street):
    payment_id = await street.new()
    answer = await street.call("GetQr", tbank_api.get_qr_body(SHOP, payment_id))
    assert tbank_api.qr_link(told(answer)) == f"{street.sandbox.base_url}/sandbox/tbank/pay/{payment_id}"
    assert answer["PaymentId"] == int(payment_id)
    assert await street.status(payment_id) == "FORM_SHOWED"
    again = await street.call("GetQr", tbank_api.get_qr_body(SHOP, payment_id))
    assert again["Data"] == answer["Data"]


async def test_sbp_takes_ten_roubles_at_least_and_holds_nothing(street):
    small, large = await street.new("p1", 999), await street.new("p2", 1000)
    two_stage = await street.new("p3", two_stage=True)
    codes = [
        (await street.call("GetQr", tbank_api.get_qr_body(SHOP, payment_id)))["ErrorCode"]
        for payment_id in (small, large, two_stage)
    ]
    assert codes == ["3016", "0", "3001"]


async def test_a_paid_payment_gets_no_code_and_pictures_are_not_drawn(street):
    payment_id = await street.paid()
    assert (await street.call("GetQr", tbank_api.get_qr_body(SHOP, payment_id)))["ErrorCode"] == "8"
    assert (await street.ask("GetQr", PaymentId=payment_id, DataType="IMAGE"))["ErrorCode"] == "1"


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({}, "CONFIRMED"),
        ({"IsRejected": False}, "CONFIRMED"),
        ({"IsRejected": True}, "REJECTED"),
        ({"IsDeadlineExpired": True}, "DEADLINE_EXPIRED"),
    ],
)
async def test_a_test_of_sbp_ends_as_it_is_told_to(street, flags: dict[str, bool], status: str):
    payment_id = await street.new()
    assert (await street.ask("SbpPayTest", PaymentId=payment_id, **flags))["ErrorCode"] == "8"
    await street.call("GetQr", tbank_api.get_qr_body(SHOP, payment_id))
    assert (await street.ask("SbpPayTest", PaymentId=payment_id, **flags))["Success"]
    assert await street.status(payment_id) == status


@pytest.mark.parametrize("flags", [{"IsRejected": True, "IsDeadlineExpired": True}, {"IsRejected": "yes"}])
async def test_a_test_of_sbp_is_told_one_thing(street, flags: dict[str, Any]):
    assert (await street.ask("SbpPayTest", PaymentId=await street.new(), **flags))["ErrorCode"] == "1"


async def test_a_refund_through_sbp_is_on_its_way_at_first(street):
    payment_id = await street.paid_by_sbp()
    refund = tbank_api.refund(told(await street.cancel(payment_id, 5000)), "r1")
    assert (refund.status, refund.amount_minor) == (RefundStatus.PENDING, 5000)
    assert (await street.cancel(payment_id, 5000, "r2"))["ErrorCode"] == "8"
    street.clock.now_ms += 2000
    assert await street.status(payment_id) == "PARTIAL_REFUNDED"
    assert (await street.cancel(payment_id, 10000, "r3"))["Status"] == "ASYNC_REFUNDING"
    street.clock.now_ms += 2000
    assert (await street.snapshot(payment_id)).refunded_minor == 15000


async def test_a_refund_through_sbp_may_fail_and_be_asked_for_anew(street):
    street.sandbox.faults.refunds_fail = True
    payment_id = await street.paid_by_sbp()
    await street.cancel(payment_id)
    street.clock.now_ms += 2000
    assert await street.status(payment_id) == "CONFIRMED"
    street.sandbox.faults.refunds_fail = False
    await street.cancel(payment_id, 15000, "r2")
    street.clock.now_ms += 2000
    assert await street.status(payment_id) == "REFUNDED"
