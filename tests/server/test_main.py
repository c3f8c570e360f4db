"""The server's command line: what is typed wrong, where it cannot listen, and that it says where it does."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.__main__ import main as agent_main
from server import __version__
from server.__main__ import main
from tests.fakes.ports import free_port
from tests.fakes.shop_file import GOOD

LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def settings_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the test's own."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/test.db")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that is refused as wrong configuration; return what it says in its one line."""
    assert main(list(arguments)) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    return told[0]


def test_a_taken_port_is_named(capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = refused(capsys, "serve", "--port", str(port))
    assert told == f"PORT: {port} is taken by another program: stop it, or choose another port"


def test_an_address_that_is_not_ours_is_named(capsys: pytest.CaptureFixture[str]):
    told = refused(capsys, "serve", "--host", "192.0.2.1", "--port", "0")
    assert told.startswith("HOST: cannot listen on '192.0.2.1'")


def test_what_a_command_makes_is_for_its_user_alone_and_what_was_there_stays(tmp_path: Path):
    (tmp_path / "shop.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "old.db").touch(0o644)
    for name in ("new.db", "old.db"):
        main(["load", str(tmp_path / "shop.toml"), "--database-url", f"sqlite:///{tmp_path}/{name}"])
    sold = ("--database-url", f"sqlite:///{tmp_path}/new.db")
    main(["backup", str(tmp_path / "copy.db"), *sold])
    main(["archive", "--before", "2020-01-01", "--to", str(tmp_path / "archive.db"), *sold])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("*.db*")}
    assert modes.pop("old.db") == 0o644
    assert set(modes) >= {"new.db", "copy.db", "archive.db"} and set(modes.values()) == {0o600}


def test_wrong_usage_is_two_and_short(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["load"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "usage: python -m server load [-h] FILE.toml [SETTINGS]",
        "python -m server load: error: the following arguments are required: FILE.toml",
    ]


def test_help_shows_defaults_as_they_are_typed(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for default in (
        "address to listen on (default: 127.0.0.1)",
        "(default: 0) --log-level",
        "(default: 86400)",
    ):
        assert default in told


def helped(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """Return what a command's `--help` says."""
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["user add", "user token", "device token", "backup", "copy", "archive"])
def test_help_tells_only_the_settings_that_matter(command: str, capsys: pytest.CaptureFixture[str]):
    told = helped(capsys, *command.split())
    assert set(re.findall(r"^  (--[a-z-]+) VALUE", told, re.MULTILINE)) == {"--database-url", "--log-level"}


def test_help_of_a_load_tells_of_keys_and_sandbox_and_not_of_times(capsys: pytest.CaptureFixture[str]):
    told = helped(capsys, "load")
    assert "--credentials-key VALUE" in told and "--sandbox VALUE" in told and "--make-life-s" not in told


@pytest.mark.parametrize("program", ["server", "agent"])
def test_a_program_tells_its_version(program: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        {"server": main, "agent": agent_main}[program](["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"demitasse-{program} {__version__}\n")


def test_a_server_says_where_it_listens_and_ends_cleanly():
    port = free_port()
    command = [sys.executable, "-m", "server", "serve", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = server.stderr.readline()
            assert '"server listens"' in said and f'"http://127.0.0.1:{port}"' in said
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S):
                pass
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(LIMIT_S) == 0
