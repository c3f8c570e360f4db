"""Points 8 to 10 of a faithful stand-in: how notifications are delivered, and all that can go wrong.

8 notifications until 200, each as the object was · 9 every way an answer can go wrong · 10 every way a
notification can.
"""

import asyncio
import json

import pytest

from server.sandbox import Harm, NoticeFault, bank
from server.sandbox.courier import pause_ms
from tests.server.sandbox.bare_calls import CUT, ROUBLES, get, give_back, heard, make, pay
from tests.server.sandbox.street import a_street

pytestmark = pytest.mark.one_database  # test_api.py and test_courier.py put their questions to both databases

# 8. (more in test_courier.py) -----------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [201, 204, 302, 404, 503])
async def test_point_8_a_notification_is_repeated_until_200_as_the_object_was(street, refusal):
    street.webhook.statuses.append(refusal)
    payment_id = await pay(street, capture=False)
    await street.sandbox.do_due()
    await street.call("POST", f"/payments/{payment_id}/cancel", key="c1", json={})
    street.clock.now_ms += pause_ms(0)
    await street.sandbox.do_due()
    told = [body["object"]["status"] for body in street.webhook.received]
    assert told.count("waiting_for_capture") == 2
    assert told.count("canceled") == 1


# 9. -------------------------------------------------------------------------------------------------

ANSWERS = {
    Harm.ERROR: (500, "internal_server_error"),
    Harm.TOO_MANY: (429, "too_many_requests"),
    Harm.FORBIDDEN: (403, "forbidden"),
    Harm.GONE: (410, "gone"),
    Harm.PROCESSING: (202, "processing"),
    Harm.BAD_GATEWAY: (502, "<html>"),
    Harm.TOO_MANY_BARE: (429, ""),
    Harm.ABORT: (CUT, ""),
    Harm.SILENT: (CUT, ""),
    Harm.SLOW: (200, ""),
    Harm.TRUNCATED: (200, ""),
    Harm.OVERTAKEN: (200, ""),
}


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("harm", Harm)
async def test_point_9_every_answer_to_a_create_may_go_wrong_before_and_after_the_effect(
    street, harm, after_effect
):
    street.sandbox.faults.slow_s = 0.01
    street.sandbox.faults.next_create(harm, after_effect)
    status, text = await heard(street, "POST", "/payments", json=json.loads(street.body()))
    expected, said = ANSWERS[harm]
    assert (status, said in text) == (expected, True)
    made = (await get(street, "/payments"))["items"]
    always = harm in (Harm.SLOW, Harm.TRUNCATED, Harm.OVERTAKEN)
    assert len(made) == (1 if after_effect or always else 0)
    assert (await make(street, "k"))[0] == 200
    assert len((await get(street, "/payments"))["items"]) == 1


async def test_point_9_half_of_an_answer_is_no_json_and_a_bare_refusal_has_no_body(street):
    street.sandbox.faults.next_create(Harm.TRUNCATED)
    street.sandbox.faults.next_create(Harm.TOO_MANY_BARE)
    _, half = await heard(street, "POST", "/payments", json=json.loads(street.body()))
    with pytest.raises(json.JSONDecodeError):
        json.loads(half)
    assert await heard(street, "POST", "/payments", json=json.loads(street.body())) == (429, "")


async def test_point_9_processing_says_when_to_ask_again(street):
    street.sandbox.faults.next_create(Harm.PROCESSING)
    status, body = await make(street)
    assert (status, body["retry_after"]) == (202, 1800)


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("action", ["capture", "cancel"])
async def test_point_9_the_answer_to_a_capture_or_cancel_may_be_lost(street, action, after_effect):
    held = await pay(street, capture=False)
    street.sandbox.faults.next_capture(Harm.ABORT, after_effect)
    path = f"/payments/{held}/{action}"
    assert await heard(street, "POST", path, json={}) == (CUT, "")
    ended = {"capture": "succeeded", "cancel": "canceled"}[action]
    found = await get(street, f"/payments/{held}")
    assert found["status"] == (ended if after_effect else "waiting_for_capture")
    status, again = await street.call("POST", path, key="k", json={})
    assert (status, again["status"]) == (200, ended)


@pytest.mark.parametrize("harm", [Harm.ERROR, Harm.ABORT, Harm.TRUNCATED, Harm.TOO_MANY_BARE, Harm.SILENT])
async def test_point_9_a_question_may_go_wrong_too(street, harm):
    street.sandbox.faults.slow_s = 0.01
    payment_id = await pay(street)
    expected, _ = ANSWERS[harm]
    for _ in range(2 if expected == CUT else 1):  # aiohttp's client asks again by itself, once
        street.sandbox.faults.next_read(harm)
    assert (await heard(street, "GET", f"/payments/{payment_id}"))[0] == expected
    assert (await get(street, f"/payments/{payment_id}"))["status"] == "succeeded"


# 10. ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "times"), [(NoticeFault.DOUBLED, 2), (NoticeFault.FIVEFOLD, 5), (NoticeFault.DROPPED, 0)]
)
async def test_point_10_a_notification_comes_more_than_once_or_never(street, fault, times):
    street.sandbox.faults.notices.append(fault)
    payment_id = await pay(street)
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.succeeded"] * times
    assert (await get(street, f"/payments/{payment_id}"))["status"] == "succeeded"


async def test_point_10_the_hold_is_told_after_the_capture(street):
    street.sandbox.faults.notices.append(NoticeFault.DELAYED)
    held = await pay(street, capture=False)
    await street.sandbox.do_due()
    await street.call("POST", f"/payments/{held}/capture", key="c1", json={})
    await street.sandbox.do_due()
    street.clock.now_ms += street.sandbox.faults.delay_ms
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.succeeded", "payment.waiting_for_capture"]
    assert street.webhook.received[-1]["object"]["status"] == "waiting_for_capture"


async def test_point_10_the_end_of_the_first_attempt_is_told_after_the_success_of_the_second(street):
    street.sandbox.faults.notices.append(NoticeFault.DELAYED)
    _, first = await make(street, "k1")
    await street.sandbox.teller.decline(first["id"])
    await street.sandbox.do_due()
    second = await pay(street, "k2")
    await street.sandbox.do_due()
    street.clock.now_ms += street.sandbox.faults.delay_ms
    await street.sandbox.do_due()
    told = [(body["event"], body["object"]["id"]) for body in street.webhook.received]
    assert told == [("payment.succeeded", second), ("payment.canceled", first["id"])]


async def test_point_10_the_payment_is_told_before_its_creation_is_answered(street):
    street.sandbox.faults.next_create(Harm.OVERTAKEN)
    status, payment = await make(street)
    assert (status, payment["status"]) == (200, "pending")
    assert [body["object"]["id"] for body in street.webhook.received] == [payment["id"]]
    assert (await get(street, f"/payments/{payment['id']}"))["status"] == "succeeded"


async def test_point_10_the_refund_is_told_before_its_creation_is_answered(database_url):
    async with a_street(database_url, refund_delay_ms=0) as street:
        payment_id = await pay(street)
        street.sandbox.faults.next_create(Harm.OVERTAKEN)
        async with street.sandbox.running():
            _, refund = await give_back(street, payment_id)
            assert street.webhook.received[-1]["object"]["id"] == refund["id"]
        assert street.webhook.events == ["payment.succeeded", "refund.succeeded"]


@pytest.mark.parametrize("database_kind", ["sqlite", "postgres"])
async def test_point_10_two_rounds_at_once_tell_nothing_twice(street):
    await pay(street)
    await asyncio.gather(*[street.sandbox.do_due() for _ in range(5)])
    assert street.webhook.events == ["payment.succeeded"]


@pytest.mark.parametrize(
    ("fault", "event", "changed"),
    [
        (NoticeFault.WRONG_AMOUNT, "payment.succeeded", {"amount": ROUBLES | {"value": "15000.00"}}),
        (NoticeFault.UNKNOWN_EVENT, "payment.reconsidered", {}),
        (NoticeFault.UNKNOWN_FIELDS, "payment.succeeded", {"mood": {"of": "the bank"}, "refunds": None}),
        (NoticeFault.HUGE, "payment.succeeded", {"padding": "x" * 5000}),
    ],
)
async def test_point_10_a_notification_may_lie_or_be_strange(street, fault, event, changed):
    street.sandbox.faults.huge_bytes = 5000
    street.sandbox.faults.notices.append(fault)
    payment_id = await pay(street)
    await street.sandbox.do_due()
    (told,) = street.webhook.received
    assert told["event"] == event
    assert told["object"] == await get(street, f"/payments/{payment_id}") | changed


async def test_point_10_a_strange_notification_that_is_not_taken_is_followed_by_the_right_one(street):
    street.sandbox.faults.notices.append(NoticeFault.UNKNOWN_EVENT)
    street.webhook.statuses.append(400)
    await pay(street)
    await street.sandbox.do_due()
    street.clock.now_ms += pause_ms(0)
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.reconsidered", "payment.succeeded"]


async def test_point_10_a_notification_may_be_about_nothing(street):
    street.sandbox.faults.notices.append(NoticeFault.UNKNOWN_ID)
    await pay(street)
    await street.sandbox.do_due()
    assert (await street.call("GET", f"/payments/{street.webhook.received[0]['object']['id']}"))[0] == 404


async def test_point_10_a_notification_may_come_from_where_the_bank_is_not(street):
    street.sandbox.faults.notices.extend([NoticeFault.ELSEWHERE])
    await pay(street, "k1")
    await street.sandbox.do_due()
    await pay(street, "k2")
    await street.sandbox.do_due()
    assert street.webhook.peers == [street.sandbox.faults.wrong_address, "127.0.0.1"]


async def test_point_10_a_forged_notification_is_contradicted_by_the_payment(street):
    _, payment = await make(street)
    await street.sandbox.forge(bank.Event("payment.succeeded", payment | {"status": "succeeded"}))
    await street.sandbox.do_due()
    assert street.webhook.received[0]["object"]["status"] == "succeeded"
    assert (await get(street, f"/payments/{payment['id']}"))["status"] == "pending"
