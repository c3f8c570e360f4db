"""Questions and answers over a socket whose other end is written by hand, line by line."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from agent.drivers.jura_dialogue import Dialogue
from agent.drivers.jura_frames import Decoder, Line, encode, parse_counters, parse_inputs
from agent.drivers.jura_verdict import Key
from agent.machine import MachineError
from agent.wire import Code
from tests.agent.drivers.conftest import HURRY, until

Script = Callable[[str], bytes]
"""What the far end answers to a command."""


class FarEnd:
    """A machine whose every byte the test decides."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        while data := await reader.read(100):
            for item in decoder.feed(data):
                if isinstance(item, Line):
                    self.heard.append(item.text)
                    writer.write(self.script(item.text))
        writer.close()


SOON_S = 0.5
"""How long to wait for an answer that never comes. One that does come may take its time on a busy machine."""


@contextlib.asynccontextmanager
async def dialogue(script: Script, reply_s: float = 10.0) -> AsyncIterator[tuple[Dialogue, FarEnd]]:
    far = FarEnd(script)
    server = await asyncio.start_server(far.talk, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    near = Dialogue(f"socket://127.0.0.1:{number}", replace(HURRY, reply_s=reply_s))
    async with server:
        try:
            yield near, far
        finally:
            await near.close()


def answers(**replies: bytes) -> Script:
    """Answer by the first two letters of a command; the type is always known."""
    known = {"TY": encode("ty:EF533M V01.18"), **replies}
    return lambda command: known.get(command[:2], b"")


async def test_a_handshake_is_never_answered() -> None:
    offer = encode("@T2:010001B228") + encode("@T3:3BDEEF532M V02.03")
    async with dialogue(answers(IC=offer + encode("ic:1400"))) as (near, far):
        assert await near.ask("IC:", parse_inputs) == b"\x14\x00"
        assert far.heard == ["TY:", "IC:"]


async def test_noise_without_an_answer_is_a_bad_answer_and_silence_is_none() -> None:
    async with dialogue(answers(IC=b"\x00\xa4\x81"), SOON_S) as (near, _):
        with pytest.raises(MachineError, match="wiring") as noise:
            await near.ask("IC:", parse_inputs)
        with pytest.raises(MachineError, match="TX and RX") as silence:
            await near.ask("RT:0000", parse_counters)
    assert noise.value.code is Code.SERIAL_BAD_ANSWER
    assert silence.value.code is Code.SERIAL_NO_ANSWER


async def test_a_reply_of_the_wrong_length_is_not_taken() -> None:
    async with dialogue(answers(RT=encode("rt:0011")), SOON_S) as (near, _):
        with pytest.raises(MachineError) as raised:
            await near.ask("RT:0000", parse_counters)
    assert raised.value.code is Code.SERIAL_BAD_ANSWER


@pytest.mark.parametrize(
    ("reply", "key"), [(encode("ok:"), Key.ACCEPTED), (b"", Key.SILENT), (b"\x00\xa4", Key.UNCLEAR)]
)
async def test_a_key_is_sent_once_whatever_comes_back(reply: bytes, key: Key) -> None:
    async with dialogue(answers(FA=reply), SOON_S) as (near, far):
        assert await near.press("04") is key
        assert far.heard == ["TY:", "FA:04"]


async def test_after_a_cancelled_question_the_type_is_asked_first() -> None:
    async with dialogue(answers()) as (near, far):
        asking = asyncio.create_task(near.ask("IC:", parse_inputs))
        await until(lambda: "IC:" in far.heard)
        asking.cancel()
        far.script = answers(RT=encode("rt:" + "0" * 64))
        assert await near.ask("RT:0000", parse_counters) == (0,) * 16
        assert far.heard == ["TY:", "IC:", "TY:", "RT:0000"]


async def test_the_trace_leaves_out_what_repeats() -> None:
    async with dialogue(answers(IC=encode("ic:1400"))) as (near, _):
        for _ in range(5):
            await near.ask("IC:", parse_inputs)
        assert near.trace() == "TY: -> ty:EF533M V01.18; IC: -> ic:1400"
        near.begin_trace()
        assert near.trace() == ""
