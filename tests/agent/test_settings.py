"""Settings from file and environment; each wrong one is a single line that names it and tells no token."""

from pathlib import Path

import pytest

from agent import settings
from agent.settings import SettingsError

GOOD = """
server = "wss://coffee.example/v1/agent"
token = "s3cret-t0ken"
journal = "makes.db"
[machine]
driver = "jura"
port = "/dev/ttyUSB0"
profile = "E6"
[machine.products.espresso]
small = "FA:04"
medium = "FA:05"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD)
    return path


def refused(config: Path | None, **environment: str) -> str:
    with pytest.raises(SettingsError) as error:
        settings.read(config, environment)
    message = str(error.value)
    assert "\n" not in message
    assert "s3cret" not in message
    return message


def changed(config: Path, old: str, new: str) -> Path:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    return config


def test_the_file_is_read(config: Path):
    read = settings.read(config, {})
    assert (read.server, read.token, read.journal) == (
        "wss://coffee.example/v1/agent",
        "s3cret-t0ken",
        Path("makes.db"),
    )
    assert (read.driver, read.port, read.profile) == ("jura", "/dev/ttyUSB0", "E6")
    assert read.products == {"espresso": {"small": "FA:04", "medium": "FA:05"}}


def test_a_drink_is_given_up_after_the_limit_of_the_file(config: Path):
    assert settings.read(config, {}).make_limit_s is None
    limited = changed(config, 'profile = "E6"', "make_limit_s = 12.5")
    assert settings.read(limited, {}).make_limit_s == 12.5


@pytest.mark.parametrize("limit", ["0", "-1", "141", '"long"'])
def test_a_limit_that_cannot_be_is_refused(config: Path, limit: str):
    assert "make_limit_s" in refused(changed(config, 'profile = "E6"', f"make_limit_s = {limit}"))


def test_the_environment_wins(config: Path):
    names = {
        "SERVER": "ws://h/a",
        "TOKEN": "other",
        "JOURNAL": "/j.db",
        "DRIVER": "mdb",
        "PORT": "socket://h:1",
    }
    read = settings.read(config, {f"AGENT_{name}": value for name, value in names.items()})
    assert (read.server, read.token, read.journal) == ("ws://h/a", "other", Path("/j.db"))
    assert (read.driver, read.port) == ("mdb", "socket://h:1")


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = {"SERVER": "ws://h/a", "TOKEN": "t", "DRIVER": "jura", "PORT": "/dev/ttyS0"}
    read = settings.read(None, {f"AGENT_{name}": value for name, value in names.items()})
    assert (read.journal, read.profile, read.products) == (Path("agent.db"), "auto", {})


def test_the_default_file_is_found(config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(config.parent)
    assert settings.read(None, {}).driver == "jura"


def test_a_token_may_have_its_own_file(config: Path, tmp_path: Path):
    (tmp_path / "token").write_text("s3cret-from-file\n")
    changed(config, 'token = "s3cret-t0ken"', f'token_file = "{tmp_path}/token"')
    assert settings.read(config, {}).token == "s3cret-from-file"


def test_the_token_is_not_shown(config: Path):
    assert "s3cret" not in repr(settings.read(config, {}))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('server = "wss://coffee.example/v1/agent"', "", "server: missing"),
        ("wss://coffee", "https://coffee", "server: 'https://coffee"),
        ("wss://coffee.example", "wss://", "server: "),
        ("coffee.example", "coffee.example:99999", "server: "),
        ('"s3cret-t0ken"', '""', "token: missing"),
        ('"s3cret-t0ken"', '"s3cret t0ken"', "token: "),
        ('"s3cret-t0ken"', '"s3cret\\nt0ken"', "token: "),
        ('"s3cret-t0ken"', "17", "$.token"),
        ("journal =", "jurnal =", "`jurnal`"),
        ("driver =", "dirver =", "`dirver`"),
        ('driver = "jura"', "", "machine.driver: missing"),
        ('port = "/dev/ttyUSB0"', "", "machine.port: missing"),
        ('"/dev/ttyUSB0"', "7", "$.machine.port"),
        (
            "small =",
            "tiny =",
            "machine.products.espresso.tiny: there is no such size; sizes are small, medium",
        ),
        ("[machine]", "[machine", "agent.toml"),
        ('token = "s3cret-t0ken"', 'token = "s3cret-t0ken"\ntoken_file = "x"', "token: give either"),
        (
            'token = "s3cret-t0ken"',
            'token_file = "/nowhere/token"',
            "token_file: /nowhere/token cannot be read: No such",
        ),
    ],
)
def test_a_wrong_setting_is_named(config: Path, old: str, new: str, named: str):
    assert named in refused(changed(config, old, new))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    assert str(tmp_path / "absent.toml") in refused(tmp_path / "absent.toml")


def test_a_file_that_is_no_file_is_named(tmp_path: Path):
    assert str(tmp_path) in refused(tmp_path)


def test_a_file_in_another_encoding_is_named(config: Path):
    config.write_bytes(b'token = "\xff"')
    assert str(config) in refused(config)


def test_without_anything_the_first_missing_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    told = refused(None, AGENT_TOKEN="s3cret")
    assert told == "server: missing; set it in agent.toml, which is not there, or by AGENT_SERVER"


@pytest.mark.parametrize("level", ["debug", "INFO", "Error"])
def test_the_log_level_is_read(level: str):
    assert settings.log_level({"LOG_LEVEL": level}) == level.upper()


def test_a_command_may_log_less_unless_it_is_told_to():
    assert settings.log_level({}, default="ERROR") == "ERROR"
    assert settings.log_level({"LOG_LEVEL": "DEBUG"}, default="ERROR") == "DEBUG"


def test_a_wrong_log_level_is_named():
    assert settings.log_level({}) == "INFO"
    with pytest.raises(SettingsError, match="LOG_LEVEL: 'LOUD'"):
        settings.log_level({"LOG_LEVEL": "loud"})
