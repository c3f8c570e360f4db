"""Password hashes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import pytest
from argon2 import PasswordHasher

from server.passwords import AT_ONCE, Passwords


class CountingHasher(PasswordHasher):
    """Quick; counts the hashes it computes, and how many at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.computed = self.at_once = self.most_at_once = 0
        self._lock = Lock()

    def hash(self, *arguments: Any, **named: Any) -> str:
        with self._counted():
            return super().hash(*arguments, **named)

    def verify(self, *arguments: Any, **named: Any) -> Any:
        with self._counted():
            return super().verify(*arguments, **named)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.computed += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        yield
        with self._lock:
            self.at_once -= 1


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def passwords(hasher: CountingHasher) -> Passwords:
    return Passwords(hasher)


async def test_only_the_password_fits(passwords: Passwords):
    kept = await passwords.hashed("кофе")
    assert await passwords.fits("кофе", kept)
    assert not await passwords.fits("чай", kept)


async def test_a_letter_typed_as_two_code_points_is_the_same(passwords: Passwords):
    assert await passwords.fits("чаи\N{COMBINING BREVE}", await passwords.hashed("чай"))


async def test_a_broken_hash_fits_nothing():
    assert not await Passwords().fits("кофе", "$argon2id$v=19$broken")


@pytest.mark.parametrize("odd", ["", "\udc80", "\0", "x" * 100_000])
async def test_an_odd_password_is_just_wrong(passwords: Passwords, odd: str):
    assert not await passwords.fits(odd, await passwords.hashed("кофе"))


@pytest.mark.parametrize("known", [True, False])
async def test_nobody_costs_as_much_as_somebody(passwords: Passwords, hasher: CountingHasher, known: bool):
    kept = await passwords.hashed("кофе")
    hasher.computed = 0
    assert not await passwords.fits("чай", kept if known else None)
    assert hasher.computed == 1


async def test_a_crowd_waits_for_its_turn(passwords: Passwords, hasher: CountingHasher):
    await asyncio.gather(*(passwords.hashed(str(number)) for number in range(20)))
    assert 1 <= hasher.most_at_once <= AT_ONCE


def test_a_hash_of_weaker_parameters_is_outdated(hasher: CountingHasher):
    assert Passwords().outdated(hasher.hash("кофе"))
    assert not Passwords(hasher).outdated(hasher.hash("кофе"))
