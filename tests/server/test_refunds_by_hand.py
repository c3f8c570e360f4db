"""Refunds that somebody made in the bank's cabinet are taken into our books, whatever the bank."""

from collections.abc import Iterator

import pytest

from server.payments import Method
from server.progress import BY_HAND
from tests.money.board import Outcome
from tests.money.counter import PRICE_MINOR, Counter, a_counter
from tests.money.wires import Harm


@pytest.fixture(params=["Sandbox", "TBank"])
def counter(request: pytest.FixtureRequest) -> Iterator[Counter]:
    with a_counter(request.param) as counter:
        yield counter


def test_money_of_a_made_drink_that_was_given_back_is_in_our_books(counter: Counter):
    bank_id = counter.buy()
    counter.end(Outcome.MADE)
    counter.give_back(bank_id, PRICE_MINOR)
    counter.later(3)
    assert counter.order() == ("successful", "succeeded")
    assert counter.column("SELECT reason FROM refunds") == [BY_HAND]
    assert counter.kinds() == []


def test_a_drink_whose_money_was_given_back_is_not_owed_any_more(counter: Counter):
    bank_id = counter.buy()
    counter.give_back(bank_id, PRICE_MINOR)
    counter.later(3)
    assert counter.order() == ("make_failed", "succeeded")
    assert counter.column("SELECT count(*) FROM refunds") == [1]


def test_a_part_that_was_given_back_is_a_case_and_is_not_taken_for_all(counter: Counter):
    bank_id = counter.buy()
    counter.give_back(bank_id, 1000)
    counter.later(3)
    assert counter.kinds() == ["books_differ"]
    counter.end(Outcome.NOT_MADE)
    counter.later(3)
    assert counter.order() == ("make_failed", "failed")
    assert counter.kinds() == ["books_differ", "refund_failed"]


def test_money_that_went_back_before_we_knew_that_it_came_buys_no_drink(counter: Counter):
    counter.wires.harms["notification"].extend([Harm.LATE] * 9)
    bank_id = counter.at_bank()
    counter.die()
    counter.pay(bank_id)
    counter.give_back(bank_id, PRICE_MINOR)
    counter.later(5)
    counter.start()
    counter.connect()
    for _ in range(5):
        counter.later(60)
    assert counter.order() == ("make_failed", "succeeded")
    assert counter.board.open == [] and counter.column("SELECT count(*) FROM makes") == [0]
    assert counter.column("SELECT status FROM refunds") == ["succeeded"]
    assert counter.kinds() == []


def test_a_part_that_went_back_before_we_knew_is_for_a_person(counter: Counter):
    counter.wires.harms["notification"].extend([Harm.LATE] * 9)
    bank_id = counter.at_bank()
    counter.die()
    counter.pay(bank_id)
    counter.give_back(bank_id, 1000)
    counter.later(5)
    counter.start()
    counter.connect()
    for _ in range(5):
        counter.later(60)
    assert counter.order() == ("make_failed", "failed")
    assert "refund_failed" in counter.kinds()


def test_a_refund_by_hand_that_sbp_takes_time_for_is_followed():
    with a_counter("TBank") as counter:
        bank_id = counter.buy(method=Method.SBP)
        counter.end(Outcome.MADE)
        counter.give_back(bank_id, PRICE_MINOR)
        counter.later(0)
        assert counter.order() == ("successful", None)
        counter.later(3)
        assert counter.order() == ("successful", "succeeded")


def test_our_own_refund_that_is_on_its_way_through_sbp_is_not_given_up():
    with a_counter("TBank") as counter:
        counter.tbank.teller._refund_delay_ms = 36_000_000
        bank_id = counter.buy(method=Method.SBP)
        counter.wires.harms["back"].append(Harm.UNANSWERED)
        counter.end(Outcome.NOT_MADE)
        counter.later(24 * 3600)  # the key is too old to be used again
        assert counter.status_at_bank(bank_id) in ("ASYNC_REFUNDING", "REFUNDED")
        counter.later(60)
        assert counter.order() == ("make_failed", "succeeded")
        assert counter.kinds() == []
