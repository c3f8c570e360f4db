"""Loads merchants, devices, menus and texts from a TOML file: repeatable, all of it or nothing.

The file is checked whole before anything is written; a wrong one changes nothing and the error names the key.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import msgspec

from server.clock import utc_now_ms
from server.db import EVERY_ORDER, Statement, Transaction, open_database
from server.device_texts import is_picture_address
from server.errors import SettingError
from server.payments.accounts import is_live
from server.settings import Settings
from server.store import devices
from server.store.rows import TEXT_FIELDS
from server.vault import HOW_TO_MAKE_A_KEY, NO_KEY, NotOpened, Vault

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z._:~-]+$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Words = Annotated[str, msgspec.Meta(max_length=4000)]
Kopecks = Annotated[int, msgspec.Meta(ge=100, le=35_000_000)]
"""YooKassa's limits for a card: 1 to 350 000 roubles."""

SCENARIOS = ("Yookassa", "YookassaReceipt", "TBank", "Custom", "Sandbox")
_NEEDED = {
    "Yookassa": ("account_id", "secret_key"),
    "YookassaReceipt": ("account_id", "secret_key"),
    "TBank": ("terminal_key", "password"),
}


class Prices(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Kopecks per size; a size without a price is not sold."""

    small: Kopecks | None = None
    medium: Kopecks | None = None
    large: Kopecks | None = None


class DrinkEntry(msgspec.Struct, forbid_unknown_fields=True):
    """`[[devices.drinks]]`"""

    drink_no: Name
    name: Name
    prices: Prices


class DeviceEntry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[[devices]]`; a text that is not given is left as it is, an empty one is removed."""

    device_uuid: Id
    merchant: Id
    location: Name
    payment_scenario: str
    redirect_url: Words | None = None
    logo_url: Words | None = None
    client_info: Words | None = None
    client_info_pending: Words | None = None
    client_info_paid: Words | None = None
    client_info_not_paid: Words | None = None
    client_info_make_pending: Words | None = None
    client_info_manual_make: Words | None = None
    client_info_successful: Words | None = None
    client_info_make_failed: Words | None = None
    client_error_info: Words | None = None
    drinks: list[DrinkEntry] | None = None


class MerchantEntry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[[merchants]]`"""

    id: Id
    name: Name
    valid_until: Any = None
    """A TOML date or date-time; both at once are more than msgspec's types can say."""
    credentials: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"MerchantEntry(id={self.id!r})"


class File(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    merchants: list[MerchantEntry] = []
    devices: list[DeviceEntry] = []


def read_file(path: str) -> File:
    """Return the checked content of a file. Raises SettingError that names the key."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise SettingError(f"cannot read {path}: {error.strerror}") from error
    try:
        file = msgspec.toml.decode(content, type=File)
        _check(file)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SettingError(f"{path}: {error}") from error
    return file


def _check(file: File) -> None:
    _check_unique("merchants", [merchant.id for merchant in file.merchants])
    _check_unique("devices", [device.device_uuid for device in file.devices])
    for number, merchant in enumerate(file.merchants):
        if not isinstance(merchant.valid_until, date | None):
            raise msgspec.ValidationError(f"merchants[{number}].valid_until must be a date, like 2099-12-31")
        for scenario, fields in merchant.credentials.items():
            _check_credentials(f"merchants[{number}].credentials.{scenario}", scenario, fields)
    for number, device in enumerate(file.devices):
        _check_device(f"devices[{number}]", device)


def _check_unique(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise msgspec.ValidationError(f"{what}: {name!r} stands twice")


def _check_credentials(where: str, scenario: str, fields: Mapping[str, Any]) -> None:
    if scenario not in SCENARIOS:
        raise msgspec.ValidationError(f"{where}: no such scenario; there are {', '.join(SCENARIOS)}")
    for name in _NEEDED.get(scenario, ()):
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise msgspec.ValidationError(f"{where}.{name} is missing or not a text")


def _check_device(where: str, device: DeviceEntry) -> None:
    if device.payment_scenario not in SCENARIOS:
        raise msgspec.ValidationError(
            f"{where}.payment_scenario: no such scenario {device.payment_scenario!r}; "
            f"there are {', '.join(SCENARIOS)}"
        )
    if device.logo_url and not is_picture_address(device.logo_url):
        raise msgspec.ValidationError(f"{where}.logo_url must be the address of a picture, https://…")
    if device.redirect_url and not device.redirect_url.startswith(("https://", "http://")):
        raise msgspec.ValidationError(f"{where}.redirect_url must begin with https://")
    drinks = device.drinks or []
    _check_unique(f"{where}.drinks", [drink.drink_no for drink in drinks])
    for number, drink in enumerate(drinks):
        if not _prices(drink):
            raise msgspec.ValidationError(f"{where}.drinks[{number}].prices: at least one size needs a price")


def _prices(drink: DrinkEntry) -> dict[str, int]:
    prices: dict[str, int] = msgspec.to_builtins(drink.prices)
    return prices


Changes = list[dict[str, Any]]


def load(file: File, now: int, vault: Vault = NO_KEY) -> Transaction[Changes]:
    """Write what differs from the database; return one object per thing that was created or updated.

    Raises SettingError when a device names a merchant that is neither in the file nor in the database, and
    when credentials need a key that is not set.
    """
    changes: Changes = []
    for merchant in file.merchants:
        yield from _load_merchant(merchant, vault, now, changes)
    for number, device in enumerate(file.devices):
        known = yield Statement("SELECT 1 AS one FROM merchants WHERE merchant_id = $1", (device.merchant,))
        if not known:
            raise SettingError(f"devices[{number}].merchant: there is no merchant {device.merchant!r}")
        yield from _load_device(device, now, changes)
    return changes


def _load_merchant(merchant: MerchantEntry, vault: Vault, now: int, changes: Changes) -> Transaction[None]:
    wanted = {"name": merchant.name, "valid_until": _end_of(merchant.valid_until)}
    key = {"merchant_id": merchant.id}
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
            "prices": json.dumps(_prices(drink)),
            "position": position,
            "removed_at": None,
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
    for change in asyncio.run(_write(settings.database_url, file, vault)):
        print(json.dumps(change, ensure_ascii=False))
    if not vault.has_key:
        _warn_of_what_stands_in_clear(file)
    return 0


def _warn_of_what_stands_in_clear(file: File) -> None:
    """Without a key only test credentials were loaded; say on standard error that they are not sealed."""
    for merchant in file.merchants:
        for scenario in merchant.credentials:
            whose = f"test credentials of merchant {merchant.id} for {scenario}"
            print(f"CREDENTIALS_KEY is not set: {whose} are kept in clear", file=sys.stderr)


async def _write(url: str, file: File, vault: Vault) -> Changes:
    db = await open_database(url)
    try:
        return await db.write(load, file, utc_now_ms(), vault)
    finally:
        await db.close()
