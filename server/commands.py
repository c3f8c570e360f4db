"""The commands for users and tokens: `user add`, `user token`, `device token`. A secret is printed once."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from server.clock import utc_now_ms
from server.db import Database, Transaction, open_database
from server.errors import SettingError
from server.settings import Settings
from server.store import devices
from server.tokens import new_token, token_hash
from server.users import ROLES, Users, check_name, known_already

R = TypeVar("R")


def add_commands(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> list[argparse.ArgumentParser]:
    """Add the commands; each sets `run(settings, options) -> exit code`. Return their parsers."""
    of_user = subparsers.add_parser("user", help="technicians and operators")
    user = of_user.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add = user.add_parser("add", help="add a person who may sign in at /tech/")
    add.add_argument("name", metavar="NAME", help="the name to sign in with")
    add.add_argument(
        "--role", choices=ROLES, required=True, help="shown beside the name; both may do the same"
    )
    add.add_argument(
        "--replace", action="store_true", help="give a user of that name another role and password"
    )
    add.set_defaults(run=user_add)
    token = user.add_parser("token", help="make a new token for the user's programs; the old one is void")
    token.add_argument("name", metavar="NAME", help="a user, as it was added by `user add`")
    token.set_defaults(run=user_token)
    of_device = subparsers.add_parser("device", help="coffee machines")
    device = of_device.add_subparsers(title="commands", required=True, metavar="COMMAND")
    agent = device.add_parser(
        "token", help="make a new token for the device's agent; the old one is void when the new one is used"
    )
    agent.add_argument("device_uuid", metavar="DEVICE_UUID", help="the machine, as the loaded file names it")
    agent.set_defaults(run=device_token)
    return [add, token, agent]


def user_add(settings: Settings, options: argparse.Namespace) -> int:
    """Ask for a password, or read it from standard input, and keep the user. Raises SettingError."""
    check_name(options.name)

    async def add(db: Database) -> bool:
        users = Users(db, utc_now_ms)
        if not options.replace and await users.knows(options.name):
            raise known_already(options.name)  # before a password is asked for in vain
        return await users.add(options.name, options.role, read_password(), options.replace)

    new = asyncio.run(_with_database(settings, add))
    what = "added" if new else "changed; whoever was signed in no longer is"
    print(f"{options.role} {options.name} {what}")
    return 0


def user_token(settings: Settings, options: argparse.Namespace) -> int:
    """Print a new bearer token for the user's programs. Raises SettingError."""

    async def make(db: Database) -> str:
        return await Users(db, utc_now_ms).new_program_token(options.name)

    print(asyncio.run(_with_database(settings, make)))
    return 0


def device_token(settings: Settings, options: argparse.Namespace) -> int:
    """Print a new token for the device's agent. Raises SettingError when there is no such device."""
    token = new_token()

    async def keep(db: Database) -> bool:
        return await db.write(give_token, options.device_uuid, token_hash(token))

    if not asyncio.run(_with_database(settings, keep)):
        raise SettingError(f"there is no device {options.device_uuid!r}: load it first, by `load FILE.toml`")
    print(token)
    return 0


def give_token(device_uuid: str, kept: str) -> Transaction[bool]:
    """Keep the hash of the agent's new token; return whether the device is known."""
    if (yield from devices.get(device_uuid)) is None:
        return False
    yield from devices.set_token(device_uuid, kept)
    return True


def read_password() -> str:
    """Ask a person twice, or return the first line of what is piped in. Raises SettingError."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise SettingError("the passwords differ")
    return password


async def _with_database(settings: Settings, work: Callable[[Database], Awaitable[R]]) -> R:
    db = await open_database(settings.database_url)
    try:
        return await work(db)
    finally:
        await db.close()
