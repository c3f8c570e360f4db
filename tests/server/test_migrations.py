"""An older database is upgraded in place without losing a row, and becomes what a new one is."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from server import migrations
from server.errors import SettingError
from server.migrations import prepare_sqlite, upgrade
from server.store import devices
from tests.fakes.shop import a_shop

FIRST = Path(__file__).parents[1] / "fixtures" / "schema_v1.sql"


def first_version(path: Path) -> Path:
    """Make a database as the first version left it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.executescript(FIRST.read_text(encoding="utf-8"))
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return first_version(tmp_path / "shop.db")


@pytest.fixture
def upgraded(old: Path) -> Iterator[sqlite3.Connection]:
    prepare_sqlite(str(old))
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows]


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, by its columns."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: sorted((dict(row) for row in connection.execute(f"SELECT * FROM {table}")), key=str)
            for table in tables(connection)
        }


def version(path: Path) -> int:
    (row,) = rows(path)["schema_version"]
    return int(row["version"])


def told(sql: str | None) -> str:
    """Return a statement without its comments, spaces and quotes."""
    return re.sub(r'\s+|"', " ", re.sub(r"--[^\n]*", "", sql or "")).replace(" ", "").lower()


def shape(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return all that SQLite knows of a schema, in a form that does not depend on how it came about."""
    made: dict[str, Any] = {}
    ask = connection.execute
    for table in tables(connection):
        (sql,) = ask("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        made[table] = {
            "columns": ask(f"PRAGMA table_info({table})").fetchall(),
            "foreign keys": sorted(row[2:] for row in ask(f"PRAGMA foreign_key_list({table})")),
            "checks": sorted(re.findall(r"check\(.*?\)\)", told(sql))),
        }
    indexes = ask("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    made["indexes"] = {name: told(sql) for name, sql in indexes}
    return made


# --- what is kept -------------------------------------------------------------------------------------


def test_no_row_is_lost_or_changed(old: Path):
    before = rows(old)
    prepare_sqlite(str(old))
    after = rows(old)
    for table in set(before) - {"schema_version"}:
        kept = [{name: row[name] for name in before[table][0]} for row in after[table]]
        assert kept == before[table] != []


def test_the_file_as_it_was_is_kept_beside(old: Path):
    before = rows(old)
    prepare_sqlite(str(old))
    assert rows(Path(f"{old}.v1")) == before


def test_a_new_database_needs_no_copy(tmp_path: Path):
    prepare_sqlite(str(tmp_path / "new.db"))
    assert [path.name for path in tmp_path.glob("*.v*")] == []


def test_an_upgraded_database_is_what_a_new_one_is(upgraded: sqlite3.Connection, tmp_path: Path):
    prepare_sqlite(str(tmp_path / "new.db"))
    with closing(sqlite3.connect(tmp_path / "new.db")) as new:
        assert shape(upgraded) == shape(new)
        assert new.execute("SELECT version FROM schema_version").fetchall() == [(max(migrations.steps()),)]


def test_all_that_points_somewhere_still_does(upgraded: sqlite3.Connection):
    assert upgraded.execute("PRAGMA foreign_key_check").fetchall() == []
    assert upgraded.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# --- what is new --------------------------------------------------------------------------------------


def test_the_first_version_knew_no_make_failed(old: Path):
    with closing(sqlite3.connect(old)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE orders SET status = 'make_failed'")


def test_an_order_may_now_end_as_make_failed(upgraded: sqlite3.Connection):
    upgraded.execute("UPDATE orders SET status = 'make_failed' WHERE order_id = 'o-04'")
    with pytest.raises(sqlite3.IntegrityError):
        upgraded.execute("UPDATE orders SET status = 'burnt' WHERE order_id = 'o-04'")


def test_the_rules_of_the_old_table_still_hold(upgraded: sqlite3.Connection):
    for wrong in ("size = 'huge'", "refund_status = 'lost'", "device_uuid = 'dev-9'", "status = NULL"):
        with pytest.raises(sqlite3.IntegrityError):
            upgraded.execute(f"UPDATE orders SET {wrong} WHERE order_id = 'o-04'")
    with pytest.raises(sqlite3.IntegrityError):
        upgraded.execute("DELETE FROM orders WHERE order_id = 'o-04'")


def test_the_new_text_is_empty_at_first(upgraded: sqlite3.Connection):
    texts = upgraded.execute("SELECT client_info_make_failed FROM devices").fetchall()
    assert texts == [(None,), (None,), (None,)]


async def test_the_new_text_can_be_edited_and_is_shown(tmp_path: Path):
    first_version(tmp_path / "shop.db")
    async with a_shop(tmp_path) as shop:
        await shop.db.write(devices.change, "dev-2", {"client_info_make_failed": "<b>Звоните</b>"})
        device = (await shop.state("o-12"))["device"]
        other = (await shop.state("o-06"))["device"]
    assert (device["client_info_make_failed"], other["client_info_make_failed"]) == ("<b>Звоните</b>", None)


async def test_a_server_goes_on_with_an_upgraded_database(tmp_path: Path):
    first_version(tmp_path / "shop.db")
    async with a_shop(tmp_path) as shop:
        shop.later(0)  # the clock is past the life of everything that waited
        state = await shop.until("o-04", lambda order: order["status"] == "make_failed")
        assert state["failure"]["code"] == "agent_offline"
        assert (await shop.state("o-06"))["status"] == "successful"


# --- refusals and accidents -----------------------------------------------------------------------------


def test_a_database_of_a_newer_program_is_refused(old: Path):
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("UPDATE schema_version SET version = 999")
    before = rows(old)
    with pytest.raises(SettingError, match=r"has version 999, .* start a newer program"):
        prepare_sqlite(str(old))
    assert rows(old) == before


@pytest.mark.parametrize("sql", ["CREATE TABLE notes (t TEXT)", "CREATE TABLE schema_version (version INT)"])
def test_a_database_of_something_else_is_refused(tmp_path: Path, sql: str):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
    with pytest.raises(SettingError, match="DATABASE_URL: the file is a database of something else"):
        prepare_sqlite(str(path))
    assert len(rows(path)) == 1


def test_an_upgrade_is_done_once(old: Path):
    prepare_sqlite(str(old))
    before, copy = rows(old), Path(f"{old}.v1").stat().st_mtime_ns
    prepare_sqlite(str(old))
    assert (rows(old), Path(f"{old}.v1").stat().st_mtime_ns) == (before, copy)


@pytest.mark.parametrize("had", ["", "DROP TABLE login_attempts;"])
def test_a_database_of_the_third_version_gets_login_attempts_once(tmp_path: Path, had: str):
    """Some databases that call themselves the third version have the table."""
    path = tmp_path / "third.db"
    prepare_sqlite(str(path))
    with closing(sqlite3.connect(path)) as connection:
        whole = shape(connection)
        connection.executescript(f"{had} UPDATE schema_version SET version = 3")
    prepare_sqlite(str(path))
    with closing(sqlite3.connect(path)) as connection:
        assert shape(connection) == whole
    assert version(path) == max(migrations.steps())


@pytest.mark.parametrize("after", range(1, 8))
def test_an_upgrade_that_breaks_off_leaves_the_old_version(
    old: Path, after: int, monkeypatch: pytest.MonkeyPatch
):
    before = rows(old)
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "_run", lambda connection, script: _run_some(connection, script, after))
        with pytest.raises(InterruptedError):
            prepare_sqlite(str(old))
    assert (version(old), rows(old)) == (1, before)
    prepare_sqlite(str(old))
    assert version(old) == max(migrations.steps())


def _run_some(connection: sqlite3.Connection, script: str, statements: int) -> None:
    """Run the first statements of a script, then stop as a killed process does."""
    left, statement = statements, ""
    for line in script.splitlines(keepends=True):
        statement += line
        if left and sqlite3.complete_statement(statement):
            connection.execute(statement)
            left, statement = left - 1, ""
    raise InterruptedError


def test_an_upgrade_that_would_lose_a_reference_is_not_kept(old: Path):
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("UPDATE makes SET order_id = 'nowhere' WHERE command_id = 'make-04-1'")
    with pytest.raises(SettingError, match="point nowhere"):
        prepare_sqlite(str(old))
    assert version(old) == 1


def test_every_step_leads_one_version_on():
    assert list(migrations.steps()) == list(range(2, max(migrations.steps()) + 1))


def test_a_new_database_has_the_newest_version(tmp_path: Path):
    prepare_sqlite(str(tmp_path / "new.db"))
    assert version(tmp_path / "new.db") == max(migrations.steps())


def test_a_database_that_is_up_to_date_is_opened_without_reading_its_rows(tmp_path: Path):
    prepare_sqlite(str(tmp_path / "shop.db"))
    asked: list[str] = []
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.set_trace_callback(asked.append)
        upgrade(connection)
    assert not [sql for sql in asked if "check" in sql]
