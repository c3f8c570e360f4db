"""Decisions that meet on PostgreSQL: what comes of two at once is what comes of one after the other."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from agent.wire import MakeState
from server import case_work, choice, deadlines, make_progress, money_back, payment_ends, registration
from server.acceptance import accept
from server.case_work import Decision
from server.db import Database, Transaction, open_database
from server.payments import Method, PaymentStatus
from server.sandbox import store as sandbox
from server.sandbox.demands import PaymentDemand, RefundDemand
from server.sandbox_tbank import store as tbank
from server.store import payments
from tests.databases import Databases
from tests.fakes.agent import hello
from tests.server.db import rare_meetings, scenes
from tests.server.db.meeting import Pair, meeting, one_after_another, pair
from tests.server.db.scenes import NOW, claim, hear, heard, report, rules, settle, start

CANCELED, SUCCEEDED = PaymentStatus.CANCELED, PaymentStatus.SUCCEEDED
REFUND_CASE = "case-case-1"


def decide(who: str, action: str, case_id: str = REFUND_CASE) -> Transaction[Any]:
    return case_work.settle_case(rules(who), Decision(case_id, action, who, "so"), NOW)


def adopt(who: str, number: int) -> Transaction[Any]:
    return money_back.adopt_refund(rules(who), "pay-o1-1", scenes.by_hand(number), NOW)


def refused() -> Transaction[None]:
    """The provider will not give the money back."""
    yield from scenes.sent("o1")
    yield from report("o1", "o1", MakeState.FAILED)
    yield from money_back.refund_refused(rules("case"), "refund-o1-1", "no", NOW)


def being_heard() -> Transaction[None]:
    """Two customers of one machine have paid, and the provider is asked about both."""
    yield from scenes.at_bank("o1", "o2")
    for payment_id in ("pay-o1-1", "pay-o2-1"):
        yield from hear(payment_id)


def receipt_due() -> Transaction[None]:
    yield from scenes.paid("o1")
    payment = yield from payments.get("pay-o1-1")
    assert payment is not None
    yield from registration.receipts.add(
        registration.Receipt(
            "pay-o1-1", "pay-o1-1", "payment", "pending", 9000, *[None] * 4, 0, NOW, NOW, NOW
        ),
        payment,
    )


def look_at_receipt(who: str) -> Transaction[None]:
    return registration.look_later(rules(who), "pay-o1-1", NOW + 1, NOW + 2 * registration.LATE_AFTER_MS)


def post(new_id: str, key: str = "") -> sandbox.Post:
    return sandbox.Post(key or new_id, "hash", new_id, NOW, sandbox.Delays(1000, 1000))


def bank_paid() -> Transaction[None]:
    demand = PaymentDemand(9000, True, ("bank_card",), "bank_card", "redirect", "https://shop.example/")
    yield from sandbox.create_payment(post("p1"), demand, "https://bank.example/")
    yield from sandbox.change_payment("p1", lambda p: sandbox.bank.paid(p, NOW, "bank_card"), NOW, 0)


def bank_refund(new_id: str, key: str = "") -> Transaction[Any]:
    act = partial(sandbox.create_refund, demand=RefundDemand("p1", 6000), canceled_because="")
    return sandbox.answer_once(post(new_id, key), act)


def tbank_init(payment_id: str) -> Transaction[Any]:
    address = "https://shop.example/"
    demand = tbank.InitDemand("o1", 9000, "", False, NOW + 10**6, address, address, address, False)
    return tbank.create_payment(demand, payment_id, NOW)


PAIRS: dict[str, Pair] = {
    **rare_meetings.PAIRS,
    "one notification twice": pair(
        partial(scenes.at_bank, "o1"), partial(hear, "pay-o1-1"), partial(hear, "pay-o1-1")
    ),
    "a notification and the timer": pair(
        partial(scenes.at_bank, "o1"),
        partial(hear, "pay-o1-1"),
        lambda: payments.claim_checks(NOW + 10_000, 1),
    ),
    "one confirmed notification twice": pair(
        being_heard, partial(heard, "a", "pay-o1-1"), partial(heard, "b", "pay-o1-1")
    ),
    "a notification comes again as it is confirmed": pair(
        being_heard, partial(heard, "a", "pay-o1-1"), partial(hear, "pay-o1-1")
    ),
    "two paid for one free machine": pair(
        being_heard, partial(heard, "a", "pay-o1-1"), partial(heard, "b", "pay-o2-1")
    ),
    "one paid and one looked for, for one free machine": pair(
        being_heard, partial(heard, "a", "pay-o1-1"), claim
    ),
    "one paid as the machine gets free": pair(
        partial(scenes.sent, "o1", unpaid=("o2",)),
        partial(heard, "a", "pay-o2-1"),
        partial(report, "b", "o1", MakeState.DONE, True),
    ),
    "one paid as its agent comes back": pair(
        being_heard,
        partial(heard, "a", "pay-o1-1"),
        lambda: accept("dev-1", "server-2", hello(journal_high=1), NOW),
    ),
    "one paid as its customer pays another way": pair(
        being_heard, partial(heard, "a", "pay-o1-1"), partial(start, "b", "o1", Method.SBP)
    ),
    "two orders of one id": pair(
        scenes.shop, partial(scenes.order, "o1", "a"), partial(scenes.order, "o1", "b")
    ),
    "two ways to pay": pair(
        partial(scenes.scanned, "o1"),
        partial(start, "a", "o1"),
        partial(start, "b", "o1", Method.SBP),
    ),
    "a new payment and the end of the old one": pair(
        partial(scenes.at_bank, "o1"),
        partial(start, "a", "o1", Method.SBP),
        partial(settle, "b", "pay-o1-1", CANCELED),
    ),
    "two payments of one order": pair(
        scenes.at_bank_twice,
        partial(settle, "a", "pay-o1-1", SUCCEEDED),
        partial(settle, "b", "pay-again-1", SUCCEEDED),
    ),
    "the same payment heard twice": pair(
        partial(scenes.at_bank, "o1"),
        partial(settle, "a", "pay-o1-1", SUCCEEDED),
        partial(settle, "b", "pay-o1-1", SUCCEEDED),
    ),
    "held money taken and on its way back": pair(
        scenes.held,
        partial(settle, "a", "pay-o1-1", SUCCEEDED),
        partial(report, "b", "o1", MakeState.FAILED),
    ),
    "held money gone and the drink made": pair(
        scenes.held,
        partial(settle, "a", "pay-o1-1", CANCELED),
        partial(report, "b", "o1", MakeState.DONE),
    ),
    "two refunds by hand": pair(partial(scenes.paid, "o1"), partial(adopt, "a", 1), partial(adopt, "b", 2)),
    "a refund by hand and a drink not made": pair(
        partial(scenes.sent, "o1"), partial(adopt, "a", 1), partial(report, "b", "o1", MakeState.FAILED)
    ),
    "a refund by hand and a command to be sent": pair(
        partial(scenes.paid, "o1"), partial(adopt, "a", 1), claim
    ),
    "two commands to be sent": pair(partial(scenes.paid, "o1", "o2"), claim, claim),
    "a machine gets free and a command looks for it": pair(
        partial(scenes.sent, "o1", "o2"), partial(report, "a", "o1", MakeState.DONE, True), claim
    ),
    "a command sent and out of time": pair(
        partial(scenes.paid, "o1"),
        claim,
        lambda: make_progress.expire_queued(rules("b"), "make-o1-1", NOW + 10**9),
    ),
    "the agent's word and a person's": pair(
        scenes.overdue,
        partial(report, "a", "o1", MakeState.DONE),
        partial(decide, "b", "not_made"),
    ),
    "two persons decide": pair(
        scenes.overdue, partial(decide, "a", "make_again"), partial(decide, "b", "made")
    ),
    "two persons give money back": pair(
        refused, partial(decide, "a", "refund_again"), partial(decide, "b", "returned_by_hand")
    ),
    "a customer chooses both": pair(
        scenes.paid_late,
        lambda: choice.choose(rules("a"), "o1", True, NOW),
        lambda: choice.choose(rules("b"), "o1", False, NOW),
    ),
    "a customer chooses too late": pair(
        scenes.paid_late,
        lambda: choice.choose(rules("a"), "o1", True, NOW),
        lambda: deadlines.end_overdue(rules("b"), "o1", NOW + 10**9),
    ),
    "a payment that comes as its order ends": pair(
        partial(scenes.at_bank, "o1"),
        partial(settle, "a", "pay-o1-1", SUCCEEDED),
        lambda: payment_ends.payment_not_known(rules("b"), "pay-o1-1", "lost", NOW),
    ),
    "two sessions of an agent": pair(
        scenes.shop,
        lambda: accept("dev-1", "server-2", hello(journal_high=1), NOW),
        lambda: accept("dev-1", "server-3", hello(journal_id="journal-2"), NOW),
    ),
    "two processes to the same timers": pair(
        partial(scenes.at_bank, "o1", "o2"),
        lambda: payments.claim_checks(NOW + 10_000, 1),
        lambda: payments.claim_checks(NOW + 10_000, 1),
    ),
    "two processes to one receipt": pair(
        receipt_due, partial(look_at_receipt, "a"), partial(look_at_receipt, "b")
    ),
    "two payments at T-Bank of one order": pair(
        scenes.shop, partial(tbank_init, "1"), partial(tbank_init, "2")
    ),
    "two refunds of more than was paid": pair(
        bank_paid, partial(bank_refund, "r1"), partial(bank_refund, "r2")
    ),
    "one request to the bank twice": pair(
        bank_paid, partial(bank_refund, "r1", "k"), partial(bank_refund, "r2", "k")
    ),
}


@pytest.fixture
async def processes(postgres: Databases) -> AsyncIterator[tuple[str, Database, Database]]:
    """A database and two processes that have it open."""
    url = await postgres.empty()
    both = [await open_database(url, connections=6) for _ in range(2)]
    yield url, both[0], both[1]
    for process in both:
        await process.close()


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("name", PAIRS)
async def test_two_at_once_do_what_they_do_one_after_the_other(
    postgres: Databases, processes: tuple[str, Database, Database], name: str, turned: bool
):
    scene, *deeds = PAIRS[name]
    first, second = reversed(deeds) if turned else deeds
    url, db, other = processes

    await db.write(scene)
    met = await meeting(url, db, other, first, second)
    await postgres.empty()
    await db.write(scene)
    in_turn = await one_after_another(db, first, second)
    await postgres.empty()
    await db.write(scene)
    after, before, rows = await one_after_another(db, second, first)
    assert met in (in_turn, (before, after, rows))
