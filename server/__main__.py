"""`python -m server …`: reads the settings and runs one command.

Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.
"""

import argparse
import sys
from dataclasses import fields

from aiohttp import web

from server import commands, demo, load
from server.errors import DemitasseError, SettingError
from server.logs import set_up_logs
from server.settings import Settings, environment, read_settings


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
        *commands.add_commands(commands_of),
    ]
    for command in with_settings:
        _add_settings(command)
    return parser


def _add_settings(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("settings", "win over the environment, where they have the same names")
    for setting in fields(Settings):
        flag = "--" + setting.name.replace("_", "-")
        meaning = f"{setting.metadata['meaning']} (default: {setting.default!r})".replace("%", "%%")
        group.add_argument(flag, dest=setting.name, metavar="VALUE", help=meaning)


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from server.app import make_app

    async def app() -> web.Application:
        return await make_app(settings)

    try:
        web.run_app(
            app(), host=settings.host, port=settings.port, print=None, access_log=None, shutdown_timeout=5.0
        )
    except OSError as error:
        raise SettingError(
            f"PORT: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
