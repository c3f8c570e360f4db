"""Pairs of rare writes that may meet on PostgreSQL: of servers, users, settings, and archives."""

from dataclasses import replace
from functools import partial

from agent.wire import MakeState
from server import reconcile
from server.archiving import Whole
from server.books import Difference
from server.db import Transaction
from server.device_texts import save
from server.fiscal import MerchantReceipt
from server.load import load
from server.shop_file import File, MerchantEntry
from server.store import archives, servers, users
from server.users import count_attempt
from tests.fakes.shop import machine
from tests.server.db import scenes
from tests.server.db.meeting import Deed, Pair, pair
from tests.server.db.scenes import NOW, report, rules, start

LATER = NOW + 10**9
COPIES: dict[str, Whole] = {}
"""What was copied to the archive of the order that is over."""


def two_servers() -> Transaction[None]:
    for name in ("a", "b"):
        yield from servers.begin(name, NOW)
    yield from scenes.scanned("o1")
    yield from start("o1", "o1")


def nobody() -> Transaction[None]:
    """A payment was taken up by a process that is gone."""
    yield from scenes.scanned("o1")
    yield from start("o1", "o1")


def one_server() -> Transaction[None]:
    yield from servers.begin("a", NOW)
    yield from nobody()


def bury(name: str) -> Deed:
    return partial(servers.bury, servers.Server(name, NOW, 0, NOW), NOW)


def a_user() -> Transaction[None]:
    yield from users.put(users.User("anna", "operator", "hash", NOW, NOW))


def program(token: str) -> users.NewSession:
    return users.NewSession(token, "anna", "program", "", NOW, NOW, None)


def four_attempts() -> Transaction[None]:
    for number in range(4):
        yield from attempt(f"known-{number}")()


def attempt(attempt_id: str) -> Deed:
    return partial(count_attempt, attempt_id, "192.0.2.1", "abcd", NOW)


def may_give_receipts() -> Transaction[None]:
    kept = {"credentials": {"YookassaReceipt": scenes.CARD}, "receipt": MerchantReceipt(vat_code=1)}
    merchant = MerchantEntry(id="m1", name="Кофе", **kept)
    yield from load(File([merchant], [machine()]), NOW)


def over() -> Transaction[None]:
    """An order is over and copied to an archive."""
    yield from scenes.sent("o1")
    yield from report("o1", "o1", MakeState.DONE)
    COPIES.update((yield from archives.whole(["o1"])))


put_away = partial(archives.put_away, archives.Archive("archive-1", "2026.db", LATER, 0, LATER), COPIES)


def compared(subject: str, order_id: str | None) -> Deed:
    """A comparison of the books finds something; it may not know of which order."""
    named = replace(rules(""), new_id=lambda kind: f"{kind}-of-books")
    return partial(reconcile.keep, named, [Difference(subject, order_id, "unlike")], LATER)


PAIRS: dict[str, Pair] = {
    "two processes that bury each other": pair(two_servers, bury("a"), bury("b")),
    "two processes that begin": pair(
        nobody, partial(servers.begin, "a", NOW), partial(servers.begin, "b", NOW)
    ),
    "a process that begins as the last is buried": pair(
        one_server, partial(servers.begin, "b", NOW), bury("a")
    ),
    "a process that begins as one of two is buried": pair(
        two_servers, partial(servers.begin, "c", NOW), bury("a")
    ),
    "two last attempts to sign in": pair(four_attempts, attempt("a"), attempt("b")),
    "two new tokens of a program": pair(
        a_user,
        partial(users.replace_program_token, program("a")),
        partial(users.replace_program_token, program("b")),
    ),
    "two files that do not fit": pair(
        may_give_receipts,
        partial(load, File([], [machine(payment_scenario="YookassaReceipt")]), NOW),
        partial(load, File([MerchantEntry(id="m1", name="Кофе")], []), NOW),
    ),
    "two users of one name": pair(
        scenes.shop,
        lambda: users.put(users.User("anna", "operator", "a", NOW, NOW)),
        lambda: users.put(users.User("anna", "technician", "b", NOW, NOW)),
    ),
    "two who edit one text": pair(
        scenes.shop,
        lambda: save("dev-1", {"client_info": "a"}, "", "a", NOW, lambda kind: f"{kind}-a"),
        lambda: save("dev-1", {"client_info": "b"}, "", "b", NOW, lambda kind: f"{kind}-b"),
    ),
    "an order leaves and its agent speaks of it": pair(
        over, put_away, partial(report, "b", "o1", MakeState.FAILED)
    ),
    "an order leaves and its bank speaks of it": pair(over, put_away, partial(scenes.heard, "b", "pay-o1-1")),
    "an order leaves and a comparison finds it": pair(over, put_away, compared("pay-o1-1", "o1")),
    "an order leaves and a comparison finds its payment": pair(
        over, put_away, compared("bank-pay-o1-1", None)
    ),
    "an order leaves twice": pair(over, put_away, put_away),
}
