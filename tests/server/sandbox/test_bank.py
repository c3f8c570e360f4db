"""The bank's rules: from which state to which, and what goes back at most."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.payments.notation import minor_units
from server.sandbox import bank
from server.sandbox.checks import Refused
from server.sandbox.demands import CARD, SBP, CaptureDemand, PaymentDemand, ReceiptDemand, RefundDemand

NOW = 1_795_163_400_129
PAGE = "https://bank.example/sandbox/pay/p1"
BACK = "https://shop.example/o/1"


RECEIPT = {
    "items": [{"description": "Капучино", "quantity": 1, "amount": {"value": "150.00"}, "vat_code": 1}],
    "internet": False,
}
HALF = {"items": [{**RECEIPT["items"][0], "amount": {"value": "75.00"}}]}


def a_payment(capture: bool = True, amount_minor: int = 15000, **options: Any) -> bank.Object:
    asked = {"methods": (CARD,), "method": "", "confirmation": "redirect", "return_url": BACK} | options
    demand = PaymentDemand(amount_minor, capture, **asked, description="Капучино", metadata={"a": "1"})
    return bank.new_payment(demand, "p1", PAGE, NOW)


def a_paid_payment(**options: Any) -> bank.Object:
    return bank.paid(a_payment(**options), NOW)[0]


def a_held_payment(**options: Any) -> bank.Object:
    return bank.paid(a_payment(capture=False, **options), NOW)[0]


def a_refund(
    amount_minor: int, payment: bank.Object | None, others: Sequence[bank.Object] = ()
) -> bank.Object:
    demand = RefundDemand("p1", amount_minor)
    return bank.new_refund(demand, payment, others, f"r{len(others)}", NOW)


CHANGES: dict[str, Callable[[bank.Object], tuple[bank.Object, bank.Event]]] = {
    "paid": lambda payment: bank.paid(payment, NOW),
    "declined": lambda payment: bank.declined(payment, "general_decline"),
    "expired": bank.expired,
    "captured": lambda payment: bank.captured(payment, CaptureDemand(), NOW),
    "released": bank.released,
}
STATES: dict[str, Callable[[], bank.Object]] = {
    "pending": a_payment,
    "waiting_for_capture": a_held_payment,
    "succeeded": a_paid_payment,
    "canceled": lambda: bank.expired(a_payment())[0],
}
ALLOWED = {
    ("pending", "paid"): "succeeded",
    ("pending", "declined"): "canceled",
    ("pending", "expired"): "canceled",
    ("waiting_for_capture", "captured"): "succeeded",
    ("waiting_for_capture", "released"): "canceled",
    ("waiting_for_capture", "expired"): "canceled",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("state", STATES)
def test_a_payment_changes_only_as_the_rules_allow(state: str, change: str):
    payment = STATES[state]()
    if (state, change) not in ALLOWED:
        with pytest.raises(Refused):
            CHANGES[change](payment)
        return
    after, event = CHANGES[change](payment)
    assert after["status"] == ALLOWED[state, change]
    assert event == (f"payment.{after['status']}", bank.shown(after))


def test_a_new_payment_shows_its_page_and_nothing_private():
    payment = bank.shown(a_payment())
    assert payment["confirmation"]["confirmation_url"] == PAGE
    assert (payment["status"], payment["paid"], payment["test"]) == ("pending", False, True)
    assert payment["created_at"] == "2026-11-20T08:30:00.129Z"
    assert "private" not in payment


def test_a_paid_payment_tells_what_reaches_the_shop():
    payment = a_paid_payment()
    assert (payment["paid"], payment["refundable"]) == (True, True)
    assert payment["income_amount"]["value"] == "144.75"
    assert "confirmation" not in payment


def test_a_payment_without_capture_is_held_until_a_named_time():
    payment = a_held_payment()
    assert (payment["status"], payment["paid"]) == ("waiting_for_capture", True)
    assert payment["expires_at"] == "2026-11-27T08:30:00.129Z"


@pytest.mark.parametrize(
    ("state", "reason"),
    [("pending", "expired_on_confirmation"), ("waiting_for_capture", "expired_on_capture")],
)
def test_an_expired_payment_says_what_was_waited_for(state: str, reason: str):
    after, _ = bank.expired(STATES[state]())
    assert after["cancellation_details"] == {"party": "yoo_money", "reason": reason}
    assert "expires_at" not in after


def test_a_part_of_a_hold_may_be_taken():
    after, _ = bank.captured(a_held_payment(), CaptureDemand(5000), NOW)
    assert after["amount"]["value"] == "50.00"


@pytest.mark.parametrize("amount_minor", [0, 15001])
def test_no_more_than_the_hold_is_taken(amount_minor: int):
    with pytest.raises(Refused):
        bank.captured(a_held_payment(), CaptureDemand(amount_minor), NOW)


@pytest.mark.parametrize("state", ["pending", "waiting_for_capture", "canceled"])
def test_only_a_payment_that_succeeded_is_refunded(state: str):
    with pytest.raises(Refused):
        a_refund(100, STATES[state]())


def test_a_refund_of_an_unknown_payment_names_the_parameter():
    with pytest.raises(Refused) as refused:
        a_refund(100, None)
    assert refused.value.parameter == "payment_id"


def test_a_refund_in_another_currency_is_refused():
    with pytest.raises(Refused) as refused:
        bank.new_refund(RefundDemand("p1", 100, currency="USD"), a_paid_payment(), [], "r1", NOW)
    assert refused.value.parameter == "amount.currency"


def test_a_pending_refund_counts_and_a_canceled_one_does_not():
    payment = a_paid_payment()
    first = a_refund(10000, payment)
    with pytest.raises(Refused):
        a_refund(5001, payment, [first])
    canceled, _, event = bank.settled(first, payment, "insufficient_funds")
    assert event is None
    assert a_refund(15000, payment, [canceled])["status"] == "pending"


def test_a_settled_refund_is_told_and_added_to_its_payment():
    payment = a_paid_payment()
    refund, payment, event = bank.settled(a_refund(5000, payment), payment, "")
    assert event == ("refund.succeeded", refund)
    assert (payment["refunded_amount"]["value"], payment["refundable"]) == ("50.00", True)
    _, payment, _ = bank.settled(a_refund(10000, payment, [refund]), payment, "")
    assert (payment["refunded_amount"]["value"], payment["refundable"]) == ("150.00", False)
    assert payment["status"] == "succeeded"


@given(st.lists(st.tuples(st.integers(1, 9000), st.booleans()), max_size=12))
def test_whatever_is_asked_no_more_goes_back_than_came(asked: list[tuple[int, bool]]):
    payment = a_paid_payment()
    refunds: list[Any] = []
    for amount_minor, succeeds in asked:
        try:
            refund = a_refund(amount_minor, payment, refunds)
        except Refused:
            continue
        refund, payment, _ = bank.settled(refund, payment, "" if succeeds else "general_decline")
        refunds.append(refund)
    back = sum(minor_units(each["amount"]["value"]) for each in refunds if each["status"] == "succeeded")
    assert back <= 15000
    assert minor_units(payment.get("refunded_amount", {"value": "0"})["value"]) == back


# SBP. -----------------------------------------------------------------------------------------------

TO_CHOOSE = {"methods": (CARD, SBP)}
BY_SBP = {"methods": (SBP,), "method": SBP, "confirmation": "qr", "return_url": ""}


def test_a_payment_by_sbp_offers_a_link_for_a_qr_code():
    payment = bank.shown(a_payment(**BY_SBP))
    assert payment["confirmation"] == {"type": "qr", "confirmation_data": PAGE}
    assert payment["payment_method"] == {"type": SBP, "id": "p1", "saved": False, "status": "inactive"}


def test_a_payment_that_is_open_does_not_say_how_it_is_paid_until_it_is():
    assert "payment_method" not in a_payment(**TO_CHOOSE)
    methods = [bank.paid(a_payment(**TO_CHOOSE), NOW, way)[0]["payment_method"] for way in ("", CARD, SBP)]
    assert [method["type"] for method in methods] == [CARD, CARD, SBP]


def test_a_payment_by_sbp_tells_the_operation_and_the_bank_of_the_payer():
    method = a_paid_payment(**BY_SBP)["payment_method"]
    assert len(method["sbp_operation_id"]) == 32
    assert method["payer_bank_details"] == {"bank_id": "100000000111", "bic": "044525225"}


def test_a_payment_by_card_tells_its_authorization_and_one_by_sbp_has_none():
    assert len(a_paid_payment()["authorization_details"]["rrn"]) == 12
    assert "authorization_details" not in a_paid_payment(**BY_SBP)


def test_a_way_that_is_not_open_is_refused():
    with pytest.raises(Refused):
        bank.paid(a_payment(), NOW, SBP)


def test_a_payment_of_older_books_is_paid_by_card():
    payment = {**a_payment(), "private": {"capture": True, "return_url": BACK}}
    after, _ = bank.paid(payment, NOW)
    assert (after["payment_method"]["type"], "receipt_registration" in after) == (CARD, False)


@pytest.mark.parametrize(("options", "method"), [({}, None), (BY_SBP, SBP)])
def test_a_refund_of_sbp_tells_how_it_went_back(options: dict[str, Any], method: str | None):
    payment = a_paid_payment(**options)
    refund, _, _ = bank.settled(a_refund(15000, payment), payment, "")
    assert refund.get("refund_method", {}).get("type") == method


# Receipts. ------------------------------------------------------------------------------------------


def test_a_receipt_is_registered_once_the_money_is_taken():
    assert "receipt_registration" not in a_held_payment(receipt=RECEIPT)
    assert a_paid_payment(receipt=RECEIPT)["receipt_registration"] == "pending"
    assert "receipt_registration" not in a_paid_payment()


def test_a_part_of_a_hold_needs_a_receipt_of_its_own():
    held = a_held_payment(receipt=RECEIPT)
    with pytest.raises(Refused) as refused:
        bank.captured(held, CaptureDemand(7500), NOW)
    assert refused.value.parameter == "receipt.items"
    after, _ = bank.captured(held, CaptureDemand(7500, HALF), NOW)
    assert bank.receipt_content(after) == HALF


def test_a_receipt_that_comes_with_the_capture_is_for_what_is_taken():
    with pytest.raises(Refused):
        bank.captured(a_held_payment(), CaptureDemand(None, HALF), NOW)


def test_a_full_refund_repeats_the_receipt_and_a_partial_one_names_its_items():
    payment = a_paid_payment(receipt=RECEIPT)
    assert bank.refund_receipt(RefundDemand("p1", 15000), payment) == RECEIPT
    assert bank.refund_receipt(RefundDemand("p1", 7500, receipt=HALF), payment) == HALF
    with pytest.raises(Refused) as refused:
        bank.refund_receipt(RefundDemand("p1", 7500), payment)
    assert refused.value.parameter == "receipt"


def test_a_refund_without_any_receipt_tells_of_none():
    payment = a_paid_payment()
    assert bank.refund_receipt(RefundDemand("p1", 7500), payment) is None
    assert "receipt_registration" not in a_refund(7500, payment)


@pytest.mark.parametrize(
    ("kind", "state", "fits"),
    [
        ("payment", "pending", False),
        ("payment", "waiting_for_capture", True),
        ("payment", "succeeded", True),
        ("payment", "canceled", False),
        ("refund", "waiting_for_capture", False),
        ("refund", "canceled", True),
    ],
)
def test_a_receipt_comes_later_only_for_money_that_has_moved(kind: str, state: str, fits: bool):
    demand = ReceiptDemand(kind, "p1", "", RECEIPT)
    if fits:
        assert bank.check_receipt(demand, STATES[state](), None) is None
        return
    with pytest.raises(Refused):
        bank.check_receipt(demand, STATES[state](), None)


def test_a_receipt_of_a_refund_waits_for_its_end():
    payment = a_paid_payment()
    demand, refund = ReceiptDemand("refund", "", "r0", RECEIPT), a_refund(15000, payment)
    for wrong in (None, refund):
        with pytest.raises(Refused) as refused:
            bank.check_receipt(demand, payment, wrong)
        assert refused.value.parameter == "refund_id"
    assert bank.check_receipt(demand, payment, bank.settled(refund, payment, "")[0]) is None
