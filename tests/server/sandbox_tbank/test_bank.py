"""The bank's rules: from which status to which, what is told, and what goes back at most."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.payments.tbank_codes import is_known
from server.sandbox_tbank import bank
from server.sandbox_tbank.bank import Changed, Payment
from server.sandbox_tbank.demands import InitDemand
from server.sandbox_tbank.refusals import Refused

NOW = 1_795_163_400_129
DEMAND = InitDemand("p1", 15000, "Капучино", False, NOW, "https://s.example/h", "", "", False)


def new(two_stage: bool = False) -> Payment:
    return bank.new_payment(replace(DEMAND, two_stage=two_stage), "4000000001")


def with_qr() -> Payment:
    return bank.with_qr(new())[0]


def canceled(payment: Payment, amount_minor: int | None = None) -> Changed:
    return bank.canceled(payment, amount_minor, None, NOW + 2000, only_new=False)


STATES: dict[str, Callable[[], Payment]] = {
    "NEW": new,
    "FORM_SHOWED": lambda: bank.shown(new())[0],
    "AUTHORIZED": lambda: bank.paid(new(two_stage=True), NOW)[0],
    "PARTIAL_REVERSED": lambda: canceled(STATES["AUTHORIZED"](), 5000)[0],
    "CONFIRMED": lambda: bank.paid(new(), NOW)[0],
    "PARTIAL_REFUNDED": lambda: canceled(STATES["CONFIRMED"](), 5000)[0],
    "ASYNC_REFUNDING": lambda: canceled(bank.paid(with_qr(), NOW)[0])[0],
    "REFUNDED": lambda: canceled(STATES["CONFIRMED"]())[0],
    "REVERSED": lambda: canceled(STATES["AUTHORIZED"]())[0],
    "CANCELED": lambda: canceled(new())[0],
    "REJECTED": lambda: bank.rejected(new(), "1051")[0],
    "DEADLINE_EXPIRED": lambda: bank.expired(new())[0],
}
CHANGES: dict[str, Callable[[Payment], Changed]] = {
    "paid": lambda payment: bank.paid(payment, NOW),
    "rejected": lambda payment: bank.rejected(payment, "1051"),
    "expired": bank.expired,
    "with_qr": bank.with_qr,
    "confirmed": lambda payment: bank.confirmed(payment, None, None),
    "canceled": canceled,
    "in_part": lambda payment: canceled(payment, 100),
}
ALLOWED = {
    ("NEW", "paid"): "CONFIRMED",
    ("NEW", "rejected"): "REJECTED",
    ("NEW", "expired"): "DEADLINE_EXPIRED",
    ("NEW", "with_qr"): "FORM_SHOWED",
    ("NEW", "canceled"): "CANCELED",
    ("NEW", "in_part"): "CANCELED",
    ("FORM_SHOWED", "paid"): "CONFIRMED",
    ("FORM_SHOWED", "rejected"): "REJECTED",
    ("FORM_SHOWED", "expired"): "DEADLINE_EXPIRED",
    ("FORM_SHOWED", "with_qr"): "FORM_SHOWED",
    ("FORM_SHOWED", "canceled"): "CANCELED",
    ("FORM_SHOWED", "in_part"): "CANCELED",
    ("AUTHORIZED", "confirmed"): "CONFIRMED",
    ("AUTHORIZED", "canceled"): "REVERSED",
    ("AUTHORIZED", "in_part"): "PARTIAL_REVERSED",
    ("PARTIAL_REVERSED", "canceled"): "REVERSED",
    ("PARTIAL_REVERSED", "in_part"): "PARTIAL_REVERSED",
    ("CONFIRMED", "canceled"): "REFUNDED",
    ("CONFIRMED", "in_part"): "PARTIAL_REFUNDED",
    ("PARTIAL_REFUNDED", "canceled"): "REFUNDED",
    ("PARTIAL_REFUNDED", "in_part"): "PARTIAL_REFUNDED",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("status", STATES)
def test_a_payment_changes_only_as_the_rules_allow(status: str, change: str):
    payment = STATES[status]()
    assert payment.status == status
    if (status, change) in ALLOWED:
        assert CHANGES[change](payment)[0].status == ALLOWED[status, change]
    else:
        with pytest.raises(Refused) as refused:
            CHANGES[change](payment)
        assert refused.value.code == "8"


def test_every_status_is_one_of_t_banks():
    assert all(is_known(status) for status in STATES)


@pytest.mark.parametrize(
    ("payment", "statuses"),
    [
        (new(), ["AUTHORIZED", "CONFIRMED"]),
        (new(two_stage=True), ["AUTHORIZED"]),
        (with_qr(), ["CONFIRMED"]),
    ],
)
def test_a_paid_payment_is_told_by_its_kind(payment: Payment, statuses: list[str]):
    after, events = bank.paid(payment, NOW)
    assert [event.status for event in events] == statuses
    assert after.events == len({event.payment.events for event in events}) == len(statuses)


@pytest.mark.parametrize("change", ["expired", "canceled"])
def test_an_unpaid_payment_ends_in_silence(change: str):
    assert CHANGES[change](new())[1] == []


@pytest.mark.parametrize(
    "status", ["NEW", "FORM_SHOWED", "AUTHORIZED", "PARTIAL_REVERSED", "ASYNC_REFUNDING"]
)
def test_what_is_due_changes_and_is_then_due_no_more(status: str):
    before = STATES[status]()
    after, _ = bank.time_passed(before, refunds_fail=False)
    assert before.due_at is not None
    assert (after.due_at, after.status != status) == (None, True)


@pytest.mark.parametrize(
    "status", ["CONFIRMED", "PARTIAL_REFUNDED", "REFUNDED", "REVERSED", "CANCELED", "REJECTED"]
)
def test_what_is_over_waits_for_nothing(status: str):
    assert STATES[status]().due_at is None


def test_a_refund_that_failed_leaves_what_was_there():
    half = bank.time_passed(canceled(bank.paid(with_qr(), NOW)[0], 5000)[0], refunds_fail=False)[0]
    after, events = bank.time_passed(canceled(half, 10000)[0], refunds_fail=True)
    assert (after.status, after.left_minor, after.returning_minor) == ("PARTIAL_REFUNDED", 10000, 0)
    assert events == []


amounts = st.none() | st.integers(min_value=1, max_value=20000)


@given(st.sampled_from(["AUTHORIZED", "CONFIRMED", "sbp"]), st.lists(st.tuples(amounts, st.booleans())))
def test_no_more_ever_goes_back_than_was_paid(kind: str, asked: list[tuple[int | None, bool]]):
    payment, back = bank.paid(with_qr(), NOW)[0] if kind == "sbp" else STATES[kind](), 0
    for amount_minor, fails in asked:
        try:
            after, _ = canceled(payment, amount_minor)
        except Refused:
            continue
        answer = bank.cancel_answer(payment, after, "")
        failed = fails and after.status == "ASYNC_REFUNDING"
        if after.status == "ASYNC_REFUNDING":
            after, _ = bank.time_passed(after, refunds_fail=fails)
        back += 0 if failed else answer["OriginalAmount"] - answer["NewAmount"]
        payment = after
        assert payment.left_minor == 15000 - back >= 0
