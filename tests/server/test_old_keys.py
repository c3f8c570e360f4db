"""What had no answer for a day is looked for at the bank; a key that it may have forgotten is not reused."""

import json
from collections.abc import Iterator

import pytest

from server.payments import Method
from tests.money.board import Outcome
from tests.money.counter import DAY_S, Counter, a_counter
from tests.money.wires import Harm

LOST = [Harm.LOST] * 200


@pytest.fixture(params=["Sandbox", "TBank"])
def counter(request: pytest.FixtureRequest) -> Iterator[Counter]:
    with a_counter(request.param, holds=True) as counter:
        yield counter


def keys(counter: Counter, path: str) -> list[str]:
    """Return the keys of the calls that arrived at YooKassa's stand-in."""
    return [call.key for call in counter.yookassa.api.calls if call.path.endswith(path)]


def hours(counter: Counter, number: int) -> None:
    for _ in range(number):
        counter.later(3600, 3.0)


def test_a_payment_that_was_made_unheard_is_found_in_the_list(counter: Counter):
    counter.connect()
    counter.scan("order-1")
    counter.wires.harms["payment"].append(Harm.UNANSWERED)
    counter.wires.harms["payment"].extend(LOST)
    counter.press_pay("order-1", Method.CARD)
    (bank_id,) = counter.bank_ids()
    counter.wires.harms["notification"].extend([Harm.LATE] * 9)
    counter.pay(bank_id)
    counter.die()  # what was late is heard by nobody
    counter.later(61)
    counter.start()
    counter.connect()
    for _ in range(70):
        counter.later(60)
    assert counter.column("SELECT provider_payment_id FROM payments") == [bank_id]
    assert counter.order()[0] in ("manual_make", "make_failed")


def test_a_payment_that_was_never_made_ends_when_the_list_has_none(counter: Counter):
    counter.connect()
    counter.scan("order-1")
    counter.wires.harms["payment"].extend(LOST)
    counter.press_pay("order-1", Method.CARD)
    hours(counter, 3)
    assert counter.order() == ("not_paid", None)
    assert counter.kinds() == []


def test_a_payment_of_which_nobody_can_be_asked_is_for_a_person(counter: Counter):
    counter.connect()
    counter.scan("order-1")
    counter.wires.harms["payment"].extend(LOST)
    counter.press_pay("order-1", Method.CARD)
    counter.connection.execute("UPDATE payments SET scenario = 'Custom'")
    hours(counter, 26)
    assert counter.order() == ("not_paid", None)
    assert counter.kinds() == ["payment_mismatch"]


@pytest.mark.parametrize("made", [True, False])
def test_held_money_is_asked_for_before_it_is_taken_or_released_with_a_new_key(counter: Counter, made: bool):
    bank_id = counter.buy()
    kind = "capture" if made else "back"
    counter.wires.harms[kind].extend(LOST)
    counter.end(Outcome.MADE if made else Outcome.NOT_MADE)
    counter.later(DAY_S)
    counter.wires.harms[kind].clear()
    counter.later(3600, 5.0)
    end = {True: ("succeeded", "CONFIRMED"), False: ("canceled", "REVERSED")}[made]
    assert counter.status_at_bank(bank_id) in end
    assert counter.kinds() == []
    sent = keys(counter, "/capture" if made else "/cancel")
    assert all(key.endswith("-1") for key in sent)


@pytest.mark.parametrize("made", [True, False])
def test_what_was_done_unheard_is_not_asked_for_again(counter: Counter, made: bool):
    bank_id = counter.buy()
    kind, path = ("capture", "/capture") if made else ("back", "/cancel")
    counter.wires.harms["question"].extend(LOST)
    counter.wires.harms["notification"].extend(LOST)
    counter.wires.harms[kind].append(Harm.UNANSWERED)
    counter.wires.harms[kind].extend(LOST)
    counter.end(Outcome.MADE if made else Outcome.NOT_MADE)
    before = keys(counter, path)
    counter.later(DAY_S)
    counter.wires.harms.clear()
    counter.later(3600, 5.0)
    assert keys(counter, path) == before
    assert counter.column("SELECT status FROM payments") == ["succeeded" if made else "canceled"]
    assert bank_id and counter.kinds() == []


def test_a_refund_that_was_made_unheard_is_found_and_one_that_was_not_is_for_a_person():
    for harm, refund, cases in ((Harm.UNANSWERED, "succeeded", []), (Harm.LOST, "failed", ["refund_failed"])):
        with a_counter() as counter:
            counter.buy(method=Method.SBP)
            counter.wires.harms["back"].append(harm)
            counter.wires.harms["back"].extend(LOST)
            counter.wires.harms["notification"].extend(LOST)
            counter.end(Outcome.NOT_MADE)
            asked = keys(counter, "/refunds")
            counter.later(DAY_S)
            counter.wires.harms.clear()
            counter.later(61)
            counter.later(61)
            assert counter.order() == ("make_failed", refund)
            assert counter.kinds() == cases
            assert len([key for key in keys(counter, "/refunds") if key]) == len(
                [key for key in asked if key]
            )


def test_money_that_is_one_too_many_is_not_taken_with_the_drink():
    with a_counter("Sandbox", holds=True) as counter:
        first = counter.at_bank()
        counter.decline(first)
        counter.later(3)
        second = counter.at_bank()
        counter.wires.harms["notification"].extend(LOST)
        counter.connection.execute("UPDATE payments SET status = 'pending', next_check_at = 0")
        body = "json_set(body, '$.status', 'pending', '$.paid', json('false'))"
        counter.connection.execute(f"UPDATE sandbox_payments SET status = 'pending', body = {body}")
        for bank_id in (second, first):
            counter.pay(bank_id)
        counter.wires.harms["back"].append(Harm.REFUSED)
        counter.later(3)
        assert sorted(counter.column("SELECT status FROM payments")) == ["held", "held"]
        counter.later(6)
        assert counter.column("SELECT status FROM refunds") == ["failed"]
        counter.end(Outcome.MADE)
        counter.later(5)
        assert counter.column("SELECT count(*) FROM captures") == [1]
        assert "refund_failed" in counter.kinds()
        at_bank = [json.loads(body)["status"] for body in counter.column("SELECT body FROM sandbox_payments")]
        assert sorted(at_bank) == ["succeeded", "waiting_for_capture"]


@pytest.mark.parametrize(("made", "case"), [(True, "capture_failed"), (False, "refund_failed")])
def test_money_of_which_nobody_can_be_asked_for_a_day_is_for_a_person(
    counter: Counter, made: bool, case: str
):
    counter.buy()
    nobody, again = {
        "Sandbox": ("UPDATE payments SET scenario = 'Yookassa'", "UPDATE payments SET scenario = 'Sandbox'"),
        "TBank": (
            "UPDATE credentials SET scenario = 'Yookassa'",
            "UPDATE credentials SET scenario = 'TBank'",
        ),
    }[counter.scenario]
    counter.connection.execute(nobody)
    counter.end(Outcome.MADE if made else Outcome.NOT_MADE)
    hours(counter, 20)
    assert counter.kinds() == []
    hours(counter, 5)
    assert counter.kinds() == [case]
    counter.connection.execute(again)
    hours(counter, 2)
    assert counter.kinds() == []
