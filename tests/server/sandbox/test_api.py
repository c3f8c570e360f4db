"""The API over HTTP: accounts, keys, lists, holds, and what it answers to nonsense."""

import asyncio
import json
from typing import Any

import pytest

from server.sandbox.api import CALLS_KEPT
from tests.server.sandbox.street import Street, a_street

HOUR_MS = 60 * 60 * 1000


def held(street: Street) -> str:
    return street.body().replace('"capture":true', '"capture":false')


async def create(street: Street, key: str, body: str) -> tuple[int, Any]:
    return await street.call("POST", "/payments", key=key, json=json.loads(body))


async def test_without_the_account_nothing_is_told(street):
    status, body = await street.call("GET", "/payments", headers={"Authorization": "Basic eDp5"})
    assert (status, body["type"], body["code"]) == (401, "error", "invalid_credentials")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/payments/none", 404, "not_found"),
        ("GET", "/refunds/none", 404, "not_found"),
        ("GET", "/invoices", 404, "not_found"),
        ("DELETE", "/payments", 405, "invalid_request"),
        ("GET", "/payments/none/capture", 405, "invalid_request"),
        ("POST", "/payments", 400, "invalid_request"),
    ],
)
async def test_what_is_not_there_is_refused_as_json(street, method, path, status, code):
    assert (await street.call(method, path))[0] == status
    assert (await street.call(method, path))[1]["code"] == code


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": b"[" * 50_000, "headers": {"Content-Type": "application/json"}}, 400),
        ({"json": []}, 400),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(street, options, status):
    assert (await street.call("POST", "/payments", key="k", **options))[0] == status


async def test_the_same_key_and_body_repeat_the_answer(street):
    first = await create(street, "k", street.body())
    assert await create(street, "k", street.body()) == first
    assert len((await street.call("GET", "/payments"))[1]["items"]) == 1


async def test_the_same_key_at_the_same_time_makes_one_payment(street):
    answers = await asyncio.gather(*[create(street, "k", street.body()) for _ in range(5)])
    assert {body["id"] for _, body in answers} == {answers[0][1]["id"]}
    assert len((await street.call("GET", "/payments"))[1]["items"]) == 1


async def test_the_same_key_with_another_body_is_refused(street):
    await create(street, "k", street.body())
    status, body = await create(street, "k", street.body(16000))
    assert (status, body["parameter"]) == (400, "Idempotence-Key")
    assert body["description"] == "Idempotence key duplicated"


async def test_a_refusal_is_repeated_under_its_key(street):
    wrong = street.body().replace('"150.00"', '"0.00"')
    first = await create(street, "k", wrong)
    assert first[0] == 400
    assert await create(street, "k", wrong) == first


async def test_a_repeat_shows_the_payment_as_it_is_now(street):
    payment = await street.paid("k")
    _, body = await create(street, "k", street.body())
    assert (body["id"], body["status"]) == (payment.provider_payment_id, "succeeded")


async def test_a_repeat_may_show_the_payment_as_it_was(street):
    street.sandbox.faults.replays_are_old = True
    await street.paid("k")
    assert (await create(street, "k", street.body()))[1]["status"] == "pending"


async def test_a_key_lives_for_a_day(street):
    _, first = await create(street, "k", street.body())
    street.clock.now_ms += 24 * HOUR_MS - 1
    assert (await create(street, "k", street.body()))[1]["id"] == first["id"]
    street.clock.now_ms += 1
    assert (await create(street, "k", street.body()))[1]["id"] != first["id"]


async def test_an_unpaid_payment_ends_after_an_hour_whoever_looks(street):
    payment = await street.create()
    street.clock.now_ms += HOUR_MS
    _, body = await street.call("GET", f"/payments/{payment.provider_payment_id}")
    assert body["status"] == "canceled"
    assert body["cancellation_details"]["reason"] == "expired_on_confirmation"


async def test_an_unpaid_payment_cannot_be_canceled_by_the_shop(street):
    payment = await street.create()
    path = f"/payments/{payment.provider_payment_id}/cancel"
    assert (await street.call("POST", path, key="c"))[0] == 400


async def test_a_held_payment_is_captured_or_given_back(street):
    ids = [(await create(street, key, held(street)))[1]["id"] for key in ("k1", "k2")]
    for payment_id in ids:
        await street.sandbox.teller.pay(payment_id)
    _, captured = await street.call("POST", f"/payments/{ids[0]}/capture", key="c1", json={})
    _, released = await street.call("POST", f"/payments/{ids[1]}/cancel", key="c2", json={})
    assert (captured["status"], released["status"]) == ("succeeded", "canceled")


async def test_an_unknown_payment_is_not_captured(street):
    assert (await street.call("POST", "/payments/none/capture", key="c", json={}))[0] == 404


@pytest.mark.parametrize(("reason", "status"), [("", "succeeded"), ("general_decline", "canceled")])
async def test_a_refund_may_end_at_once(database_url, reason, status):
    async with a_street(database_url, refund_delay_ms=0) as street:
        street.sandbox.faults.refunds_canceled_because = reason
        refund = await street.refund(await street.paid(), 15000)
        assert (refund.status, refund.reason) == (status, reason)


async def test_two_refunds_at_once_do_not_give_back_more_than_came(street):
    payment = await street.paid()
    both = [street.refund(payment, 10000, "r1"), street.refund(payment, 10000, "r2")]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Declined", "RefundSnapshot"]


async def test_lists_have_pages_the_newest_first(street):
    for number in range(3):
        await street.create(f"k{number}", payment_id=f"p{number}")
        street.clock.now_ms += 1
    _, first = await street.call("GET", "/payments?limit=2")
    _, rest = await street.call("GET", f"/payments?limit=2&cursor={first['next_cursor']}")
    found = [item["metadata"]["payment_id"] for item in first["items"] + rest["items"]]
    assert found == ["p2", "p1", "p0"]
    assert "next_cursor" not in rest


async def test_pages_do_not_lose_what_was_made_in_one_millisecond(street):
    made = {(await street.create(f"k{number}")).provider_payment_id for number in range(3)}
    _, first = await street.call("GET", "/payments?limit=2")
    _, rest = await street.call("GET", f"/payments?limit=2&cursor={first['next_cursor']}")
    assert {item["id"] for item in first["items"] + rest["items"]} == made


async def test_lists_are_filtered_by_status(street):
    await street.paid("k1")
    pending = await street.create("k2")
    _, page = await street.call("GET", "/payments?status=pending")
    assert [item["id"] for item in page["items"]] == [pending.provider_payment_id]


async def test_the_refunds_of_a_payment_are_listed(street):
    payment, other = await street.paid("k1"), await street.paid("k2")
    refund = await street.refund(payment, 5000, "r1")
    await street.refund(other, 5000, "r2")
    _, page = await street.call("GET", f"/refunds?payment_id={payment.provider_payment_id}")
    assert [item["id"] for item in page["items"]] == [refund.provider_refund_id]


async def test_only_the_latest_calls_are_kept(street):
    await street.create("k1")
    assert street.sandbox.api.calls[-1] == ("POST", "/sandbox/v3/payments", "k1")
    assert street.sandbox.api.calls.maxlen == CALLS_KEPT
