"""Polls of an order's status: made once, never older than what was committed here."""

import json

import pytest

from server import keys
from server.db import Database
from server.errors import NotFound
from server.order import Event
from server.order_facts import facts_of
from server.pages.status_answers import OLDEST_S, StatusAnswers
from server.progress import happen
from server.store import devices
from tests.fakes.shop import Shop


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Counting:
    """A database that counts what it is asked."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.reads = 0
        self.meanwhile = None

    async def glance(self, transaction, *args):
        self.reads += 1
        found = await self._db.glance(transaction, *args)
        if self.meanwhile is not None:
            await self.meanwhile()
        return found

    def on_touched(self, callback):
        self._db.on_touched(callback)


@pytest.fixture
async def db(shop: Shop) -> Counting:
    await shop.agent()
    await shop.scan()
    return Counting(shop.db)


async def status(answers: StatusAnswers, lang: str = "ru") -> str:
    return str(json.loads(await answers.answer("order-1", lang))["status"])


async def change(shop: Shop, event: Event) -> None:
    facts = await shop.db.read(facts_of, "order-1")
    await shop.db.write(happen, shop.app[keys.RULES], facts.order, event, shop.clock(), "test")


async def test_polls_cost_one_look_at_the_database(db: Counting):
    answers = StatusAnswers(db, Clock())
    assert [await status(answers) for _ in range(100)] == ["created"] * 100
    assert db.reads == 1


async def test_a_change_is_seen_by_the_next_poll(shop: Shop, db: Counting):
    answers = StatusAnswers(db, Clock())
    assert await status(answers) == "created"
    await change(shop, Event.PAYMENT_STARTED)
    assert await status(answers) == "pending"


async def test_a_change_while_it_is_read_is_not_hidden_by_what_was_read(shop: Shop, db: Counting):
    answers = StatusAnswers(db, Clock())

    async def meanwhile() -> None:
        db.meanwhile = None
        await change(shop, Event.PAYMENT_STARTED)

    db.meanwhile = meanwhile
    await status(answers)
    assert await status(answers) == "pending"


async def test_each_language_has_its_own_answer(db: Counting):
    answers = StatusAnswers(db, Clock())
    first, second = await answers.answer("order-1", "ru"), await answers.answer("order-1", "en")
    assert json.loads(first)["status_text"] != json.loads(second)["status_text"]


async def test_texts_that_are_edited_here_are_seen_at_once(shop: Shop, db: Counting):
    answers = StatusAnswers(db, Clock())
    await status(answers)
    await shop.db.write(devices.change, "dev-1", {"client_info": "Новый текст"})
    assert json.loads(await answers.answer("order-1", "ru"))["device"]["client_info"] == "Новый текст"


async def test_what_nobody_tells_of_is_seen_when_the_answer_is_old(db: Counting):
    clock = Clock()
    answers = StatusAnswers(db, clock)
    await status(answers)
    clock.seconds = OLDEST_S
    await status(answers)
    assert db.reads == 2


async def test_answers_take_bounded_memory(db: Counting, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.pages.status_answers.KEPT_AT_MOST", 1)
    answers = StatusAnswers(db, Clock())
    await status(answers, "ru")
    await status(answers, "en")
    await status(answers, "en")
    assert db.reads == 2
    await status(answers, "ru")
    assert db.reads == 3


async def test_an_order_that_does_not_exist_is_not_kept(db: Counting):
    answers = StatusAnswers(db, Clock())
    for _ in range(2):
        with pytest.raises(NotFound):
            await answers.answer("order-2", "ru")
    assert db.reads == 4  # each time for the order, and for the archives that may have it
