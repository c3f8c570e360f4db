"""The journal on a real disk: what is committed together, what survives, and what it refuses to open."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent import journal, make
from agent.journal import Journal
from agent.journal_file import WAL_PAGES, JournalCorrupt, JournalError, JournalLocked
from agent.machine import Outcome
from agent.make import Event, Record
from agent.wire import Actuated, Code, MakeState, OpenMake

S = MakeState
DAY_MS = 24 * 3600 * 1000


class Clock:
    now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def kept(path: Path, clock: Clock) -> Iterator[Journal]:
    opened = Journal(path, clock)
    yield opened
    opened.close()


def received(command_id: str = "c1") -> Record:
    return Record(command_id, "hash", "o1", "espresso", "small")


def done(record: Record) -> Record:
    return make.judged(record, Outcome(S.DONE, evidence="counter_delta", said="41 -> 42"), Code.POWER_LOSS)


def make_one(kept: Journal, command_id: str = "c1") -> Record:
    kept.receive(received(command_id))
    started = make.started(received(command_id), "41")
    kept.start(started)
    kept.end(done(started))
    return done(started)


def reported(kept: Journal) -> list[tuple[int | None, str, MakeState]]:
    return [(each.seq, each.command_id, each.state) for each in kept.unsent_reports(0, 100)]


def test_every_step_is_kept_with_its_report(kept: Journal):
    end = make_one(kept)
    assert kept.find("c1") == end
    assert reported(kept) == [(1, "c1", S.RECEIVED), (2, "c1", S.STARTED), (3, "c1", S.DONE)]
    assert kept.unsent_reports(2, 100) == [end.report(3)]


def test_all_of_it_survives_a_reopening(kept: Journal, path: Path):
    end = make_one(kept)
    kept.receive(received("c2"))
    name = kept.journal_id
    kept.close()
    again = Journal(path)
    assert (again.journal_id, again.journal_high) == (name, 4)
    assert (again.find("c1"), again.open_commands()) == (end, [received("c2")])
    assert [seq for seq, *_ in reported(again)] == [1, 2, 3, 4]
    again.close()


def test_a_step_that_fails_half_way_leaves_neither_state_nor_report(
    kept: Journal, monkeypatch: pytest.MonkeyPatch
):
    kept.receive(received())

    def fail(record: Record) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(kept, "_enqueue", fail)
    with pytest.raises(JournalError, match="disk I/O error"):
        kept.start(make.started(received(), "41"))
    with pytest.raises(JournalError):
        kept.receive(received("c2"))
    assert (kept.find("c1"), kept.find("c2")) == (received(), None)
    assert (reported(kept), kept.journal_high) == ([(1, "c1", S.RECEIVED)], 1)


def test_a_number_is_never_given_twice(kept: Journal, path: Path):
    make_one(kept)
    kept.stored([1, 2, 3])
    assert reported(kept) == []
    kept.close()
    again = Journal(path)
    assert again.journal_high == 3
    again.receive(received("c2"))
    assert reported(again) == [(4, "c2", S.RECEIVED)]
    again.close()


def test_stored_forgets_exactly_what_it_names(kept: Journal):
    make_one(kept)
    kept.stored([3, 1, 99])
    assert [seq for seq, *_ in reported(kept)] == [2]


def test_reports_come_in_order_and_no_more_than_asked(kept: Journal):
    make_one(kept)
    assert [report.seq for report in kept.unsent_reports(1, 1)] == [2]


def test_a_command_starts_at_most_once(kept: Journal):
    kept.receive(received())
    kept.start(make.started(received(), "41"))
    with pytest.raises(JournalError, match="cannot be started"):
        kept.start(make.started(received(), "41"))
    assert len(reported(kept)) == 2


@pytest.mark.parametrize("event", [Event.REFUSED, Event.TOO_LATE])
def test_a_command_that_was_refused_cannot_start(kept: Journal, event: Event):
    refused = received().after(event, Code.AGENT_REJECTED_BUSY)
    kept.reject(refused)
    with pytest.raises(JournalError):
        kept.start(make.started(received(), "41"))
    with pytest.raises(JournalError):
        kept.receive(received())
    assert kept.find("c1") == refused


def test_a_tombstone_is_binding_and_says_nothing_by_itself(kept: Journal, path: Path):
    tomb = make.answer_query(None, "c1")
    assert isinstance(tomb, make.Bury)
    kept.bury(tomb.record)
    kept.close()
    again = Journal(path)
    assert again.find("c1") == tomb.record
    with pytest.raises(JournalError):
        again.receive(received())
    assert reported(again) == []
    again.close()


def test_a_second_end_changes_nothing(kept: Journal):
    end = make_one(kept)
    started = make.started(received(), "41")
    kept.end(make.judged(started, Outcome(S.FAILED), Code.POWER_LOSS))
    assert (kept.find("c1"), len(reported(kept))) == (end, 3)


def test_late_proof_ends_what_was_unknown(kept: Journal):
    kept.receive(received())
    started = make.started(received(), "41")
    kept.start(started)
    kept.end(make.judged(started, Outcome(S.UNKNOWN), Code.POWER_LOSS))
    kept.end(done(started))
    assert [state for *_, state in reported(kept)] == [S.RECEIVED, S.STARTED, S.UNKNOWN, S.DONE]


def test_open_makes_are_those_not_ended_or_not_stored(kept: Journal):
    make_one(kept, "stored")
    kept.stored([1, 2, 3])
    make_one(kept, "unstored")
    kept.receive(received("open"))
    kept.stored([7])
    assert set(kept.open_makes()) == {OpenMake("unstored", S.DONE), OpenMake("open", S.RECEIVED)}


def test_ended_commands_are_forgotten_after_thirty_days(
    kept: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal, "KEEP_NEWEST", 0)
    make_one(kept, "old")
    make_one(kept, "old, unstored")
    kept.receive(received("open"))
    kept.stored([1, 2, 3])
    clock.now_ms += 31 * DAY_MS
    make_one(kept, "new")
    assert kept.prune() == 1
    assert [kept.find(each) is None for each in ("old", "old, unstored", "open", "new")] == [True] + [
        False
    ] * 3


def test_the_newest_commands_are_kept_though_the_clock_jumped(kept: Journal, clock: Clock):
    clock.now_ms = 0
    make_one(kept)
    kept.stored([1, 2, 3])
    clock.now_ms = 60 * 365 * DAY_MS
    assert kept.prune() == 0
    assert kept.find("c1") is not None


def test_a_second_agent_is_kept_out_until_the_first_has_gone(kept: Journal, path: Path):
    with pytest.raises(JournalLocked, match=f"in use by another agent .process {os.getpid()}"):
        Journal(path)
    kept.close()
    Journal(path).close()


def test_another_process_is_kept_out_too(kept: Journal, path: Path):
    program = "import sys; from agent.journal import Journal; Journal(sys.argv[1])"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=False, capture_output=True, text=True
    )
    assert "JournalLocked" in ended.stderr


def test_a_killed_agent_leaves_no_lock_and_loses_nothing_committed(path: Path):
    program = (
        "import os, signal, sys; from agent.journal import Journal; from agent.make import Record\n"
        "journal = Journal(sys.argv[1]); journal.receive(Record('c1')); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -signal.SIGKILL
    )
    again = Journal(path)
    assert again.open_commands() == [Record("c1")]
    again.close()


@pytest.mark.parametrize("content", [b"not a database, " * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_named_and_left_alone(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(JournalCorrupt, match=str(path)):
        Journal(path)
    assert path.read_bytes() == content


def test_a_file_damaged_in_the_middle_is_noticed(kept: Journal, path: Path):
    for number in range(200):
        make_one(kept, f"command {number}")
    kept.close()
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xa5" * 4096
    path.write_bytes(content)
    with pytest.raises(JournalCorrupt, match="damaged"):
        Journal(path)


def test_another_programs_database_is_not_taken(path: Path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE photos (name TEXT)")
    other.close()
    with pytest.raises(JournalCorrupt, match="not a journal"):
        Journal(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(JournalError, match=r"absent/agent\.db"):
        Journal(tmp_path / "absent" / "agent.db")


def test_a_new_file_has_a_new_name(tmp_path: Path):
    first, second = Journal(tmp_path / "a.db"), Journal(tmp_path / "b.db")
    assert first.journal_id != second.journal_id
    first.close()
    second.close()


def test_a_closed_journal_refuses(kept: Journal):
    kept.close()
    kept.close()
    with pytest.raises(JournalError):
        kept.receive(received())


def test_a_full_disk_is_an_error_and_passes_when_there_is_room(kept: Journal):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(JournalError):
            kept.receive(received())
        with pytest.raises(JournalError):
            kept.probe()
        assert (kept.find("c1"), kept.journal_high) == (None, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept.probe()
    assert make_one(kept).state is S.DONE


class Counted(sqlite3.Connection):
    """A connection that counts its commits that wait for the disk, and can leave the waiting out."""

    synced_commits = 0
    waits = True
    _synced = True

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA synchronous"):
            self._synced = sql.endswith("FULL")
            sql = sql if self.waits else "PRAGMA synchronous = OFF"
        self.synced_commits += sql == "COMMIT" and self._synced
        return super().execute(sql, *values)


@pytest.fixture
def counted(path: Path, clock: Clock) -> Iterator[Journal]:
    opened = Journal(path, clock, connect=partial(sqlite3.connect, factory=Counted))
    yield opened
    opened.close()


def written(path: Path) -> list[tuple[int, bytes]]:
    """Return what the journal's files hold, and since when."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]


def test_commits_reach_the_disk_before_they_return(kept: Journal):
    kept.receive(received())
    settings = [
        kept._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    assert settings == ["wal", 2]


def test_a_drink_waits_for_the_card_three_times(counted: Journal):
    make_one(counted)
    counted.stored([1, 2, 3])
    assert counted._database.synced_commits == 3
    make_one(counted, "c2")
    assert counted._database.synced_commits == 6


def test_an_idle_agent_writes_nothing(kept: Journal, path: Path):
    make_one(kept)
    kept.stored([1, 2, 3])
    before = written(path)
    for _ in range(3):
        assert (kept.prune(), kept.open_makes(), kept.unsent_reports(0, 10)) == (0, (), [])
        assert kept.find("c2") is None
    assert written(path) == before


def test_years_of_drinks_take_the_room_of_a_month(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Counted, "waits", False)  # the years would take hours
    kept = Journal(path, clock, connect=partial(sqlite3.connect, factory=Counted))
    sizes = []
    for day in range(400):
        for number in range(30):
            make_one(kept, f"make-{day}-{number}")
            kept.stored(range(kept.journal_high - 2, kept.journal_high + 1))
            clock.now_ms += DAY_MS // 30
        kept.prune()
        sizes.append((path.stat().st_size, path.with_name(f"{path.name}-wal").stat().st_size))
    kept.close()
    assert max(file for file, _ in sizes[60:]) <= 1.1 * max(file for file, _ in sizes[:60]) < 2_000_000
    assert max(log for _, log in sizes) <= 1.1 * WAL_PAGES * 4096
    again = Journal(path, clock)
    assert again.find("make-0-0") is None
    assert again.find("make-399-29") is not None
    again.close()


def test_calls_from_many_threads_take_turns(kept: Journal):
    threads = [threading.Thread(target=make_one, args=(kept, f"c{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seq for seq, *_ in reported(kept)] == list(range(1, 25))
    assert all(each.actuated is Actuated.YES for each in kept.unsent_reports(0, 99) if each.state is S.DONE)
