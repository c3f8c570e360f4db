"""Brings a database to the present schema: a new one gets `schema.sql`, an older one each step in turn.

A step is `NNN_what.sql`, leads from version NNN-1 to NNN, and keeps every row. Where PostgreSQL needs other
words than SQLite, `NNN_what.postgres.sql` stands beside it and is run there instead. A SQLite file is copied
beside itself before the first step.
"""

import sqlite3
from pathlib import Path

from server.errors import SettingError

SCHEMA = Path(__file__).resolve().parents[2] / "schema.sql"
STEPS = Path(__file__).resolve().parent
POSTGRES = ".postgres.sql"


def schema_statements() -> str:
    """Return the present schema."""
    return SCHEMA.read_text(encoding="utf-8")


def steps() -> dict[int, Path]:
    """Return each version with the file that leads to it, in order."""
    found = sorted(STEPS.glob("[0-9][0-9][0-9]_*.sql"))
    return {int(path.name[:3]): path for path in found if not path.name.endswith(POSTGRES)}


def postgres_steps() -> dict[int, Path]:
    """Return the same for PostgreSQL, which has its own words for some."""
    own = {int(path.name[:3]): path for path in STEPS.glob(f"[0-9][0-9][0-9]_*{POSTGRES}")}
    return {number: own.get(number, path) for number, path in steps().items()}


def check_version(version: int, newest: int) -> None:
    """Raise SettingError for a database of a newer program."""
    if version > newest:
        raise SettingError(
            f"DATABASE_URL: the database has version {version}, this program knows {newest}: "
            "start a newer program"
        )


def prepare_sqlite(path: str) -> None:
    """Make or upgrade the SQLite file at `path`. Raises SettingError for a file of a newer program."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        upgrade(connection, Path(path))
    finally:
        connection.close()


def upgrade(connection: sqlite3.Connection, file: Path | None = None) -> None:
    """Bring the connection's database to the present version, in one transaction."""
    connection.execute("PRAGMA foreign_keys = OFF")  # steps rebuild tables that others refer to
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version is None:
            _run(connection, schema_statements())
        else:
            _climb(connection, version, file)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _version(connection: sqlite3.Connection) -> int | None:
    named = "SELECT name FROM sqlite_master WHERE type = 'table'"
    tables = {row[0] for row in connection.execute(named)}
    if not tables:
        return None
    rows = connection.execute("SELECT * FROM schema_version").fetchall() if "schema_version" in tables else []
    if not rows:
        raise SettingError("DATABASE_URL: the file is a database of something else (no schema_version in it)")
    version: int = rows[0][0]
    return version


def _climb(connection: sqlite3.Connection, version: int, file: Path | None) -> None:
    known = steps()
    newest = max(known)
    check_version(version, newest)
    if version == newest:
        return  # without the check below: it reads every row there is, while nobody else can write
    if file is not None:
        _back_up(file, version)
    for number in range(version + 1, newest + 1):
        _run(connection, known[number].read_text(encoding="utf-8"))
        connection.execute("UPDATE schema_version SET version = ?", (number,))
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise SettingError(f"DATABASE_URL: the upgrade would leave rows that point nowhere: {broken[:3]}")


def _back_up(file: Path, version: int) -> None:
    with sqlite3.connect(file) as source, sqlite3.connect(f"{file}.v{version}") as copy:
        source.backup(copy)
    source.close()
    copy.close()


def _run(connection: sqlite3.Connection, script: str) -> None:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
