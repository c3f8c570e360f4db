"""The file that `load` reads: merchants, devices, menus and texts. Every wrong value in it is named."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec

from server.device_texts import is_picture_address
from server.errors import SettingError
from server.fiscal import DrinkReceipt, MerchantReceipt, is_email

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
    receipt: DrinkReceipt | None = None


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
    hold_cards: bool = False
    """A card's money is held until the drink is made."""
    receipt: MerchantReceipt | None = None

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
        if merchant.receipt is not None:
            _check_receipt(f"merchants[{number}].receipt", merchant.receipt)
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


def _check_receipt(where: str, receipt: MerchantReceipt) -> None:
    if receipt.fallback_email is not None and not is_email(receipt.fallback_email):
        raise msgspec.ValidationError(f"{where}.fallback_email does not look like an e-mail address")
    if receipt.email == "optional" and receipt.fallback_email is None:
        raise msgspec.ValidationError(
            f"{where}.fallback_email is needed when email is optional: a receipt always goes to somebody"
        )


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
        if not msgspec.to_builtins(drink.prices):
            raise msgspec.ValidationError(f"{where}.drinks[{number}].prices: at least one size needs a price")
