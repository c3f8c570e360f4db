"""`python -m tests.simulation --seeds N`: run many towns, say what happened, fail for a broken promise.

Exit codes: 0 every promise was kept, 1 one was broken (the first failing seed is printed), 2 wrong usage.
"""

import argparse
import multiprocessing
import os
import sys
import time
from functools import partial

from tests.simulation.campaign import Tally, run_towns
from tests.simulation.plan import two_servers

CHUNK = 100


def main(arguments: list[str] | None = None) -> int:
    """Run the towns and return the exit code."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    tally = Tally()
    chunks = [range(at, min(at + CHUNK, options.first + options.seeds)) for at in _starts(options)]
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        towns = partial(run_towns, change=two_servers) if options.servers == 2 else run_towns
        for part in pool.imap(towns, chunks):
            tally.add(part)
            if sys.stderr.isatty():
                print(f"\r{tally.seeds} seeds, {len(tally.failures)} failed", end="", file=sys.stderr)
    seconds = time.monotonic() - began
    print("\n".join(tally.lines()))
    print(f"{'seeds per second':<24}{tally.seeds / seconds:>10.1f}")
    if not tally.failures:
        return 0
    seed = min(tally.failures)
    again = " --servers 2" if options.servers == 2 else ""
    repeat = f"python -m tests.simulation --seeds 1 --first {seed}{again}"
    print(f"\nfirst failing seed: {seed}   (repeat it: {repeat})")
    print("\n".join(f"  {wrong}" for wrong in tally.failures[seed]))
    print("all failing seeds:", *sorted(tally.failures))
    return 1


def _starts(options: argparse.Namespace) -> range:
    return range(options.first, options.first + options.seeds, CHUNK)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Run towns of machines.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many towns (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="first seed (default: %(default)s)")
    parser.add_argument(
        "--servers", type=int, choices=(1, 2), default=1, help="2: a second one over the same database"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side (default: one per core)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
