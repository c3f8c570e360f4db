"""README tells the truth: its settings, commands, table of statuses and paths are those of the program."""

import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from agent import __main__ as agent_program
from agent import settings as agent_settings
from server import __main__ as server_program
from server.order import TRANSITIONS
from server.settings import Settings
from server.shop_file import read_file

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

SERVER_COMMANDS = (
    ["serve"],
    ["demo"],
    ["backup"],
    ["archive"],
    ["copy"],
    ["report"],
    ["load"],
    ["device", "token"],
    ["user", "add"],
    ["user", "token"],
)
AGENT_COMMANDS = (["run"], ["doctor"], ["simulate", "jura"])
MAIN = {"agent": agent_program.main, "server": server_program.main}


def settings_rows() -> list[str]:
    """Return README's table of settings as the program has them."""
    return [
        f"| `{field.name.upper()}` | {_default(field.default)} | {field.metadata['meaning']} |"
        for field in fields(Settings)
    ]


def _default(value: object) -> str:
    if value == "" and not isinstance(value, bool):
        return ""
    return (
        f"`{int(value) if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"
    )


def transition_lines() -> list[str]:
    """Return README's table of statuses as the program has it."""
    lines = []
    for status, row in TRANSITIONS.items():
        steps = " · ".join(f"{event} → {after}" for event, after in row.items() if after != status)
        lines.append(f"{status:<13} {steps or '–'}")
    return lines


def toml_blocks() -> list[str]:
    """Return the TOML examples of README."""
    return re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


def test_every_setting_stands_in_readme_with_its_default():
    listed = [line for line in README.splitlines() if re.match(r"\| `[A-Z_]+` \|", line)]
    assert listed == settings_rows()


def test_the_table_of_statuses_is_the_programs():
    block = re.search(r"<!-- transitions -->\n```\n(.*?)\n```", README, re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == transition_lines()


@pytest.mark.parametrize("path", re.findall(r"`((?:agent|server|templates|tests|schema)[\w/.]*)`", README))
def test_every_path_in_readme_exists(path):
    if not re.fullmatch(r"(agent|server)\.\w+(\.\w+)?", path):  # a dotted module is checked below
        assert (ROOT / path).exists()


@pytest.mark.parametrize(
    ("module", "command"),
    [("server", command) for command in SERVER_COMMANDS] + [("agent", command) for command in AGENT_COMMANDS],
)
def test_every_command_of_readme_has_a_help(module, command, capsys):
    assert " ".join(command) in README
    with pytest.raises(SystemExit) as end:
        MAIN[module]([*command, "--help"])
    assert end.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_the_example_of_load_is_accepted(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(toml_blocks()[0], encoding="utf-8")
    assert [device.device_uuid for device in read_file(str(file)).devices] == ["dev-1"]


def test_the_example_of_the_agents_config_is_accepted(tmp_path):
    file = tmp_path / "agent.toml"
    file.write_text(toml_blocks()[1], encoding="utf-8")
    assert agent_settings.read(file, {}).port == "/dev/ttyUSB0"


def test_ci_calls_the_test_command_of_readme():
    command = re.search(r"^## Tests\n\n```\n(.*?)\n```", README, re.DOTALL | re.MULTILINE)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert command is not None
    assert [line for line in script if line and not line.startswith(("#", "set ", "cd "))] == [command[1]]
    assert msgspec.toml.decode(toml_blocks()[0])
