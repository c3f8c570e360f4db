"""Where orders, money and machines stand when two meet: made by the server's own transactions."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from agent.wire import Actuated, Code, MakeState, Report
from server import hints, make_progress, settlement
from server.acceptance import accept
from server.db import Transaction
from server.load import load
from server.make import ANSWER_WITHIN_MS
from server.payments import (
    Confirmation,
    Hint,
    Method,
    PaymentSnapshot,
    PaymentStatus,
    RefundSnapshot,
    RefundStatus,
)
from server.progress import Rules
from server.rules import rules_of
from server.sale import find_or_add
from server.settings import Settings
from server.settlement import Wish
from server.shop_file import File, MerchantEntry
from server.store import devices, payments
from server.store.rows import Notification, Order
from tests.fakes.agent import hello
from tests.fakes.asked import asked_for
from tests.fakes.shop import machine

NOW = 1_795_000_000_000
CARD = {"account_id": "100500", "secret_key": "test_x"}
MERCHANT = MerchantEntry(id="m1", name="Кофе у дома", credentials={"Yookassa": CARD})
SHOP = File([MERCHANT], [machine(payment_scenario="Yookassa")])
SUCCEEDED = PaymentStatus.SUCCEEDED
SESSION = ("dev-1", 1, "journal-1")


def rules(who: str) -> Rules:
    """Return rules whose ids say who made them, and in which order."""
    numbers = itertools.count(1)
    return replace(rules_of(Settings()), new_id=lambda kind: f"{kind}-{who}-{next(numbers)}")


def order(order_id: str, drink_name: str = "Эспрессо") -> Transaction[Order]:
    """A customer scans."""
    known = dict.fromkeys(
        ["refund_status", "failure_code", "failure_said", "payment_started_at", "paid_at", "email"], None
    )
    about = {"order_id": order_id, "device_uuid": "dev-1", "drink_no": "espresso", "size": "small"}
    times = {"created_at": NOW, "updated_at": NOW, "expires_at": NOW + 900_000, "deadline_at": NOW + 900_000}
    money: dict[str, Any] = {"price_minor": 9000, "currency": "RUB", "payment_scenario": "Yookassa"}
    start: dict[str, Any] = {"status": "created", "attempt_no": 0, "version": 0, "drink_name": drink_name}
    return find_or_add(Order(**{**known, **about, **times, **money, **start}))


def start(who: str, order_id: str, method: Method = Method.CARD, now: int = NOW) -> Transaction[Any]:
    """A customer presses the button."""
    return settlement.start_payment(
        rules(who), order_id, "m1", Wish(method), lambda *_: asked_for(amount_minor=9000), now
    )


def snapshot(payment_id: str, status: PaymentStatus) -> PaymentSnapshot:
    """What the provider says."""
    where = Confirmation("redirect", "https://bank.example/")
    about = (f"bank-{payment_id}", status, 9000, "RUB", "100500", True, {}, "over", where, 0)
    return PaymentSnapshot(*about)


def settle(who: str, payment_id: str, status: PaymentStatus, now: int = NOW) -> Transaction[Any]:
    """What the provider says of a payment is taken in."""
    told = snapshot(payment_id, status)
    return settlement.settle_payment(rules(who), payment_id, told, "100500", True, now + 5_000, now, "timer")


def told_of(payment_id: str) -> Notification:
    """The notification that the payment has succeeded."""
    about = (f"of-{payment_id}", "yookassa", "payment.succeeded", f"bank-{payment_id}", "{}")
    return Notification(*about, NOW, None, "", 0, NOW + payments.WRITE_LEASE_MS)


def hear(payment_id: str) -> Transaction[Any]:
    """The notification comes."""
    hint = Hint("payment.succeeded", "payment", f"bank-{payment_id}", f"bank-{payment_id}")
    return hints.keep_ours(told_of(payment_id), hint, NOW)


def heard(who: str, payment_id: str) -> Transaction[Any]:
    """The provider has confirmed it, by a process that has the device's session."""
    about = (payment_id, snapshot(payment_id, SUCCEEDED), "100500", True, NOW + 5_000, NOW, "notification")
    ended = partial(hints.asked, told_of(payment_id), lambda: NOW)
    connected = replace(rules(who), session_of=lambda _: SESSION[1:])
    return settlement.in_turn(partial(settlement.settle_payment, connected, *about), ended)


def by_hand(number: int) -> RefundSnapshot:
    """A refund that somebody made at the provider."""
    return RefundSnapshot(f"hand-{number}", "bank-pay-o1-1", RefundStatus.SUCCEEDED, 9000, "RUB", "")


def claim() -> Transaction[Any]:
    """The device's next command is taken for sending."""
    return make_progress.claim_make(*SESSION, NOW)


def report(who: str, order_id: str, state: MakeState, then_claim: bool = False) -> Transaction[Any]:
    """The agent tells how a command ended."""
    failed = {"code": Code.NO_WATER, "actuated": Actuated.NO} if state is MakeState.FAILED else {}
    about = {"actuated": Actuated.YES, "evidence": "status", **failed}
    told = Report(command_id=f"make-{order_id}-1", state=state, seq=1, **about)
    return make_progress.take_in(rules(who), *SESSION, [told], then_claim, NOW)


# --- scenes -----------------------------------------------------------------------------------------


def shop() -> Transaction[None]:
    """A machine with its agent."""
    yield from load(SHOP, NOW)
    yield from devices.set_token("dev-1", "hash")
    yield from accept("dev-1", "server-1", hello(), NOW)


def scanned(*order_ids: str) -> Transaction[None]:
    yield from shop()
    for order_id in order_ids:
        yield from order(order_id)


def at_bank(*order_ids: str) -> Transaction[None]:
    """Each order's customer is at the bank's page, one after the other."""
    yield from scanned(*order_ids)
    for later_ms, order_id in enumerate(order_ids):
        yield from start(order_id, order_id, now=NOW + later_ms)
        payment_id = f"pay-{order_id}-1"
        told = snapshot(payment_id, PaymentStatus.PENDING)
        yield from settlement.payment_created(payment_id, told, NOW)


def at_bank_twice() -> Transaction[None]:
    """The customer has two pages at the bank."""
    yield from at_bank("o1")
    yield from start("again", "o1", Method.SBP)
    told = snapshot("pay-again-1", PaymentStatus.PENDING)
    yield from settlement.payment_created("pay-again-1", told, NOW)


def paid(
    *order_ids: str, status: PaymentStatus = SUCCEEDED, now: int = NOW, unpaid: Sequence[str] = ()
) -> Transaction[None]:
    """Each order is paid, and its command waits; those that are `unpaid` are at the bank."""
    yield from at_bank(*order_ids, *unpaid)
    for order_id in order_ids:
        yield from settle(order_id, f"pay-{order_id}-1", status, now)


def sent(*order_ids: str, status: PaymentStatus = SUCCEEDED, unpaid: Sequence[str] = ()) -> Transaction[None]:
    """The first order's command was sent."""
    yield from paid(*order_ids, status=status, unpaid=unpaid)
    yield from claim()


held = partial(sent, "o1", status=PaymentStatus.WAITING_FOR_CAPTURE)
paid_late = partial(paid, "o1", now=NOW + 800_000)


def overdue() -> Transaction[None]:
    """Nobody knows whether the drink was made."""
    yield from sent("o1")
    wake_at = NOW + ANSWER_WITHIN_MS
    yield from make_progress.overdue_make(rules("case"), "make-o1-1", wake_at, NOW + 60_000)
