"""What the measured server sells: a merchant, machines, and orders that wait for their money.

Written into the database before the server starts, by the server's own transactions.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from server.db import Statement, Transaction, open_database
from server.order import Status
from server.payments import Confirmation, Method, NewPayment, PaymentSnapshot, PaymentStatus
from server.rules import rules_of
from server.sale import CURRENCY, find_or_add
from server.settings import Settings
from server.settlement import Wish, payment_created, start_payment
from server.store import devices, payments
from server.store.rows import Order
from server.tokens import token_hash
from server.vault import Vault

MERCHANT, SCENARIO = "m1", "Yookassa"
ACCOUNT_ID, SECRET_KEY = "100500", "test_bench"
DRINK_NO, PRICE_MINOR = "espresso", 9000
INFO = 'Вопросы: <a href="tel:+74951234567">+7 495 123-45-67</a>'
LIFE_MS = 3_600_000
"""How long the orders wait for their money, and for a question about it: longer than any measurement."""


@dataclass(frozen=True)
class Shop:
    """Names of what was put into a database; `tokens` are the agents', by device."""

    url: str
    """Where the database is."""
    key: str
    tokens: dict[str, str]

    @property
    def path(self) -> Path:
        """The file of a SQLite database."""
        return Path(self.url.removeprefix("sqlite:///"))


def file_url(path: Path) -> str:
    """Return the address of a SQLite database."""
    return f"sqlite:///{path}"


def device_name(number: int) -> str:
    """Return the id of a machine."""
    return f"dev-{number}"


def order_name(number: int) -> str:
    """Return the id of an order; the provider knows its payment as `provider_name`."""
    return f"m-{_scattered(number)}"


def payment_name(number: int) -> str:
    """Return our own id of the payment of an order."""
    return _numbered(number, "pay")


def provider_name(number: int) -> str:
    """Return the provider's id of the payment of an order."""
    return f"bp-{number}"


async def stock(url: str, machines: int, orders: int, now: int) -> Shop:
    """Fill an empty database with so many machines, and orders that are shared evenly among them."""
    key = secrets.token_urlsafe(32)
    tokens = {device_name(number): secrets.token_urlsafe(16) for number in range(machines)}
    db = await open_database(url)
    try:
        await db.write(_merchant, Vault(key), now)
        await db.write(_machines, tokens, now)
        for first in range(0, orders, 1000):
            await db.write(_orders, range(first, min(first + 1000, orders)), tuple(tokens), now)
    finally:
        await db.close()
    return Shop(url, key, tokens)


def _merchant(vault: Vault, now: int) -> Transaction[None]:
    yield Statement(
        "INSERT INTO merchants (merchant_id, name, updated_at) VALUES ($1, 'Кофе у дома', $2)",
        (MERCHANT, now),
    )
    body = f'{{"account_id": "{ACCOUNT_ID}", "secret_key": "{SECRET_KEY}"}}'
    yield Statement(
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) VALUES ($1, $2, $3, $4)",
        (MERCHANT, SCENARIO, vault.seal(body), now),
    )


def _machines(tokens: dict[str, str], now: int) -> Transaction[None]:
    for device_uuid, token in tokens.items():
        yield Statement(
            "INSERT INTO devices (device_uuid, merchant_id, location, payment_scenario, client_info, "
            "client_info_make_failed, updated_at) VALUES ($1, $2, 'ул. Ленина, 1', $3, $4, $4, $5)",
            (device_uuid, MERCHANT, SCENARIO, INFO, now),
        )
        yield Statement(
            "INSERT INTO drinks (device_uuid, drink_no, name, prices, position, updated_at) "
            "VALUES ($1, $2, 'Эспрессо', $3, 0, $4)",
            (device_uuid, DRINK_NO, f'{{"small": {PRICE_MINOR}}}', now),
        )
        yield from devices.set_token(device_uuid, token_hash(token))


def _orders(numbers: Iterable[int], machines: Sequence[str], now: int) -> Transaction[None]:
    """Orders as customers leave them when they have gone to the provider's page."""
    for number in numbers:
        yield from find_or_add(_new_order(number, machines[number % len(machines)], now))
        rules = replace(rules_of(Settings()), new_id=partial(_numbered, number))
        payment, _ = yield from start_payment(rules, order_name(number), MERCHANT, Wish(), _asked_for, now)
        yield from payment_created(payment.payment_id, _snapshot(number), now)
        yield from payments.change(replace(payment, status="pending"), {"next_check_at": now + LIFE_MS})


def _numbered(number: int, kind: str) -> str:
    return f"{kind}-{_scattered(number)}"


def _scattered(number: int) -> str:
    """Return a text for a number, far from its neighbours' as real ids are."""
    return f"{number * 2654435761 % 2**32:08x}-{number}"


def _new_order(number: int, device_uuid: str, now: int) -> Order:
    return Order(
        order_id=order_name(number),
        device_uuid=device_uuid,
        drink_no=DRINK_NO,
        drink_name="Эспрессо",
        size="small",
        price_minor=PRICE_MINOR,
        currency=CURRENCY,
        payment_scenario=SCENARIO,
        status=Status.CREATED,
        refund_status=None,
        failure_code=None,
        failure_said=None,
        attempt_no=0,
        created_at=now,
        updated_at=now,
        expires_at=now + LIFE_MS,
        payment_started_at=None,
        paid_at=None,
        deadline_at=now + LIFE_MS,
        version=0,
        email=None,
    )


def _asked_for(order: Order, payment_id: str, attempt_no: int, drink_receipt: str | None) -> NewPayment:
    return NewPayment(
        payment_id=payment_id,
        order_id=order.order_id,
        attempt_no=attempt_no,
        amount_minor=order.price_minor,
        currency=order.currency,
        description=order.drink_name,
        return_url="http://127.0.0.1/",
        notification_url="http://127.0.0.1/",
        expires_at=order.expires_at,
        method=Method.CARD,
        hold=False,
        receipt=None,
    )


def _snapshot(number: int) -> PaymentSnapshot:
    return PaymentSnapshot(
        provider_payment_id=provider_name(number),
        status=PaymentStatus.PENDING,
        amount_minor=PRICE_MINOR,
        currency=CURRENCY,
        account_id=ACCOUNT_ID,
        test=True,
        metadata={},
        reason="",
        confirmation=Confirmation("redirect", "http://127.0.0.1/"),
        refunded_minor=0,
    )
