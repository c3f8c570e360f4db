"""The promise over many towns: one payment, one drink or one refund or one case; no command twice."""

import pytest

from tests.simulation.campaign import run_towns
from tests.simulation.mutants import FIRST, MUTANTS, SEEDS, Edit, mutated
from tests.simulation.plan import draw, two_servers

CHUNK = 200
SEEDS_OF_TWO = 400
"""Towns with a second server over the same database, killed again and again."""


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_no_town_breaks_the_promise(first: int) -> None:
    tally = run_towns(range(first, first + CHUNK))
    assert tally.failures == {}, "repeat one with: python -m tests.simulation --seeds 1 --first SEED"
    assert tally.counts["drinks"] and tally.counts["refunds"] and tally.counts["server deaths"]


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS_OF_TWO, CHUNK))
def test_no_town_with_two_servers_breaks_the_promise(first: int) -> None:
    tally = run_towns(range(first, first + CHUNK), change=two_servers)
    told = "repeat one with: python -m tests.simulation --servers 2 --seeds 1 --first SEED"
    assert tally.failures == {}, told
    assert tally.counts["drinks"] and tally.counts["refunds"] and tally.counts["server deaths"]


def test_the_same_seed_is_the_same_story() -> None:
    assert draw(7) == draw(7)
    assert run_towns([7]).counts == run_towns([7]).counts


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_fits_the_program(mutant) -> None:
    assert mutated(mutant).keys() == {edit.file for edit in mutant.edits}


def test_a_mutant_whose_text_is_gone_says_so() -> None:
    gone = MUTANTS[0].__class__("gone", (Edit("agent/wire.py", "no such text", ""),))
    with pytest.raises(ValueError, match="has 0 times"):
        mutated(gone)


# --- seeds that failed once ---------------------------------------------------------------------------


def assert_kept(seed: int) -> None:
    assert run_towns([seed]).failures == {}


def test_a_second_boards_refusal_does_not_refund_what_the_first_board_makes() -> None:
    assert_kept(1097)


def test_an_old_answer_of_the_bank_does_not_make_money_disappear() -> None:
    assert_kept(3724)
    assert_kept(984)


def test_money_of_a_stranger_is_kept_though_the_bank_first_says_pending() -> None:
    assert_kept(284)


def test_what_a_retired_board_takes_with_it_stays_in_front_of_a_person() -> None:
    assert_kept(1348)
