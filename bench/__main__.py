"""`python -m bench`: measures, and prints the table of the bars with this machine."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path

from bench.host import described
from bench.rows import ROWS, WITHOUT_WARM_UP
from bench.scale import FULL, TINY, Scale
from bench.table import HEAD, Figures, printed
from bench.tied import raise_file_limit


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that are named; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", metavar="ROW,…", default="", help=f"of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--tiny", action="store_true", help="loads so small that figures mean nothing")
    parser.add_argument("--folder", type=Path, help="where databases and journals are made: choose the disk")
    parser.add_argument(
        "--grown",
        metavar="N",
        type=int,
        default=FULL.grown,
        help="finished orders that the row growth sells beside",
    )
    options = parser.parse_args(arguments)
    names = [name for name in options.rows.split(",") if name] or list(ROWS)
    if unknown := set(names) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="demitasse-bench-", dir=options.folder) as folder:
        scale = TINY if options.tiny else replace(FULL, grown=options.grown)
        asyncio.run(_until_told(measure(names, scale, Path(folder))))
    return 0


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """Do the work; SIGTERM ends it as an interrupt from the keyboard does, so that children end too."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


async def measure(names: Sequence[str], scale: Scale, folder: Path) -> None:
    """Print the machine, then the lines of each row as soon as it is measured."""
    print(f"{described(folder)}; {scale.runs} runs, medians.\n", flush=True)
    print(*HEAD, sep="\n", flush=True)
    for name in names:
        place = folder / name
        place.mkdir()
        runs = await _runs(name, place, scale)
        print(*(printed(line.of(scale), runs) for line in ROWS[name].LINES), sep="\n", flush=True)


async def _runs(name: str, folder: Path, scale: Scale) -> list[Figures]:
    """Warm up with one run that does not count, then measure; once only what starts anew with each run."""
    async with ROWS[name].prepared(folder, scale) as run:
        if name in WITHOUT_WARM_UP:  # a run takes a minute and more
            return [await run()]
        await run()
        return [await run() for _ in range(scale.runs)]


if __name__ == "__main__":
    sys.exit(main())
