"""The doctor's lines: each trouble of an installation is named with what to do, and nothing is disturbed."""

import os
from collections.abc import AsyncIterable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSCloseCode

from agent import doctor
from agent.doctor import Finding
from agent.journal import Journal
from agent.machine import MachineError
from agent.settings import Settings
from agent.wire import Code, MachineReport, MachineState
from tests.fakes.clock import until
from tests.fakes.machine import FakeMachine
from tests.fakes.server import HttpServer

NOW_S = 1_700_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    products = {"espresso": {"small": "FA:04"}}
    port, other_end = os.openpty()
    yield Settings(
        "ws://127.0.0.1:9/v1/agent",
        "s3cret",
        tmp_path / "agent.db",
        "jura",
        os.ttyname(other_end),
        "E6",
        products,
    )
    os.close(port)
    os.close(other_end)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    fake = FakeMachine(prepare_s=0)
    monkeypatch.setattr(doctor, "open_machine", lambda *_: fake)
    return fake


@pytest.fixture
async def server(aiohttp_server: Callable[..., Any], settings: Settings) -> HttpServer:
    fake = HttpServer("s3cret")
    started = await aiohttp_server(fake.app)
    fake.url = f"ws://127.0.0.1:{started.port}/v1/agent"
    return fake


async def lines(found: AsyncIterable[Finding]) -> list[str]:
    return [str(finding) async for finding in found]


async def test_a_good_installation_is_all_ok_and_nothing_is_made(
    settings: Settings, machine: FakeMachine, server: HttpServer, capsys: pytest.CaptureFixture[str]
):
    code = await doctor.examine(replace(settings, server=server.url))
    told = capsys.readouterr().out.splitlines()
    assert (code, told.pop()) == (0, "All that was checked is fine.")
    assert {line[:5] for line in told} == {"ok   "}
    assert (machine.made, machine.closed) == (0, 1)
    assert [
        word
        for word in ("disk", "journal", "port", "machine", "product", "server", "clock")
        if word not in str(told)
    ] == []


async def test_the_server_is_not_greeted(settings: Settings, server: HttpServer):
    assert "accepts the token" in (await lines(doctor.server(replace(settings, server=server.url))))[0]
    assert server.heard == []
    await until(lambda: server.close_code is not None, limit_s=30)
    assert server.close_code == WSCloseCode.OK  # else a server may take it for an accident


async def test_one_trouble_is_enough_for_a_bad_end(
    settings: Settings, machine: FakeMachine, capsys: pytest.CaptureFixture[str]
):
    assert await doctor.examine(settings) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("To put right: 1,")


async def test_a_wrong_token_is_named_and_not_shown(settings: Settings, server: HttpServer):
    told = await lines(doctor.server(replace(settings, server=server.url, token="wr0ng")))
    assert told[0].startswith("bad  server: the token is wrong")
    assert "wr0ng" not in str(told)


async def test_a_wrong_path_is_named(settings: Settings, server: HttpServer):
    told = await lines(doctor.server(replace(settings, server=server.url + "s")))
    assert told[0].startswith("bad  server: it answered 404")


async def test_a_server_that_is_away_is_named(settings: Settings, unused_tcp_port: int):
    address = f"ws://127.0.0.1:{unused_tcp_port}/v1/agent"
    told = await lines(doctor.server(replace(settings, server=address)))
    assert len(told) == 1
    assert told[0] == f"bad  server: {address}: Connection refused: check the network and `server`"


async def test_a_server_without_tls_is_told_from_one_that_is_away(settings: Settings, server: HttpServer):
    told = await lines(doctor.server(replace(settings, server=server.url.replace("ws:", "wss:"))))
    assert len(told) == 1
    assert told[0].startswith("bad  server: wss://") and told[0].endswith("a server without TLS is `ws://…`")


@pytest.mark.parametrize(
    ("date", "fine"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", True),
        ("Tue, 14 Nov 2023 22:14:20 GMT", True),
        ("Tue, 14 Nov 2023 22:15:00 GMT", False),
        ("Tue, 14 Nov 2023 22:10:00 GMT", False),
        ("", True),
        ("yesterday", True),
    ],
)
def test_a_wrong_clock_is_named_and_harmless(date: str, fine: bool):
    finding = doctor.clock(date, NOW_S)
    assert finding.fine is fine
    assert fine or "no harm to makes" in finding.advice


def test_a_running_agent_is_recognised(settings: Settings):
    running = Journal(settings.journal)
    assert doctor.journal(settings.journal)[0] is True
    running.close()


async def test_the_machine_of_a_running_agent_is_left_alone(settings: Settings, machine: FakeMachine):
    told = await lines(doctor.machine(settings, running=True))
    assert told[-1].startswith("--   machine: not checked, since the running agent has the port")
    assert machine.calls == []


def test_a_journal_that_cannot_be_made_is_named(tmp_path: Path):
    running, finding = doctor.journal(tmp_path / "absent" / "agent.db")
    assert (running, finding.fine) == (False, False)
    assert "absent" in finding.what


def test_a_damaged_journal_is_named(tmp_path: Path):
    (tmp_path / "agent.db").write_bytes(b"not a journal" * 100)
    finding = doctor.journal(tmp_path / "agent.db")[1]
    assert "damaged" in finding.what
    assert str(finding).count("journal ") == 1, "the advice for another trouble is not added"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert doctor.disk(tmp_path / "agent.db").fine
    monkeypatch.setattr(doctor, "DISK_LOW_BYTES", 1 << 60)
    assert str(doctor.disk(tmp_path / "agent.db")).startswith("bad  disk: ")
    assert not doctor.disk(tmp_path / "absent" / "agent.db").fine


async def test_a_port_that_is_not_there_is_named_and_the_machine_not_asked(
    settings: Settings, machine: FakeMachine
):
    told = await lines(doctor.machine(replace(settings, port="/dev/ttyNOWHERE"), running=False))
    assert len(told) == 1
    assert told[0].startswith("bad  port: there is no /dev/ttyNOWHERE")
    assert machine.calls == []


async def test_a_port_of_the_network_is_not_looked_for_on_the_disk(settings: Settings, machine: FakeMachine):
    told = await lines(doctor.machine(replace(settings, port="socket://10.0.0.9:4000"), running=False))
    assert told[0].startswith("ok   machine")


def test_a_port_without_permission_names_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    path = tmp_path / "tty"
    path.touch()
    assert "usermod -aG dialout USER" in doctor.port(path).advice


async def test_wrong_settings_of_the_machine_are_named(settings: Settings):
    told = await lines(doctor.machine(replace(settings, driver="teapot"), running=False))
    assert told[-1].startswith("bad  machine.driver: 'teapot'")


async def test_a_port_that_does_not_open_is_told_as_the_ports_trouble(machine: FakeMachine):
    machine.unreadable = Code.SERIAL_OPEN_FAILED
    told = await lines(doctor.examined(machine, {"espresso": {"small": "FA:04"}}))
    assert told == ["bad  port: silent (serial_open_failed)"]


@pytest.mark.parametrize("code", [Code.SERIAL_NO_ANSWER, Code.SERIAL_BAD_ANSWER])
async def test_a_silent_machine_is_named_with_what_to_do(machine: FakeMachine, code: Code):
    machine.unreadable = code
    told = await lines(doctor.examined(machine, {"espresso": {"small": "FA:04"}}))
    assert len(told) == 1
    assert str(code) in told[0]
    assert "check" in told[0]


async def test_a_machine_in_trouble_says_which(machine: FakeMachine):
    machine.report = MachineReport(MachineState.ERROR, "FAKE 1", Code.NO_WATER, "ic:00")
    told = await lines(doctor.examined(machine, {}))
    assert told[0].startswith("bad  machine: FAKE 1 says no_water (it said: ic:00)")
    assert told[1].startswith("bad  products: none")


async def test_a_drink_that_cannot_be_proved_is_named(machine: FakeMachine):
    machine.refuses = MachineError(Code.DRINK_UNKNOWN, "its counter is not known")
    told = await lines(doctor.examined(machine, {"espresso": {"small": "FA:04"}}))
    assert "its counter is not known: correct machine.products.espresso.small" in told[1]


async def test_a_drink_that_cannot_be_made_now_is_named(machine: FakeMachine):
    machine.refuses = MachineError(Code.NO_BEANS, "no beans")
    told = await lines(doctor.examined(machine, {"espresso": {"small": "FA:04"}}))
    assert told[1].startswith("bad  product: espresso small (FA:04): no_beans")
    assert machine.made == 0
