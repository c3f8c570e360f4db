"""The archives that a question reaches beside the database: those it has a note of, if they can be read."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog

from server.archive_file import ReadArchive
from server.db import Database, Transaction
from server.errors import SettingError
from server.store import archives, devices, orders
from server.store.archives import Archive
from server.store.rows import Device, Order

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")


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
    """Looks into the known archives for what a customer asks. A file that is not there holds nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def order(self, order_id: str) -> tuple[Order, Device] | None:
        """The order as it ended, with its device, or None."""
        for archive in await self._db.read(archives.every):
            found = await asyncio.to_thread(_ask, Path(archive.file), _order, order_id)
            if found is not None:
                return found
        return None


def _ask(path: Path, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T | None:
    try:
        archive = ReadArchive(path)
    except SettingError as error:
        log.warning("archive cannot be read", file=str(path), why=str(error))
        return None
    try:
        return archive.read(transaction, *args, **kwargs)
    finally:
        archive.close()


def _order(order_id: str) -> Transaction[tuple[Order, Device] | None]:
    order = yield from orders.get(order_id)
    device = (yield from devices.get(order.device_uuid)) if order is not None else None
    return (order, device) if order is not None and device is not None else None
