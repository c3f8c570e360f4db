"""A life of a process that may be killed at any step: at each boundary (disk, socket, serial byte, bank)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Killed(BaseException):
    """The process is dead: what it still tries to do has no effect."""


class Life:
    """From start to death. `fuse` is the number of the step at which it dies by itself; None: never.

    `buried` is called once, at the moment of death. Tasks begun here die with it; what they raise otherwise
    is told to `complain`.
    """

    def __init__(
        self,
        fuse: int | None,
        buried: Callable[["Life"], None],
        complain: Callable[[BaseException], None],
    ) -> None:
        self.alive = True
        self.steps = 0
        self._fuse = fuse
        self._buried = buried
        self._complain = complain
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def step(self) -> None:
        """Pass a boundary. Raises Killed when the process is dead, or dies here."""
        if not self.alive:
            raise Killed
        self.steps += 1
        if self.steps == self._fuse:
            self.end()
            raise Killed

    def end(self) -> None:
        """Die now: no task of this life has any effect from here on."""
        if not self.alive:
            return
        self.alive = False
        for task in list(self._tasks):
            task.cancel()
        self._buried(self)

    def spare(self) -> None:
        """The faults are over: it does not die by itself any more."""
        self._fuse = None

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task of this life."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and self.alive:
            self._complain(error)
