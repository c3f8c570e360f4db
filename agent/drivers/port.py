"""A serial port for asyncio: a path or URL in, bytes both ways. The only user of pyserial; knows no protocol.

A thread of its own reads, so that a byte is never lost to a cancelled read and the loop never blocks. When
the device vanishes, the port is closed first and then `SerialLost` is raised; a lost port stays lost, and
whether a new one may be opened is the driver's decision.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

import serial
import structlog

from agent.machine import MachineError
from agent.wire import Code

log = structlog.get_logger()

T = TypeVar("T")

_READ_S = 0.2
"""Longest block of a read that cannot be cut short: how late it notices that the port is to be closed."""
_WRITE_S = 2.0
"""A line without flow control takes any group at once; longer means that the adapter is dead."""
_AT_ONCE = 4096
"""Bytes handed over at once at most."""
_MAX_WAITING = 64 * 1024
"""Bytes kept for a reader that does not come; older ones are dropped, as a UART does."""


class SerialLost(Exception):
    """The device behind the port has gone. `anything_sent`: whether a byte of the write may have left."""

    def __init__(self, url: str, reason: str, *, anything_sent: bool = True) -> None:
        super().__init__(f"the serial port {url} was lost ({reason}); check its cable and power")
        self.anything_sent = anything_sent


class Port:
    """An open serial port, 8N1, held exclusively. Made by `open_port`."""

    def __init__(self, url: str, device: serial.Serial, gather_s: float = 0.0) -> None:
        self._url = url
        self._device = device
        self._gather_s = gather_s
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._news = asyncio.Event()
        self._lost: str | None = None
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read_on, name=f"serial {url}", daemon=True)
        self._reader.start()

    async def read(self, timeout_s: float) -> bytes:
        """Return the bytes that have come, waiting up to `timeout_s` for the first; b"" when none came.

        Raises SerialLost once the device has gone and everything it had sent was read.
        """
        if not self._waiting and self._lost is None:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
        data = bytes(self._waiting)
        self._waiting.clear()
        if not data and self._lost is not None:
            raise SerialLost(self._url, self._lost)
        return data

    async def write(self, data: bytes) -> None:
        """Hand `data` to the device. Raises SerialLost; a part may have been sent."""
        if self._lost is not None:
            raise SerialLost(self._url, self._lost, anything_sent=False)
        try:
            await asyncio.to_thread(self._device.write, data)
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial raises TypeError when the descriptor is closed while it waits to send the rest.
            some_sent = isinstance(error, serial.SerialTimeoutException | TypeError)
            await self.close()
            raise SerialLost(self._url, str(error), anything_sent=some_sent) from error

    def flush_input(self) -> bytes:
        """Forget what has come so far, and return it for the log."""
        dropped = bytes(self._waiting)
        self._waiting.clear()
        return dropped

    async def close(self) -> None:
        """Close the port, off the loop: pyserial may be slow. May be called twice."""
        self._closing.set()
        await asyncio.to_thread(self._close_now)
        self._lost = self._lost or "closed"
        self._news.set()

    def _close_now(self) -> None:
        with contextlib.suppress(AttributeError, OSError, serial.SerialException):
            self._device.cancel_read()
        self._reader.join()
        with contextlib.suppress(OSError, serial.SerialException):
            self._device.close()

    def _read_on(self) -> None:
        reason = "closed"
        try:
            while not self._closing.is_set():
                if first := self._device.read(1):
                    self._hand_over(first)
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial raises TypeError when the descriptor is closed under it.
            reason = str(error)
        with contextlib.suppress(OSError, serial.SerialException):
            self._device.close()
        self._tell(self._gone, reason)

    def _hand_over(self, first: bytes) -> None:
        """Hand over the first byte with all that follow: reading those may fail, and it must not be lost."""
        self._closing.wait(self._gather_s)
        heard = first
        try:
            while len(heard) < _AT_ONCE and (waiting := self._device.in_waiting):  # of a socket it says 1
                heard += self._device.read(waiting)
        finally:
            self._tell(self._came, heard)

    def _tell(self, happened: Callable[[T], None], what: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to be told
            self._loop.call_soon_threadsafe(happened, what)

    def _came(self, data: bytes) -> None:
        self._waiting += data
        del self._waiting[:-_MAX_WAITING]
        self._news.set()

    def _gone(self, reason: str) -> None:
        if not self._closing.is_set():
            log.warning("serial port lost", port=self._url, reason=reason)
        self._lost = self._lost or reason
        self._news.set()


async def open_port(url: str, baud: int, gather_s: float = 0.0) -> Port:
    """Open a device path or pyserial URL (`socket://host:port`) at `baud`, 8N1, no flow control.

    Bytes that follow each other within `gather_s` are handed over together, so that a slow machine wakes the
    board seldom. Raises MachineError(SERIAL_OPEN_FAILED) that says what to do.
    """
    try:
        device = await asyncio.to_thread(
            serial.serial_for_url,
            url,
            baudrate=baud,
            bytesize=serial.EIGHTBITS,
            parity=serial.PARITY_NONE,
            stopbits=serial.STOPBITS_ONE,
            timeout=_READ_S,
            write_timeout=_WRITE_S,
            exclusive=True,
        )
    except (serial.SerialException, OSError, ValueError) as error:
        raise MachineError(Code.SERIAL_OPEN_FAILED, _open_failed(url, error)) from error
    log.info("serial port opened", port=url, baud=baud)
    if hasattr(device, "cancel_read"):
        device.timeout = None  # it can be cut short: nothing need wake the board in between
    return Port(url, device, gather_s)


def _open_failed(url: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    advice = {
        2: "there is no such port: is the adapter plugged in, and is machine.port right?",
        13: "no permission: add the agent's user to the group of the port (often dialout)",
        11: "another program holds the port: stop it",
        16: "another program holds the port: stop it",
    }.get(number or 0, "check the port, its cable and machine.port")
    return f"the serial port {url} cannot be opened ({error}); {advice}"
