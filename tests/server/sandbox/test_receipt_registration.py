"""Receipts over HTTP: sent with a payment, a capture or a refund, or later, and registered after a while."""

import pytest

from server.sandbox import store
from tests.server.sandbox.bare_calls import RECEIPT, ROUBLES, get, give_back, pay
from tests.server.sandbox.street import RECEIPT_DELAY_MS


async def test_the_receipt_of_a_hold_is_registered_when_the_money_is_taken(street):
    held = await pay(street, capture=False, receipt=RECEIPT)
    assert (await get(street, f"/receipts?payment_id={held}"))["items"] == []
    await street.call("POST", f"/payments/{held}/capture", key="c1", json={})
    (receipt,) = (await get(street, f"/receipts?payment_id={held}"))["items"]
    assert (receipt["status"], "fiscal_attribute" in receipt) == ("pending", False)
    street.clock.now_ms += RECEIPT_DELAY_MS
    assert (await get(street, f"/receipts/{receipt['id']}"))["status"] == "succeeded"


async def test_a_receipt_that_the_register_does_not_take_is_told_to_nobody(street):
    street.sandbox.faults.receipts_fail = True
    payment_id = await pay(street, receipt=RECEIPT)
    street.clock.now_ms += RECEIPT_DELAY_MS
    await street.sandbox.do_due()
    assert (await get(street, f"/payments/{payment_id}"))["receipt_registration"] == "canceled"
    (receipt,) = (await get(street, "/receipts?status=canceled"))["items"]
    assert (receipt["payment_id"], "registered_at" in receipt) == (payment_id, False)
    assert street.webhook.events == ["payment.succeeded"]
    assert "receipt_registration" in street.webhook.received[0]["object"]


async def test_the_bank_wakes_by_itself_to_register_a_receipt(street):
    payment_id = await pay(street, receipt=RECEIPT)
    await street.sandbox.do_due()
    assert await street.db.read(store.next_due_at) == street.clock.now_ms + RECEIPT_DELAY_MS
    street.clock.now_ms += RECEIPT_DELAY_MS
    await street.sandbox.do_due()
    paid = await street.db.read(store.shown_payment, payment_id)
    assert paid["receipt_registration"] == "succeeded"
    assert await street.db.read(store.next_due_at) is None


async def test_receipts_of_a_refund_are_found_by_it_and_also_by_the_payment(street):
    payment_id, other = await pay(street, receipt=RECEIPT), await pay(street, "pay-2", receipt=RECEIPT)
    _, refund = await give_back(street, payment_id)
    of_refund = (await get(street, f"/receipts?refund_id={refund['id']}"))["items"]
    of_payment = (await get(street, f"/receipts?payment_id={payment_id}"))["items"]
    assert [receipt["type"] for receipt in of_refund] == ["refund"]
    assert {receipt["type"] for receipt in of_payment} == {"payment", "refund"}
    assert all(receipt["payment_id"] != other for receipt in of_payment)
    assert (await get(street, "/receipts?refund_id=none"))["items"] == []
    assert (await street.call("GET", "/receipts?refund_id=a&payment_id=b"))[0] == 400


async def test_a_receipt_that_comes_later_does_not_touch_its_payment(street):
    payment_id = await pay(street)
    _, refund = await give_back(street, payment_id)
    settled = {"settlements": [{"type": "cashless", "amount": ROUBLES}], "send": True}
    of_payment = RECEIPT | settled | {"type": "payment", "payment_id": payment_id}
    of_refund = RECEIPT | settled | {"type": "refund", "refund_id": refund["id"]}
    assert (await street.call("POST", "/receipts", key="c1", json=of_refund))[0] == 400
    street.clock.pass_minutes(1)
    for key, body in (("c2", of_payment), ("c3", of_refund)):
        status, receipt = await street.call("POST", "/receipts", key=key, json=body)
        assert (status, receipt["status"], receipt["payment_id"]) == (200, "pending", payment_id)
    street.clock.now_ms += RECEIPT_DELAY_MS
    page = await get(street, f"/receipts?payment_id={payment_id}&status=succeeded")
    assert {each["fiscal_document_number"] for each in page["items"]} == {"1", "2"}
    assert "receipt_registration" not in await get(street, f"/payments/{payment_id}")
    assert "receipt_registration" not in await get(street, f"/refunds/{refund['id']}")


@pytest.mark.parametrize(
    "about", [{"type": "payment", "payment_id": "x"}, {"type": "refund", "refund_id": "x"}]
)
async def test_a_receipt_of_what_is_not_there_is_refused(street, about):
    settled = {"settlements": [{"type": "cashless", "amount": ROUBLES}], "send": True}
    status, body = await street.call("POST", "/receipts", key="c1", json=RECEIPT | settled | about)
    assert (status, body["parameter"]) == (400, next(name for name in about if name != "type"))


async def test_a_payment_has_at_most_thirty_receipts(street):
    body = RECEIPT | {"type": "payment", "payment_id": await pay(street), "send": True}
    body |= {"settlements": [{"type": "cashless", "amount": ROUBLES}]}
    answers = [await street.call("POST", "/receipts", key=f"c{number}", json=body) for number in range(31)]
    assert [status for status, _ in answers] == [200] * 30 + [400]
    page = await get(street, "/receipts?limit=20")
    rest = await get(street, f"/receipts?limit=20&cursor={page['next_cursor']}")
    assert (len({each["id"] for each in page["items"] + rest["items"]}), "next_cursor" in rest) == (30, False)
