"""Money and time as YooKassa writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.payments.notation import amount_text, instant_ms, instant_text, minor_units


@given(st.integers(0, 10**14 - 1))
def test_kopecks_survive_the_way_there_and_back(minor: int):
    text = amount_text(minor)
    assert minor_units(text) == minor
    assert text[-3] == "."


@pytest.mark.parametrize(("text", "minor"), [("19.99", 1999), ("0.29", 29), ("150", 15000), ("1.5", 150)])
def test_amounts_that_floats_get_wrong_are_exact(text: str, minor: int):
    assert minor_units(text) == minor


@given(st.text(max_size=12))
def test_text_is_an_amount_or_a_value_error(text: str):
    try:
        minor = minor_units(text)
    except ValueError:
        return
    assert minor >= 0 and set(text) <= set("0123456789.")


@pytest.mark.parametrize(
    "text", ["", "-1.00", "+1.00", "1,00", "1.001", "1e2", " 1.00", "1.", ".5", "١.٠٠", "NaN"]
)
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(ValueError, match="not an amount"):
        minor_units(text)


def test_negative_money_is_refused():
    with pytest.raises(ValueError, match="never negative"):
        amount_text(-1)


@given(st.integers(0, 4_000_000_000_000))
def test_instants_survive_the_way_there_and_back(at_ms: int):
    assert instant_ms(instant_text(at_ms)) == at_ms


def test_an_instant_is_written_as_in_the_documentation():
    assert instant_text(1_795_163_400_129) == "2026-11-20T08:30:00.129Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-20", "2026-11-20T08:30:00.129"])
def test_what_is_no_instant_is_refused(text: str):
    with pytest.raises(ValueError, match=r"isoformat|zone"):
        instant_ms(text)
