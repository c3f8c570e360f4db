"""`python -m server …`: reads the settings and runs one command.

Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.
"""

import argparse
import errno
import sys
from dataclasses import Field, fields
from typing import Any

import structlog
from aiohttp import web

from server import commands, demo, load, reconcile
from server.errors import DemitasseError, SettingError
from server.logs import set_up_logs
from server.settings import Settings, environment, read_settings

log = structlog.get_logger()


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings(environment(), vars(options))
        set_up_logs(settings.log_level)
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
    commands_of = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serve = commands_of.add_parser("serve", help="run the server")
    serve.set_defaults(run=_serve)
    with_settings = [
        serve,
        demo.add_command(commands_of),
        load.add_command(commands_of),
        reconcile.add_command(commands_of),
        *commands.add_commands(commands_of),
    ]
    for command in with_settings:
        _add_settings(command)
    return parser


def _add_settings(command: argparse.ArgumentParser) -> None:
    """Add a flag for each setting. The usage stays short: a slip of the hand shall not print them all."""
    command.usage = command.format_usage().removeprefix("usage: ").strip() + " [SETTINGS]"
    group = command.add_argument_group("settings", "win over the environment, where they have the same names")
    for setting in fields(Settings):
        flag = "--" + setting.name.replace("_", "-")
        meaning = f"{setting.metadata['meaning']}{_default(setting)}".replace("%", "%%")
        group.add_argument(flag, dest=setting.name, metavar="VALUE", help=meaning)


def _default(setting: "Field[Any]") -> str:
    """Return what a help says of the default, as it would be typed."""
    if setting.default == "":
        return ""
    typed = f"{setting.default:g}" if isinstance(setting.default, float | bool) else setting.default
    return f" (default: {typed})"


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from server.app import make_app

    async def app() -> web.Application:
        return await make_app(settings)

    try:
        web.run_app(
            app(),
            host=settings.host,
            port=settings.port,
            print=lambda _: log.info("server listens", url=settings.public_url, sandbox=settings.sandbox),
            access_log=None,
            shutdown_timeout=5.0,
        )
    except OSError as error:
        raise SettingError(_not_listening(settings, error)) from error
    return 0


def _not_listening(settings: Settings, error: OSError) -> str:
    """Return which setting is wrong when the server cannot listen, and why."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"PORT: {settings.port} is taken by another program: stop it, or choose another port"
        case errno.EACCES:
            return f"PORT: {settings.port} may not be opened by this user: choose one above 1023"
        case _:
            return f"HOST: cannot listen on {settings.host!r}: {error.strerror}"


if __name__ == "__main__":
    sys.exit(main())
