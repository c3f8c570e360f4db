"""Checks what an agent needs and says for each thing what is wrong and what to do. Makes no drink.

It neither greets the server nor takes a port or journal from an agent that runs.
"""

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp

from agent.drivers import open_machine
from agent.journal import Journal, wall_clock_ms
from agent.journal_file import JournalCorrupt, JournalError, JournalLocked
from agent.machine import Machine, MachineError, Request
from agent.settings import Products, Settings
from agent.wire import Code, MachineState

CLOCK_OFF_S = 60.0
"""A clock wronger than this is mentioned."""

DISK_LOW_BYTES = 50_000_000
"""Less free space than this will not last."""

SERVER_LIMIT_S = 10.0

CLOSE_FRAME = bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big")
"""A client's end of a WebSocket as RFC 6455 has it: masked (with zeros), code 1000, normal closure."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report. `advice` says what to do when it is not `fine`.

    What could not be looked at is not `checked`, and no trouble.
    """

    fine: bool
    what: str
    advice: str = ""
    checked: bool = True

    def __str__(self) -> str:
        mark = "bad" if not self.fine else "ok " if self.checked else "-- "
        line = f"{mark}  {self.what}"
        return f"{line}: {self.advice}" if self.advice else line


async def examine(settings: Settings) -> int:
    """Print a line for each check; return 0 if all is fine, else 1."""
    wrong = 0
    async for finding in findings(settings):
        print(finding, flush=True)
        wrong += not finding.fine
    print(
        f"To put right: {wrong}, the first line marked bad before the others."
        if wrong
        else "All that was checked is fine."
    )
    return 1 if wrong else 0


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is found, in the order in which an installer should put it right."""
    yield Finding(True, f"settings: driver {settings.driver}, server {settings.server}")
    yield disk(settings.journal)
    running, finding = await asyncio.to_thread(journal, settings.journal)
    yield finding
    async for finding in machine(settings, running):
        yield finding
    async for finding in server(settings):
        yield finding


# --- the disk -------------------------------------------------------------------------------------


def disk(path: Path) -> Finding:
    """Check the free space where the journal is."""
    folder = path.absolute().parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(False, f"disk: {folder}: {error.strerror}", "make the folder, or change `journal`")
    what = f"disk: {free // 1_000_000} MB free in {folder}"
    return (
        Finding(True, what) if free >= DISK_LOW_BYTES else Finding(False, what, "delete what is not needed")
    )


def journal(path: Path) -> tuple[bool, Finding]:
    """Check that the journal can be written; return also whether an agent is running on it."""
    existed = path.exists()
    try:
        opened = Journal(path)
    except JournalLocked as error:
        return True, Finding(True, f"journal: the agent is running: {error}")
    except JournalCorrupt as error:
        return False, Finding(False, str(error))
    except JournalError as error:
        return False, Finding(
            False, f"journal: {error}", "correct `journal`, or the folder's owner and rights"
        )
    try:
        began = time.perf_counter()
        opened.probe()
        took_ms = (time.perf_counter() - began) * 1000
    except JournalError as error:
        return False, Finding(False, f"journal: {error}", "make room on the disk, or replace the SD card")
    finally:
        opened.close()
    made = "" if existed else ", made now"
    return False, Finding(True, f"journal: {path} is written safely in {took_ms:.1f} ms{made}")


# --- the machine ----------------------------------------------------------------------------------


async def machine(settings: Settings, running: bool) -> AsyncIterator[Finding]:
    """Check the serial port, who answers there, and that each product can be proved."""
    if "://" not in settings.port:
        finding = port(Path(settings.port))
        yield finding
        if not finding.fine:
            return
    try:
        opened = open_machine(settings.driver, settings.port, settings.profile, settings.products)
    except ValueError as error:
        yield Finding(False, str(error), "correct the config file")
        return
    if running:
        yield Finding(
            True,
            "machine: not checked, since the running agent has the port",
            "stop the agent to check it",
            checked=False,
        )
        return
    try:
        async for finding in examined(opened, settings.products):
            yield finding
    finally:
        await opened.close()


def port(path: Path) -> Finding:
    """Check that the serial device is there and may be opened by this user."""
    if not path.exists():
        others = ", ".join(str(other) for other in _serial_devices()) or "none"
        advice = f"plug the cable in, or correct `machine.port` (serial devices here: {others})"
        return Finding(False, f"port: there is no {path}", advice)
    if not os.access(path, os.R_OK | os.W_OK):
        group = _group(path)
        advice = f"add the agent's user to the group: sudo usermod -aG {group} USER, then start it again"
        return Finding(False, f"port: {path} may not be opened by this user", advice)
    return Finding(True, f"port: {path} is there, and this user may open it")


def _group(path: Path) -> str:
    with contextlib.suppress(KeyError):
        if path.stat().st_gid:
            return path.group()
    return "dialout"


def _serial_devices() -> list[Path]:
    by_id = sorted(Path("/dev/serial/by-id").glob("*"))
    return by_id or sorted([*Path("/dev").glob("ttyUSB*"), *Path("/dev").glob("ttyACM*")])


async def examined(opened: Machine, products: Products) -> AsyncIterator[Finding]:
    """Ask the machine who it is and how it is, and check each product without making it."""
    report = await opened.inspect()
    said = f" (it said: {report.said})" if report.said else ""
    if report.code is Code.SERIAL_OPEN_FAILED:
        yield Finding(False, f"port: {report.said or _CABLE} ({report.code})")  # nobody has spoken yet
        return
    if report.state is MachineState.OFFLINE:
        yield Finding(False, f"machine: {report.code}{said}", MACHINE_ADVICE.get(report.code, _CABLE))
        return
    if report.state is MachineState.ERROR:
        yield Finding(False, f"machine: {report.model} says {report.code}{said}", "put the machine right")
    else:
        yield Finding(True, f"machine: {report.model} is {report.state}")
    if not products:
        yield Finding(False, "products: none", "name the drinks in [machine.products.DRINK_NO]")
    for drink_no, sizes in products.items():
        for size, code in sizes.items():
            yield await product(opened, Request(drink_no, size), code)


async def product(opened: Machine, request: Request, code: str) -> Finding:
    """Check that a product is known to the machine and can be proved. Nothing is made."""
    what = f"product: {request.drink_no} {request.size} ({code})"
    try:
        await opened.prepare(request)
    except MachineError as error:
        if error.code is Code.DRINK_UNKNOWN:
            advice = f"correct machine.products.{request.drink_no}.{request.size}"
            return Finding(False, f"{what}: {error.said}", advice)
        return Finding(False, f"{what}: {error.code}: {error.said}", "put the machine right and ask again")
    return Finding(True, f"{what} can be made and proved")


_CABLE = "check cable, power and `machine.port`; if it is silent, swap TX and RX"

MACHINE_ADVICE: Mapping[Code | None, str] = {
    Code.SERIAL_NO_ANSWER: _CABLE,
    Code.SERIAL_BAD_ANSWER: "check ground and level shifter, and that `machine.driver` fits the machine",
}


# --- the server -----------------------------------------------------------------------------------


async def server(settings: Settings) -> AsyncIterator[Finding]:
    """Check that the server is reached and takes the token, and compare the clocks. It is not greeted."""
    try:
        status, date = await _upgrade(settings)
    except aiohttp.ClientSSLError as error:
        advice = "check the server's certificate and the clock here; a server without TLS is `ws://…`"
        yield Finding(False, f"server: {settings.server}: {error}", advice)
        return
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why = _why_away(error)
        yield Finding(False, f"server: {settings.server}: {why}", "check the network and `server`")
        return
    match status:
        case 101:
            yield Finding(True, f"server: {settings.server} accepts the token")
        case 401:
            advice = "make a new one on the server (python -m server device token DEVICE_UUID), set it here"
            yield Finding(False, "server: the token is wrong", advice)
        case _:
            yield Finding(False, f"server: it answered {status}", "check the path in `server`: /v1/agent")
    yield clock(date, wall_clock_ms() / 1000)


def _why_away(error: Exception) -> str:
    """Return in a few words why the server could not be reached."""
    if isinstance(error, TimeoutError):
        return f"no answer in {SERVER_LIMIT_S:.0f} s"
    known = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = getattr(known, "errno", None) or 0
    if number > 0:  # names that are not found have negative ones
        return os.strerror(number)
    return getattr(known, "strerror", None) or str(error)


async def _upgrade(settings: Settings) -> tuple[int, str]:
    """Return the status and the `Date` of the answer to the WebSocket's upgrade, which is then closed."""
    headers = {
        "Authorization": f"Bearer {settings.token}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }
    address = "http" + settings.server.removeprefix("ws")
    timeout = aiohttp.ClientTimeout(total=SERVER_LIMIT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.get(address, headers=headers, allow_redirects=False) as answer,
    ):
        if answer.status == 101 and answer.connection is not None and answer.connection.transport:
            answer.connection.transport.write(CLOSE_FRAME)
        answer.close()
        return answer.status, answer.headers.get("Date", "")


def clock(server_date: str, here_s: float) -> Finding:
    """Compare this device's clock (`here_s`, Unix time) with the server's `Date` header."""
    try:
        off_s = here_s - parsedate_to_datetime(server_date).timestamp()
    except ValueError:
        return Finding(True, "clock: not compared, the server tells no time", checked=False)
    if abs(off_s) <= CLOCK_OFF_S:
        return Finding(True, f"clock: {off_s:+.0f} s from the server's")
    advice = "does no harm to makes, but times in the log are wrong; switch on NTP (timedatectl set-ntp true)"
    return Finding(False, f"clock: {off_s:+.0f} s from the server's", advice)
