"""An event loop without descriptors whose time jumps to the next timer: made and run in microseconds."""

import asyncio
from typing import Any


class _NothingToWaitFor:
    """Stands in for the loop's selector: no descriptor, so waiting is only time that passes."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for something that no one will do")
        self.now += timeout
        return []


class Clockwork(asyncio.BaseEventLoop):
    """`time()` starts at 0. No work may be handed to threads."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NothingToWaitFor()

    def time(self) -> float:
        return self._selector.now

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
