"""The server's command line: what is typed wrong, where it cannot listen, and that it says where it does."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.__main__ import main
from tests.fakes.ports import free_port

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
