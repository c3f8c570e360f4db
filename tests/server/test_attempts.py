"""How often a login may be tried."""

import pytest

from server.attempts import WINDOW_MS, mark_of, network_of, wait_ms

NOW = 1_000_000
ANNA, BORIS = "a11a", "b0b0"


def test_five_a_minute_and_no_more():
    four = [(ANNA, NOW - age) for age in (4, 3, 2, 1)]
    assert wait_ms(four, ANNA, NOW) == 0
    assert wait_ms([*four, (ANNA, NOW)], ANNA, NOW) == WINDOW_MS - 4


def test_who_must_wait_may_go_on_when_the_first_of_the_last_five_is_a_minute_old():
    six = [(ANNA, NOW - age) for age in (50_000, 40_000, 3, 2, 1, 0)]
    assert wait_ms(six, ANNA, NOW) == WINDOW_MS - 40_000
    assert wait_ms(six, ANNA, NOW + WINDOW_MS - 40_000) == 0


def test_another_person_is_not_held_up():
    assert wait_ms([(ANNA, NOW)] * 10, BORIS, NOW) == 0


def test_one_network_cannot_try_many_names():
    many = [(f"{number:04}", NOW - 1000) for number in range(20)]
    assert wait_ms(many[1:], BORIS, NOW) == 0
    assert wait_ms(many, BORIS, NOW) == WINDOW_MS - 1000


def test_of_a_name_only_a_mark_is_kept_from_which_nothing_can_be_guessed():
    assert len(mark_of("кофе и булочка")) == 4
    assert mark_of("anna") == mark_of("anna") != mark_of("boris")
    assert mark_of("\ud800")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/demitasse.sock", "/run/demitasse.sock"),
    ],
)
def test_an_address_stands_for_who_has_it(address: str, network: str):
    assert network_of(address) == network
