"""The simulated machine behind its pseudo-terminal: link, ledger, state, command line."""

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from agent.drivers.jura_command import add_options, simulate
from agent.drivers.jura_frames import Decoder, Line, encode
from agent.drivers.jura_simulated import Behaviour, Fail
from agent.drivers.jura_simulator import JuraSimulator, read_counters
from agent.drivers.port import open_port
from tests.agent.drivers.conftest import Benches, ledger_of, until

QUICK = Behaviour(brew_s=0.1, group_gap_s=0.0)
HEX = "rt:33DA01B1000C0640AA1116B301180000000000001E02007100150000000009D5"


async def say(link: Path, text: str, patience_s: float = 10.0) -> str | None:
    """Open the machine's port, send one command and return its reply; None for silence of `patience_s`."""
    port = await open_port(str(link), 9600)
    decoder = Decoder()
    await port.write(encode(text))
    reply = None
    while reply is None and (data := await port.read(patience_s)):
        reply = next((item.text for item in decoder.feed(data) if isinstance(item, Line)), None)
    await port.close()
    return reply


def options(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args([str(word) for word in words])


async def test_clients_may_come_and_go(tmp_path: Path) -> None:
    async with JuraSimulator(tmp_path / "tty", QUICK) as simulator:
        for _ in range(3):
            assert await say(simulator.link, "TY:") == "ty:EF533M V01.18"
    assert not (tmp_path / "tty").is_symlink()


async def test_a_line_of_two_halves_with_a_pause_is_one_command(tmp_path: Path) -> None:
    async with JuraSimulator(tmp_path / "tty", QUICK) as simulator:
        port = await open_port(str(simulator.link), 9600)
        wire = encode("TY:")
        await port.write(wire[:8])
        await asyncio.sleep(0.15)
        await port.write(wire[8:])
        await until(lambda: simulator.machine.heard == ["TY:"])
        await port.close()


async def test_the_link_of_an_unplugged_machine_vanishes_and_comes_back(tmp_path: Path) -> None:
    behaviour = Behaviour(fail=Fail.UNPLUGGED_BEFORE, back_s=0.1, group_gap_s=0.0)
    async with JuraSimulator(tmp_path / "tty", behaviour) as simulator:
        port = await open_port(str(simulator.link), 9600)
        await port.write(encode("TY:"))
        await until(lambda: not simulator.link.is_symlink())
        await until(simulator.link.is_symlink)
        await port.close()
        assert await say(simulator.link, "TY:") == "ty:EF533M V01.18"


async def test_the_ledger_has_a_line_for_each_drink_and_for_each_crime(bench: Benches) -> None:
    machine = await bench()
    assert (await machine.buy()).said
    await machine.driver.close()
    assert await say(machine.simulator.link, "AN:0A", patience_s=0.3) is None
    drink, crime = ledger_of(machine.ledger)
    assert (drink["code"], drink["counter_before"], drink["counter_after"]) == ("FA:04", 0, 1)
    assert crime["FORBIDDEN"] == "AN:0A"


async def test_a_link_does_not_replace_a_file_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "tty").write_text("mine")
    with pytest.raises(ValueError, match="--link"):
        await simulate(options("--link", tmp_path / "tty"))
    with pytest.raises(ValueError, match="--link"):
        await simulate(options("--link", tmp_path / "nowhere" / "tty"))
    assert (tmp_path / "tty").read_text() == "mine"


async def test_an_old_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "tty").symlink_to("/dev/pts/gone")
    async with JuraSimulator(tmp_path / "tty", QUICK) as simulator:
        assert await say(simulator.link, "TY:") == "ty:EF533M V01.18"


async def test_counters_are_kept_over_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for count in (1, 2):
        async with JuraSimulator(tmp_path / "tty", QUICK, state=state) as simulator:
            assert await say(simulator.link, "FA:04") == "ok:"
            await until(lambda: state.exists() and read_counters(state)[0] == count)  # noqa: B023


def test_counters_are_read_from_either_form(tmp_path: Path) -> None:
    file = tmp_path / "eeprom"
    file.write_text(HEX + "\n")
    assert read_counters(file)[:3] == [0x33DA, 0x01B1, 0x000C]
    file.write_text(json.dumps([5] * 16))
    assert read_counters(file) == [5] * 16


@pytest.mark.parametrize("text", ["", "rt:12", "[1, 2]", "[x]", "zz" * 32, json.dumps([70000] * 16)])
def test_a_file_that_is_no_eeprom_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "eeprom").write_text(text)
    with pytest.raises(ValueError, match="--eeprom"):
        read_counters(tmp_path / "eeprom")


@pytest.mark.parametrize(("crime", "code"), [(None, 0), ("AN:0A", 1), ("WE:0000", 1)])
async def test_the_command_ends_on_a_signal_and_tells_of_crimes(
    tmp_path: Path, crime: str | None, code: int
) -> None:
    link = tmp_path / "tty"
    (tmp_path / "eeprom").write_text(HEX)
    running = asyncio.create_task(
        simulate(
            options("--link", link, "--filler", "5B", "--eeprom", tmp_path / "eeprom", "--brew-s", "0.1")
        )
    )
    await until(link.is_symlink)
    assert await say(link, "RT:0000") == HEX
    if crime:
        assert await say(link, crime, patience_s=0.3) is None
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(30):
        assert await running == code
    assert not link.is_symlink()


def test_the_help_says_what_each_fault_does() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert all(
        f"{fail}: " in parser.format_help().replace("\n", " ") for fail in Fail if fail is not Fail.NONE
    )
