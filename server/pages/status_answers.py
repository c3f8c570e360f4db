"""The status of orders as it is polled: each answer is made once, and again when its order has changed.

A commit of this process, or one that another has told of, throws away what it touches. What nobody tells of,
such as texts that `load` has changed in a process of its own, is seen when an answer's age is over.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from server.db import EVERY_ORDER, Database, Touched
from server.known_archives import Archives
from server.pages.order_view import status_json
from server.texts import LANGUAGES

OLDEST_S = 3.0
"""How long an answer is given again without a look at the database."""

KEPT_AT_MOST = 4096


@dataclass(frozen=True)
class _Answer:
    body: bytes
    until: float


class StatusAnswers:
    """Answers polls. `clock` gives seconds that never jump."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._archives = Archives(db)
        self._clock = clock
        self._kept: dict[tuple[str, str], _Answer] = {}
        db.on_touched(self._forget)

    async def answer(self, order_id: str, lang: str) -> bytes:
        """Return the order's JSON. Raises NotFound."""
        kept = self._kept.get((order_id, lang))
        if kept is not None and self._clock() < kept.until:
            return kept.body
        return await self._made(order_id, lang)

    async def _made(self, order_id: str, lang: str) -> bytes:
        """Read the order and keep the answer, unless the order was touched while it was read."""
        key, began = (order_id, lang), self._clock()
        reading = self._kept[key] = _Answer(b"", began)
        try:
            facts = await self._archives.facts(order_id)
            body = json.dumps(status_json(facts, lang), ensure_ascii=False).encode()
        except BaseException:
            self._kept.pop(key, None)
            raise
        if self._kept.get(key) is reading:
            self._kept[key] = _Answer(body, began + OLDEST_S)
            if len(self._kept) > KEPT_AT_MOST:
                del self._kept[next(iter(self._kept))]  # the oldest: it is over soonest
        return body

    def _forget(self, touched: Touched) -> None:
        if EVERY_ORDER in touched:
            self._kept.clear()
            return
        for order_id in touched:
            for lang in LANGUAGES:
                self._kept.pop((order_id, lang), None)
