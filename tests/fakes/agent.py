"""An agent that does what a test tells it, over a real WebSocket and the real messages."""

import asyncio
import itertools
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
from aiohttp import WSMsgType

from agent import wire
from agent.wire import Actuated, Code, MachineReport, MachineState, Make, MakeState, Query, Report

M = TypeVar("M", bound=wire.Message)

WAIT_S = 30.0
READY = MachineReport(MachineState.READY, "FAKE 1")


def hello(**told: Any) -> wire.Hello:
    """Return the first frame of an agent whose journal is new."""
    about = {"protocol": wire.PROTOCOL, "agent_version": "test", "boot_id": "boot-1"}
    return wire.Hello(**{**about, "journal_id": "journal-1", "journal_high": 0, "machine": READY, **told})


class ScriptedAgent:
    """One session of an agent. `heard` is every message; `hear` takes the next one of a kind."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session, self._url, self._token = session, url, token
        self._sequence = itertools.count(1)
        self._waiting: list[wire.Message] = []
        self._changed = asyncio.Condition()
        self.heard: list[wire.Message] = []
        self.closed = asyncio.Event()

    async def __aenter__(self) -> "ScriptedAgent":
        headers = {"Authorization": f"Bearer {self._token}"}
        self.socket = await self._session.ws_connect(self._url, headers=headers, timeout=_CLOSE_AT_ONCE)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Close the socket as a stopping agent does."""
        await self.socket.close()
        await self._reading

    async def meet(self, **told: Any) -> wire.Welcome:
        """Say hello and return the server's welcome."""
        greeting = hello(**told)
        self._sequence = itertools.count(greeting.journal_high + 1)
        await self.say(greeting)
        return await self.hear(wire.Welcome)

    async def say(self, message: wire.Message) -> None:
        """Send one message."""
        await self.socket.send_str(wire.encode(message))

    async def hear(self, kind: type[M]) -> M:
        """Return the next message of a kind that was not taken yet."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: any(isinstance(one, kind) for one in self._waiting))
            message = next(one for one in self._waiting if isinstance(one, kind))
            self._waiting.remove(message)
            return message

    def all_heard(self, kind: type[M]) -> list[M]:
        """Return every message of a kind so far."""
        return [message for message in self.heard if isinstance(message, kind)]

    async def report(
        self, command: str | Make | Query, state: MakeState, seq: int | None = None, **told: Any
    ) -> None:
        """Report what became of a command, and wait until the server has stored it."""
        command_id = command if isinstance(command, str) else command.command_id
        seq = next(self._sequence) if seq is None else seq
        await self.say(Report(command_id, state, seq=seq, **told))
        while (await self.hear(wire.Stored)).seq != seq:
            pass

    async def answer(self, query: Query, state: MakeState, **told: Any) -> None:
        """Answer a query, and wait until the server has stored it. Only what has a number is confirmed, so a
        report of nothing, numbered below all others, is said after it."""
        await self.say(Report(query.command_id, state, **told))
        await self.report("make-of-nobody", MakeState.UNKNOWN, seq=0)

    async def reached(self) -> None:
        """Wait until the server has read everything said so far."""
        await self.say(wire.Ping())
        await self.hear(wire.Pong)

    async def make(self, command: Make) -> None:
        """Make the drink of a command, as a machine that works does."""
        await self.report(command, MakeState.RECEIVED)
        await self.report(command, MakeState.STARTED)
        await self.report(command, MakeState.DONE, actuated=Actuated.YES, evidence="counter_delta")

    async def fail(self, command: Make, code: Code = Code.NO_WATER, said: str = "FA:01 fill tank") -> None:
        """Fail to make the drink of a command, with proof that nothing moved."""
        await self.report(command, MakeState.RECEIVED)
        await self.report(command, MakeState.STARTED)
        await self.report(command, MakeState.FAILED, code=code, said=said, evidence="status")

    async def _read(self) -> None:
        async for frame in self.socket:
            if frame.type is WSMsgType.TEXT:
                async with self._changed:
                    message = wire.decode_from_server(frame.data)
                    self.heard.append(message)
                    self._waiting.append(message)
                    self._changed.notify_all()
        self.closed.set()


_CLOSE_AT_ONCE = aiohttp.ClientWSTimeout(ws_close=1.0)
