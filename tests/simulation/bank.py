"""The bank: its own truth about payments and refunds; its client answers late, twice, wrongly or never.

The same key never makes a second payment or refund; everything else that the plan says may happen.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from server.payments import (
    Capabilities,
    Confirmation,
    Declined,
    InDoubt,
    Method,
    NewPayment,
    NotFound,
    PaymentSnapshot,
    PaymentStatus,
    RefundSnapshot,
    RefundStatus,
    RetryLater,
)
from tests.simulation import plan
from tests.simulation.life import Life

T = TypeVar("T")

ACCOUNT_ID = "100500"
PAYABLE_S = 150.0
HOLD_S = 900.0
"""After this time held money goes back by itself."""
"""After this time an unpaid payment is canceled."""

HANG_S = 20.0
STALE_S = 15.0


@dataclass
class Payment:
    """A payment in the bank's books; `history` has each status with its time."""

    payment_id: str
    amount_minor: int
    metadata: dict[str, str]
    history: list[tuple[float, PaymentStatus]]
    hold: bool = False

    @property
    def status(self) -> PaymentStatus:
        return self.history[-1][1]


@dataclass
class Refund:
    """A refund in the bank's books."""

    refund_id: str
    payment_id: str
    amount_minor: int
    status: RefundStatus


@dataclass
class Bank:
    """The books. `notify` carries a notification's body to the server; it returns whether it was taken."""

    faults: plan.Bank
    chance: random.Random
    stormy: Callable[[], bool]
    notify: Callable[[bytes], Awaitable[bool]]
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    _waiting: int = 0
    _by_key: dict[str, Payment | Refund] = field(default_factory=dict)

    def happens(self, how_often: float) -> bool:
        return how_often > 0 and self.chance.random() < how_often and self.stormy()

    @property
    def waiting(self) -> int:
        """How many things the bank is going to do by itself."""
        unpaid = sum(payment.status is PaymentStatus.PENDING for payment in self.payments.values())
        return self._waiting + unpaid

    # --- payments -----------------------------------------------------------------------------------

    def create(self, key: str, amount_minor: int, metadata: dict[str, str], *, hold: bool = False) -> Payment:
        """Open a payment, or find the one that this key opened."""
        known = self._by_key.get(key)
        if isinstance(known, Payment):
            return known
        payment = Payment(
            f"bp-{len(self.payments) + 1:03}", amount_minor, metadata, [(_now(), PaymentStatus.PENDING)], hold
        )
        self.payments[payment.payment_id] = self._by_key[key] = payment
        asyncio.get_running_loop().call_later(PAYABLE_S, self.cancel, payment)
        return payment

    def pay(self, payment_id: str) -> bool:
        """The customer pays; return whether the bank took the money."""
        payment = self.payments[payment_id]
        if payment.status is not PaymentStatus.PENDING:
            return False
        self._become(payment, PaymentStatus.WAITING_FOR_CAPTURE if payment.hold else PaymentStatus.SUCCEEDED)
        if payment.hold:
            asyncio.get_running_loop().call_later(HOLD_S, self._let_go, payment)
        return True

    def capture(self, key: str, payment: Payment, amount_minor: int) -> Payment:
        """Take the money that is held."""
        return self._end_hold(key, payment, PaymentStatus.SUCCEEDED)

    def release(self, key: str, payment: Payment) -> Payment:
        """Give the money back that is held."""
        return self._end_hold(key, payment, PaymentStatus.CANCELED)

    def _end_hold(self, key: str, payment: Payment, end: PaymentStatus) -> Payment:
        if key not in self._by_key:
            if payment.status is not PaymentStatus.WAITING_FOR_CAPTURE:
                raise Declined(f"the payment is {payment.status}")
            self._become(payment, end)
            self._by_key[key] = payment
        return payment

    def _let_go(self, payment: Payment) -> None:
        """The shop has not taken the money in time."""
        if payment.status is PaymentStatus.WAITING_FOR_CAPTURE:
            self._become(payment, PaymentStatus.CANCELED)

    def cancel(self, payment: Payment) -> None:
        """Nobody pays."""
        if payment.status is not PaymentStatus.PENDING:
            return
        self._become(payment, PaymentStatus.CANCELED)
        if self.happens(self.faults.revive):
            self._later(self.chance.uniform(0.1, 60), self._revive, payment)

    def _revive(self, payment: Payment) -> None:
        payment.history.append((_now(), PaymentStatus.SUCCEEDED))
        self._hint("payment.succeeded", payment.payment_id, None, surely=True)

    def _become(self, payment: Payment, status: PaymentStatus) -> None:
        payment.history.append((_now(), status))
        ours = "payment_id" in payment.metadata
        self._hint(f"payment.{status}", payment.payment_id, None, surely=not ours)

    # --- refunds ------------------------------------------------------------------------------------

    def give_back(self, key: str, payment_id: str, amount_minor: int) -> Refund:
        """Begin a refund, or find the one that this key began."""
        known = self._by_key.get(key)
        if isinstance(known, Refund):
            return known
        payment = self.payments[payment_id]
        if payment.status is not PaymentStatus.SUCCEEDED:
            raise Declined("the payment has no money to give back")
        refund = Refund(f"br-{len(self.refunds) + 1:03}", payment_id, amount_minor, RefundStatus.PENDING)
        self.refunds[refund.refund_id] = self._by_key[key] = refund
        canceled = self.happens(self.faults.refund_canceled)
        end = RefundStatus.CANCELED if canceled else RefundStatus.SUCCEEDED
        if self.happens(self.faults.refund_waits):
            self._later(self.chance.uniform(1, 60), self._refunded, refund, end)
        else:
            self._refunded(refund, end)
        return refund

    def _refunded(self, refund: Refund, end: RefundStatus) -> None:
        refund.status = end
        if end is RefundStatus.SUCCEEDED:
            self._hint("refund.succeeded", refund.refund_id, refund.payment_id)

    # --- notifications ------------------------------------------------------------------------------

    def forge(self, event: str, object_id: str) -> None:
        """Somebody who is not the bank sends a notification."""
        self._send(0.0, _body(event, object_id, None), tries=1)

    def _hint(self, event: str, object_id: str, payment_id: str | None, *, surely: bool = False) -> None:
        if not surely and self.happens(self.faults.lose_hint):
            return
        for _ in range(3 if self.happens(self.faults.double_hint) else 1):
            late_s = self.chance.uniform(0, self.faults.late_hint_s) if self.faults.late_hint_s else 0.05
            self._send(late_s, _body(event, object_id, payment_id), tries=60)

    def _send(self, late_s: float, body: bytes, tries: int) -> None:
        self._waiting += 1
        task = asyncio.get_running_loop().create_task(self._deliver(late_s, body, tries))
        task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._waiting -= 1
        if not task.cancelled():
            task.result()

    async def _deliver(self, late_s: float, body: bytes, tries: int) -> None:
        await asyncio.sleep(late_s)
        for _ in range(tries):
            if await self.notify(body):
                return
            await asyncio.sleep(10.0)

    def _later(self, after_s: float, act: Callable[..., None], *args: Any) -> None:
        self._waiting += 1

        def now() -> None:
            self._waiting -= 1
            act(*args)

        asyncio.get_running_loop().call_later(after_s, now)


def _body(event: str, object_id: str, payment_id: str | None) -> bytes:
    named = {"id": object_id} if payment_id is None else {"id": object_id, "payment_id": payment_id}
    return json.dumps({"type": "notification", "event": event, "object": named}).encode()


def _now() -> float:
    return asyncio.get_running_loop().time()


class Bodies:
    """Implements `server.payments.Bodies`: what the bank reads."""

    def payment_body(self, new: NewPayment) -> str:
        asked = {"payment_id": new.payment_id, "order_id": new.order_id, "amount": new.amount_minor}
        return json.dumps(asked | {"hold": new.hold})

    def is_hold(self, payment_body: str) -> bool:
        return bool(json.loads(payment_body)["hold"])

    def tells_receipt(self, payment_body: str) -> bool:
        return False

    def capture_body(
        self, provider_payment_id: str, amount_minor: int, currency: str, payment_body: str
    ) -> str:
        return json.dumps({"amount": amount_minor})

    def release_body(self, provider_payment_id: str, amount_minor: int, currency: str) -> str:
        return "{}"

    def refund_body(
        self, provider_payment_id: str, amount_minor: int, currency: str, reason: str, payment_body: str
    ) -> str:
        return json.dumps({"payment_id": provider_payment_id, "amount": amount_minor})


class Client:
    """Implements `server.payments.Provider` for one life of the server."""

    capabilities = Capabilities(
        least_minor={Method.CARD: 1, Method.SBP: 1},
        holds=frozenset({Method.CARD}),
        voids_unpaid=False,
        partial_refunds=True,
    )

    def __init__(self, bank: Bank, life: Life) -> None:
        self._bank = bank
        self._life = life

    async def create_payment(self, body: str, key: str) -> PaymentSnapshot:
        if self._bank.happens(self._bank.faults.decline):
            await self._call(lambda: None)
            raise Declined("not today")
        asked = json.loads(body)
        metadata = {"order_id": asked["order_id"], "payment_id": asked["payment_id"]}
        return await self._call(
            lambda: self._payment(self._bank.create(key, asked["amount"], metadata, hold=asked["hold"]))
        )

    async def capture_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        amount_minor = json.loads(body)["amount"]
        return await self._call(
            lambda: self._payment(self._bank.capture(key, self._known(provider_payment_id), amount_minor))
        )

    async def release_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        return await self._call(
            lambda: self._payment(self._bank.release(key, self._known(provider_payment_id)))
        )

    async def fetch_payment(self, provider_payment_id: str, hold: bool = False) -> PaymentSnapshot:
        return await self._call(lambda: self._payment(self._known(provider_payment_id)))

    async def find_payment(self, payment_id: str, since_ms: int) -> PaymentSnapshot | None:
        def find() -> PaymentSnapshot | None:
            for payment in reversed(self._bank.payments.values()):
                if payment.metadata.get("payment_id") == payment_id:
                    return self._payment(payment)
            return None

        return await self._call(find)

    async def create_refund(self, body: str, key: str) -> RefundSnapshot:
        asked = json.loads(body)
        return await self._call(
            lambda: self._refund(self._bank.give_back(key, asked["payment_id"], asked["amount"]))
        )

    async def fetch_refund(self, provider_refund_id: str) -> RefundSnapshot:
        def fetch() -> RefundSnapshot:
            if provider_refund_id not in self._bank.refunds:
                raise NotFound(provider_refund_id)
            return self._refund(self._bank.refunds[provider_refund_id])

        return await self._call(fetch)

    async def payments_since(self, since_ms: int, of: Mapping[str, bool]) -> list[PaymentSnapshot]:
        return await self._call(lambda: [self._payment(payment) for payment in self._bank.payments.values()])

    async def refunds_since(self, since_ms: int, of: Collection[str]) -> list[RefundSnapshot]:
        return await self._call(lambda: [self._refund(refund) for refund in self._bank.refunds.values()])

    async def refunds_of(self, provider_payment_id: str) -> list[RefundSnapshot]:
        return await self._call(
            lambda: [
                self._refund(refund)
                for refund in self._bank.refunds.values()
                if refund.payment_id == provider_payment_id
            ]
        )

    async def _call(self, act: Callable[[], T]) -> T:
        """Do something at the bank, or nothing, and answer, or not."""
        bank, faults = self._bank, self._bank.faults
        self._life.step()
        await asyncio.sleep(bank.chance.uniform(0.05, 0.3))
        if not self._life.alive:
            self._life.step()
        if bank.happens(faults.before):
            raise InDoubt("status 500") if bank.chance.random() < 0.5 else RetryLater("busy", 1.0)
        done = act()
        if bank.happens(faults.hang):
            await asyncio.sleep(HANG_S)
            raise InDoubt("no answer in time")
        self._life.step()
        if bank.happens(faults.after):
            raise InDoubt("the answer broke off")
        return done

    def _known(self, payment_id: str) -> Payment:
        if payment_id not in self._bank.payments:
            raise NotFound(payment_id)
        return self._bank.payments[payment_id]

    def _payment(self, payment: Payment) -> PaymentSnapshot:
        status = payment.status
        if self._bank.happens(self._bank.faults.stale):
            status = [
                told
                for at, told in payment.history
                if at <= _now() - STALE_S or told is PaymentStatus.PENDING
            ][-1]
        return PaymentSnapshot(
            payment.payment_id,
            status,
            payment.amount_minor,
            "RUB",
            ACCOUNT_ID,
            False,
            payment.metadata,
            "",
            Confirmation("redirect", f"bank/{payment.payment_id}"),
            0,
        )

    def _refund(self, refund: Refund) -> RefundSnapshot:
        return RefundSnapshot(
            refund.refund_id, refund.payment_id, refund.status, refund.amount_minor, "RUB", ""
        )
