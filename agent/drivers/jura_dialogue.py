"""Questions and answers with a Jura over a port: timing, repeats, late replies. Judges no drink.

A reply carries nothing that says which question it answers. So input is dropped before each question, only a
reply of the right form is taken, and after a question that stayed unanswered `TY:` is asked until it is
answered: replies come in order, so what was late has then passed. Handshakes (`@T2:`) are never answered,
which keeps newer machines on this protocol.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from agent.drivers.jura_frames import (
    GROUP,
    Decoder,
    Line,
    Noise,
    encode_command,
    is_accepted,
    parse_type,
)
from agent.drivers.jura_verdict import Key
from agent.drivers.port import Port, SerialLost, open_port
from agent.machine import MachineError
from agent.wire import Code

log = structlog.get_logger()

T = TypeVar("T")

BAUD = 9600
"""8N1, no flow control, 5 V TTL (hn, ryanalden, oliverk71)."""
_TRACE = 24
"""Answers kept for `said`."""


@dataclass(frozen=True)
class Timing:
    """Every wait of the driver, in seconds."""

    reply_s: float = 5.0
    """Longest wait for a reply (hn, ryanalden)."""
    attempts: int = 2
    """How often a read-only question is asked before the machine counts as silent."""
    poll_s: float = 1.0
    """Between two readings while a drink is made."""
    settle_s: float = 5.0
    """How long a machine must stay idle with a fault, or after a refused key, to prove that nothing comes."""
    reconcile_s: float = 30.0
    """The same after a restart: longer, for nobody documents how late a counter is written."""
    brew_limit_s: float | None = None
    """When a drink without proof is given up; None: the profile's."""
    group_pause_s: float = 0.008
    """After each group of four bytes sent (oliverk71: 1 ms between bytes and 7 ms; tiaanv: 8 ms)."""
    gap_s: float = 0.1
    """Silence that ends a group: well above the machine's 8 ms (Jutta) and a USB adapter's 16 ms."""
    gather_s: float = 0.04
    """What comes within this time is read at once: five of the machine's groups, and well below `gap_s`."""
    quiet_s: float = 0.3
    """Silence after which nothing late is expected for now."""


class Dialogue:
    """One machine's service port, opened when needed and again after it was lost. One question at a time.

    `machine_type` is its last answer to `TY:`; `accepted` whether `ok:` came since the last key, also late.
    """

    def __init__(self, url: str, timing: Timing) -> None:
        self._url = url
        self._timing = timing
        self._port: Port | None = None
        self._in_step = False
        self._heard = b""
        self._trace: list[str] = []
        self.machine_type = ""
        self.accepted = False

    def begin_trace(self) -> None:
        """Forget what was said before."""
        self._trace.clear()

    def trace(self) -> str:
        """Return what was asked and answered since `begin_trace`; answers that repeat are left out."""
        return "; ".join(self._trace)

    async def ask(self, command: str, parse: Callable[[str], T | None]) -> T:
        """Return the parsed reply to a question that moves nothing; it may be asked several times.

        Raises MachineError: SERIAL_OPEN_FAILED, SERIAL_NO_ANSWER, or SERIAL_BAD_ANSWER when something came
        that is no reply to it.
        """

        async def once() -> T | None:
            return await self._exchange(command, parse) if await self._get_in_step() else None

        return await self._insist(command, once)

    async def identify(self) -> str:
        """Return the machine's type. Asks only after opening, or after a question stayed unanswered."""

        async def once() -> str | None:
            return self.machine_type if await self._get_in_step() else None

        return await self._insist("TY:", once)

    async def press(self, key: str) -> Key:
        """Press the key with code `key` (two hexadecimal digits), once and never again.

        Raises MachineError only when not a byte of it was sent.
        """
        await self.identify()
        self.accepted = False
        try:
            answer = await self._exchange(f"FA:{key}", _accepted)
        except SerialLost as lost:
            await self.close()
            if not lost.anything_sent:
                raise MachineError(Code.SERIAL_NO_ANSWER, str(lost)) from lost
            return Key.UNCLEAR
        if answer:
            return Key.ACCEPTED
        return Key.UNCLEAR if self._heard else Key.SILENT

    async def close(self) -> None:
        """Close the port. May be called twice."""
        port, self._port = self._port, None
        self._in_step = False
        if port:
            await port.close()

    async def _insist(self, command: str, once: Callable[[], Awaitable[T | None]]) -> T:
        """Ask until answered, opening the port again when it was lost: what is asked here moves nothing."""
        lost: SerialLost | None = None
        for _ in range(self._timing.attempts):
            try:
                if (answer := await once()) is not None:
                    return answer
                await self._drain()
            except SerialLost as error:
                lost = error
                await self.close()
        if lost:
            raise MachineError(Code.SERIAL_NO_ANSWER, str(lost)) from lost
        code = Code.SERIAL_BAD_ANSWER if self._heard else Code.SERIAL_NO_ANSWER
        raise MachineError(code, self._complaint(command))

    async def _get_in_step(self) -> bool:
        if not self._in_step:
            self.machine_type = await self._exchange("TY:", parse_type) or self.machine_type
        return self._in_step

    async def _exchange(self, command: str, parse: Callable[[str], T | None]) -> T | None:
        """Send `command` and return its parsed reply, or None after `reply_s` without one."""
        port = await self._opened()
        for item in Decoder().feed(port.flush_input()):
            self._hear(item)
        self._heard = b""
        self._in_step = False  # until it is answered, also when this task is cancelled
        await self._send(port, command)
        try:
            async with asyncio.timeout(self._timing.reply_s):
                answer = await self._listen(port, command, parse)
            self._in_step = True
            return answer
        except TimeoutError:
            self._note(command, "no answer" if not self._heard else f"noise {self._heard[:16].hex()}")
            return None

    async def _listen(self, port: Port, command: str, parse: Callable[[str], T | None]) -> T:
        decoder = Decoder()
        while True:
            data = await port.read(self._timing.gap_s)
            for item in decoder.feed(data) if data else decoder.gap():
                self._hear(item)
                if isinstance(item, Line) and (answer := parse(item.text)) is not None:
                    self._note(command, item.text)
                    return answer

    def _hear(self, item: Line | Noise) -> None:
        if isinstance(item, Line):
            self._heard += item.text.encode()
            self.accepted = self.accepted or is_accepted(item.text)
            log.debug("machine said", port=self._url, text=item.text)
        else:
            self._heard += item.data
            log.debug("noise on the serial line", port=self._url, bytes=item.data.hex())

    async def _send(self, port: Port, command: str) -> None:
        data = encode_command(command)
        log.debug("machine asked", port=self._url, command=command)
        for at in range(0, len(data), GROUP):
            try:
                await port.write(data[at : at + GROUP])
            except SerialLost as lost:
                lost.anything_sent = lost.anything_sent or at > 0
                raise
            await asyncio.sleep(self._timing.group_pause_s)

    async def _drain(self) -> None:
        """Read until the machine is quiet, but no longer than a reply may take."""
        port = await self._opened()
        decoder = Decoder()
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timing.reply_s
        while loop.time() < until and (data := await port.read(self._timing.quiet_s)):
            for item in decoder.feed(data):
                self._hear(item)

    async def _opened(self) -> Port:
        if self._port is None:
            self._port = await open_port(self._url, BAUD, self._timing.gather_s)
            self._in_step = False
        return self._port

    def _note(self, command: str, answer: str) -> None:
        entry = f"{command} -> {answer}"
        if entry not in self._trace[-6:]:
            self._trace.append(entry)
            del self._trace[1:-_TRACE]

    def _complaint(self, command: str) -> str:
        if self._heard:
            return f"{command} was answered by {self._heard[:32]!r} on {self._url}: check wiring and ground"
        return f"{command} was not answered on {self._url}: is the machine on, are TX and RX swapped?"


def _accepted(line: str) -> bool | None:
    return True if is_accepted(line) else None
