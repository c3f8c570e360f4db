"""The archives that a question reaches beside the database: those it has a note of, if they can be read."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from server.archive_file import ReadArchive
from server.db import Database, Transaction
from server.errors import NotFound, SettingError
from server.order_facts import Facts, facts_of
from server.store import archives, orders, payments
from server.store.archives import Archive
from server.store.rows import Order, Payment

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

ANSWERS_WITHIN_S = 2.0
"""How long an archive is waited for: its disk may be one that does not answer any more."""

_THREADS = ThreadPoolExecutor(2, "archive reader")
"""Threads of their own, so that such a disk keeps none from anything else."""


async def all_since(db: Database, since: int, files: Sequence[Path] = ()) -> list[ReadArchive]:
    """Return every archive that may hold orders made since then, to be closed by the caller.

    `files` are where archives are now, if not where they were written. Raises SettingError when one is
    missing, is of another database, or when a step of a move is missing.
    """
    opened: list[ReadArchive] = []
    try:
        for path in files:
            opened.append(ReadArchive(path))
        noted = {archive.archive_id: archive for archive in await db.read(archives.every)}
        given = {archive.known().archive_id for archive in opened}
        for note in noted.values():
            if note.before_at > since and note.archive_id not in given:
                opened.append(_where_noted(note))
        for archive in opened:
            _check_whole(archive, noted.get(archive.known().archive_id))
    except BaseException:
        close_all(opened)
        raise
    return opened


def close_all(opened: Sequence[ReadArchive]) -> None:
    """Let them be written again."""
    for archive in opened:
        archive.close()


def _where_noted(archive: Archive) -> ReadArchive:
    try:
        return ReadArchive(Path(archive.file))
    except SettingError as error:
        raise SettingError(
            f"orders of this time were moved to {archive.file}: name where it is now by --archive ({error})"
        ) from None


def _check_whole(archive: ReadArchive, noted: Archive | None) -> None:
    if noted is None:
        raise SettingError(f"--archive: {archive.path} is an archive of another database")
    if archive.is_being_written() or archive.known().orders != noted.orders:
        raise SettingError(
            f"--archive: a move into {archive.path} is not finished: run `archive --to` it, then ask again"
        )


class Archives:
    """Looks for what is not in the database any more. A file that cannot be read is logged and skipped."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def facts(self, order_id: str) -> Facts:
        """What is known of an order, wherever it is. Raises NotFound."""
        try:
            return await self._db.glance(facts_of, order_id)
        except NotFound:
            archived = await self._first(_facts, order_id)
            if archived is None:
                raise
            return archived

    async def order(self, order_id: str) -> Order | None:
        """An archived order as it ended, or None."""
        return await self._first(orders.get, order_id)

    async def payments(self, provider_payment_id: str) -> list[Payment]:
        """Archived payments with this id of the provider."""
        return await self._first(payments.by_provider_id, provider_payment_id) or []

    async def _first(
        self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Return the first archive's answer that is not empty."""
        for archive in await self._db.glance(archives.every):
            found = await _asked(Path(archive.file), lambda: transaction(*args, **kwargs))
            if found:
                return found
        return None


async def _asked(path: Path, begin: Callable[[], Transaction[T]]) -> T | None:
    """Return an archive's answer, read in a thread; None when the file does not give one."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return await asyncio.get_running_loop().run_in_executor(_THREADS, _read, path, begin)
    except (SettingError, sqlite3.Error, TimeoutError) as error:
        log.warning("archive cannot be read", file=str(path), why=str(error) or "no answer")
        return None


def _read(path: Path, begin: Callable[[], Transaction[T]]) -> T:
    archive = ReadArchive(path)
    try:
        return archive.read(begin)
    finally:
        archive.close()


def _facts(order_id: str) -> Transaction[Facts | None]:
    known = yield from orders.get(order_id)
    return (yield from facts_of(order_id)) if known is not None else None
