"""The commands that keep the data: `backup FILE`, and `copy --to URL` from one database to another."""

import argparse
import asyncio
import json
from pathlib import Path

from server.db import open_database, shown
from server.db.backup import back_up
from server.errors import SettingError
from server.presence import BEAT_EVERY_S
from server.settings import Settings
from server.store import servers

SQLITE = "sqlite:///"


def add_commands(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> list[argparse.ArgumentParser]:
    """Add the commands; return their parsers."""
    backup = subparsers.add_parser(
        "backup", help="copy the SQLite database to a new file, also while it is used"
    )
    backup.add_argument("file", metavar="FILE", help="the copy; it must not be there yet")
    backup.set_defaults(run=run_backup)
    copying = subparsers.add_parser("copy", help="copy everything to an empty database, when no server runs")
    copying.add_argument("--to", metavar="URL", required=True, help="where to, as in DATABASE_URL")
    copying.set_defaults(run=run_copy)
    return [backup, copying]


def run_backup(settings: Settings, options: argparse.Namespace) -> int:
    """Copy the database to a file and print what was written. Raises SettingError, DatabaseError."""
    if not settings.database_url.startswith(SQLITE):
        raise SettingError("DATABASE_URL: backup is for SQLite; take a PostgreSQL database's by pg_dump")
    back_up(settings.database_url.removeprefix(SQLITE), options.file)
    print(json.dumps({"backup": options.file, "bytes": Path(options.file).stat().st_size}))
    return 0


def run_copy(settings: Settings, options: argparse.Namespace) -> int:
    """Copy everything and print a JSON object a line of what each table has. Raises SettingError."""
    if settings.database_url == options.to:
        raise SettingError("--to: this is the database itself")
    for table, sums in asyncio.run(_copy(settings.database_url, options.to)).items():
        print(json.dumps({"table": table, **sums}))
    return 0


async def _copy(source: str, target: str) -> dict[str, dict[str, int]]:
    if source.startswith(SQLITE) and not Path(source.removeprefix(SQLITE)).is_file():
        raise SettingError(f"DATABASE_URL: there is no file {source.removeprefix(SQLITE)}")
    await _prepare(source)
    try:
        await _prepare(target)
    except SettingError as error:
        raise SettingError(
            f"--to: {str(error).removeprefix('DATABASE_URL').removeprefix(':').strip()}"
        ) from error
    from server.db.copying import copy  # PostgreSQL's driver is loaded only where it is used

    return await copy(source, target)


async def _prepare(url: str) -> None:
    """Bring the database to the present schema. Raises SettingError when a server runs on it."""
    db = await open_database(url)
    try:
        beats = {server.server_id: server.beats for server in await db.read(servers.every)}
        if beats:  # one that was killed stands there as well, and beats no more
            await asyncio.sleep(BEAT_EVERY_S * 1.5)
        for server in await db.read(servers.every):
            if server.beats != beats.get(server.server_id):
                raise SettingError(f"a server runs on {shown(url)}: stop it first, or what it sells is lost")
    finally:
        await db.close()
