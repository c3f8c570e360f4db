"""Notifications: signed, sent until taken, as the payment was, through restarts and mischief."""

import asyncio

import pytest

from server.errors import DatabaseError
from server.payments import PaymentStatus, tbank_api
from server.sandbox_tbank import NoticeFault, app, store
from server.sandbox_tbank.courier import DAY_MS, HOUR_MS, NOTICE_LIFE_MS, pause_ms
from tests.server.sandbox_tbank.street import SHOP, a_street


async def test_a_paid_payment_is_told_twice_by_the_running_sandbox(street):
    async with street.sandbox.running():
        payment_id = await street.paid()
        await street.webhook.until(lambda received: len(received) == 2)
    assert sorted(street.webhook.statuses) == ["AUTHORIZED", "CONFIRMED"]
    assert street.webhook.genuine == [True, True]
    assert {body["PaymentId"] for body in street.webhook.received} == {int(payment_id)}
    assert {body["Amount"] for body in street.webhook.received} == {15000}


async def test_both_are_sent_at_the_same_time(street):
    await street.paid()
    with street.notices_meet(2):
        await street.sandbox.do_due()
    assert sorted(street.webhook.statuses) == ["AUTHORIZED", "CONFIRMED"]


async def test_a_card_is_told_of_and_sbp_has_none(street):
    await street.paid("p1", two_stage=True)
    await street.paid_by_sbp("p2")
    await street.sandbox.do_due()
    by_order = {body["OrderId"]: body for body in street.webhook.received}
    assert (by_order["p1"]["Status"], "Pan" in by_order["p1"]) == ("AUTHORIZED", True)
    assert (by_order["p2"]["Status"], "Pan" in by_order["p2"]) == ("CONFIRMED", False)


async def test_a_hold_is_told_as_it_is_held_and_as_it_is_confirmed(street):
    payment_id = await street.paid(two_stage=True)
    await street.sandbox.do_due()
    await street.call("Confirm", tbank_api.confirm_body(SHOP, payment_id, 9000))
    await street.sandbox.do_due()
    assert [(body["Status"], body["Amount"]) for body in street.webhook.received] == [
        ("AUTHORIZED", 15000),
        ("CONFIRMED", 9000),
    ]


async def test_refunds_are_told_with_what_is_left(street):
    payment_id = await street.paid_by_sbp()
    for request_id, amount_minor in (("r1", 5000), ("r2", 10000)):
        await street.cancel(payment_id, amount_minor, request_id)
        street.clock.now_ms += 2000
        await street.sandbox.do_due()
    told = [(body["Status"], body["Amount"]) for body in street.webhook.received]
    assert sorted(told) == [("CONFIRMED", 15000), ("PARTIAL_REFUNDED", 10000), ("REFUNDED", 0)]


async def test_a_refusal_is_told_with_its_reason(street):
    await street.sandbox.teller.decline(await street.new(), "1051")
    await street.sandbox.do_due()
    (body,) = street.webhook.received
    assert (body["Success"], body["Status"], body["ErrorCode"]) == (False, "REJECTED", "1051")


async def test_nobody_is_told_of_what_nobody_has_paid(street):
    await street.new("p1")
    await street.cancel(await street.new("p2"), 100)
    street.clock.pass_minutes(15)
    await street.sandbox.do_due()
    assert street.webhook.received == []


async def test_a_payment_without_an_address_is_told_to_nobody(street):
    answer = await street.ask("Init", Amount=15000, OrderId="p1")
    await street.sandbox.teller.pay(str(answer["PaymentId"]))
    await street.sandbox.do_due()
    assert await street.db.read(store.next_due_at) is None


async def test_what_is_due_later_is_done_when_the_clock_is_moved(street):
    async with street.sandbox.running():
        await street.cancel(await street.paid_by_sbp())
        await street.webhook.until(lambda received: len(received) == 1)
        street.clock.now_ms += 2000
        street.sandbox.wake()
        await street.webhook.until(lambda received: len(received) == 2)
    assert street.webhook.statuses == ["CONFIRMED", "REFUNDED"]


@pytest.mark.parametrize(
    "refusal",
    [(200, ""), (200, "ok"), (200, "OK\n"), (200, "<p>OK</p>"), (201, "OK"), (302, "OK"), (500, "OK")],
)
async def test_anything_but_200_and_ok_is_sent_again_in_an_hour(street, refusal: tuple[int, str]):
    street.webhook.answers.extend([refusal, refusal])
    await street.paid_by_sbp()
    for _ in range(4):
        await street.sandbox.do_due()
        street.clock.now_ms += HOUR_MS
    assert street.webhook.statuses == ["CONFIRMED"] * 3


async def test_a_shop_that_is_away_is_tried_again(street):
    await street.paid_by_sbp(notification_url="http://127.0.0.1:1/")
    await street.sandbox.do_due()
    assert await street.db.read(store.next_due_at) == street.clock() + HOUR_MS


async def test_after_a_month_it_is_given_up(street):
    street.webhook.answers.extend([(500, "")] * 10)
    await street.paid_by_sbp()
    for _ in range(3):
        await street.sandbox.do_due()
        street.clock.now_ms += NOTICE_LIFE_MS
    assert len(street.webhook.received) == 2


def test_it_is_tried_every_hour_for_a_day_and_then_every_day():
    assert [pause_ms(age_ms) for age_ms in (0, DAY_MS - 1, DAY_MS)] == [HOUR_MS, HOUR_MS, DAY_MS]


@pytest.mark.parametrize(
    ("fault", "at_once", "later"),
    [(NoticeFault.DOUBLED, 2, 2), (NoticeFault.DROPPED, 0, 0), (NoticeFault.DELAYED, 0, 1)],
)
async def test_a_notification_may_be_doubled_dropped_or_delayed(street, fault, at_once: int, later: int):
    street.sandbox.faults.notices.append(fault)
    await street.paid_by_sbp()
    await street.sandbox.do_due()
    assert len(street.webhook.received) == at_once
    street.clock.now_ms += street.sandbox.faults.delay_ms
    await street.sandbox.do_due()
    assert len(street.webhook.received) == later


async def test_a_notification_may_be_overtaken_by_the_next(street):
    street.sandbox.faults.notices.append(NoticeFault.OVERTAKEN)
    await street.paid()
    await street.sandbox.do_due()
    assert street.webhook.statuses == ["CONFIRMED", "AUTHORIZED"]


async def test_a_notification_may_have_a_wrong_token_at_first(street):
    street.sandbox.faults.notices.append(NoticeFault.WRONG_TOKEN)
    street.webhook.answers.append((403, "no"))
    await street.paid_by_sbp()
    await street.sandbox.do_due()
    street.clock.now_ms += HOUR_MS
    await street.sandbox.do_due()
    assert street.webhook.genuine == [False, True]


@pytest.mark.parametrize(("password", "genuine"), [("sandbox", True), ("guessed", False)])
async def test_a_forged_notification_contradicts_the_payment(street, password: str, genuine: bool):
    payment_id = await street.new()
    await street.sandbox.forge(payment_id, "CONFIRMED", password)
    await street.sandbox.do_due()
    assert (street.webhook.statuses, street.webhook.genuine) == (["CONFIRMED"], [genuine])
    assert (await street.snapshot(payment_id)).status is PaymentStatus.PENDING


async def test_books_that_cannot_be_read_for_a_while_do_not_end_the_work(street, monkeypatch):
    monkeypatch.setattr(app, "PAUSE_AFTER_ERROR_S", 0.01)
    catch_up, failures = street.sandbox.teller.catch_up, [DatabaseError("disk is full")]

    async def failing_once() -> None:
        if failures:
            raise failures.pop()
        await catch_up()

    await street.paid_by_sbp()
    monkeypatch.setattr(street.sandbox.teller, "catch_up", failing_once)
    async with street.sandbox.running():
        await street.webhook.until(lambda received: len(received) == 1)
    assert failures == []


async def test_the_outbox_survives_a_restart(database_url):
    async with a_street(database_url) as before:
        before.webhook.answers.append((500, ""))
        await before.paid_by_sbp()
        await before.sandbox.do_due()
        waiting = before.clock.now_ms + HOUR_MS
    async with a_street(database_url, clock=before.clock) as after:
        assert await after.db.read(store.next_due_at) == waiting
        after.clock.now_ms = waiting
        await after.sandbox.do_due()  # to the address of before, where nobody listens any more
        assert await after.db.read(store.next_due_at) == waiting + HOUR_MS


@pytest.mark.parametrize("turns", range(6))
async def test_a_sandbox_that_is_woken_as_it_stops_stops_all_the_same(street, turns: int):
    async with asyncio.timeout(30), street.sandbox.running():
        for _ in range(50):  # it has looked, and sleeps
            await street.db.read(store.next_due_at)
        street.sandbox.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
