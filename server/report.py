"""`report --from DATE --to DATE`: what each device sold on each day, here and in archives alike."""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.archive_file import ReadArchive
from server.days import DAY_MS, day_text, midnight_ms
from server.db import Database, open_database
from server.errors import SettingError
from server.known_archives import all_since, close_all
from server.settings import Settings
from server.store import archives, reports
from server.store.reports import FIGURES


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `report` to the command line; return its parser."""
    parser = subparsers.add_parser("report", help="tell what each device sold on each day")
    parser.add_argument("--from", dest="since", metavar="DATE", required=True, help="first day (UTC)")
    parser.add_argument("--to", dest="until", metavar="DATE", required=True, help="last day, with it")
    parser.add_argument(
        "--archive",
        dest="archives",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="where an archive is now, if it was moved; may be given several times",
    )
    parser.set_defaults(run=run)
    return parser


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Print a JSON object a line for each device and day with orders, and one for all of them."""
    since, last = midnight_ms("--from", options.since), midnight_ms("--to", options.until)
    if last < since:
        raise SettingError(f"--to must not be before --from, which is {options.since}, not {options.until}")
    for line in asyncio.run(_report(settings, since, last + DAY_MS, options.archives)):
        print(json.dumps(line, ensure_ascii=False))
    return 0


async def _report(settings: Settings, since: int, until: int, files: Sequence[Path]) -> list[dict[str, Any]]:
    db = await open_database(settings.database_url)
    try:
        opened = await all_since(db, since, files)
        try:
            return await lines(db, opened, since, until)
        finally:
            close_all(opened)
    finally:
        await db.close()


async def lines(db: Database, opened: Sequence[ReadArchive], since: int, until: int) -> list[dict[str, Any]]:
    """Return the lines of a report over the database and these archives."""
    told: list[dict[str, Any]] = []
    total: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
    for device_uuid in await db.read(archives.device_ids):
        here = await db.read(reports.of_device, device_uuid, since, until)
        there = [archive.read(reports.of_device, device_uuid, since, until) for archive in opened]
        for number, figures in sorted(reports.added(iter([here, *there])).items()):
            told.append({"device_uuid": device_uuid, "day": day_text(number * DAY_MS), **figures})
            total.update(figures)
    stray = await db.read(reports.cases_without_order, since, until)
    told.append({"total": True, **total, "open_cases_without_order": stray})
    return told
