"""Who is silent, and whose clock is wrong: by one's own clock, and nobody else's."""

import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from server.db import open_database
from server.presence import SILENT_AFTER_S, Presence, Silence
from server.store import servers
from server.store.servers import Server
from tests.server.clock import Clock


def beaten(beats: int) -> list[Server]:
    return [Server("b", started_at=0, beats=beats, seen_at=0)]


def test_who_is_new_is_not_silent():
    assert Silence().of(beaten(7), 1_000_000) == []


def test_whose_beats_do_not_grow_is_silent_after_a_while():
    silence = Silence()
    assert silence.of(beaten(7), 0) == silence.of(beaten(7), SILENT_AFTER_S - 1) == []
    assert silence.of(beaten(7), SILENT_AFTER_S) == beaten(7)


def test_each_beat_begins_the_while_anew():
    silence = Silence()
    silence.of(beaten(7), 0)
    assert silence.of(beaten(8), SILENT_AFTER_S) == []
    assert silence.of(beaten(8), 2 * SILENT_AFTER_S - 1) == []


def test_nobody_is_silent_because_we_could_not_hear():
    silence = Silence()
    silence.of(beaten(7), 0)
    silence.forget()
    assert silence.of(beaten(7), 10 * SILENT_AFTER_S) == []


async def test_a_beat_after_the_look_keeps_a_server_from_being_buried(database_url: str):
    db = await open_database(database_url)
    await db.write(servers.begin, "b", 0)
    (seen,) = await db.read(servers.every)
    await db.write(servers.beat, "b", 1)
    assert not await db.write(servers.bury, seen, 2)
    assert len(await db.read(servers.every)) == 1
    await db.close()


@pytest.mark.parametrize(("ahead_ms", "told"), [(4_000, 0), (6_000, 1), (-60_000, 0)])
async def test_a_clock_that_is_ahead_is_told_once(
    database_url: str, logs: list[Any], ahead_ms: int, told: int
):
    db = await open_database(database_url)
    clock = Clock()
    presence = Presence(db, "a", clock, lambda: None)
    await presence.begin()
    await db.write(servers.begin, "b", clock() + ahead_ms)
    for _ in range(3):
        await presence.beat()
    assert len(logs) == told
    await db.close()


async def test_the_eldest_is_one_and_the_next_when_it_has_ended(database_url: str):
    db = await open_database(database_url)
    clock = Clock()
    first, second = (Presence(db, name, clock, lambda: None) for name in "ab")
    await first.begin()
    await second.begin()
    assert (first.is_eldest, second.is_eldest) == (True, False)
    await first.end()
    await second.beat()
    assert second.is_eldest
    await db.close()


def killed() -> int:
    """Return the number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.mark.parametrize(
    ("host", "pid", "buried"),
    [
        pytest.param(socket.gethostname(), 0, True, id="killed here"),
        pytest.param(socket.gethostname(), os.getpid(), False, id="lives here"),
        pytest.param("another", 0, False, id="elsewhere"),
    ],
)
async def test_who_was_killed_on_this_host_is_buried_at_the_next_start(
    database_url: str, host: str, pid: int, buried: bool
):
    db = await open_database(database_url)
    await db.write(servers.begin, "b", 0, host, pid or killed())
    presence = Presence(db, "a", Clock(), lambda: None)
    await presence.begin()
    assert [each.server_id for each in await db.read(servers.every)] == (["a"] if buried else ["b", "a"])
    assert presence.is_eldest is buried
    await db.close()
