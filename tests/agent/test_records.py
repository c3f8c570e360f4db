"""What the journal missed while it could not be written is kept and written, each command's newest word."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent import make
from agent.journal import Journal
from agent.journal_file import JournalError
from agent.link import Link
from agent.machine import Outcome
from agent.make import Record
from agent.records import Records
from agent.wire import Code, MakeState
from tests.fakes.clock import in_virtual_time, until
from tests.fakes.server import FakeServer

S = MakeState


@in_virtual_time
async def test_a_proof_that_comes_while_the_doubt_is_being_written_is_not_lost(tmp_path: Path):
    journal = Journal(tmp_path / "agent.db")
    started = make.started(Record("c1"), "0")
    journal.receive(Record("c1"))
    journal.start(started)
    doubt = make.judged(started, Outcome(S.UNKNOWN), Code.SERIAL_NO_ANSWER)
    proof = make.judged(doubt, Outcome(S.DONE), Code.SERIAL_NO_ANSWER)
    full = True

    async def carry(work: Callable[..., Any], /, *arguments: Any) -> Any:
        nonlocal full
        if full and work == journal.end:
            raise JournalError("database or disk is full")
        result = work(*arguments)
        if arguments == (doubt,):  # the disk is full again while the doubt is written
            full = True
            await records.end(proof)
            full = False
        return result

    link = Link(FakeServer().connect, journal, carry=carry, chance=random.Random(1))
    records = Records(journal, link, carry, lambda: None)
    await records.end(doubt)
    full = False
    mending = asyncio.create_task(records.mend())
    await until(lambda: not records.broken)
    mending.cancel()
    known = await records.find("c1")
    assert known is not None
    assert known.state is S.DONE
    assert journal.find("c1") == known
    journal.close()
