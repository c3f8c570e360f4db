"""The agent's command line: `run`, `doctor`, `simulate`. It puts the parts together and decides nothing.

What `run` does not need is imported where it is used: the agent stays in memory for years.
Exit codes: 0 fine, 1 failed, 2 wrong usage or settings.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import structlog

from agent import __version__, settings
from agent.drivers import open_machine
from agent.journal import Journal
from agent.journal_file import JournalError, JournalLocked
from agent.link import Link
from agent.logs import set_up_logging
from agent.runner import Runner
from agent.settings import Settings, SettingsError
from agent.websocket import Server

log = structlog.get_logger()

SIMULATORS = {"jura": "agent.drivers.jura_command"}
"""Driver → the module that offers `add_options(parser)` and `async simulate(options) -> int`."""

_LOG_LEVELS = {"doctor": "ERROR"}
"""Command → what it logs from, unless LOG_LEVEL says. The doctor's findings already tell the rest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (by default the process's); return the exit code.

    What it makes is for its own user alone to read.
    """
    os.umask(0o077)
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser("simulate" in given).parse_args(given)
    try:
        level = settings.log_level(default=_LOG_LEVELS.get(options.command, "INFO"))
        set_up_logging(level, every_line=options.command != "run")
        return asyncio.run(_command(options))
    except SettingsError as error:
        return _refuse(2, error)
    except JournalError as error:
        return _refuse(1, error)
    except KeyboardInterrupt:
        return 0


async def _command(options: argparse.Namespace) -> int:
    if options.command == "simulate":
        return await simulate(options)
    configured = settings.read(options.config)
    if options.command == "doctor":
        from agent import doctor

        return await doctor.examine(configured)
    return await run(configured)


async def run(configured: Settings) -> int:
    """Run the agent until SIGTERM or SIGINT; return the exit code."""
    try:
        machine = open_machine(
            configured.driver,
            configured.port,
            configured.profile,
            configured.products,
            configured.make_limit_s,
        )
        journal = Journal(configured.journal)
    except JournalLocked:
        raise
    except (ValueError, JournalError) as error:
        raise SettingsError(str(error)) from error
    link = Link(Server(configured.server, configured.token).connect, journal)
    runner = Runner(machine, journal, link)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runner.stop)
    log.info("agent starts", version=__version__, server=configured.server, port=configured.port)
    try:
        await runner.run()
    finally:
        journal.close()
    log.info("agent has stopped")
    return 0


async def simulate(options: argparse.Namespace) -> int:
    """Be a machine in software until SIGTERM or SIGINT; return the exit code."""
    try:
        code: int = await _simulator(options.driver).simulate(options)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    return code


def _simulator(driver: str) -> ModuleType:
    return import_module(SIMULATORS[driver])


def _parser(with_simulators: bool) -> argparse.ArgumentParser:
    """Return the command line's parser. The simulators' own options are known only `with_simulators`."""
    parser = argparse.ArgumentParser(prog="demitasse-agent", description="Makes coffee for paid orders.")
    parser.add_argument("--version", action="version", version=f"demitasse-agent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (("run", "run the agent"), ("doctor", "check everything, make no drink")):
        command = commands.add_parser(name, help=words, description=words)
        command.add_argument("--config", type=Path, metavar="FILE", help="config file (default: agent.toml)")
    words = "be a machine in software behind a pseudo-terminal"
    simulated = commands.add_parser("simulate", help=words, description=words)
    drivers = simulated.add_subparsers(dest="driver", required=True, metavar="DRIVER")
    for driver in SIMULATORS if with_simulators else ():
        usage = f"demitasse-agent simulate {driver} [-h] --link PATH [OPTIONS]"
        words = f"a machine of the driver {driver}"
        _simulator(driver).add_options(drivers.add_parser(driver, help=words, usage=usage))
    return parser


def _refuse(code: int, error: Exception) -> int:
    print(f"demitasse-agent: {' '.join(str(error).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
