"""`python -m server …`: reads the settings and runs one command.

Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.
"""

import argparse
import os
import sys
from collections.abc import Collection
from dataclasses import Field, fields
from typing import Any

from server import __version__, archive, commands, demo, keeping, load, reconcile, report, serving
from server.errors import DemitasseError, SettingError
from server.logs import set_up_logs
from server.settings import Settings, environment, read_settings

ALL = tuple(setting.name for setting in fields(Settings))
DATA = ("database_url", "log_level")
KEYS = ("credentials_key", "credentials_key_file")
BANKS = ("sandbox", "port", "payment_api_timeout_s", "yookassa_api_url", "tbank_api_url", "tbank_ca_file")
DEMO = ("port", "log_level", "order_expiration_minutes", "make_life_s", "make_result_s", "manual_make_s")
"""Which settings matter to which commands. `reconcile` reaches the sandbox at the server's port."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. What it makes is for its own user alone to read."""
    os.umask(0o077)  # databases, archives and backups hold addresses of customers and tokens
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings(environment(), vars(options))
        place = getattr(options, "place", None)
        set_up_logs(settings.log_level, worker=place.number if place else None)
        code: int = options.run(settings, options)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    except DemitasseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server", description="Demitasse: sells coffee from machines."
    )
    parser.add_argument("--version", action="version", version=f"demitasse-server {__version__}")
    commands_of = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_settings(serving.add_command(commands_of), ALL)
    _add_settings(demo.add_command(commands_of), DEMO)
    _add_settings(load.add_command(commands_of), [*DATA, *KEYS, "sandbox"])
    _add_settings(reconcile.add_command(commands_of), [*DATA, *KEYS, *BANKS])
    for command in (
        *commands.add_commands(commands_of),
        *keeping.add_commands(commands_of),
        archive.add_command(commands_of),
        report.add_command(commands_of),
    ):
        _add_settings(command, DATA)
    return parser


def _add_settings(command: argparse.ArgumentParser, told: Collection[str]) -> None:
    """Add a flag for each setting; the help tells those that matter to the command.

    All are taken, as the environment's are. The usage stays short: a slip of the hand shall not print them.
    """
    command.usage = command.format_usage().removeprefix("usage: ").strip() + " [SETTINGS]"
    group = command.add_argument_group("settings", "win over the environment, where they have the same names")
    for setting in fields(Settings):
        flag = "--" + setting.name.replace("_", "-")
        meaning = f"{setting.metadata['meaning']}{_default(setting)}".replace("%", "%%")
        words = meaning if setting.name in told else argparse.SUPPRESS
        group.add_argument(flag, dest=setting.name, metavar="VALUE", help=words)


def _default(setting: "Field[Any]") -> str:
    """Return what a help says of the default, as it would be typed."""
    if setting.default == "":
        return ""
    typed = f"{setting.default:g}" if isinstance(setting.default, float | bool) else setting.default
    return f" (default: {typed})"


if __name__ == "__main__":
    sys.exit(main())
