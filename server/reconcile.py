"""`reconcile --from DATE`: compares our books with the providers'; what differs is printed, and a case."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path

import aiohttp

from server.books import Difference, differences
from server.clients import accounts_of
from server.clock import utc_now_ms
from server.db import Database, Transaction, open_database, serializable
from server.errors import SettingError
from server.known_archives import all_since, close_all
from server.payments import ProviderError
from server.payments.accounts import Account
from server.progress import Rules, open_case
from server.rules import rules_of
from server.settings import Settings
from server.store import cases, orders, payments
from server.store.rows import Payment, Refund
from server.vault import Vault

EARLIER_MS = 24 * 3_600_000
"""A movement stands in our books before the provider has heard of it, as long as its key lives at most: ours
are read from this much earlier."""


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `reconcile` to the command line; return its parser."""
    parser = subparsers.add_parser("reconcile", help="compare our books with the payment providers'")
    parser.add_argument(
        "--from", dest="since", metavar="DATE", required=True, help="first day, in UTC, like 2026-11-24"
    )
    parser.add_argument(
        "--archive",
        dest="archives",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="where an archive is now, if it was moved; may be given several times",
    )
    parser.set_defaults(run=run)
    return parser


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Print a JSON object a line for each difference. Returns 0 when there is none, else 1."""
    since_ms = _midnight_ms(options.since)
    found, unanswered = asyncio.run(run_comparison(settings, since_ms, options.archives))
    for line in found:
        print(json.dumps(line, ensure_ascii=False))
    for why in unanswered:
        print(f"not compared: {why}", file=sys.stderr)
    print(f"{len(found)} differences since {options.since}", file=sys.stderr)
    return 1 if found or unanswered else 0


def _midnight_ms(day: str) -> int:
    try:
        return int(datetime.combine(date.fromisoformat(day), time.min, UTC).timestamp() * 1000)
    except ValueError:
        raise SettingError(f"--from must be a day like 2026-11-24, not {day!r}") from None


async def run_comparison(
    settings: Settings, since_ms: int, archives: Sequence[Path] = ()
) -> tuple[list[dict[str, str | None]], list[str]]:
    """Return what differs at any account, and which accounts could not be asked."""
    db = await open_database(settings.database_url)
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            accounts = accounts_of(settings, db, session, Vault(settings.credentials_key))
            found: list[dict[str, str | None]] = []
            unanswered: list[str] = []
            for account in await accounts.every():
                about: dict[str, str | None] = {"merchant": account.merchant_id, "scenario": account.scenario}
                try:
                    compared = await compare_account(db, account, rules_of(settings), since_ms, archives)
                except ProviderError as error:
                    unanswered.append(f"merchant {account.merchant_id}, {account.scenario}: {error}")
                    continue
                found += [
                    {**about, "order_id": each.order_id, "id": each.subject, "differs": each.text}
                    for each in compared
                ]
            return found, unanswered
    finally:
        await db.close()


async def compare_account(
    db: Database, account: Account, rules: Rules, since_ms: int, archives: Sequence[Path] = ()
) -> list[Difference]:
    """Return what differs between our books and one account's since then; each is a case now.

    Raises ProviderError when the provider does not answer, SettingError when an archive that may hold orders
    of this time cannot be read; nothing is written then.
    """
    ours, refunds = await _our_books(db, account, since_ms - EARLIER_MS, archives)
    is_hold = rules.bodies(account.scenario).is_hold
    ids = {
        payment.provider_payment_id: is_hold(payment.body)
        for payment in ours
        if payment.provider_payment_id is not None
    }
    theirs = await account.provider.payments_since(since_ms, ids)
    their_refunds = await account.provider.refunds_since(since_ms, ids)
    found = differences(ours, refunds, theirs, their_refunds, since_ms)
    await db.write(keep, rules, found, utc_now_ms())
    return found


async def _our_books(
    db: Database, account: Account, since_ms: int, archives: Sequence[Path]
) -> tuple[list[Payment], list[Refund]]:
    """Return what we know of an account's payments and refunds, here and in archives alike."""
    books = (account.merchant_id, account.scenario, since_ms)
    opened = await all_since(db, since_ms, archives)
    try:
        read = [
            await db.read(payments.books, *books),
            *(each.read(payments.books, *books) for each in opened),
        ]
    finally:
        close_all(opened)
    return [each for ours, _ in read for each in ours], [each for _, refunds in read for each in refunds]


@serializable  # what has had no case yet, and what leaves for an archive, has no row in common
def keep(rules: Rules, found: Sequence[Difference], now: int) -> Transaction[None]:
    """Open a case for each difference that has had none."""
    for each in found:
        if (yield from cases.known("books_differ", each.subject)):
            continue
        order = (yield from orders.get(each.order_id)) if each.order_id else None
        yield from open_case(rules, "books_differ", each.subject, now, each.text, order)
