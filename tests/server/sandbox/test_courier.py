"""Notifications: sent until taken, as the object was, through restarts and mischief."""

import asyncio

import pytest

from server.db import Statement, Transaction
from server.errors import DatabaseError
from server.sandbox import NoticeFault, app, bank
from server.sandbox.courier import FIRST_PAUSE_MS, LONGEST_PAUSE_MS, pause_ms
from tests.server.sandbox.street import a_street

DAY_MINUTES = 24 * 60


def keys_kept() -> Transaction[int]:
    rows = yield Statement("SELECT COUNT(*) AS kept FROM sandbox_keys")
    return rows[0]["kept"]


async def test_a_paid_payment_is_told_by_the_running_sandbox(street):
    async with street.sandbox.running():
        payment = await street.paid()
        await street.webhook.until(lambda received: len(received) == 1)
    assert street.webhook.received[0]["type"] == "notification"
    assert street.webhook.received[0]["object"]["id"] == payment.provider_payment_id
    assert street.webhook.events == ["payment.succeeded"]


async def test_what_is_due_later_is_done_when_the_clock_is_moved(street):
    async with street.sandbox.running():
        await street.refund(await street.paid(), 15000)
        await street.webhook.until(lambda received: len(received) == 1)
        street.clock.now_ms += 2000
        street.sandbox.wake()
        await street.webhook.until(lambda received: len(received) == 2)
    assert street.webhook.events == ["payment.succeeded", "refund.succeeded"]


@pytest.mark.parametrize("refusal", [201, 204, 302, 400, 500])
async def test_anything_but_200_is_sent_again(street, refusal):
    street.webhook.statuses.extend([refusal, refusal])
    await street.paid()
    for tries in range(4):
        await street.sandbox.do_due()
        street.clock.now_ms += pause_ms(tries)
    assert street.webhook.events == ["payment.succeeded"] * 3


async def test_a_shop_that_is_away_is_tried_again(street):
    await street.paid()
    address, street.sandbox.base_url = street.sandbox.base_url, "http://127.0.0.1:1"
    await street.sandbox.do_due()
    street.sandbox.base_url = address
    street.clock.now_ms += pause_ms(0)
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.succeeded"]


async def test_after_a_day_it_is_given_up(street):
    street.webhook.statuses.extend([500] * 10)
    await street.paid()
    for _ in range(3):
        await street.sandbox.do_due()
        street.clock.pass_minutes(DAY_MINUTES)
    assert len(street.webhook.received) == 2


async def test_a_late_notification_shows_the_object_as_it_was(street):
    street.webhook.statuses.append(500)
    payment = await street.paid()
    await street.sandbox.do_due()
    await street.refund(payment, 15000)
    street.clock.now_ms += 2000
    await street.sandbox.do_due()
    snapshots = [body["object"] for body in street.webhook.received if body["event"].startswith("payment")]
    assert len(snapshots) == 2
    assert all("refunded_amount" not in snapshot for snapshot in snapshots)


async def test_an_expired_payment_is_told(street):
    await street.create()
    street.clock.pass_minutes(60)
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.canceled"]


async def test_a_canceled_refund_is_not_told(street):
    street.sandbox.faults.refunds_canceled_because = "insufficient_funds"
    await street.refund(await street.paid(), 15000)
    street.clock.now_ms += 2000
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.succeeded"]


@pytest.mark.parametrize(
    ("fault", "at_once", "later"),
    [(NoticeFault.DOUBLED, 2, 2), (NoticeFault.DROPPED, 0, 0), (NoticeFault.DELAYED, 0, 1)],
)
async def test_a_notification_may_be_doubled_dropped_or_delayed(street, fault, at_once, later):
    street.sandbox.faults.notices.append(fault)
    await street.paid()
    await street.sandbox.do_due()
    assert len(street.webhook.received) == at_once
    street.clock.now_ms += street.sandbox.faults.delay_ms
    await street.sandbox.do_due()
    assert len(street.webhook.received) == later


async def test_a_forged_notification_contradicts_the_payment(street):
    payment = await street.create()
    forged = {"id": payment.provider_payment_id, "status": "succeeded"}
    await street.sandbox.forge(bank.Event("payment.succeeded", forged))
    await street.sandbox.do_due()
    assert street.webhook.events == ["payment.succeeded"]
    assert (await street.shop.fetch_payment(payment.provider_payment_id)).status == "pending"


async def test_books_that_cannot_be_read_for_a_while_do_not_end_the_work(street, monkeypatch):
    monkeypatch.setattr(app, "PAUSE_AFTER_ERROR_S", 0.01)
    catch_up, failures = street.sandbox.teller.catch_up, [DatabaseError("disk is full")]

    async def failing_once() -> None:
        if failures:
            raise failures.pop()
        await catch_up()

    await street.paid()
    monkeypatch.setattr(street.sandbox.teller, "catch_up", failing_once)
    async with street.sandbox.running():
        await street.webhook.until(lambda received: len(received) == 1)
    assert failures == []


async def test_keys_of_yesterday_are_forgotten_at_the_start(street):
    await street.create()
    street.clock.pass_minutes(DAY_MINUTES)
    async with street.sandbox.running():
        pass
    assert await street.db.read(keys_kept) == 0


async def test_the_books_and_the_outbox_survive_a_restart(database_url):
    async with a_street(database_url) as before:
        payment = await before.paid()
        refund = await before.refund(payment, 15000)
    async with a_street(database_url, clock=before.clock) as after:
        assert (await after.create()).provider_payment_id == payment.provider_payment_id
        after.clock.now_ms += 2000
        await after.sandbox.do_due()
        assert sorted(after.webhook.events) == ["payment.succeeded", "refund.succeeded"]
        assert (await after.shop.fetch_refund(refund.provider_refund_id)).status == "succeeded"


def test_pauses_grow_up_to_ten_minutes():
    assert [pause_ms(tries) for tries in range(3)] == [FIRST_PAUSE_MS, 2000, 4000]
    assert pause_ms(10**9) == LONGEST_PAUSE_MS


@pytest.mark.parametrize("turns", range(6))
async def test_a_sandbox_that_is_woken_as_it_stops_stops_all_the_same(street, turns: int):
    async with asyncio.timeout(30), street.sandbox.running():
        for _ in range(50):  # it has looked, and sleeps
            await street.db.read(keys_kept)
        street.sandbox.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
