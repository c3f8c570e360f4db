"""The benchmark runs from end to end with loads so small that its figures mean nothing."""

import asyncio
import re
import sqlite3

import pytest

from bench.__main__ import measure
from bench.filler import YEAR_MS, fill
from bench.host import described
from bench.rows import ROWS
from bench.scale import TINY
from bench.shop import file_url, stock
from bench.table import Line, printed, verdict

SLOWER = Line(what="a sale", ours="ours", unit="ms", bare="bare", least=3, aim=1.5)
MORE = Line(what="polls", ours="ours", unit="/s", bare="bare", least=0.75, aim=0.9, more_is_better=True)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_measured_and_printed(name, tmp_path, capsys):
    asyncio.run(measure([name], TINY, tmp_path))
    lines = capsys.readouterr().out.splitlines()
    for line in ROWS[name].LINES:
        assert [text for text in lines if text.startswith(f"| {line.of(TINY).what} | ")]


def test_medians_and_the_median_of_the_ratios_are_printed():
    runs = [{"ours": 10.0, "bare": 5.0}, {"ours": 30.0, "bare": 10.0}, {"ours": 200.0, "bare": 100.0}]
    assert printed(SLOWER, runs) == "| a sale | 30.0 ms | 10.0 ms | 2.00 | 3.00 × | 1.50 × | bar |"


@pytest.mark.parametrize(
    ("line", "ratio", "stands"),
    [
        (SLOWER, 1.4, "aim"),
        (SLOWER, 2.9, "bar"),
        (SLOWER, 3.1, "below"),
        (MORE, 0.95, "aim"),
        (MORE, 0.8, "bar"),
        (MORE, 0.5, "below"),
    ],
)
def test_a_ratio_is_held_against_its_bars(line, ratio, stands):
    assert verdict(line, ratio) == stands


def test_the_machine_is_named(tmp_path):
    assert re.match(r"\d+ cores \(.*\), CPython 3\.\d+.*SQLite 3.*fsync .* ms", described(tmp_path))


def test_filled_orders_are_whole_and_every_index_is_back(tmp_path):
    path = tmp_path / "shop.db"
    asyncio.run(stock(file_url(path), machines=2, orders=3, now=2 * YEAR_MS))
    database = sqlite3.connect(path)
    before = indexes(database)
    database.close()
    fill(path, orders=2_000, machines=2, now=2 * YEAR_MS)
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("SELECT count(*) FROM orders").fetchone() == (2_003,)
    assert indexes(database) == before
    database.close()


def indexes(database):
    return set(database.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'"))
