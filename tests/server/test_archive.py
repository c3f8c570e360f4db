"""Finished orders move to an archive whole and once, whatever ends the move; reports reach them there."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.wire import Actuated, Code, MakeState
from server import report
from server.__main__ import main
from server.archive import Move
from server.archive_file import ArchiveFile, ReadArchive
from server.archiving import TABLES
from server.days import DAY_MS, midnight_ms
from server.db import Database, Statement, Transaction, open_database
from server.errors import SettingError
from server.known_archives import all_since, close_all
from server.payments import yookassa_api
from server.progress import Rules
from server.store import archives
from tests.server.clock import START_MS, Clock
from tests.server.fleet import Fleet

RULES = Rules(60_000, 180_000, 600_000, 300_000, 3_600_000, str, lambda scenario: yookassa_api)
BEFORE = START_MS + 40 * DAY_MS
NOW = START_MS + 400 * DAY_MS


@pytest.mark.parametrize(("name", "why"), [("away/2025.db", "there is no folder"), (".", "is a folder")])
def test_a_file_that_cannot_be_made_is_told_before_anything_is_touched(
    name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    target = tmp_path / name
    arguments = ["archive", "--before", "2020-01-01", "--to", str(target)]
    assert main([*arguments, "--database-url", f"sqlite:///{tmp_path}/shop.db"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("--to: ") and why in told and len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


class Cut(Exception):
    """The power goes."""


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = await open_database(database_url)
    yield db
    await db.close()


@pytest.fixture
async def fleet(db: Database) -> Fleet:
    """One machine that sold: a drink, one that failed and was refunded, and one whose outcome is unknown."""
    fleet = Fleet(db, Clock(), RULES)
    await fleet.add("dev-1", "ул. Ленина, 1")
    await fleet.connect("dev-1")
    await fleet.report(await fleet.sell("dev-1", "made"), MakeState.DONE, actuated=Actuated.YES)
    make = await fleet.sell("dev-1", "failed")
    await fleet.report(make, MakeState.FAILED, code=Code.NO_WATER)
    await db.write(_give_back, fleet.clock())
    await fleet.lose_sight("dev-1", "unknown")
    await db.write(_notifications, fleet.clock())
    return fleet


def _give_back(now: int) -> Transaction[None]:
    yield Statement("UPDATE refunds SET status = 'succeeded', next_try_at = NULL")
    yield Statement("UPDATE orders SET refund_status = 'succeeded' WHERE refund_status = 'pending'")
    yield Statement("UPDATE payments SET next_check_at = NULL")


def _notifications(now: int) -> Transaction[None]:
    for name, handled_at in (("handled", now), ("waiting", None)):
        yield Statement(
            "INSERT INTO notifications (notification_id, provider, event, object_id, body, received_at, "
            "handled_at) VALUES ($1, 'Yookassa', 'payment.succeeded', $1, '{}', $2, $3)",
            (name, now, handled_at),
        )


def _everything(table: str) -> Transaction[list[dict[str, Any]]]:
    rows = yield Statement(f"SELECT * FROM {table}")
    return sorted(map(dict, rows), key=str)


async def here(db: Database) -> dict[str, list[dict[str, Any]]]:
    return {table: await db.read(_everything, table) for table in (*TABLES, "notifications")}


def there(path: Path) -> dict[str, list[dict[str, Any]]]:
    archive = ReadArchive(path)
    try:
        return {table: archive.read(_everything, table) for table in (*TABLES, "notifications")}
    finally:
        archive.close()


def ids(rows: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    return sorted(row["order_id"] for row in rows["orders"])


async def move(db: Database, path: Path, file: type[ArchiveFile] = ArchiveFile) -> list[Mapping[str, Any]]:
    told: list[Mapping[str, Any]] = []
    opened = file(path, BEFORE, NOW)
    try:
        await Move(db, opened, BEFORE, NOW, told.append).run()
    finally:
        opened.close()
    return told


async def lines(db: Database) -> list[dict[str, Any]]:
    opened = await all_since(db, 0)
    try:
        return await report.lines(db, opened, 0, NOW)
    finally:
        close_all(opened)


async def test_what_is_finished_moves_whole_and_the_rest_stays(fleet: Fleet, tmp_path: Path):
    before = await here(fleet.db)
    told = await move(fleet.db, tmp_path / "2025.db")
    after, kept = await here(fleet.db), there(tmp_path / "2025.db")
    assert (ids(kept), ids(after)) == (["failed", "made"], ["unknown"])
    for table, rows in before.items():
        assert sorted(after[table] + kept[table], key=str) == rows
    assert [row["notification_id"] for row in after["notifications"]] == ["waiting"]
    assert (told[0]["orders"], told[0]["refunds"], sum(told[0]["stay"].values())) == (2, 1, 1)
    assert (told[-1]["orders"], told[-1]["notifications"]) == (2, 1)


async def test_to_repeat_it_changes_nothing(fleet: Fleet, tmp_path: Path):
    await move(fleet.db, tmp_path / "2025.db")
    first = await here(fleet.db), there(tmp_path / "2025.db")
    told = await move(fleet.db, tmp_path / "2025.db")
    assert (await here(fleet.db), there(tmp_path / "2025.db")) == first
    assert (told[-1]["orders"], told[-1]["notifications"]) == (0, 0)


async def test_a_report_says_the_same_before_and_after(fleet: Fleet, tmp_path: Path):
    before = await lines(fleet.db)
    await move(fleet.db, tmp_path / "2025.db")
    assert await lines(fleet.db) == before
    (day, total) = before
    assert (day["orders"], day["drinks"], day["refunds"], day["open_cases"]) == (3, 1, 1, 1)
    assert (day["paid_minor"], day["refunded_minor"]) == (27000, 9000)
    assert total["total"] is True


@pytest.mark.parametrize("step", ["keep", "settle", "keep_notifications", "finish"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_cut_at_any_step_loses_nothing(fleet: Fleet, tmp_path: Path, step: str, done: bool):
    class Mortal(ArchiveFile):
        pass

    def cut(self: ArchiveFile, *args: Any) -> None:
        if done:
            getattr(ArchiveFile, step)(self, *args)
        raise Cut

    setattr(Mortal, step, cut)
    path, before = tmp_path / "2025.db", await here(fleet.db)
    with pytest.raises(Cut):
        await move(fleet.db, path, Mortal)
    after, kept = await here(fleet.db), there(path)
    for table, rows in before.items():
        assert all(row in after[table] or row in kept[table] for row in rows)
    await move(fleet.db, path)
    after, kept = await here(fleet.db), there(path)
    for table, rows in before.items():
        assert sorted(after[table] + kept[table], key=str) == rows
    assert (await lines(fleet.db))[-1]["orders"] == 3


async def test_while_a_move_has_not_ended_none_begins_to_another_file(fleet: Fleet, tmp_path: Path):
    class Mortal(ArchiveFile):
        def settle(self, stayed: Sequence[str]) -> None:
            raise Cut

    with pytest.raises(Cut):
        await move(fleet.db, tmp_path / "2025.db", Mortal)
    with pytest.raises(SettingError, match=r"a move to .*2025\.db has not ended"):
        await move(fleet.db, tmp_path / "other.db")
    await move(fleet.db, tmp_path / "2025.db")
    await move(fleet.db, tmp_path / "other.db")
    assert (ids(there(tmp_path / "2025.db")), ids(there(tmp_path / "other.db"))) == (["failed", "made"], [])


async def test_a_move_that_could_not_write_lets_another_begin(fleet: Fleet, tmp_path: Path):
    class Full(ArchiveFile):
        def keep(self, *args: Any) -> None:
            raise sqlite3.OperationalError("disk is full")

    with pytest.raises(sqlite3.OperationalError):
        await move(fleet.db, tmp_path / "2025.db", Full)
    await move(fleet.db, tmp_path / "other.db")
    assert ids(there(tmp_path / "other.db")) == ["failed", "made"]


async def test_an_order_that_changes_meanwhile_stays(fleet: Fleet, tmp_path: Path):
    file = ArchiveFile(tmp_path / "2025.db", BEFORE, NOW)
    found = await fleet.db.read(archives.whole, ["made", "failed"])
    await fleet.db.write(_change)
    assert await fleet.db.write(archives.put_away, file.note(0, NOW), found) == ["failed"]
    file.close()


def _change() -> Transaction[None]:
    yield Statement("UPDATE orders SET email = 'anna@example.com' WHERE order_id = 'made'")


async def test_a_report_does_not_guess_while_a_step_is_missing(fleet: Fleet, tmp_path: Path):
    await move(fleet.db, tmp_path / "2025.db")
    with closing(sqlite3.connect(tmp_path / "2025.db")) as file:
        file.execute("INSERT INTO moving VALUES ('made')")
        file.commit()
    with pytest.raises(SettingError, match="not finished"):
        await all_since(fleet.db, 0)


async def test_an_archive_that_is_not_there_is_named_where_it_is_needed(fleet: Fleet, tmp_path: Path):
    await move(fleet.db, tmp_path / "2025.db")
    (tmp_path / "2025.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(SettingError, match=r"2025\.db"):
        await all_since(fleet.db, 0)
    close_all(await all_since(fleet.db, 0, [tmp_path / "elsewhere.db"]))
    assert await all_since(fleet.db, BEFORE) == []


# --- wrong input --------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> str:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert main([*arguments, "--database-url", url]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2999-01-01"])
def test_a_day_that_cannot_be_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, day: str):
    assert "--before" in refused(capsys, tmp_path, "archive", "--before", day, "--to", str(tmp_path / "a.db"))


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, "shop"], ids=["text", "the database itself"]
)
def test_a_file_of_something_else_is_named_and_left_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | str
):
    file = tmp_path / "shop.db" if isinstance(content, str) else tmp_path / "a.db"
    if isinstance(content, bytes):
        file.write_bytes(content)
    said = refused(capsys, tmp_path, "archive", "--before", "2020-01-01", "--to", str(file))
    assert f"--to: {file} is no archive" in said
    assert isinstance(content, str) or file.read_bytes() == content


def test_days_in_the_wrong_order_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    said = refused(capsys, tmp_path, "report", "--from", "2026-02-01", "--to", "2026-01-01")
    assert "--to must not be before --from" in said


def test_an_archive_that_is_none_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    days = ("report", "--from", "2026-01-01", "--to", "2026-01-01", "--archive", str(tmp_path / "a.db"))
    assert "--archive: there is no file" in refused(capsys, tmp_path, *days)
    (tmp_path / "a.db").write_bytes(b"text" * 100)
    assert "is no archive" in refused(capsys, tmp_path, *days)


def test_a_report_of_nothing_is_one_line_of_zeros(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert main(["report", "--from", "2026-01-01", "--to", "2026-01-01", "--database-url", url]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["orders"] == 0
    assert midnight_ms("--from", "1970-01-02") == DAY_MS
