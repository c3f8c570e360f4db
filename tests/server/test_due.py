"""Due work: looked for when woken, a task per subject, and never stopped by what fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from server.due import DueWork
from server.errors import DatabaseError

WAIT_S = 30.0


class Desk:
    """What is due, and how often it was looked for."""

    def __init__(self) -> None:
        self.due: dict[str, Callable[[], Awaitable[None]]] = {}
        self.next_at: int | None = None
        self.looks = 0
        self.fails: Exception | None = None
        self.looked = asyncio.Condition()

    async def find(self) -> list[Any]:
        async with self.looked:
            self.looks += 1
            self.looked.notify_all()
        if self.fails is not None:
            raise self.fails
        return list(self.due.items())

    async def next(self) -> int | None:
        return self.next_at

    async def until_looks(self, times: int) -> None:
        async with asyncio.timeout(WAIT_S), self.looked:
            await self.looked.wait_for(lambda: self.looks >= times)


@asynccontextmanager
async def working(desk: Desk, now: int = 0, **options: Any) -> AsyncIterator[DueWork]:
    work = DueWork("test", desk.find, desk.next, lambda: now, **options)
    task = asyncio.create_task(work.run())
    try:
        await desk.until_looks(1)
        yield work
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_due_is_done_without_being_told():
    desk, done = Desk(), asyncio.Event()

    async def do() -> None:
        done.set()
        desk.due.clear()

    desk.due["a"] = do
    async with working(desk), asyncio.timeout(WAIT_S):
        await done.wait()


async def test_a_subject_is_worked_on_by_one_task_at_a_time():
    desk, begun, go_on = Desk(), [], asyncio.Event()

    async def do() -> None:
        begun.append(1)
        await go_on.wait()
        desk.due.clear()

    desk.due["a"] = do
    async with working(desk) as work:
        for look in range(2, 5):
            work.wake()
            await desk.until_looks(look)
        assert begun == [1]
        go_on.set()


async def test_a_subject_that_is_stuck_does_not_keep_others_waiting():
    desk, done = Desk(), asyncio.Event()

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def do() -> None:
        done.set()

    desk.due["a"] = stuck
    async with working(desk) as work, asyncio.timeout(WAIT_S):
        desk.due["b"] = do
        work.wake()
        await done.wait()


async def test_one_that_was_passed_over_is_looked_at_again_when_the_first_has_ended():
    desk, go_on, again = Desk(), asyncio.Event(), asyncio.Event()
    begun = []

    async def do() -> None:
        begun.append(1)
        if len(begun) == 2:
            desk.due.clear()
            again.set()
        await go_on.wait()

    desk.due["a"] = do
    async with working(desk, longest_pause_s=100) as work, asyncio.timeout(WAIT_S):
        work.wake()
        await desk.until_looks(2)
        go_on.set()
        await again.wait()


async def test_what_fails_is_logged_and_stays_due(logs: list[Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.due.PAUSE_AFTER_ERROR_S", 0.01)
    desk, again = Desk(), asyncio.Event()
    tried = []

    async def do() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise RuntimeError("no")
        desk.due.clear()
        again.set()

    desk.due["a"] = do
    async with working(desk, longest_pause_s=0.02), asyncio.timeout(WAIT_S):
        await again.wait()
    assert [(record["event"], record["subject"]) for record in logs] == [
        ("due work failed; it stays due", "a")
    ]


async def test_a_database_that_fails_is_looked_at_again(logs: list[Any]):
    desk = Desk()
    desk.fails = DatabaseError("gone")
    async with working(desk, longest_pause_s=0.01):
        await desk.until_looks(3)
    assert logs[0]["event"] == "cannot look for due work"


async def test_a_look_that_breaks_does_not_cut_off_what_is_worked_on(logs: list[Any]):
    desk, go_on, done = Desk(), asyncio.Event(), asyncio.Event()

    async def do() -> None:
        await go_on.wait()
        done.set()

    desk.due["a"] = do
    async with working(desk, longest_pause_s=0.01), asyncio.timeout(WAIT_S):
        desk.fails = KeyError("a mistake")
        await desk.until_looks(3)
        go_on.set()
        await done.wait()
    assert logs[0]["event"] == "cannot look for due work"


async def test_it_looks_again_when_the_next_thing_is_due():
    desk = Desk()
    desk.next_at = 20
    async with working(desk, now=0, longest_pause_s=100):
        await desk.until_looks(2)


async def test_it_never_spins_on_what_stays_due():
    desk = Desk()
    desk.next_at = 0
    async with working(desk, now=10_000):
        await asyncio.sleep(0.12)
        assert desk.looks <= 4


async def test_no_more_than_so_many_at_once():
    desk, running, most = Desk(), [], []
    go_on = asyncio.Event()

    async def do() -> None:
        running.append(1)
        most.append(len(running))
        await go_on.wait()
        running.pop()

    desk.due = {str(number): do for number in range(10)}
    async with working(desk, at_once=3) as work:
        work.wake()
        await desk.until_looks(2)
        assert len(running) == 3
        desk.due.clear()
        go_on.set()
    assert max(most) == 3


async def test_what_is_told_is_done_without_a_look():
    desk, done = Desk(), asyncio.Event()

    async def do() -> None:
        done.set()

    async with working(desk, longest_pause_s=100) as work, asyncio.timeout(WAIT_S):
        work.start("a", do)
        await done.wait()
        assert desk.looks == 1


async def test_what_is_told_of_a_busy_subject_is_looked_for_when_that_has_ended():
    desk, go_on = Desk(), asyncio.Event()
    begun = []

    async def do() -> None:
        begun.append(1)
        await go_on.wait()

    async with working(desk, longest_pause_s=100) as work, asyncio.timeout(WAIT_S):
        work.start("a", do)
        work.start("a", do)
        go_on.set()
        await desk.until_looks(2)
        assert begun == [1]


async def test_what_is_expected_is_looked_for_at_its_time():
    desk = Desk()
    async with working(desk, longest_pause_s=100) as work, asyncio.timeout(WAIT_S):
        await asyncio.sleep(0)
        work.expect(100)
        await desk.until_looks(2)


async def test_what_is_expected_later_than_the_next_look_changes_nothing():
    desk = Desk()
    desk.next_at = 100
    async with working(desk, longest_pause_s=100) as work, asyncio.timeout(WAIT_S):
        await asyncio.sleep(0)
        work.expect(50_000)
        await desk.until_looks(2)
