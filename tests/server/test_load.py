"""Loading merchants, devices and menus: all of the file or nothing, and again without harm."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from server.db import Database, Statement, Transaction, open_database
from server.errors import SettingError
from server.load import Changes, load
from server.shop_file import read_file
from server.store import devices
from server.vault import NO_KEY, PREFIX, Vault
from tests.fakes.shop_file import GOOD, replaced

KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()
VAULT = Vault(KEY)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text(GOOD, encoding="utf-8")
    return path


async def loaded(db: Database, file: Path | str, now: int = 1, vault: Vault = VAULT) -> Changes:
    return await db.write(load, read_file(str(file)), now, vault)


def everything() -> Transaction[list[Any]]:
    found = []
    for table in ("merchants", "credentials", "devices", "drinks"):
        found.append([dict(row) for row in (yield Statement(f"SELECT * FROM {table}"))])
    return found


# --- what is loaded -----------------------------------------------------------------------------------


async def test_a_file_is_loaded_whole(db: Database, file: Path):
    assert await loaded(db, file) == [
        {"created": "merchant", "merchant_id": "m1"},
        {"created": "credentials", "merchant_id": "m1", "scenario": "Yookassa"},
        {"created": "device", "device_uuid": "dev-1"},
        {"created": "drink", "device_uuid": "dev-1", "drink_no": "espresso"},
        {"created": "drink", "device_uuid": "dev-1", "drink_no": "latte"},
    ]
    device = await db.read(devices.get, "dev-1")
    assert device is not None and device.merchant_name == "Кофе у дома"
    menu = await db.read(devices.menu, "dev-1")
    assert [(drink.name, drink.prices) for drink in menu] == [
        ("Эспрессо", {"small": 9000, "medium": 11000}),
        ("Латте", {"large": 20000}),
    ]


async def test_the_same_file_again_changes_nothing(db: Database, file: Path):
    await loaded(db, file)
    before = await db.read(everything)
    assert await loaded(db, file, now=2) == []
    assert await db.read(everything) == before


async def test_only_what_changed_is_written_and_told(db: Database, file: Path):
    await loaded(db, file)
    before = await db.read(everything)
    changed = replaced(file, "ул. Ленина, 1", "ул. Мира, 2")
    told = {"updated": "device", "device_uuid": "dev-1", "fields": ["location"]}
    assert await loaded(db, changed, now=2) == [told]
    before[2][0] |= {"location": "ул. Мира, 2", "updated_at": 2}
    assert await db.read(everything) == before


async def test_a_secret_is_never_told(db: Database, file: Path):
    await loaded(db, file)
    told = await loaded(db, replaced(file, "test_secret", "test_another"))
    assert told == [
        {"updated": "credentials", "merchant_id": "m1", "scenario": "Yookassa", "fields": ["body"]}
    ]


def test_what_is_read_does_not_show_a_secret(file: Path):
    assert "test_secret" not in repr(read_file(str(file)))


# --- sealed ------------------------------------------------------------------------------------------

RESEALED = [{"updated": "credentials", "merchant_id": "m1", "scenario": "Yookassa", "fields": ["body"]}]
CREDENTIALS = {"account_id": "100500", "secret_key": "test_secret"}


async def kept(db: Database) -> str:
    text = await db.read(devices.credentials, "m1", "Yookassa")
    assert text is not None
    return text


async def test_credentials_are_kept_sealed(db: Database, file: Path):
    await loaded(db, file)
    text = await kept(db)
    assert text.startswith(PREFIX) and "test_secret" not in text
    assert json.loads(VAULT.open(text)) == CREDENTIALS


async def test_what_stood_in_clear_is_sealed_by_the_next_load(db: Database, file: Path):
    await loaded(db, file, vault=NO_KEY)
    assert json.loads(await kept(db)) == CREDENTIALS
    assert await loaded(db, file) == RESEALED
    assert json.loads(VAULT.open(await kept(db))) == CREDENTIALS
    assert await loaded(db, file) == []


@pytest.mark.parametrize("setting", [OTHER, f"{OTHER},{KEY}"], ids=["the old key is lost", "a new key"])
async def test_a_load_seals_again_with_another_key(db: Database, file: Path, setting: str):
    await loaded(db, file)
    vault = Vault(setting)
    assert await loaded(db, file, vault=vault) == RESEALED
    assert json.loads(Vault(OTHER).open(await kept(db))) == CREDENTIALS
    assert await loaded(db, file, vault=vault) == []


LIVE = {
    "Yookassa": GOOD.replace("test_secret", "live_secret"),
    "TBank": GOOD.replace("Yookassa", "TBank")
    .replace("account_id", "terminal_key")
    .replace("secret_key", "password"),
}


@pytest.mark.parametrize("scenario", LIVE)
async def test_live_credentials_are_refused_without_a_key(db: Database, file: Path, scenario: str):
    file.write_text(LIVE[scenario], encoding="utf-8")
    before = await db.read(everything)
    with pytest.raises(SettingError, match=f"^CREDENTIALS_KEY .* m1 for {scenario} .*token_urlsafe") as error:
        await loaded(db, file, vault=NO_KEY)
    assert "_secret" not in str(error.value)
    assert await db.read(everything) == before
    assert {"created": "credentials", "merchant_id": "m1", "scenario": scenario} in await loaded(db, file)


async def test_what_is_sealed_is_not_replaced_by_a_text_in_clear(db: Database, file: Path):
    await loaded(db, file)
    before = await db.read(everything)
    with pytest.raises(
        SettingError, match=r"^CREDENTIALS_KEY is not set.* merchant m1 for Yookassa are sealed"
    ):
        await loaded(db, file, vault=NO_KEY)
    assert await db.read(everything) == before


async def test_a_removed_drink_is_no_longer_sold_and_may_come_back(db: Database, file: Path):
    await loaded(db, file)
    latte = GOOD[GOOD.rindex("[[devices.drinks]]") :]
    told = await loaded(db, replaced(file, latte, ""))
    assert told == [
        {"updated": "drink", "device_uuid": "dev-1", "drink_no": "latte", "fields": ["removed_at"]}
    ]
    assert await db.read(devices.drink, "dev-1", "latte") is None
    file.write_text(GOOD, encoding="utf-8")
    assert await loaded(db, file) == told
    assert await db.read(devices.drink, "dev-1", "latte") is not None


async def test_a_text_that_is_not_given_stays_and_an_empty_one_goes(db: Database, file: Path):
    await loaded(db, file)
    line = next(line for line in GOOD.splitlines() if line.startswith("client_info_make_failed"))
    assert await loaded(db, replaced(file, line, "")) == []
    (told,) = await loaded(db, replaced(file, line, 'client_info_make_failed = ""'))
    assert told["fields"] == ["client_info_make_failed"]
    device = await db.read(devices.get, "dev-1")
    assert device is not None and device.client_info_make_failed is None


async def test_a_device_may_name_a_merchant_that_is_there_already(db: Database, file: Path):
    await loaded(db, file)
    file.write_text(GOOD[GOOD.index("[[devices]]") :], encoding="utf-8")
    assert await loaded(db, file) == []


DAY_ENDS = int(datetime(2099, 12, 31, 23, 59, 59, 999999, UTC).timestamp() * 1000)
NOON = int(datetime(2099, 12, 31, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("2099-12-31", DAY_ENDS),
        ("2099-12-31T12:00:00", NOON),
        ("2099-12-31T12:00:00Z", NOON),
        ("2099-12-31T15:00:00+03:00", NOON),
        ("2099-12-31 12:00:00", NOON),
    ],
)
async def test_a_validity_is_a_day_or_a_moment(db: Database, file: Path, written: str, means: int):
    await loaded(db, replaced(file, "2099-12-31", written))
    device = await db.read(devices.get, "dev-1")
    assert device is not None and device.valid_until == means


async def test_without_a_date_a_merchant_has_no_end(db: Database, file: Path):
    await loaded(db, replaced(file, "valid_until = 2099-12-31\n", ""))
    device = await db.read(devices.get, "dev-1")
    assert device is not None and device.valid_until is None


# --- holding, and receipts ----------------------------------------------------------------------------


async def test_a_merchant_holds_cards_since_it_was_first_told_to(db: Database, file: Path):
    await loaded(db, file, now=5)
    assert await loaded(db, file, now=6) == []
    device = await db.read(devices.get, "dev-1")
    assert device is not None and device.holds_cards_since == 5


@pytest.mark.parametrize("line", ["", "hold_cards = false\n"])
async def test_a_merchant_that_is_not_told_to_hold_cards_takes_the_money_at_once(
    db: Database, file: Path, line: str
):
    await loaded(db, file)
    told = await loaded(db, replaced(file, "hold_cards = true\n", line))
    assert told == [{"updated": "merchant", "merchant_id": "m1", "fields": ["holds_cards_since"]}]
    device = await db.read(devices.get, "dev-1")
    assert device is not None and device.holds_cards_since is None


async def test_what_receipts_say_is_kept(db: Database, file: Path):
    await loaded(db, file)
    device = await db.read(devices.get, "dev-1")
    assert device is not None and device.receipt == '{"vat_code":1}'
    assert await db.read(devices.drink_receipt, "dev-1", "latte") == '{"payment_subject":"service"}'
    assert await db.read(devices.drink_receipt, "dev-1", "espresso") is None


WITH_RECEIPTS = 'payment_scenario = "YookassaReceipt"'


async def test_a_device_that_sells_with_receipts_needs_to_know_what_they_say(db: Database, file: Path):
    file.write_text(GOOD.replace('payment_scenario = "Sandbox"', WITH_RECEIPTS), encoding="utf-8")
    await loaded(db, file)
    before = await db.read(everything)
    without = GOOD.replace("[merchants.receipt]\nvat_code = 1\n", "")
    file.write_text(without[: without.index("[[devices]]")], encoding="utf-8")
    with pytest.raises(SettingError, match=r"merchant 'm1' needs a receipt table: dev-1"):
        await loaded(db, file)
    file.write_text(without.replace('payment_scenario = "Sandbox"', WITH_RECEIPTS), encoding="utf-8")
    with pytest.raises(SettingError, match=r"devices\[0\]\.payment_scenario.*receipt table of merchant 'm1'"):
        await loaded(db, file)
    assert await db.read(everything) == before


async def test_a_receipt_at_tbank_needs_to_name_the_tax_system(db: Database, file: Path):
    at_tbank = GOOD.replace('payment_scenario = "Sandbox"', 'payment_scenario = "TBank"')
    file.write_text(at_tbank, encoding="utf-8")
    with pytest.raises(SettingError, match=r"devices\[0\].*TBank needs receipt.tax_system_code of merchant"):
        await loaded(db, file)
    file.write_text(at_tbank.replace("vat_code = 1", "vat_code = 1\ntax_system_code = 2"), encoding="utf-8")
    assert await loaded(db, file)


# --- what is refused ----------------------------------------------------------------------------------


async def test_an_unknown_merchant_is_named_and_nothing_is_written(db: Database, file: Path):
    before = await db.read(everything)
    with pytest.raises(SettingError, match=r"devices\[0\]\.merchant.*'m2'"):
        await loaded(db, replaced(file, 'merchant = "m1"', 'merchant = "m2"'))
    assert await db.read(everything) == before


# --- as a command ---------------------------------------------------------------------------------------


async def command(file: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run `load` in a process of its own; return its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "load", str(file), *arguments),
        *("--database-url", f"sqlite:///{file.parent / 'shop.db'}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode(), errors.decode()


async def test_the_command_prints_a_line_for_each_change(file: Path):
    sealing = ("--credentials-key", KEY, "--sandbox", "1")
    code, output, errors = await command(file, *sealing)
    assert (code, errors) == (0, "")
    assert [next(iter(json.loads(line))) for line in output.splitlines()] == ["created"] * 5
    assert await command(file, *sealing) == (0, "", "")


async def test_the_command_warns_of_test_credentials_in_clear(file: Path):
    code, output, errors = await command(file, "--sandbox", "1")
    assert (code, len(output.splitlines())) == (0, 5)
    assert "CREDENTIALS_KEY is not set: test credentials of merchant m1 for Yookassa" in errors
    assert len(errors.splitlines()) == 1 and "test_secret" not in output + errors


async def test_the_command_tells_which_device_cannot_sell_for_want_of_credentials(file: Path):
    code, output, errors = await command(
        Path(replaced(file, 'payment_scenario = "Sandbox"', WITH_RECEIPTS)),
        *("--credentials-key", KEY),
    )
    assert (code, len(output.splitlines())) == (0, 5)
    assert errors == "dev-1 cannot sell: merchant m1 has no [merchants.credentials.YookassaReceipt]\n"


async def test_the_command_warns_of_a_merchant_who_is_over_and_of_a_sandbox_that_is_off(file: Path):
    past = Path(replaced(file, "valid_until = 2099-12-31", "valid_until = 2020-12-31"))
    code, output, errors = await command(past, "--credentials-key", KEY)
    assert (code, len(output.splitlines())) == (0, 5)
    assert errors.splitlines() == [
        "merchant m1 cannot sell: valid_until 2020-12-31 is past",
        "dev-1 may not sell: its payment_scenario is Sandbox, which only a server with SANDBOX=1 serves; "
        "here SANDBOX is off",
    ]


async def test_the_command_refuses_live_credentials_without_a_key(file: Path):
    code, output, errors = await command(Path(replaced(file, "test_secret", "live_secret")))
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert errors.startswith("CREDENTIALS_KEY is not set") and "live_secret" not in errors


async def test_the_command_refuses_a_bad_file_and_changes_nothing(file: Path):
    code, output, errors = await command(Path(replaced(file, "small = 9000", "small = 1")))
    assert (code, output) == (2, "")
    assert "prices.small" in errors and len(errors.splitlines()) == 1
    assert not (file.parent / "shop.db").exists()


async def test_the_command_refuses_wrong_settings(file: Path):
    code, output, errors = await command(file, "--port", "many")
    assert (code, output, errors) == (2, "", "PORT must be a whole number, not 'many'\n")
