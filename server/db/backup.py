"""A copy of a SQLite database, taken while servers run and write."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from server.errors import DatabaseError, SettingError


def back_up(database: str, target: str) -> None:
    """Copy the file `database` as it is at one moment to the new file `target`, and check the copy.

    Raises SettingError for what cannot be, DatabaseError when the copy is not sound; no file is left then.
    """
    if not Path(database).is_file():
        raise SettingError(f"DATABASE_URL: there is no file {database}")
    if Path(target).exists():
        raise SettingError(f"{target} exists already: give the backup a name of its own")
    part = Path(f"{target}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))  # it may hold credentials
        _copy(database, part)
        os.replace(part, target)
    except OSError as error:
        raise SettingError(f"cannot write {target}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise DatabaseError(f"the backup failed: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _copy(database: str, part: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(part)) as copy,
    ):
        source.backup(copy)  # all at once: in steps it would begin anew whenever something is written
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        wrong = [row[0] for row in copy.execute("PRAGMA integrity_check") if row[0] != "ok"]
        wrong += [f"a row of {row[0]} points nowhere" for row in copy.execute("PRAGMA foreign_key_check")]
    if wrong:
        raise DatabaseError(f"the backup is not sound: {'; '.join(wrong[:3])}")
    with part.open("rb") as written:
        os.fsync(written.fileno())
