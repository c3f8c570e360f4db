"""`simulate jura`: the options of a simulated Jura, and its life until a signal ends it."""

import argparse
import asyncio
import math
import os
import signal
from pathlib import Path

from agent.drivers.jura_frames import FILLER_5B, FILLER_DB
from agent.drivers.jura_simulated import MODELS, Behaviour, Fail
from agent.drivers.jura_simulator import JuraSimulator, read_counters


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a simulated Jura."""
    add = parser.add_argument
    default = Behaviour()
    add(
        "--link",
        required=True,
        type=Path,
        metavar="PATH",
        help="where the machine's serial port shall appear",
    )
    add("--model", choices=MODELS, default=default.model, help="which Jura to be (default: %(default)s)")
    add(
        "--filler",
        choices=("DB", "5B"),
        default="DB",
        help="filler of the bytes it sends (default: %(default)s)",
    )
    add(
        "--fail",
        choices=[fail.value for fail in Fail],
        default=Fail.NONE.value,
        metavar="MODE",
        help="what goes wrong: none; no-water: it takes the key and finds its tank empty; no-beans: it brews "
        "dry and counts nothing; silent: it answers nothing; locked: it ignores the keys; no-count: it brews "
        "but counts nothing; late: it counts --late-s after the drink; double: it counts two; unplugged: its "
        "cable comes out when a key is pressed; unplugged-before: its cable comes out when it is first "
        "asked; power-cut: it goes dead half-way through the drink; noise: junk on the line, all else works "
        "(default: %(default)s)",
    )
    add(
        "--fail-after",
        type=int,
        default=0,
        metavar="N",
        help="make N good drinks first (default: %(default)s)",
    )
    add("--recover-s", type=seconds, metavar="S", help="the fault is put right S seconds after it showed")
    add("--again", action="store_true", help="a fault that was put right comes back at the next drink")
    add("--back-s", type=seconds, metavar="S", help="a cable that came out is back after S seconds")
    add(
        "--brew-s",
        type=seconds,
        default=default.brew_s,
        metavar="S",
        help="seconds that a drink takes (default: %(default)s)",
    )
    add(
        "--late-s",
        type=seconds,
        default=default.late_s,
        metavar="S",
        help="how late 'late' counts (default: %(default)s)",
    )
    add("--slow-every", type=int, default=0, metavar="N", help="every Nth reply is late (default: none)")
    add("--slow-reply-s", type=seconds, default=6.0, metavar="S", help="how late (default: %(default)s)")
    add("--inkasso", action="store_true", help="understand the payment mode ?M3, ?M1, as an S90 does")
    add(
        "--eeprom",
        type=Path,
        metavar="FILE",
        help="its counters at first: 64 hexadecimal digits, or a JSON list",
    )
    add("--state", type=Path, metavar="FILE", help="keep the counters here, over restarts")
    add("--ledger", type=Path, metavar="FILE", help="append a JSON line for each drink that really came out")
    add(
        "--seed",
        type=int,
        default=default.seed,
        metavar="N",
        help="for the junk of 'noise' (default: %(default)s)",
    )


async def simulate(options: argparse.Namespace) -> int:
    """Be the machine until SIGTERM or SIGINT; SIGUSR1 puts a fault right.

    Returns the exit code: 0, or 1 when a command came that no agent may send. Raises ValueError that names
    the option for a file of counters or a link that cannot be used.
    """
    behaviour = Behaviour(
        model=options.model,
        filler=FILLER_5B if options.filler == "5B" else FILLER_DB,
        fail=Fail(options.fail),
        fail_after=options.fail_after,
        recover_s=options.recover_s,
        again=options.again,
        back_s=options.back_s,
        brew_s=options.brew_s,
        late_s=options.late_s,
        slow_reply_s=options.slow_reply_s,
        slow_every=options.slow_every,
        inkasso=options.inkasso,
        seed=options.seed,
    )
    for option, path in (("--state", options.state), ("--ledger", options.ledger)):
        if path is not None:
            check_writable(option, path)
    counters = read_counters(options.eeprom) if options.eeprom else None
    simulator = JuraSimulator(options.link, behaviour, counters, options.ledger, options.state)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, simulator.machine.heal)
    async with simulator:
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait([waiting, *simulator.tasks], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    return 1 if simulator.machine.forbidden else 0


def seconds(text: str) -> float:
    """Return a number of seconds as it was typed. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")
    return number


def check_writable(option: str, path: Path) -> None:
    """Raise ValueError that names the option when no file can be made or written at `path`."""
    if path.is_dir():
        raise ValueError(f"{option}: {path} is a folder: name a file in it")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{option}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ValueError(f"{option}: {path} cannot be written")
