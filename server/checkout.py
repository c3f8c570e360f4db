"""Begins payments: what the provider is asked for is written first, then the customer told where to pay."""

from collections.abc import Callable
from functools import partial

from server import settlement
from server.db import Database
from server.errors import BadRequest, Unavailable
from server.fiscal import has_receipts, receipt_of
from server.payments import Confirmation, NewPayment
from server.payments.accounts import Accounts
from server.progress import Rules
from server.settlement import Wish
from server.store import payments
from server.store.rows import Device, Order, Payment
from server.texts import text
from server.till import Till

SHORTEST_LIFE_MS = 120_000
"""T-Bank takes no payment that ends within a minute; one that is begun late ends a little after its order."""


class Checkout:
    """Where customers begin to pay."""

    def __init__(
        self,
        db: Database,
        accounts: Accounts,
        till: Till,
        rules: Rules,
        public_url: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._till = till
        self._rules = rules
        self._public_url = public_url
        self._now_ms = now_ms

    async def begin_payment(self, device: Device, order: Order, wish: Wish) -> Confirmation:
        """Return the address at which the customer pays for the order.

        Raises NotFound, BadRequest or AlreadyDecided as `settlement.start_payment`, BadRequest also for a
        method that is not offered, and Unavailable when the provider cannot be reached or is not set up.
        """
        account = await self._accounts.of(device.merchant_id, order.payment_scenario)
        offers = account.provider.capabilities
        if order.price_minor < offers.least_minor.get(wish.method, order.price_minor + 1):
            raise BadRequest("method_not_offered", f"{wish.method}: {order.order_id}", device.device_uuid)
        hold = device.holds_cards_since is not None and wish.method in offers.holds
        payment, change = await self._db.write(
            settlement.start_payment,
            self._rules,
            order.order_id,
            device.merchant_id,
            wish,
            partial(self._asked_for, device, wish, hold),
            self._now_ms(),
        )
        self._till.tell([change])
        confirmation = await self._confirmation(payment)
        if confirmation is None:
            raise Unavailable("payment_creation_failed", f"order {order.order_id}", device.device_uuid)
        return confirmation

    def _asked_for(
        self,
        device: Device,
        wish: Wish,
        hold: bool,
        order: Order,
        payment_id: str,
        attempt_no: int,
        drink_receipt: str | None,
    ) -> NewPayment:
        description = text("info.payment_description", drink_name=order.drink_name)
        receipt = None
        if has_receipts(order.payment_scenario, device.receipt):
            email = wish.email or order.email
            receipt = receipt_of(description, order.price_minor, email, device.receipt, drink_receipt)
        return NewPayment(
            payment_id=payment_id,
            order_id=order.order_id,
            attempt_no=attempt_no,
            amount_minor=order.price_minor,
            currency=order.currency,
            description=description,
            return_url=f"{self._public_url}/v1/order-status-page?order_id={order.order_id}",
            notification_url=f"{self._public_url}/v1/tbank-webhook",
            expires_at=max(order.expires_at, self._now_ms() + SHORTEST_LIFE_MS),
            method=wish.method,
            hold=hold,
            receipt=receipt,
        )

    async def _confirmation(self, payment: Payment) -> Confirmation | None:
        """Return where to pay, creating the payment at the provider if that has not happened yet."""
        now: Payment | None = payment
        if payment.status == "creating":
            leased = payment.leased_until is not None
            ours = payment if leased else await self._till.take(payment.payment_id, ("creating",))
            made = self._till.create(ours) if ours else self._db.read(payments.get, payment.payment_id)
            now = await made
        if now is None or now.status != "pending" or now.confirmation_url is None:
            return None
        return Confirmation("qr" if now.confirmation_kind == "qr" else "redirect", now.confirmation_url)
