"""A short campaign of `tests.chaos`, and its judgement of books that are wrong on purpose."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import books
from tests.chaos.books import Books
from tests.chaos.campaign import Campaign
from tests.chaos.plan import Blow, Errand, Trouble, Way, errand

ORDERS, MACHINES = 12, 6

ONE_AFTER_ANOTHER = (
    Trouble.AGENT_KILLED,
    Trouble.CABLE_CUT,
    Trouble.SERVER_KILLED,
    Trouble.DOUBLED,
    Trouble.POWER_CUT,
    Trouble.AGENT_KILLED,
)
"""Troubles that are over soon; a dead cable is found only after twenty seconds."""


def short(seed: int, number: int, machines: int) -> Errand:
    """An errand of few seconds: customers who do not hesitate, one trouble for every second of them."""
    drawn = errand(seed, number, machines)
    blow = Blow(
        ONE_AFTER_ANOTHER[number // 2 % len(ONE_AFTER_ANOTHER)],
        4 * random.Random(f"{seed}/{number}").random(),
        0.0,
    )
    blows = (blow,) if number % 2 else ()
    return replace(drawn, machine=number % machines, way=Way.PAYS, fault=None, blows=blows)


def test_what_happens_to_an_order_is_drawn_from_the_seed():
    assert [errand(7, number, 3) for number in range(50)] == [errand(7, number, 3) for number in range(50)]
    assert errand(7, 0, 3) != errand(8, 0, 3)


def test_a_large_campaign_meets_every_trouble():
    met = {blow.trouble for number in range(500) for blow in errand(1, number, 3).blows}
    assert met == set(Trouble)


def test_nothing_is_lost_or_doubled_while_everything_breaks(tmp_path: Path):
    seed = random.SystemRandom().randrange(2**32)
    campaign = Campaign(tmp_path, ORDERS, MACHINES, seed, print, short)
    found, verdict = asyncio.run(campaign.run())
    assert not [*verdict.broken, *campaign.surprises, *found.forbidden], f"seed {seed}\n{campaign.tail}"
    assert found.cups.total() > 0


# --- the judge finds what is wrong ----------------------------------------------------------------------


def of_one(status: str = "successful", cups: int = 1, refund: str | None = None) -> Books:
    """The books of one order that was paid once."""
    found = Books({"o1": {"status": status, "refund_status": refund, "deadline_at": None}})
    found.paid["o1"].append("p1")
    if cups:
        found.cups["o1"] = cups
    if refund == "succeeded":
        found.given_back["p1"] = 1
    return found


def test_a_drink_for_a_payment_is_fine():
    assert books.judge(of_one()).broken == []


def test_a_refund_without_a_drink_is_fine():
    assert books.judge(of_one("make_failed", cups=0, refund="succeeded")).broken == []


def test_two_drinks_are_found():
    assert books.judge(of_one(cups=2)).doubled == ["o1: 2 drinks"]


def test_a_drink_and_its_money_are_found_unless_a_person_was_asked():
    found = of_one("make_failed", refund="succeeded")
    assert books.judge(found).doubled
    found.cases["o1"].append("outcome_unknown")
    assert books.judge(found).broken == []


def test_a_drink_that_nobody_ordered_is_found():
    found = of_one()
    found.cups[books.NOBODY] = 1
    assert books.judge(found).doubled == [f"{books.NOBODY}: 1 drinks"]


def test_two_refunds_of_a_payment_are_found():
    found = of_one("make_failed", cups=0, refund="succeeded")
    found.given_back["p1"] = 2
    assert books.judge(found).doubled == ["o1: payment p1 was given back 2 times"]


def test_money_without_a_drink_is_found_unless_a_person_is_asked():
    found = of_one(cups=0)
    assert books.judge(found).lost
    found.open_cases["o1"].append("outcome_unknown")
    assert books.judge(found).lost == []


@pytest.mark.parametrize(
    "status", ["created", "pending", "paid", "make_pending", "manual_make", "make_failed"]
)
def test_an_order_that_nobody_looks_after_is_found(status: str):
    assert books.judge(of_one(status)).stuck == [f"o1: {status}, refund None, and nobody looks after it"]
