"""What makes a stand-in for YooKassa a faithful one, point by point; a test's name tells its point.

1 accounts, paths, methods, types · 2 checks that name the parameter · 3 idempotence · 4 what the customer
and the merchant do by hand · 5 holds · 6 SBP · 7 refunds · 8 notifications until 200, each as the object was
· 9 every way an answer can go wrong · 10 every way a notification can · 11 lists · 12 a record of the calls.

Points 8 to 10 are in `test_points_of_failure.py`.
"""

import pytest

from server.sandbox import Harm
from server.sandbox.checks import Refused
from tests.server.sandbox.bare_calls import CUT, RECEIPT, ROUBLES, get, give_back, heard, make, pay

pytestmark = pytest.mark.one_database  # test_api.py and test_courier.py put their questions to both databases

JSON = {"Content-Type": "application/json"}


# 1. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/payments", {"headers": {"Authorization": ""}}, 401, "invalid_credentials"),
        ("GET", "/none", {"headers": {"Authorization": "Bearer x"}}, 401, "invalid_credentials"),
        ("GET", "/none", {}, 404, "not_found"),
        ("POST", "/payments/x/refund", {}, 404, "not_found"),
        ("GET", "/receipts/none", {}, 404, "not_found"),
        ("DELETE", "/receipts", {}, 405, "invalid_request"),
        ("PUT", "/payments/x", {}, 405, "invalid_request"),
        ("GET", "/payments/x/cancel", {}, 405, "invalid_request"),
        ("POST", "/payments", {"key": "k", "data": b"a=b"}, 415, "invalid_request"),
        ("POST", "/receipts", {"key": "k", "data": b"{", "headers": JSON}, 400, "invalid_request"),
    ],
)
async def test_point_1_every_refusal_is_an_error_object(street, method, path, options, status, code):
    answered, body = await street.call(method, path, **options)
    assert (answered, body["type"], body["code"]) == (status, "error", code)
    assert len(body["id"]) == 36
    assert body["description"].isascii()


# 2. (more in test_demands.py and test_receipts.py) --------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"amount": {"value": "1e2", "currency": "RUB"}}, "amount.value"),
        ({"amount": {"value": "150.00", "currency": "EUR"}}, "amount.currency"),
        ({"description": "x" * 129}, "description"),
        ({"metadata": {"attempt": 1}}, "metadata.attempt"),
        ({"confirmation": {"type": "redirect"}}, "confirmation.return_url"),
        ({"receipt": RECEIPT, "amount": {"value": "149.99", "currency": "RUB"}}, "receipt.items"),
    ],
)
async def test_point_2_a_wrong_request_names_its_parameter(street, wrong, parameter):
    status, body = await make(street, **wrong)
    assert (status, body["code"], body["parameter"]) == (400, "invalid_request", parameter)


# 3. (more in test_api.py) ---------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "said"), [("", "missing"), ("k" * 65, "too long")])
async def test_point_3_a_key_is_needed_and_not_too_long(street, key, said):
    status, body = await make(street, key)
    assert (status, body["parameter"], said in body["description"]) == (400, "Idempotence-Key", True)


async def test_point_3_an_error_before_the_effect_keeps_no_key_and_one_after_it_does(street):
    street.sandbox.faults.next_create(Harm.ERROR)
    street.sandbox.faults.next_create(Harm.ERROR, after_effect=True)
    assert [(await make(street, key))[0] for key in ("before", "after")] == [500, 500]
    other = {"description": "Латте"}
    assert [(await make(street, key, **other))[0] for key in ("before", "after")] == [200, 400]


@pytest.mark.parametrize("database_kind", ["sqlite", "postgres"])
async def test_point_3_a_repeat_finds_payment_refund_and_receipt_as_they_are_now(street):
    payment_id = await pay(street, receipt=RECEIPT)
    _, refund = await give_back(street, payment_id)
    later = RECEIPT | {"type": "payment", "payment_id": payment_id, "send": True}
    later |= {"settlements": [{"type": "cashless", "amount": ROUBLES}]}
    _, receipt = await street.call("POST", "/receipts", key="c1", json=later)
    street.clock.pass_minutes(1)
    _, again = await make(street, receipt=RECEIPT)
    assert (again["id"], again["status"], again["receipt_registration"]) == (
        payment_id,
        "succeeded",
        "succeeded",
    )
    _, again = await give_back(street, payment_id)
    assert (again["id"], again["status"]) == (refund["id"], "succeeded")
    _, again = await street.call("POST", "/receipts", key="c1", json=later)
    assert (again["id"], again["status"]) == (receipt["id"], "succeeded")


# 4. -------------------------------------------------------------------------------------------------


async def test_point_4_the_customer_pays_or_is_declined_with_a_reason(street):
    paid, (_, declined) = await pay(street, "k1"), await make(street, "k2")
    await street.sandbox.teller.decline(declined["id"], "insufficient_funds")
    assert (await get(street, f"/payments/{paid}"))["paid"] is True
    found = await get(street, f"/payments/{declined['id']}")
    assert found["cancellation_details"] == {"party": "payment_network", "reason": "insufficient_funds"}


async def test_point_4_time_may_be_over_at_once(street):
    _, waiting = await make(street, "k1")
    held = await pay(street, "k2", capture=False)
    ended = [await street.sandbox.teller.expire(each) for each in (waiting["id"], held)]
    reasons = [payment["cancellation_details"]["reason"] for payment in ended]
    assert reasons == ["expired_on_confirmation", "expired_on_capture"]
    with pytest.raises(Refused):
        await street.sandbox.teller.expire(held)


@pytest.mark.parametrize("database_kind", ["sqlite", "postgres"])
async def test_point_4_a_refund_by_hand_is_told_like_any_other_and_found_by_its_payment(street):
    payment_id = await pay(street)
    refund = await street.sandbox.teller.manual_refund(payment_id, 5000)
    street.clock.pass_minutes(1)
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.succeeded", "refund.succeeded"]
    assert street.webhook.received[-1]["object"]["id"] == refund["id"]
    page = await get(street, f"/refunds?payment_id={payment_id}")
    assert [(each["id"], each["amount"]["value"]) for each in page["items"]] == [(refund["id"], "50.00")]
    assert (await get(street, f"/payments/{payment_id}"))["refunded_amount"]["value"] == "50.00"


@pytest.mark.parametrize("database_kind", ["sqlite", "postgres"])
async def test_point_4_no_more_goes_back_by_hand_than_came(street):
    payment_id = await pay(street)
    await street.sandbox.teller.manual_refund(payment_id, 10000)
    with pytest.raises(Refused):
        await street.sandbox.teller.manual_refund(payment_id, 5001)
    assert (await give_back(street, payment_id))[0] == 400


# 5. -------------------------------------------------------------------------------------------------


async def test_point_5_a_hold_is_told_and_ends_in_a_week_unless_it_is_captured(street):
    held, taken = [await pay(street, key, capture=False) for key in ("k1", "k2")]
    assert (await get(street, f"/payments/{held}"))["expires_at"] == "2026-11-27T08:30:00.129Z"
    part = {"amount": {"value": "100.00", "currency": "RUB"}}
    status, captured = await street.call("POST", f"/payments/{taken}/capture", key="c1", json=part)
    assert (status, captured["status"], captured["amount"]["value"]) == (200, "succeeded", "100.00")
    street.clock.pass_minutes(7 * 24 * 60)
    await street.sandbox.do_due()
    assert sorted(street.webhook.events) == [
        "payment.canceled",
        "payment.succeeded",
        "payment.waiting_for_capture",
        "payment.waiting_for_capture",
    ]
    found = await get(street, f"/payments/{held}")
    assert found["cancellation_details"] == {"party": "yoo_money", "reason": "expired_on_capture"}


@pytest.mark.parametrize("action", ["capture", "cancel"])
async def test_point_5_what_is_not_held_is_neither_captured_nor_canceled(street, action):
    _, waiting = await make(street, "k1")
    paid = await pay(street, "k2")
    answers = [
        await street.call("POST", f"/payments/{each}/{action}", key=f"c-{each}", json={})
        for each in (waiting["id"], paid)
    ]
    assert [(status, body["code"]) for status, body in answers] == [(400, "invalid_request")] * 2


async def test_point_5_more_than_was_held_is_not_taken(street):
    held = await pay(street, capture=False)
    more = {"amount": {"value": "150.01", "currency": "RUB"}}
    status, body = await street.call("POST", f"/payments/{held}/capture", key="c1", json=more)
    assert (status, body["parameter"]) == (400, "amount.value")


# 6. -------------------------------------------------------------------------------------------------

SBP = {"payment_method_data": {"type": "sbp"}}


@pytest.mark.parametrize("confirmation", [{"type": "qr"}, {"type": "redirect", "return_url": "https://a.b/"}])
async def test_point_6_sbp_leads_to_a_page_that_can_be_opened(street, confirmation):
    status, payment = await make(street, **SBP, confirmation=confirmation)
    shown = payment["confirmation"]
    link = shown["confirmation_data"] if confirmation["type"] == "qr" else shown["confirmation_url"]
    assert (status, shown["type"], payment["payment_method"]["type"]) == (200, confirmation["type"], "sbp")
    async with street.session.get(link) as page:
        assert page.status == 200
    await street.sandbox.teller.pay(payment["id"])
    used = (await get(street, f"/payments/{payment['id']}"))["payment_method"]
    assert set(used["payer_bank_details"]) == {"bank_id", "bic"}
    assert int(used["sbp_operation_id"], 16) > 0


@pytest.mark.parametrize(("value", "status"), [("1.00", 200), ("700000.00", 200), ("700000.01", 400)])
async def test_point_6_sbp_takes_up_to_seven_hundred_thousand(street, value, status):
    assert (await make(street, **SBP, amount={"value": value, "currency": "RUB"}))[0] == status


async def test_point_6_sbp_holds_nothing(street):
    status, body = await make(street, **SBP, capture=False)
    assert (status, body["parameter"]) == (400, "capture")


# 7. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "status"), [("", "succeeded"), ("insufficient_funds", "canceled")])
async def test_point_7_a_refund_is_pending_and_then_ends(street, reason, status):
    street.sandbox.faults.refunds_canceled_because = reason
    payment_id = await pay(street, method="sbp")
    answered, refund = await give_back(street, payment_id, metadata={"row": "7"})
    assert (answered, refund["status"], refund["metadata"]) == (200, "pending", {"row": "7"})
    street.clock.pass_minutes(1)
    found = await get(street, f"/refunds/{refund['id']}")
    assert (found["status"], "refund_method" in found) == (status, status == "succeeded")
    assert ("refunded_amount" in await get(street, f"/payments/{payment_id}")) == (status == "succeeded")


@pytest.mark.parametrize("capture", [True, False])
async def test_point_7_only_money_that_was_taken_goes_back(street, capture):
    _, payment = await make(street, capture=capture)
    if not capture:
        await street.sandbox.teller.pay(payment["id"])
    assert (await give_back(street, payment["id"]))[0] == 400


# 11. (more in test_api.py) --------------------------------------------------------------------------


@pytest.mark.parametrize("database_kind", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("created_at.gte={1}", [2, 1]),
        ("created_at.gt={1}", [2]),
        ("created_at.lt={1}", [0]),
        ("created_at.lte={1}", [1, 0]),
        ("created_at.gte={1}&created_at.lt={2}", [1]),
        ("status=succeeded", [0]),
        ("limit=1", [2]),
    ],
)
async def test_point_11_lists_are_filtered_the_newest_first(street, query, found):
    payments = []
    for number in range(3):
        payments.append((await make(street, f"k{number}"))[1])
        street.clock.now_ms += 1000
    await street.sandbox.teller.pay(payments[0]["id"])
    page = await get(street, "/payments?" + query.format(*[each["created_at"] for each in payments]))
    assert [each["id"] for each in page["items"]] == [payments[number]["id"] for number in found]
    assert ("next_cursor" in page) == (query == "limit=1")


# 12. ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database_kind", ["sqlite", "postgres"])
async def test_point_12_every_call_is_recorded_with_its_key(street):
    payment_id = await pay(street)
    street.sandbox.faults.next_create(Harm.ABORT, after_effect=True)
    body = {"payment_id": payment_id, "amount": ROUBLES}
    assert (await heard(street, "POST", "/refunds", json=body))[0] == CUT
    await give_back(street, payment_id, "k")
    refunds = [call for call in street.sandbox.api.calls if call.path.endswith("/refunds")]
    assert [(call.method, call.key) for call in refunds] == [("POST", "k")] * 2
    assert len((await get(street, f"/refunds?payment_id={payment_id}"))["items"]) == 1
