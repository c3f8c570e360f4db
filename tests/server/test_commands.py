"""`user add`, `user token` and `device token`, as they are typed."""

import argparse
import asyncio
import io
from collections.abc import Callable
from typing import TypeVar

import pytest

from server import load
from server.commands import add_commands
from server.db import Database, Transaction, open_database
from server.errors import SettingError
from server.settings import Settings
from server.shop_file import DeviceEntry, File, MerchantEntry
from server.store import devices, users
from server.tokens import token_hash

R = TypeVar("R")


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url)


def run(settings: Settings, *words: str) -> int:
    """Run a command as it is typed; return its exit code."""
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    options = parser.parse_args(words)
    code: int = options.run(settings, options)
    return code


def ask(settings: Settings, question: Callable[..., Transaction[R]], *values: object) -> R:
    """Ask the database what a command has left there."""

    async def answer() -> R:
        db: Database = await open_database(settings.database_url)
        try:
            return await db.write(question, *values)
        finally:
            await db.close()

    return asyncio.run(answer())


def device_of(settings: Settings, token: str) -> str | None:
    """The device that the server knows an agent by."""
    known = ask(settings, devices.device_of_token, token_hash(token))
    return known[0] if known else None


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pipe a text into the command."""
    return lambda words: monkeypatch.setattr("sys.stdin", io.StringIO(words))


def test_a_user_is_added_with_the_password_piped_in(
    settings: Settings, type_in: Callable[[str], None], capsys: pytest.CaptureFixture[str]
):
    type_in("кофе и булочка\n")
    assert run(settings, "user", "add", "anna", "--role", "operator") == 0
    user = ask(settings, users.get, "anna")
    assert user is not None and user.role == "operator" and user.password_hash.startswith("$argon2id$")
    assert capsys.readouterr().out == "operator anna added\n"


def test_a_user_who_is_there_is_changed_only_when_that_is_asked_for(
    settings: Settings, type_in: Callable[[str], None], capsys: pytest.CaptureFixture[str]
):
    type_in("кофе и булочка\n")
    run(settings, "user", "add", "anna", "--role", "operator")
    before = ask(settings, users.get, "anna")
    type_in("другой пароль\n")
    with pytest.raises(SettingError, match=r"'anna' already.*--replace"):
        run(settings, "user", "add", "anna", "--role", "technician")
    assert ask(settings, users.get, "anna") == before
    capsys.readouterr()
    assert run(settings, "user", "add", "anna", "--role", "technician", "--replace") == 0
    after = ask(settings, users.get, "anna")
    assert before is not None and after is not None
    assert after.role == "technician" and after.password_hash != before.password_hash
    assert capsys.readouterr().out == "technician anna changed; whoever was signed in no longer is\n"


@pytest.mark.parametrize("piped", ["", "\n", "short\n"])
def test_a_password_too_short_adds_nobody(settings: Settings, type_in: Callable[[str], None], piped: str):
    type_in(piped)
    with pytest.raises(SettingError, match="password"):
        run(settings, "user", "add", "anna", "--role", "technician")
    assert ask(settings, users.get, "anna") is None


@pytest.fixture
def type_by_hand(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Type lines at a terminal that does not show them."""

    def type_lines(*lines: str) -> None:
        waiting = iter(lines)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("getpass.getpass", lambda _: next(waiting))

    return type_lines


def test_a_person_types_the_password_twice(settings: Settings, type_by_hand: Callable[..., None]):
    type_by_hand("кофе и булочка", "кофе и булочка")
    assert run(settings, "user", "add", "anna", "--role", "technician") == 0


def test_a_slip_of_the_hand_adds_nobody(settings: Settings, type_by_hand: Callable[..., None]):
    type_by_hand("кофе и булочка", "кофе и булка")
    with pytest.raises(SettingError, match="differ"):
        run(settings, "user", "add", "anna", "--role", "technician")


def test_a_users_token_is_printed_and_only_its_hash_kept(
    settings: Settings, type_in: Callable[[str], None], capsys: pytest.CaptureFixture[str]
):
    type_in("кофе и булочка\n")
    run(settings, "user", "add", "anna", "--role", "technician")
    capsys.readouterr()
    assert run(settings, "user", "token", "anna") == 0
    token = capsys.readouterr().out.strip()
    session = ask(settings, users.session, token_hash(token))
    assert session is not None and (session.user_name, session.kind) == ("anna", "program")


def test_a_token_for_nobody_is_refused(settings: Settings):
    with pytest.raises(SettingError, match="nobody"):
        run(settings, "user", "token", "nobody")


def test_a_devices_old_token_is_valid_until_the_new_one_is_used(
    settings: Settings, capsys: pytest.CaptureFixture[str]
):
    file = File(
        [MerchantEntry(id="m1", name="Кофе у дома")],
        [DeviceEntry(device_uuid="dev-1", merchant="m1", location="тут", payment_scenario="Sandbox")],
    )
    ask(settings, load.load, file, 0)
    for _ in range(2):
        assert run(settings, "device", "token", "dev-1") == 0
    old, new = capsys.readouterr().out.split()
    assert device_of(settings, new) == "dev-1"
    assert device_of(settings, old) == "dev-1"
    ask(settings, devices.token_used, token_hash(old))
    assert device_of(settings, old) == "dev-1"
    ask(settings, devices.token_used, token_hash(new))
    assert device_of(settings, old) is None


def test_a_token_for_an_unknown_device_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SettingError, match="dev-1"):
        run(settings, "device", "token", "dev-1")
    assert capsys.readouterr().out == ""
