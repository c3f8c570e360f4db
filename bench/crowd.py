"""`python -m bench.crowd`: thousands of agents that are connected and do nothing, as cheap as Python can be.

Each greets, pings as agents do, comes back as they do, and answers a command at once: no journal, no machine.
"""

import asyncio
import random
import time

import msgspec

from agent import wire
from agent.link import longest_wait_s
from agent.wire import Actuated, MachineReport, MachineState, MakeState
from bench.children import Said, obey

LOOK_EVERY_S = 0.05
LIMIT_S = 120.0
AT_ONCE = 500
"""Connections begun at a time when the crowd first comes: a storm is only what follows a restart."""


class Member(asyncio.Protocol):
    """One connection after another of one agent; `token` is None where nobody is greeted."""

    def __init__(self, crowd: "Crowd", name: str, token: str | None) -> None:
        self._crowd = crowd
        self._name = name
        self._token = token
        self._seq = 0
        self._failures = 0
        self._transport: asyncio.Transport | None = None
        self._got = b""
        self._upgraded = False
        self.welcomed_at = 0.0

    async def come(self) -> None:
        """Connect, again and again until it succeeds."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self._crowd.port)
            except OSError:
                await asyncio.sleep(self._pause_s())
            else:
                return

    def leave(self) -> None:
        """Go, for good."""
        if self._transport is not None:
            self._transport.abort()

    def _pause_s(self) -> float:
        self._failures += 1
        return random.uniform(0, longest_wait_s(self._failures))

    # --- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """(asyncio.Protocol)"""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._got, self._upgraded = transport, b"", False
        transport.write(
            f"GET {self._crowd.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """(asyncio.Protocol)"""
        self._got += data
        if not self._upgraded:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            self._got = self._got[end + 4 :]
            self._upgraded = True
            self._greet()
        while (frame := self._next_frame()) is not None:
            opcode, payload = frame
            if opcode == 1:
                self._heed(payload)
            elif opcode == 9:
                self._send(payload, opcode=10)
            elif opcode == 8:
                self._send(payload, opcode=8)

    def connection_lost(self, error: Exception | None) -> None:
        """(asyncio.Protocol)"""
        self._transport, self.welcomed_at = None, 0.0
        if not self._crowd.leaving:
            asyncio.get_running_loop().call_later(self._pause_s(), self._come_again)

    # --- WebSocket --------------------------------------------------------------------------------

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Take one whole frame of a server, which masks none, from what has come."""
        if len(self._got) < 4:
            return None
        size, start = self._got[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(self._got[2:4], "big"), 4
        if len(self._got) < start + size:
            return None
        frame = self._got[0] & 0x0F, self._got[start : start + size]
        self._got = self._got[start + size :]
        return frame

    def _send(self, payload: bytes, opcode: int = 1) -> None:
        """Send a frame, masked by zeros: that leaves it as it is."""
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
        if self._transport is not None:
            self._transport.write(bytes([0x80 | opcode]) + length + bytes(4) + payload)

    # --- the agent --------------------------------------------------------------------------------

    def _greet(self) -> None:
        if self._token is None:
            self._welcomed()
            return
        machine = MachineReport(MachineState.READY, model="crowd")
        hello = wire.Hello(wire.PROTOCOL, "0", "boot", self._name, self._seq, machine)
        self._send(msgspec.json.encode(hello))

    def _heed(self, payload: bytes) -> None:
        message = wire.decode_from_server(payload.decode())
        match message:
            case wire.Welcome():
                self._welcomed()
                self._ping()
            case wire.Make(command_id=command_id):
                self._report(command_id, MakeState.RECEIVED)
                self._report(command_id, MakeState.STARTED)
                self._report(command_id, MakeState.DONE)

    def _welcomed(self) -> None:
        self._failures, self.welcomed_at = 0, time.monotonic()

    def _report(self, command_id: str, state: MakeState) -> None:
        self._seq += 1
        done = state is MakeState.DONE
        report = wire.Report(
            command_id,
            state,
            self._seq,
            actuated=Actuated.YES if done else Actuated.NO,
            evidence="counter_delta" if done else "none",
        )
        self._send(msgspec.json.encode(report))

    def _ping(self) -> None:
        """Ping after the heartbeat and then for ever, unless this connection is gone."""
        if self.welcomed_at:
            pause = wire.HEARTBEAT_S * (1 - random.random() / 4)
            asyncio.get_running_loop().call_later(pause, self._say_ping, self.welcomed_at)

    def _say_ping(self, session: float) -> None:
        if session == self.welcomed_at:
            self._send(b'{"kind":"ping"}')
            self._ping()

    def _come_again(self) -> None:
        self._crowd.tasks.add(task := asyncio.ensure_future(self.come()))
        task.add_done_callback(self._crowd.tasks.discard)


class Crowd:
    """All of them."""

    def __init__(self) -> None:
        self.port = 0
        self.path = ""
        self.leaving = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._members: list[Member] = []

    async def do(self, order: Said) -> Said:
        """`come`, be asked whether all are `back`, and `leave`."""
        if order["do"] == "leave":
            self.leaving = True
            for member in self._members:
                member.leave()
            self._members.clear()
            return {}
        if order["do"] == "come":
            self.port, self.path, self.leaving = order["port"], order["path"], False
            self._members = [Member(self, name, token) for name, token in order["tokens"]]
            for first in range(0, len(self._members), AT_ONCE):
                await asyncio.gather(*(member.come() for member in self._members[first : first + AT_ONCE]))
                await self._all_welcomed(self._members[: first + AT_ONCE], 0.0)
        return {"last_at": await self._all_welcomed(self._members, order.get("since", 0.0))}

    async def _all_welcomed(self, members: list[Member], since: float) -> float:
        """Return when the last of them was welcomed, each after `since`."""
        for _ in range(int(LIMIT_S / LOOK_EVERY_S)):
            if all(member.welcomed_at > since for member in members):
                return max(member.welcomed_at for member in members)
            await asyncio.sleep(LOOK_EVERY_S)
        missing = sum(member.welcomed_at <= since for member in members)
        raise TimeoutError(f"{missing} agents were not welcomed in {LIMIT_S:.0f} s")


if __name__ == "__main__":
    asyncio.run(obey(Crowd().do))
