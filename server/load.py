"""Writes what a `load` file says into the database: repeatable, all of it or nothing."""

import argparse
import asyncio
import json
import sys
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec

from server.clock import utc_now_ms
from server.db import EVERY_ORDER, Statement, Transaction, open_database, serializable
from server.errors import SettingError
from server.payments.accounts import is_live
from server.settings import Settings
from server.shop_file import DeviceEntry, DrinkEntry, File, MerchantEntry, read_file
from server.store import devices
from server.store.rows import TEXT_FIELDS
from server.vault import HOW_TO_MAKE_A_KEY, NO_KEY, NotOpened, Vault

Changes = list[dict[str, Any]]

BANKS = ("Yookassa", "YookassaReceipt", "TBank")
"""The scenarios for which a merchant needs credentials."""


@serializable  # what one file says of a merchant and another of its devices must fit
def load(file: File, now: int, vault: Vault = NO_KEY) -> Transaction[Changes]:
    """Write what differs from the database; return one object per thing that was created or updated.

    Raises SettingError when a device names a merchant that is neither in the file nor in the database, when
    one sells with receipts and its merchant says nothing of them, and when credentials need a key that is
    not set.
    """
    changes: Changes = []
    for merchant in file.merchants:
        yield from _load_merchant(merchant, vault, now, changes)
    for number, device in enumerate(file.devices):
        known = yield Statement("SELECT 1 AS one FROM merchants WHERE merchant_id = $1", (device.merchant,))
        if not known:
            raise SettingError(f"devices[{number}].merchant: there is no merchant {device.merchant!r}")
        yield from _load_device(device, now, changes)
    yield from _check_receipts({merchant.id for merchant in file.merchants}, file.devices)
    return changes


def _check_receipts(merchants: set[str], entries: list[DeviceEntry]) -> Transaction[None]:
    """Raise SettingError when a device of these merchants or entries needs a receipt nobody has described.

    A receipt at T-Bank needs to name the tax system.
    """
    without = yield Statement(
        "SELECT device_uuid, devices.merchant_id, payment_scenario FROM devices "
        "JOIN merchants ON merchants.merchant_id = devices.merchant_id "
        "WHERE (payment_scenario = 'YookassaReceipt' AND merchants.receipt IS NULL) "
        "OR (payment_scenario = 'TBank' AND merchants.receipt NOT LIKE '%\"tax_system_code\":%') "
        "ORDER BY device_uuid"
    )
    numbers = {device.device_uuid: number for number, device in enumerate(entries)}
    for row in without:
        uuid, merchant, scenario = row["device_uuid"], row["merchant_id"], row["payment_scenario"]
        needed = "receipt.tax_system_code" if scenario == "TBank" else "a receipt table"
        if uuid in numbers:
            where = f"devices[{numbers[uuid]}].payment_scenario"
            raise SettingError(f"{where}: {scenario} needs {needed} of merchant {merchant!r}")
        if merchant in merchants:
            raise SettingError(f"merchant {merchant!r} needs {needed}: {uuid} sells with receipts")


def without_credentials(file: File) -> Transaction[list[str]]:
    """Return a line for each device of the file that cannot sell, since its merchant has no credentials."""
    lines = []
    for device in file.devices:
        scenario = device.payment_scenario
        if scenario not in BANKS or (yield from devices.credentials(device.merchant, scenario)):
            continue
        where = f"[merchants.credentials.{scenario}]"
        lines.append(f"{device.device_uuid} cannot sell: merchant {device.merchant} has no {where}")
    return lines


def that_cannot_sell(file: File, now: int, sandbox: bool) -> list[str]:
    """Return a line for each merchant of the file who is over, and each device that needs the sandbox."""
    lines = []
    for merchant in file.merchants:
        until = _end_of(merchant.valid_until)
        if until is not None and until < now:
            lines.append(f"merchant {merchant.id} cannot sell: valid_until {merchant.valid_until} is past")
    for device in file.devices:
        if device.payment_scenario == "Sandbox" and not sandbox:
            needs = "payment_scenario is Sandbox, which only a server with SANDBOX=1 serves"
            lines.append(f"{device.device_uuid} may not sell: its {needs}; here SANDBOX is off")
    return lines


def _load_merchant(merchant: MerchantEntry, vault: Vault, now: int, changes: Changes) -> Transaction[None]:
    key = {"merchant_id": merchant.id}
    wanted = {
        "name": merchant.name,
        "valid_until": _end_of(merchant.valid_until),
        "holds_cards_since": (yield from _holds_cards_since(merchant, now)),
        "receipt": _json_or_none(merchant.receipt),
    }
    yield from _upsert("merchants", "merchant", key, wanted, now, changes)
    for scenario, fields in merchant.credentials.items():
        body = json.dumps(fields, sort_keys=True, ensure_ascii=False)
        if not vault.has_key and is_live(scenario, body):
            raise _needs_key(
                f"live credentials of merchant {merchant.id} for {scenario} are kept only sealed"
            )
        kept = yield from devices.credentials(merchant.id, scenario)
        if kept is None or not _keeps(vault, merchant.id, scenario, kept, body):
            key = {"merchant_id": merchant.id, "scenario": scenario}
            yield from _upsert("credentials", "credentials", key, {"body": vault.seal(body)}, now, changes)


def _holds_cards_since(merchant: MerchantEntry, now: int) -> Transaction[int | None]:
    """Return since when the merchant holds cards' money: now, unless it did before."""
    if not merchant.hold_cards:
        return None
    rows = yield Statement("SELECT holds_cards_since FROM merchants WHERE merchant_id = $1", (merchant.id,))
    since: int | None = rows[0]["holds_cards_since"] if rows else None
    return now if since is None else since


def _json_or_none(receipt: msgspec.Struct | None) -> str | None:
    return None if receipt is None else msgspec.json.encode(receipt).decode()


def _keeps(vault: Vault, merchant_id: str, scenario: str, kept: str, body: str) -> bool:
    """Return whether the database has `body`, sealed as it is sealed now.

    What is sealed with a lost key is replaced, but never by a text in clear: raises SettingError.
    """
    try:
        return vault.open(kept) == body and vault.is_current(kept)
    except NotOpened:
        if vault.has_key:
            return False
        raise _needs_key(f"the credentials of merchant {merchant_id} for {scenario} are sealed") from None


def _needs_key(why: str) -> SettingError:
    return SettingError(
        f"CREDENTIALS_KEY is not set, and {why}; set the server's key, or make one by: {HOW_TO_MAKE_A_KEY}"
    )


def _end_of(valid_until: date | datetime | None) -> int | None:
    """Return the last moment of a validity: the end of the day in UTC when only a day is given."""
    if valid_until is None:
        return None
    if not isinstance(valid_until, datetime):
        valid_until = datetime.combine(valid_until, time.max, UTC)
    if valid_until.tzinfo is None:
        valid_until = valid_until.replace(tzinfo=UTC)
    return int(valid_until.timestamp() * 1000)


def _load_device(device: DeviceEntry, now: int, changes: Changes) -> Transaction[None]:
    wanted: dict[str, Any] = {
        "merchant_id": device.merchant,
        "location": device.location,
        "payment_scenario": device.payment_scenario,
    }
    for name in (*TEXT_FIELDS, "client_error_info", "logo_url", "redirect_url"):
        text = getattr(device, name)
        if text is not None:
            wanted[name] = text.strip() or None
    yield from _upsert("devices", "device", {"device_uuid": device.device_uuid}, wanted, now, changes)
    if device.drinks is not None:
        yield from _load_menu(device.device_uuid, device.drinks, now, changes)


def _load_menu(device_uuid: str, drinks: list[DrinkEntry], now: int, changes: Changes) -> Transaction[None]:
    """Write the menu as the file has it; a drink that is no longer in it is no longer sold."""
    for position, drink in enumerate(drinks):
        wanted = {
            "name": drink.name,
            "prices": json.dumps(msgspec.to_builtins(drink.prices)),
            "position": position,
            "removed_at": None,
            "receipt": _json_or_none(drink.receipt),
        }
        key = {"device_uuid": device_uuid, "drink_no": drink.drink_no}
        yield from _upsert("drinks", "drink", key, wanted, now, changes)
    named = [drink.drink_no for drink in drinks]
    sold = yield Statement(
        "SELECT drink_no FROM drinks WHERE device_uuid = $1 AND removed_at IS NULL", (device_uuid,)
    )
    for row in sold:
        if row["drink_no"] not in named:
            key = {"device_uuid": device_uuid, "drink_no": row["drink_no"]}
            yield from _upsert("drinks", "drink", key, {"removed_at": now}, now, changes)


def _upsert(
    table: str, what: str, key: dict[str, str], wanted: dict[str, Any], now: int, changes: Changes
) -> Transaction[None]:
    """Create the row, or write just the columns that differ; note what was done, never a secret."""
    where = " AND ".join(f"{name} = ${number}" for number, name in enumerate(key, 1))
    rows = yield Statement(f"SELECT * FROM {table} WHERE {where}", tuple(key.values()))
    if not rows:
        fields = {**key, **wanted, "updated_at": now}
        marks = ", ".join(f"${number}" for number in range(1, len(fields) + 1))
        yield Statement(f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values()))
        changes.append({"created": what, **key})
        return
    differing = {name: value for name, value in wanted.items() if rows[0][name] != value}
    if differing:
        written = {**differing, "updated_at": now}
        start = len(key) + 1
        assigned = ", ".join(f"{name} = ${number}" for number, name in enumerate(written, start))
        values = (*key.values(), *written.values())
        yield Statement(f"UPDATE {table} SET {assigned} WHERE {where}", values, touches=EVERY_ORDER)
        changes.append({"updated": what, **key, "fields": sorted(differing)})


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `load` to the command line; return its parser."""
    parser = subparsers.add_parser("load", help="create or update merchants, devices, menus and texts")
    parser.add_argument("file", metavar="FILE.toml", help="what to load; README shows one")
    parser.set_defaults(run=run)
    return parser


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Load a file and print a JSON object a line of what changed. Returns the exit code."""
    file = read_file(options.file)
    vault = Vault(settings.credentials_key)
    now = utc_now_ms()
    changes, warnings = asyncio.run(_write(settings.database_url, file, now, vault))
    for change in changes:
        print(json.dumps(change, ensure_ascii=False))
    for warning in (*warnings, *that_cannot_sell(file, now, settings.sandbox)):
        print(warning, file=sys.stderr)
    if not vault.has_key:
        _warn_of_what_stands_in_clear(file)
    return 0


def _warn_of_what_stands_in_clear(file: File) -> None:
    """Without a key only test credentials were loaded; say on standard error that they are not sealed."""
    for merchant in file.merchants:
        for scenario in merchant.credentials:
            whose = f"test credentials of merchant {merchant.id} for {scenario}"
            print(f"CREDENTIALS_KEY is not set: {whose} are kept in clear", file=sys.stderr)


async def _write(url: str, file: File, now: int, vault: Vault) -> tuple[Changes, list[str]]:
    db = await open_database(url)
    try:
        changes = await db.write(load, file, now, vault)
        return changes, await db.read(without_credentials, file)
    finally:
        await db.close()
