"""An event loop whose time jumps to the next timer when nothing is ready: an hour passes in a blink.

    def test_something_that_takes_minutes():
        run(story())                    # a coroutine

    @in_virtual_time
    async def test_the_same(tmp_path):  # fixtures work as always

`loop.time()` starts at 0. Real descriptors are served, but time does not wait for them; no work may be handed
to a thread, since a virtual hour ends sooner. A loop in which nothing can ever happen raises `Stuck`.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Stuck(Exception):
    """Nothing is ready, no timer is set: the loop would wait for ever."""


class JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time it was to wait is added to `now` instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Stuck("every task waits for something that no one will do")
        self.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on a `JumpingSelector`."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._jumping.now


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run `story` to its end in virtual time and return its result."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(story)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a coroutine function a test that runs in virtual time."""

    @functools.wraps(test)
    def run_it(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return run_it


async def inline(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Stand in for `asyncio.to_thread`, with the same chance for others to run meanwhile, and no thread."""
    await asyncio.sleep(0)
    result = work(*args, **kwargs)
    await asyncio.sleep(0)
    return result


async def until(happened: Callable[[], Any], limit_s: float = 300.0, every_s: float = 0.05) -> None:
    """Wait until `happened()` is true; raises TimeoutError after `limit_s`."""
    async with asyncio.timeout(limit_s):
        while not happened():  # noqa: ASYNC110 - a condition over several objects has no event
            await asyncio.sleep(every_s)
