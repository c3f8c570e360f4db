"""How often a login may be tried."""

import pytest

from server.attempts import LoginAttempts, network_of

HOME = "192.0.2.1"


def tries(attempts: LoginAttempts, count: int, name: str = "anna", address: str = HOME) -> list[bool]:
    """Try so many times; return which tries were let through."""
    return [attempts.wait_s(name, address) == 0 for _ in range(count)]


def test_five_a_minute_and_no_more():
    assert tries(LoginAttempts(), 7) == [True] * 5 + [False] * 2


def test_who_must_wait_is_told_how_long():
    attempts = LoginAttempts()
    tries(attempts, 5)
    assert 1 <= attempts.wait_s("anna", HOME) <= 60


def test_another_person_and_another_address_are_not_held_up():
    attempts = LoginAttempts()
    tries(attempts, 6)
    assert tries(attempts, 1, name="boris") == tries(attempts, 1, address="192.0.2.2") == [True]


def test_one_address_cannot_try_many_names():
    attempts = LoginAttempts()
    let_through = [attempts.wait_s(f"user-{number}", HOME) == 0 for number in range(25)]
    assert let_through == [True] * 20 + [False] * 5


def test_success_forgives():
    attempts = LoginAttempts()
    tries(attempts, 5)
    attempts.succeeded("anna", HOME)
    assert tries(attempts, 1) == [True]


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
