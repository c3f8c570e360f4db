"""What T-Bank's statuses mean, in one stage and in two."""

import pytest

from server.payments import PaymentStatus, RefundStatus
from server.payments.tbank_codes import is_known, payment_status, refund_status, refund_told

ON_ITS_WAY = [
    "NEW",
    "FORM_SHOWED",
    "PREAUTHORIZING",
    "AUTHORIZING",
    "3DS_CHECKING",
    "3DS_CHECKED",
    "PAY_CHECKING",
    "CONFIRMING",
    "CONFIRM_CHECKING",
    "REVERSING",
    "AUTH_FAIL",
]
HELD = ["AUTHORIZED", "PARTIAL_REVERSED"]
TAKEN = ["CONFIRMED", "REFUNDING", "ASYNC_REFUNDING", "PARTIAL_REFUNDED", "REFUNDED"]
OVER = ["REJECTED", "DEADLINE_EXPIRED", "ATTEMPTS_EXPIRED", "CANCELED", "REVERSED"]


def statuses(names: list[str], two_stage: bool) -> set[PaymentStatus]:
    return {payment_status(name, two_stage) for name in names}


@pytest.mark.parametrize("two_stage", [False, True])
def test_money_is_taken_or_not_whatever_the_stages(two_stage: bool):
    assert statuses(ON_ITS_WAY, two_stage) == {PaymentStatus.PENDING}
    assert statuses(TAKEN, two_stage) == {PaymentStatus.SUCCEEDED}
    assert statuses(OVER, two_stage) == {PaymentStatus.CANCELED}


def test_authorized_means_money_only_in_two_stages():
    assert statuses(HELD, two_stage=True) == {PaymentStatus.WAITING_FOR_CAPTURE}
    assert statuses(HELD, two_stage=False) == {PaymentStatus.PENDING}


def test_a_status_that_nobody_knows_is_not_the_end():
    assert payment_status("DREAMING", two_stage=True) is PaymentStatus.PENDING
    assert refund_status("DREAMING") is RefundStatus.PENDING
    assert not is_known("DREAMING")
    assert all(is_known(name) for name in [*ON_ITS_WAY, *HELD, *TAKEN, *OVER])


@pytest.mark.parametrize("name", ["REFUNDED", "PARTIAL_REFUNDED", "REVERSED", "PARTIAL_REVERSED", "CANCELED"])
def test_money_that_has_gone_back_is_a_refund(name: str):
    assert refund_status(name) is RefundStatus.SUCCEEDED


@pytest.mark.parametrize("name", ["ASYNC_REFUNDING", "REFUNDING", "REVERSING", "CONFIRMED", "AUTHORIZED"])
def test_money_that_may_yet_go_back_is_a_pending_refund(name: str):
    assert refund_status(name) is RefundStatus.PENDING


def test_only_money_that_was_taken_is_told_as_refunded():
    done = {
        name for name in [*ON_ITS_WAY, *HELD, *TAKEN, *OVER] if refund_told(name) is RefundStatus.SUCCEEDED
    }
    under_way = {
        name for name in [*ON_ITS_WAY, *HELD, *TAKEN, *OVER] if refund_told(name) is RefundStatus.PENDING
    }
    assert done == {"REFUNDED", "PARTIAL_REFUNDED"}
    assert under_way == {"REFUNDING", "ASYNC_REFUNDING"}
