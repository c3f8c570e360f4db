"""The board beside the machine, which keeps its word: what it has heard, what it has made, what it says."""

import asyncio
from collections import Counter
from enum import StrEnum
from typing import Any

import msgspec

from agent import wire
from agent.wire import Actuated, Code, MakeState, Report
from tests.fakes.agent import hello


class Outcome(StrEnum):
    """What becomes of a drink, and what the board can say of it."""

    MADE = "made"
    NOT_MADE = "not made"
    NOBODY_KNOWS = "made, perhaps, and nobody can say"


class Channel:
    """One socket of the board. Implements `server.agents.Channel`."""

    def __init__(self, board: "Board") -> None:
        self._board = board
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        if self._board.channel is not self:
            raise ConnectionError
        self._board.hear(wire.decode_from_server(text))

    async def receive(self) -> str | None:
        return await self._frames.get()

    async def close(self) -> None:
        self.say(None)
        if self._board.channel is self:
            self._board.channel = None

    def say(self, message: wire.Message | None) -> None:
        """Hand a frame to the server; None: the board is gone."""
        self._frames.put_nowait(wire.encode(message) if message is not None else None)


class Board:
    """Keeps a journal: each command once, each report until the server has stored it."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.drinks: Counter[str] = Counter()
        """Order → drinks that it really got."""
        self.unclear: dict[str, bool] = {}
        """Command of which it could not tell the outcome → whether the drink came."""
        self._commands: dict[str, wire.Make] = {}
        self._said: dict[str, Report] = {}
        self._outbox: dict[int, Report] = {}
        self._seq = 0

    @property
    def open(self) -> list[wire.Make]:
        """Commands whose outcome was not told yet, the oldest first."""
        return [command for name, command in self._commands.items() if self._said[name].state in _ON_ITS_WAY]

    def connect(self) -> Channel:
        """Return a new socket, with its hello said."""
        self.channel = Channel(self)
        self.channel.say(hello(journal_high=self._seq))
        return self.channel

    def leave(self) -> None:
        """Close the socket."""
        if self.channel is not None:
            self.channel.say(None)
            self.channel = None

    def hear(self, message: wire.Message) -> None:
        """Take in what the server says."""
        match message:
            case wire.Welcome():
                for report in self._outbox.values():
                    self._say(report)
            case wire.Stored():
                self._outbox.pop(message.seq, None)
            case wire.Make() if message.command_id not in self._said:
                self._commands[message.command_id] = message
                self._report(message.command_id, MakeState.RECEIVED)
                self._report(message.command_id, MakeState.STARTED)
            case wire.Make() | wire.Query():
                never = Report(message.command_id, MakeState.NOT_SEEN)
                known = self._said.setdefault(message.command_id, never)
                self._say(msgspec.structs.replace(known, seq=None))

    def finish(self, command: wire.Make, outcome: Outcome, really: bool) -> None:
        """End a drink. `really` is whether it came when nobody can say."""
        if outcome is Outcome.NOBODY_KNOWS:
            self.unclear[command.command_id] = really
        if outcome is Outcome.MADE or (outcome is Outcome.NOBODY_KNOWS and really):
            self.drinks[command.order_id] += 1
        self._report(command.command_id, **_REPORTS[outcome])

    def find_out(self) -> None:
        """Prove late what became of a drink of which nobody could tell."""
        command_id, made = self.unclear.popitem()
        self._report(command_id, **_REPORTS[Outcome.MADE if made else Outcome.NOT_MADE])

    def _report(self, command_id: str, state: MakeState, **told: Any) -> None:
        self._seq += 1
        report = Report(command_id, state, seq=self._seq, **told)
        self._said[command_id] = self._outbox[self._seq] = report
        self._say(report)

    def _say(self, report: Report) -> None:
        if self.channel is not None:
            self.channel.say(report)


_ON_ITS_WAY = (MakeState.RECEIVED, MakeState.STARTED)

_REPORTS: dict[Outcome, dict[str, Any]] = {
    Outcome.MADE: {"state": MakeState.DONE, "actuated": Actuated.YES, "evidence": "counter_delta"},
    Outcome.NOT_MADE: {"state": MakeState.FAILED, "code": Code.NO_WATER, "evidence": "status"},
    Outcome.NOBODY_KNOWS: {"state": MakeState.UNKNOWN, "code": Code.POWER_LOSS},
}
