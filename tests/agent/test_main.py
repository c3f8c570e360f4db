"""The command line in processes of its own, with the simulated machine: exit codes, signals, kill -9."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.journal import Journal
from agent.wire import MakeState
from tests.fakes.clock import until
from tests.fakes.server import HttpServer

Process = asyncio.subprocess.Process

LIMIT_S = 60.0
"""Longest wait for a process, also on a machine that has much else to do."""

started: list[Process] = []


@pytest.fixture
async def server(aiohttp_server: Callable[..., Any]) -> HttpServer:
    fake = HttpServer("s3cret")
    started = await aiohttp_server(fake.app)
    fake.url = f"ws://127.0.0.1:{started.port}/v1/agent"
    return fake


@pytest.fixture
def config(tmp_path: Path, server: HttpServer) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(
        f'server = "{server.url}"\ntoken = "s3cret"\njournal = "{tmp_path}/agent.db"\n'
        f'[machine]\ndriver = "jura"\nport = "{tmp_path}/jura"\n'
        '[machine.products.espresso]\nsmall = "FA:04"\n'
    )
    return path


async def start(*arguments: str) -> Process:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *arguments, stdout=pipe, stderr=pipe
    )
    started.append(process)
    return process


@pytest.fixture(autouse=True)
async def no_process_is_left() -> AsyncIterator[None]:
    yield
    for process in started:
        if process.returncode is None:
            await finish(process, signal.SIGKILL)
    started.clear()


async def finish(process: Process, number: int | None = None) -> tuple[int, str, str]:
    """Send a signal if one is given, and return exit code, output and log."""
    if number is not None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
    async with asyncio.timeout(LIMIT_S):
        out, log = await process.communicate()
    return process.returncode or 0, out.decode(), log.decode()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Path]:
    """A simulated Jura; yields the ledger to which it adds a line for each drink."""
    ledger = tmp_path / "ledger"
    options = ("--link", str(tmp_path / "jura"), "--ledger", str(ledger), "--brew-s", "0.3")
    process = await start("simulate", "jura", *options)
    await until((tmp_path / "jura").exists, limit_s=LIMIT_S)
    ledger.touch()
    yield ledger
    assert (await finish(process, signal.SIGTERM))[0] == 0


def drinks(ledger: Path) -> int:
    return len(ledger.read_text().splitlines())


async def test_an_agent_makes_a_drink_and_ends_cleanly(server: HttpServer, config: Path, machine: Path):
    process = await start("run", "--config", str(config))
    await until(lambda: server.epoch == 1, limit_s=LIMIT_S)
    server.order("c1")
    await until(lambda: MakeState.DONE in server.states("c1"), limit_s=LIMIT_S)
    journal = {path.stat().st_mode & 0o777 for path in machine.parent.glob("agent.db*")}
    assert journal == {0o600}
    code, out, log = await finish(process, signal.SIGTERM)
    assert (code, out, drinks(machine)) == (0, "", 1)
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert (events[0], events[-1]) == ("agent starts", "agent has stopped")
    assert "s3cret" not in log


async def test_a_killed_agent_makes_no_second_drink(server: HttpServer, config: Path, machine: Path):
    moments = [(MakeState.RECEIVED, 0.0), (MakeState.STARTED, 0.7)]
    for number, (state, delay_s) in enumerate(moments):
        process = await start("run", "--config", str(config))
        await until(lambda number=number: server.epoch == 2 * number + 1, limit_s=LIMIT_S)
        server.order(f"c{number}")
        await until(
            lambda state=state, number=number: state in server.states(f"c{number}"),
            limit_s=LIMIT_S,
            every_s=0.01,
        )
        await asyncio.sleep(delay_s)  # the moment of death is what is tried
        await finish(process, signal.SIGKILL)
        process = await start("run", "--config", str(config))
        await until(lambda number=number: server.epoch == 2 * number + 2, limit_s=LIMIT_S)
        server.ask(f"c{number}")
        await until(
            lambda number=number: (last := server.last(f"c{number}")) and last.state.ended, limit_s=LIMIT_S
        )
        await finish(process, signal.SIGINT)
    ends = [server.last(f"c{number}").state for number in range(len(moments))]
    assert ends == [MakeState.EXPIRED, MakeState.DONE]
    assert drinks(machine) == 1


async def test_the_doctor_finds_everything_fine(server: HttpServer, config: Path, machine: Path):
    code, out, told = await finish(await start("doctor", "--config", str(config)))
    assert (code, "bad" in out, drinks(machine), server.heard) == (0, False, 0, [])
    assert not told


async def test_the_doctor_finds_no_machine(config: Path):
    code, out, _ = await finish(await start("doctor", "--config", str(config)))
    assert code == 1
    assert "bad  port: there is no " in out


# --- in this process ------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a config file; all settings are in the environment."""
    for name in [name for name in os.environ if name.startswith("AGENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings = {"SERVER": "ws://127.0.0.1:9/a", "TOKEN": "s3cret", "DRIVER": "jura", "PORT": "/dev/null"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AGENT_{name}", value)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    return code, told[0]


def test_a_missing_setting_stops_with_one_line(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("AGENT_PORT")
    code, told = refused(capsys, "run")
    assert (code, told) == (2, "demitasse-agent: machine.port: missing; set it in the file or by AGENT_PORT")


def test_an_unknown_driver_stops_with_one_line(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("AGENT_DRIVER", "teapot")
    code, told = refused(capsys, "run")
    assert code == 2
    assert "machine.driver: 'teapot'" in told


def test_a_damaged_journal_stops_with_one_line_and_is_kept(alone: Path, capsys: pytest.CaptureFixture[str]):
    (alone / "agent.db").write_bytes(b"damaged" * 100)
    code, told = refused(capsys, "run")
    assert code == 2
    assert "agent.db is damaged" in told
    assert (alone / "agent.db").read_bytes() == b"damaged" * 100


def test_a_second_agent_stops_with_one_line(alone: Path, capsys: pytest.CaptureFixture[str]):
    first = Journal(alone / "agent.db")
    code, told = refused(capsys, "run")
    first.close()
    assert code == 1
    assert "agent.db is in use by another agent" in told


@pytest.mark.parametrize(
    "arguments", [(), ("brew",), ("run", "--confg"), ("simulate", "teapot"), ("simulate", "jura")]
)
def test_wrong_usage_is_two(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err


def test_a_wrong_option_of_the_simulator_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "counters").write_text("many")
    arguments = ("--link", str(tmp_path / "jura"), "--eeprom", str(tmp_path / "counters"))
    code, told = refused(capsys, "simulate", "jura", *arguments)
    assert code == 2
    assert "--eeprom" in told


def test_a_slip_of_the_hand_does_not_print_every_option(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(("simulate", "jura"))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and told[1].endswith("the following arguments are required: --link")


async def test_a_second_machine_does_not_take_the_link_of_the_first(tmp_path: Path, machine: Path):
    link = tmp_path / "jura"
    first = link.readlink()
    code, _, told = await finish(await start("simulate", "jura", "--link", str(link)))
    assert (code, link.readlink()) == (2, first)
    assert told == (
        f"demitasse-agent: --link: another simulated machine is at {link}: stop it, or choose another PATH\n"
    )


@pytest.mark.parametrize("option", ["--state", "--ledger"])
@pytest.mark.parametrize(("name", "why"), [("away/file", "there is no folder"), (".", "is a folder")])
def test_a_file_the_simulator_cannot_write_is_one_line(
    option: str, name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ("--link", str(tmp_path / "jura"), option, str(tmp_path / name))
    code, told = refused(capsys, "simulate", "jura", *arguments)
    assert code == 2
    assert told.startswith(f"demitasse-agent: {option}: ") and why in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--brew-s", "--late-s", "--recover-s", "--back-s", "--slow-reply-s"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_named(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(("simulate", "jura", "--link", str(tmp_path / "jura"), f"{option}={value}"))
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert f"argument {option}: must be a number of seconds, 0 or more, not '{value}'" in told


def test_a_file_the_simulator_cannot_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ("--link", str(tmp_path / "jura"), "--eeprom", str(tmp_path))
    code, told = refused(capsys, "simulate", "jura", *arguments)
    assert code == 2
    assert f"--eeprom: cannot read {tmp_path}" in told


def test_a_wrong_fault_of_the_simulator_is_answered_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(("simulate", "jura", "--link", str(tmp_path / "jura"), "--fail", "hiccups"))
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "'no-water'" in told and "'power-cut'" in told


def test_what_runs_for_years_beside_a_machine_loads_little():
    loaded = subprocess.run(
        [sys.executable, "-c", "import agent.__main__, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    too_much = {
        "aiohttp",
        "agent.doctor",
        "agent.drivers.jura_command",
        "agent.drivers.jura_simulator",
        "email",
        "http.client",
        "urllib.request",
    }
    assert too_much.isdisjoint(loaded)
