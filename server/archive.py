"""`archive --before DATE --to FILE`: moves finished orders into an archive file while the server sells on.

A batch is on the archive's disk before any of it is deleted here, and only what has not changed meanwhile is
deleted. So a run that ends at any step loses nothing, and the next one goes on from there.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from server.archive_file import ArchiveFile, check_target
from server.archiving import Whole, counted, why_it_stays
from server.clock import utc_now_ms
from server.days import DAY_MS, midnight_ms
from server.db import Database, open_database
from server.errors import Conflict, SettingError
from server.settings import Settings
from server.store import archives

BATCH = 200
"""Orders moved in one transaction: it keeps the writers of sales waiting for some hundredths of a second."""

YOUNGEST_DAYS = 30
"""Till then late words of agents and banks are expected: an agent keeps what it has not told so long."""

Say = Callable[[Mapping[str, Any]], None]


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `archive` to the command line; return its parser."""
    parser = subparsers.add_parser("archive", help="move finished orders into an archive file")
    parser.add_argument(
        "--before", metavar="DATE", required=True, help="orders made before this day (UTC) are moved"
    )
    parser.add_argument("--to", metavar="FILE", type=Path, required=True, help="the archive, made if absent")
    parser.set_defaults(run=run)
    return parser


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Move, and print a JSON object a line of what was moved."""
    now = utc_now_ms()
    before = midnight_ms("--before", options.before)
    if before > now - YOUNGEST_DAYS * DAY_MS:
        raise SettingError(f"--before must be a day at least {YOUNGEST_DAYS} days ago, not {options.before}")
    check_target(options.to)
    asyncio.run(_run(settings, before, options.to, now))
    return 0


async def _run(settings: Settings, before: int, path: Path, now: int) -> None:
    db = await open_database(settings.database_url)
    try:
        file = ArchiveFile(path, before, now)
        try:
            await Move(db, file, before, now, lambda told: print(json.dumps(told), flush=True)).run()
        finally:
            file.close()
    finally:
        await db.close()


class Move:
    """One run of the command. `say` is told what was done."""

    def __init__(self, db: Database, file: ArchiveFile, before: int, now: int, say: Say) -> None:
        self._db = db
        self._file = file
        self._before = before
        self._now = now
        self._say = say

    async def run(self) -> None:
        """Move every order that may go, then the notifications. Can be repeated at any time.

        Raises SettingError while a move to another archive has not ended: an order that was left on its way
        there could come to be in both.
        """
        await self._begin()
        try:
            await self._all()
        finally:
            if not self._file.moving():
                await self._db.write(archives.end, self._file.archive_id)

    async def _begin(self) -> None:
        try:
            await self._db.write(archives.begin, self._file.note(0, self._now))
        except Conflict:
            other = await self._db.read(archives.moved_to)
            raise SettingError(
                f"--to: a move to {other} has not ended: wait for it, or run `archive --to` it again"
            ) from None

    async def _all(self) -> None:
        await self._settle_what_was_left()
        moved = 0
        for device_uuid in await self._db.read(archives.device_ids):
            moved += await self._device(device_uuid)
        notifications = await self._notifications()
        self._file.finish(self._now)
        self._say({"archive": str(self._file.path), "orders": moved, "notifications": notifications})

    async def _settle_what_was_left(self) -> None:
        """What a run before this one left on its way is here alone, or it is still in the database too."""
        left = self._file.moving()
        if left:
            self._file.settle(sorted(await self._db.read(archives.present, left)))

    async def _device(self, device_uuid: str) -> int:
        moved: Counter[str] = Counter()
        stays: Counter[str] = Counter()
        after = (-1, "")
        while batch := await self._db.read(archives.older, device_uuid, self._before, after, BATCH):
            after = batch[-1]
            begun = time.monotonic()
            found = await self._db.read(archives.whole, [order_id for _, order_id in batch])
            about = await self._db.read(archives.disputed)
            reasons = dict(self._reasons(found, about))
            stays.update(reasons.values())
            going = {name: whole for name, whole in found.items() if name not in reasons}
            if going:
                gone = await self._move(device_uuid, going)
                stays["changed meanwhile"] += len(going) - len(gone)
                moved.update(counted(gone.values()))
            await asyncio.sleep(time.monotonic() - begun)  # half of the time belongs to the sales
        if moved or stays:
            self._say(
                {"device_uuid": device_uuid, **moved, "stay": {why: n for why, n in stays.items() if n}}
            )
        return moved["orders"]

    def _reasons(self, found: Mapping[str, Whole], disputed: set[str]) -> Iterator[tuple[str, str]]:
        taken = self._file.others_named(found)
        for order_id, whole in found.items():
            if why := why_it_stays(whole, self._before, disputed):
                yield order_id, why
            elif order_id in taken:
                yield order_id, "another order of this id is in the archive"

    async def _move(self, device_uuid: str, going: Mapping[str, Whole]) -> dict[str, Whole]:
        """Keep copies there, take out here what is still the same, and throw the other copies away."""
        merchants, devices = await self._db.read(archives.owners, [device_uuid])
        self._file.keep(going, merchants, devices)
        gone = await self._db.write(archives.put_away, self._file.note(0, self._now), going)
        self._file.settle([order_id for order_id in going if order_id not in gone])
        return {order_id: going[order_id] for order_id in gone}

    async def _notifications(self) -> int:
        moved, after = 0, (-1, "")
        about = await self._db.read(archives.disputed)
        while batch := await self._db.read(archives.handled, self._before, after, BATCH):
            after = (batch[-1]["received_at"], batch[-1]["notification_id"])
            going = [each for each in batch if each["object_id"] not in about]
            self._file.keep_notifications(going)
            moved += await self._db.write(archives.forget_notifications, going)
        return moved
