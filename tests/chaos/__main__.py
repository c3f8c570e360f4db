"""`python -m tests.chaos --orders N [--seed S] [--machines M]`: 0 when the promise was kept, else 1."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.books import Books, Verdict
from tests.chaos.campaign import Campaign

MACHINES = 16
SHOWN = 20


def main() -> int:
    """Run one campaign; print its seed, how it goes, and its table."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="demitasse-chaos-"))
    say(f"seed {options.seed}, {options.orders} orders, {options.machines} machines, in {folder}")
    began = time.monotonic()
    settings = {"DATABASE_URL": options.database_url, "WORKERS": options.workers}
    chosen = {name: value for name, value in settings.items() if value}
    about = (folder, options.orders, options.machines, options.seed, say)
    campaign = Campaign(*about, settings=chosen)
    found, verdict = asyncio.run(campaign.run())
    print("\n".join(table(campaign, found, verdict, time.monotonic() - began)))
    if not verdict.broken and not found.forbidden and not campaign.surprises:
        shutil.rmtree(folder)
        return 0
    _complain(campaign, found, verdict)
    return 1


def say(words: str) -> None:
    """Print a line at once, also into a file."""
    print(words, flush=True)


def table(campaign: Campaign, found: Books, verdict: Verdict, took_s: float) -> list[str]:
    """Return the lines of the table that ends a campaign."""
    statuses = Counter(order["status"] for order in found.orders.values())
    failures = Counter(order["failure_code"] for order in found.orders.values() if order["failure_code"])
    rows: list[tuple[str, object]] = [
        ("orders", len(found.orders)),
        *((f"  {status}", times) for status, times in sorted(statuses.items())),
        *((f"  failed by {code}", times) for code, times in sorted(failures.items())),
        ("paid", sum(map(len, found.paid.values()))),
        ("drinks", found.cups.total()),
        ("refunds", found.given_back.total()),
        ("cases that were", sum(map(len, found.cases.values()))),
        ("open cases", sum(map(len, found.open_cases.values()))),
        *((what, times) for what, times in sorted(campaign.broke.items())),
        ("seconds", round(took_s)),
        ("surprises", len(campaign.surprises)),
        ("forbidden commands", len(found.forbidden)),
        ("doubled", len(verdict.doubled)),
        ("lost", len(verdict.lost)),
        ("stuck", len(verdict.stuck)),
    ]
    return [f"{name:<34}{value:>8}" for name, value in rows]


def _complain(campaign: Campaign, found: Books, verdict: Verdict) -> None:
    print(f"\nThe promise was broken with seed {campaign.seed}; everything is kept in {campaign.folder}")
    for name, wrong in (
        ("surprise", campaign.surprises),
        ("forbidden", found.forbidden),
        ("doubled", verdict.doubled),
        ("lost", verdict.lost),
        ("stuck", verdict.stuck),
        ("still on its way at the end", campaign.waited),
    ):
        for words in wrong[:SHOWN]:
            print(f"{name}: {words}")
    print(campaign.tail)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--machines", type=int, default=MACHINES)
    parser.add_argument("--database-url", help="an empty PostgreSQL database; default: a SQLite file")
    parser.add_argument(
        "--workers", type=int, help="processes on the port, of which one is killed every few seconds"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
