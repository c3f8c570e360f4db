"""The serial port over a real pseudo-terminal and a socket: what it carries, and how it is lost."""

import asyncio
import os
import pty
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers.port import Port, SerialLost, open_port
from agent.machine import MachineError
from agent.wire import Code
from tests.agent.drivers.conftest import until

BAUD = 9600


class Cable:
    """Both ends of a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._whole = True

    def cut(self) -> None:
        """Take the device away."""
        if self._whole:
            os.close(self.master)
            os.close(self._slave)
        self._whole = False


async def hear(port: Port, count: int) -> bytes:
    """Read until `count` bytes have come."""
    heard = b""
    while len(heard) < count and (data := await port.read(5.0)):
        heard += data
    return heard


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.cut()


async def test_bytes_go_both_ways(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    await port.write(b"\xdb\xff")
    assert os.read(cable.master, 10) == b"\xdb\xff"
    os.write(cable.master, bytes(range(256)))
    assert await hear(port, 256) == bytes(range(256))
    await port.close()


async def test_silence_is_an_empty_read(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    assert await port.read(0.01) == b""
    await port.close()


async def test_what_comes_soon_after_the_first_byte_is_read_with_it(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD, gather_s=0.5)
    for byte in (b"\xdb", b"\xff", b"\xdf"):
        os.write(cable.master, byte)
    assert await port.read(5.0) == b"\xdb\xff\xdf"
    await port.close()


async def test_flushed_input_is_forgotten(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    os.write(cable.master, b"old!")
    dropped = bytearray()
    await until(lambda: dropped.extend(port.flush_input()) or len(dropped) == 4)
    assert await port.read(0.01) == b""
    await port.close()


@pytest.mark.parametrize("path", ["/dev/no-such-port", "/dev/null", "socket://127.0.0.1:1", "nonsense://x"])
async def test_a_port_that_cannot_be_opened_says_which_and_what_to_do(path: str) -> None:
    with pytest.raises(MachineError) as raised:
        await open_port(path, BAUD)
    assert raised.value.code is Code.SERIAL_OPEN_FAILED
    assert path in raised.value.said and "; " in raised.value.said


async def test_a_port_is_held_exclusively(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    with pytest.raises(MachineError, match="another program holds the port"):
        await open_port(cable.path, BAUD)
    await port.close()
    await (await open_port(cable.path, BAUD)).close()


async def test_a_vanished_device_is_told_after_its_last_bytes(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    os.write(cable.master, b"last")
    assert await hear(port, 4) == b"last"
    cable.cut()
    with pytest.raises(SerialLost, match=cable.path):
        await port.read(5.0)
    with pytest.raises(SerialLost) as raised:
        await port.write(b"x")
    assert not raised.value.anything_sent
    await port.close()


async def test_a_write_cut_off_by_the_closing_of_its_descriptor_may_have_sent_something(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await open_port(cable.path, BAUD)

    def closed_meanwhile(self: object, data: bytes) -> int:
        raise TypeError("argument must be an int, or have a fileno() method.")

    monkeypatch.setattr("serial.Serial.write", closed_meanwhile)
    with pytest.raises(SerialLost) as raised:
        await port.write(b"x")
    assert raised.value.anything_sent


async def test_a_half_dead_device_ends_the_reader_instead_of_spinning(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    cable.cut()
    with pytest.raises(SerialLost):
        await port.read(5.0)
    await port.close()
    assert not any(cable.path in thread.name for thread in threading.enumerate())


async def test_waiting_for_bytes_costs_no_processor_time(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    before = time.process_time()
    await port.read(0.3)
    assert time.process_time() - before < 0.1
    await port.close()


async def test_closing_twice_is_fine_and_ends_a_waiting_read(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    reading = asyncio.create_task(port.read(5.0))
    await asyncio.sleep(0)
    await port.close()
    await port.close()
    with pytest.raises(SerialLost):
        await reading


async def test_a_cancelled_read_loses_no_bytes(cable: Cable) -> None:
    port = await open_port(cable.path, BAUD)
    reading = asyncio.create_task(port.read(5.0))
    await asyncio.sleep(0)
    reading.cancel()
    os.write(cable.master, b"kept")
    assert await hear(port, 4) == b"kept"
    await port.close()


async def test_a_socket_is_a_port_too() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(3))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        number = server.sockets[0].getsockname()[1]
        port = await open_port(f"socket://127.0.0.1:{number}", BAUD)
        await port.write(b"abc")
        assert await hear(port, 3) == b"abc"
        with pytest.raises(SerialLost):
            await port.read(5.0)
        await port.close()


def test_only_the_port_knows_pyserial() -> None:
    agent = Path(__file__).parents[3] / "agent"
    users = [path.name for path in agent.rglob("*.py") if "import serial" in path.read_text()]
    assert users == ["port.py"]
