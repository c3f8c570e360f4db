"""Passwords: hashed with argon2id off the loop, a few at a time. Knows no users."""

import asyncio
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

R = TypeVar("R")

AT_ONCE = 2
"""Hashes computed side by side: each takes 64 MiB and a core for a while."""


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def hashed(self, password: str) -> str:
        """Return the argon2id hash to keep."""
        return await self._off_the_loop(lambda: self._hasher.hash(_octets(password)))

    async def fits(self, password: str, kept: str | None) -> bool:
        """Say whether the password is the kept one. None (no such user) never fits, and takes as long."""
        if kept is None:
            await self.hashed(password)
            return False
        return await self._off_the_loop(lambda: self._verified(kept, password))

    def outdated(self, kept: str) -> bool:
        """Say whether the hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)

    def _verified(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, _octets(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _off_the_loop(self, work: Callable[[], R]) -> R:
        async with self._turn:
            return await asyncio.to_thread(work)


def _octets(password: str) -> bytes:
    """Return what is hashed: the same for a letter typed as one code point or as two, as keyboards differ."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
