"""The commands that keep the data: backups taken while a server sells, and the move to another database."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from server import __main__ as program
from server.db import Database, Statement, Transaction, open_database
from server.db.copying import TABLES, copy
from server.errors import DatabaseError
from server.store import servers
from tests.databases import Databases
from tests.fakes.shop import Shop

Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; return its exit code, what it printed and what it complained of."""
    monkeypatch.setattr("server.keeping.BEAT_EVERY_S", 0.05)
    monkeypatch.setattr(program, "set_up_logs", lambda *_, **__: None)

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        code = program.main(list(arguments))
        told = capsys.readouterr()
        return code, [json.loads(line) for line in told.out.splitlines() if line.startswith("{")], told.err

    return run


def everything() -> Transaction[dict[str, list[tuple[Any, ...]]]]:
    found = {}
    for table in TABLES:
        rows = yield Statement(f"SELECT * FROM {table}")
        found[table] = sorted((tuple(sorted(dict(row).items())) for row in rows), key=repr)
    return found


async def told(url: str) -> dict[str, list[tuple[Any, ...]]]:
    db = await open_database(url)
    try:
        return await db.read(everything)
    finally:
        await db.close()


async def sell(shop: Shop) -> str:
    """Sell a drink, and stop the server; return its database's address."""
    await shop.agent()
    await shop.pay()
    await shop.close()
    return shop.settings.database_url


# --- backup -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_backup_of_a_server_that_sells_has_what_was_sold(shop: Shop, run: Run, tmp_path: Path):
    await shop.agent()
    await shop.pay()
    target = tmp_path / "copy.db"
    code, printed, _ = await asyncio.to_thread(
        run, "backup", str(target), "--database-url", shop.settings.database_url
    )
    assert (code, printed) == (0, [{"backup": str(target), "bytes": target.stat().st_size}])
    assert (await told(f"sqlite:///{target}"))["orders"] == (await shop.db.read(everything))["orders"]
    assert target.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.glob("copy.db*.part*")] == []


@pytest.mark.parametrize(
    ("file", "url", "why"),
    [
        ("new.db", "sqlite:///{}/none.db", "DATABASE_URL: there is no file"),
        ("shop.db", "sqlite:///{}/shop.db", "exists already"),
        ("none/new.db", "sqlite:///{}/shop.db", "cannot write"),
        ("new.db", "postgresql://somewhere/x", "pg_dump"),
    ],
)
def test_a_backup_that_cannot_be_is_a_wrong_setting(run: Run, tmp_path: Path, file: str, url: str, why: str):
    asyncio.run(_make(f"sqlite:///{tmp_path}/shop.db"))
    code, _, complaint = run("backup", str(tmp_path / file), "--database-url", url.format(tmp_path))
    assert code == 2 and why in complaint


def test_a_backup_that_is_not_sound_is_not_kept(run: Run, tmp_path: Path):
    asyncio.run(_make(f"sqlite:///{tmp_path}/shop.db"))
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO credentials (merchant_id, scenario, body, updated_at) "
            "VALUES ('nobody', 'Sandbox', '{}', 1)"
        )
    code, _, complaint = run(
        "backup", str(tmp_path / "copy.db"), "--database-url", f"sqlite:///{tmp_path}/shop.db"
    )
    assert code == 1 and "a row of credentials points nowhere" in complaint
    assert not list(tmp_path.glob("copy.db*"))


async def _make(url: str) -> None:
    await (await open_database(url)).close()


# --- copy ---------------------------------------------------------------------------------------------


@pytest.fixture
async def target(database_kind: str, postgres: Databases, tmp_path: Path) -> str:
    """An empty database of the other kind than the shop's."""
    return f"sqlite:///{tmp_path}/moved.db" if database_kind == "postgres" else await postgres.empty("moved")


async def test_everything_is_in_the_other_database_and_sells_on(shop: Shop, run: Run, target: str):
    source = await sell(shop)
    code, printed, _ = await asyncio.to_thread(run, "copy", "--to", target, "--database-url", source)
    assert code == 0
    assert await told(target) == await told(source)
    assert {"table": "payments", "rows": 1, "amount_minor": 9000} in printed
    await shop.restart(database_url=target)
    assert (await shop.state())["status"] == "paid"
    await shop.agent()
    assert (await shop.scan("order-2")).status == 302


async def test_a_database_that_has_something_is_not_copied_to(shop: Shop, run: Run, target: str):
    source = await sell(shop)
    await _write(target, "INSERT INTO users VALUES ('anna', 'operator', 'x', 1, 1)")
    code, _, complaint = await asyncio.to_thread(run, "copy", "--to", target, "--database-url", source)
    assert (code, complaint.strip()) == (2, "--to: the database is not empty: it has rows in users")
    assert (await told(target))["orders"] == []


async def test_a_database_on_which_a_server_runs_is_not_copied(
    database_url: str, monkeypatch: pytest.MonkeyPatch, run: Run, target: str
):
    db = await open_database(database_url)
    await db.write(servers.begin, "server-1", 1)
    monkeypatch.setattr("server.keeping.BEAT_EVERY_S", 1.0)  # the beats of a busy machine come late
    beating = asyncio.create_task(_beat(db))
    code, _, complaint = await asyncio.to_thread(run, "copy", "--to", target, "--database-url", database_url)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    await db.close()
    assert code == 2 and "a server runs on" in complaint


async def test_a_server_that_was_killed_does_not_keep_its_database(database_url: str, run: Run, target: str):
    db = await open_database(database_url)
    await db.write(servers.begin, "server-1", 1)
    await db.close()
    code, _, _ = await asyncio.to_thread(run, "copy", "--to", target, "--database-url", database_url)
    assert code == 0


async def test_what_did_not_become_the_same_is_not_kept(
    database_url: str, target: str, monkeypatch: pytest.MonkeyPatch
):
    await _make(database_url)
    await _make(target)
    await _write(database_url, "INSERT INTO merchants (merchant_id, name, updated_at) VALUES ('m1', 'x', 1)")
    kind = "_Sqlite" if target.startswith("sqlite") else "_Postgres"

    async def forget(*_: Any) -> None:
        """Add nothing."""

    monkeypatch.setattr(f"server.db.copying.{kind}.add", forget)
    with pytest.raises(DatabaseError, match=r"merchants did not become the same: \[1\] here, \[0\] there"):
        await copy(database_url, target)


@pytest.mark.parametrize(
    ("source", "to", "why"),
    [
        ("sqlite:///{}/none.db", "sqlite:///{}/new.db", "DATABASE_URL: there is no file"),
        ("sqlite:///{}/shop.db", "sqlite:///{}/shop.db", "--to: this is the database itself"),
        ("sqlite:///{}/shop.db", "postgresql://127.0.0.1:1/x", "--to: cannot open the database"),
        ("sqlite:///{}/shop.db", "mysql://x/y", "--to: must look like"),
    ],
)
def test_a_copy_that_cannot_be_is_a_wrong_setting(run: Run, tmp_path: Path, source: str, to: str, why: str):
    asyncio.run(_make(f"sqlite:///{tmp_path}/shop.db"))
    code, _, complaint = run("copy", "--to", to.format(tmp_path), "--database-url", source.format(tmp_path))
    assert code == 2 and why in complaint


async def _write(url: str, sql: str) -> None:
    def change() -> Transaction[None]:
        yield Statement(sql)

    db = await open_database(url)
    await db.write(change)
    await db.close()


async def _beat(db: Database) -> None:
    while True:
        await db.write(servers.beat, "server-1", 2)
        await asyncio.sleep(0.01)
