"""What users of other shops have reported of payments, row by row, and the rule that each taught us.

The rows are those of issues in woocommerce, mollie, adyen, medusa and others; each test states its rule.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from server.errors import Conflict
from server.payments import Method, tbank_requests, yookassa_api
from server.payments.notation import minor_units
from server.progress import add_refund
from tests.money.board import Outcome
from tests.money.counter import PRICE_MINOR, Counter, a_counter
from tests.money.wires import Harm

DROPPED = [Harm.LATE] * 20


@pytest.fixture(params=["Sandbox", "TBank"])
def counter(request: pytest.FixtureRequest) -> Iterator[Counter]:
    with a_counter(request.param) as counter:
        yield counter


@pytest.fixture
def yookassa() -> Iterator[Counter]:
    with a_counter("Sandbox") as counter:
        yield counter


def makes(counter: Counter) -> int:
    return len(counter.rows("SELECT 1 FROM makes"))


def test_a_payment_after_its_order_is_over_is_a_state_of_its_own_and_goes_back_by_itself(yookassa: Counter):
    """woocommerce-gateway-stripe PR 5703, flexprice PR 2230, coreshop 2529."""
    bank_id = yookassa.at_bank()
    yookassa.later(20 * 60)
    yookassa.pay(bank_id)
    yookassa.later(61)
    assert yookassa.order() == ("manual_make", None)
    for _ in range(3):
        yookassa.later(301, 3.0)
    assert yookassa.order() == ("make_failed", "succeeded")
    assert makes(yookassa) == 0
    assert yookassa.column("SELECT count(*) FROM sandbox_refunds") == [1]


def test_the_end_of_another_attempt_never_touches_a_paid_order(yookassa: Counter):
    """mollie/WooCommerce 668: an event "expired" turned a finished order into a cancelled one."""
    yookassa.at_bank(method=Method.SBP)
    yookassa.buy(method=Method.CARD)
    yookassa.end(Outcome.MADE)
    yookassa.later(3700, 5.0)
    assert yookassa.column("SELECT status FROM payments ORDER BY attempt_no") == ["canceled", "succeeded"]
    assert yookassa.order() == ("successful", None)


def test_our_row_is_written_before_the_provider_hears_of_the_payment(counter: Counter):
    """statamic-cargo 190, eStore 182: the notification came before the row, was answered 200 and was lost."""
    counter.connect()
    counter.scan("order-1")
    counter.wires.harms["payment"].append(Harm.UNANSWERED)
    counter.press_pay("order-1", Method.CARD)
    (bank_id,) = counter.bank_ids()
    assert counter.column("SELECT provider_payment_id FROM payments WHERE idempotence_key IS NOT NULL") == [
        None
    ]
    counter.pay(bank_id)
    counter.later(3)
    assert counter.column("SELECT provider_payment_id FROM payments") == [bank_id]
    assert makes(counter) == 1


def test_return_page_timer_and_notification_at_once_change_the_order_once(counter: Counter):
    """adyen-magento2 2726, woocommerce-gateway-stripe 2536: a race, and the status went backwards."""
    bank_id = counter.at_bank()
    counter.pay(bank_id)
    (payment,) = counter.payments()
    for _ in range(5):
        counter.return_page(payment)
    counter.later(3)
    counter.end(Outcome.MADE)
    counter.return_page(payment)
    counter.later(3)
    assert counter.order() == ("successful", None)
    assert counter.column("SELECT count(*) FROM order_events WHERE event = 'payment_succeeded'") == [1]


def test_a_customer_who_never_comes_back_gets_the_drink(counter: Counter):
    """woocommerce-gateway-stripe 3192, laravel-mollie 128: nobody returned, and nobody asked the bank."""
    counter.wires.harms["notification"].extend(DROPPED)
    counter.pay(counter.at_bank())
    counter.later(3)
    assert makes(counter) == 1


def test_our_own_refund_that_is_told_before_it_is_answered_is_booked_once(counter: Counter):
    """woocommerce-gateway-stripe 2724 and 838, woocommerce-paypal-payments 522, Smartstore 1544."""
    counter.buy()
    counter.wires.harms["back"].append(Harm.SILENT)
    counter.end(Outcome.NOT_MADE)
    counter.later(3, 50.0)
    counter.later(3, 5.0)
    assert counter.order() == ("make_failed", "succeeded")
    assert counter.column("SELECT status FROM refunds") == ["succeeded"]
    assert counter.kinds() == []


def test_a_refund_is_repeated_with_the_key_of_its_row(yookassa: Counter):
    """medusa 16681, saleor/apps 2446, tickets 1912: a new key after a failure gave the money back twice."""
    yookassa.buy()
    yookassa.wires.harms["back"].extend([Harm.UNANSWERED, Harm.BAD_GATEWAY, Harm.BUSY])
    yookassa.end(Outcome.NOT_MADE)
    for _ in range(5):
        yookassa.later(3)
    sent = {call.key for call in yookassa.yookassa.api.calls if call.path.endswith("/refunds") and call.key}
    assert sent == set(yookassa.column("SELECT idempotence_key FROM refunds"))
    assert yookassa.column("SELECT count(*) FROM sandbox_refunds") == [1]
    assert yookassa.order() == ("make_failed", "succeeded")


def test_one_refund_of_a_payment_is_under_way_at_a_time(counter: Counter):
    """hellgate 189: partial refunds at the same time gave back more than was paid."""
    counter.buy()
    counter.wires.harms["back"].extend([Harm.LOST] * 9)
    counter.end(Outcome.NOT_MADE)
    (payment,) = counter.payments()
    with pytest.raises(Conflict):
        counter.do(
            counter.parts.db.write(add_refund, counter.parts.rules, payment, counter.now_ms(), "again")
        )


@pytest.mark.parametrize("bodies", [yookassa_api, tbank_requests])
@pytest.mark.parametrize("amount_minor", [0, -1])
def test_a_refund_always_says_how_much_and_never_nothing(bodies: Any, amount_minor: int):
    """woocommerce-payments 944: a refund of 0 gave back everything."""
    with pytest.raises(ValueError, match="at least one kopeck"):
        bodies.refund_body("1", amount_minor, "RUB", "", "{}")
    assert json.loads(bodies.refund_body("1", 5, "RUB", "", "{}")).keys() & {"amount", "Amount"}


WRONG = {
    "amount": "'$.amount.value', '0.05'",
    "currency": "'$.amount.currency', 'KZT'",
    "test flag": "'$.test', json('false')",
    "shop": "'$.recipient.account_id', '999'",
    "order": "'$.metadata.order_id', 'order-9'",
}


@pytest.mark.parametrize("what", WRONG)
def test_money_that_is_not_what_we_asked_for_buys_nothing_and_is_a_case(yookassa: Counter, what: str):
    """nopCommerce 1089, tommalopty 7, adyen-prestashop 151: five cents bought what costs 237 dollars."""
    bank_id = yookassa.at_bank()
    yookassa.connection.execute(f"UPDATE sandbox_payments SET body = json_set(body, {WRONG[what]})")
    yookassa.pay(bank_id)
    yookassa.later(3)
    assert makes(yookassa) == 0
    assert yookassa.kinds() == ["payment_mismatch"]


@pytest.mark.parametrize(("text", "minor"), [("19.99", 1999), ("0.29", 29), ("1.15", 115), ("4.35", 435)])
def test_money_is_whole_kopecks_and_never_a_float(text: str, minor: int):
    """Mastercard simplify PR 40: a float times 100 lost a cent, as it does of each of these."""
    assert int(float(text) * 100) != minor
    assert minor_units(text) == minor


def test_one_payment_is_credited_once_however_often_it_is_told(counter: Counter):
    """remnawave-bedolaga-telegram-bot PR 2678: a payment was credited by its notification and by a check."""
    counter.wires.harms["notification"].append(Harm.TWICE)
    bank_id = counter.buy()
    counter.forge("payment.succeeded", bank_id)
    counter.return_page(counter.payments()[0])
    counter.later(61)
    assert makes(counter) == 1
    assert counter.column("SELECT count(DISTINCT provider_payment_id) FROM payments") == [1]


def test_a_shop_whose_notification_address_was_never_set_sells_all_the_same(counter: Counter):
    """vless-shopbot 62: paid, and nothing given, since the address was not configured."""
    counter.wires.harms["notification"].extend(DROPPED)
    counter.pay(counter.at_bank())
    counter.later(3)
    counter.end(Outcome.MADE)
    assert counter.order() == ("successful", None)
    assert counter.column("SELECT count(*) FROM notifications") == [0]


def test_an_order_ends_before_its_payment_does_and_is_listened_for_after_it(yookassa: Counter):
    """yookassa-github-docs 12: that a payment lives an hour surprised the shops."""
    bank_id = yookassa.at_bank()
    (at,) = yookassa.column("SELECT expires_at - created_at FROM orders")
    (life,) = yookassa.column("SELECT expires_at - created_at FROM sandbox_payments")
    assert at < life
    yookassa.later(at / 1000 + 1)
    yookassa.pay(bank_id)
    yookassa.later(61)
    assert yookassa.order() == ("manual_make", None)


def test_money_that_went_back_at_once_buys_nothing(counter: Counter):
    """VivaPayments/API 2486: a success was told, and reversed right after it."""
    counter.wires.harms["notification"].extend([Harm.LATE] * 4)
    bank_id = counter.at_bank()
    counter.wires.harms["question"].extend([Harm.LOST] * 3)
    counter.pay(bank_id)
    counter.give_back(bank_id, PRICE_MINOR)
    counter.later(3)
    for _ in range(3):
        counter.later(61)
    assert makes(counter) == 0
    assert counter.order() == ("make_failed", "succeeded")


def test_a_drink_that_failed_and_one_of_which_nobody_knows_are_told_apart(counter: Counter):
    """The second goes to a person, or to a policy that takes its time; only the first goes back at once."""
    counter.buy()
    counter.end(Outcome.NOBODY_KNOWS)
    counter.later(60)
    assert counter.order() == ("make_pending", None)
    assert counter.kinds() == ["outcome_unknown"]
    counter.buy("order-2")
    counter.do(asyncio.sleep(1))
    assert counter.column("SELECT count(*) FROM refunds") == [0]
