"""Works off what is due in the database: looks when woken or when the next thing is due, a task per subject.

Being woken only makes it look sooner. What a dead process left behind is found by the next one's first look.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable

import structlog

from server.errors import DemitasseError

log = structlog.get_logger()

SHORTEST_PAUSE_S = 0.05
"""What is just being worked on still shows its old time: never spin on it."""

PAUSE_AFTER_ERROR_S = 1.0


async def every(pause_s: float, look: Callable[[], Awaitable[None]]) -> None:
    """Look so often, until cancelled. A look that fails is logged, and the next one comes."""
    while True:
        try:
            await look()
        except DemitasseError as error:
            log.error("cannot look", look=look.__qualname__, why=str(error))
        await asyncio.sleep(pause_s)


Work = tuple[Hashable, Callable[[], Awaitable[None]]]
"""A subject, and what to do about it. A subject is worked on by one task at a time."""


class DueWork:
    """A loop over what is due. `find` says what, `next_at` (UTC ms or None) when to look again."""

    def __init__(
        self,
        name: str,
        find: Callable[[], Awaitable[Iterable[Work]]],
        next_at: Callable[[], Awaitable[int | None]],
        now_ms: Callable[[], int],
        longest_pause_s: float = 5.0,
        at_once: int = 64,
    ) -> None:
        self._name = name
        self._find = find
        self._next_at = next_at
        self._now_ms = now_ms
        self._longest_pause_s = longest_pause_s
        self._limit = asyncio.Semaphore(at_once)
        self._busy: set[Hashable] = set()
        self._passed_over = False
        self._wake = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def start(self, subject: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        """Do this now, without a look at what else is due.

        If its subject is being worked on, there is a look when that has ended: `find` must give it then.
        """
        if self._group is None:
            self._wake.set()
        elif subject in self._busy:
            self._passed_over = True
        else:
            self._busy.add(subject)
            self._group.create_task(self._do(subject, work))

    def expect(self, at_ms: int) -> None:
        """Something will be due at that time: look then, if no look comes before."""
        pause = self._pause(at_ms)
        if self._timer is not None and self._timer.when() > asyncio.get_running_loop().time() + pause:
            self._set_timer(pause)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                while True:
                    self._wake.clear()
                    self._set_timer(await self._look())
                    await self._wake.wait()
        finally:
            self._group = None
            if self._timer is not None:
                self._timer.cancel()

    def _set_timer(self, pause_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._wake.set)

    async def _look(self) -> float:
        """Start what is due; return how long to sleep in seconds."""
        try:
            for subject, work in await self._find():
                self.start(subject, work)
            next_at = await self._next_at()
        except DemitasseError as error:
            log.error("cannot look for due work", name=self._name, why=str(error))
            return self._longest_pause_s
        except Exception as error:  # a mistake of ours must not cut off what is just being worked on
            log.critical("cannot look for due work", name=self._name, exc_info=error)
            return self._longest_pause_s
        return self._longest_pause_s if next_at is None else self._pause(next_at)

    def _pause(self, next_at: int) -> float:
        return min(self._longest_pause_s, max(SHORTEST_PAUSE_S, (next_at - self._now_ms()) / 1000))

    async def _do(self, subject: Hashable, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._limit:
                await work()
        except Exception as error:  # what goes wrong with one must not stop the others; it stays due
            log.error("due work failed; it stays due", name=self._name, subject=str(subject), exc_info=error)
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
        finally:
            self._busy.discard(subject)
            if self._passed_over:
                self._passed_over = False
                self._wake.set()
