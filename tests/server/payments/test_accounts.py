"""Merchants' accounts: their credentials are opened when they are read, and kept sealed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.fernet import Fernet

from server.db import Database, Statement, Transaction, open_database
from server.errors import SettingError, Unavailable
from server.payments import Credentials
from server.payments.accounts import Accounts, seal_credentials
from server.store import devices
from server.vault import NO_KEY, PREFIX, Vault

KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()
VAULT = Vault(KEY)


def body(account_id: str) -> str:
    return f'{{"account_id": "{account_id}", "secret_key": "test_x"}}'


def a_shop(merchant_id: str, kept: str) -> Transaction[None]:
    yield Statement(
        "INSERT INTO merchants (merchant_id, name, updated_at) VALUES ($1, 'x', 0)", (merchant_id,)
    )
    yield Statement(
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) VALUES ($1, 'Yookassa', $2, 0)",
        (merchant_id, kept),
    )


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A database with a shop in clear and one that is sealed."""
    database = await open_database(database_url)
    try:
        await database.write(a_shop, "clear", body("1"))
        await database.write(a_shop, "sealed", VAULT.seal(body("2")))
        yield database
    finally:
        await database.close()


def accounts(db: Database, vault: Vault) -> Accounts:
    def client(credentials: Credentials) -> Any:
        return credentials

    return Accounts(db, client, None, vault)


async def kept_texts(db: Database) -> list[str]:
    return [kept for *_, kept in await db.read(devices.every_credentials)]


@pytest.mark.parametrize(("merchant_id", "account_id"), [("clear", "1"), ("sealed", "2")])
async def test_an_account_is_opened(db: Database, merchant_id: str, account_id: str):
    account = await accounts(db, VAULT).of(merchant_id, "Yookassa")
    assert account.provider == Credentials(account_id, "test_x")


@pytest.mark.parametrize(("vault", "why"), [(NO_KEY, "is not set"), (Vault(OTHER), "holds no key")])
async def test_an_account_that_no_key_opens_is_unavailable(db: Database, vault: Vault, why: str):
    with pytest.raises(Unavailable, match=f"CREDENTIALS_KEY {why}.* merchant sealed for Yookassa") as error:
        await accounts(db, vault).of("sealed", "Yookassa")
    assert error.value.key == "missing_credentials"
    assert (await accounts(db, vault).of("clear", "Yookassa")).account_id == "1"


async def test_one_that_no_key_opens_does_not_hide_the_others(db: Database, logs: list[Any]):
    assert [account.account_id for account in await accounts(db, Vault(OTHER)).candidates("yookassa")] == [
        "1"
    ]
    assert [(record["log_level"], record["event"]) for record in logs] == [
        ("error", "credentials not opened")
    ]


async def test_the_same_account_of_two_merchants_is_one_candidate(db: Database):
    await db.write(a_shop, "twin", VAULT.seal(body("2")))
    assert [account.account_id for account in await accounts(db, VAULT).candidates("yookassa")] == ["1", "2"]


async def test_only_what_stands_in_clear_is_sealed(db: Database):
    _, sealed = await kept_texts(db)
    assert await db.write(seal_credentials, VAULT) == 1
    first, second = await kept_texts(db)
    assert second == sealed and first.startswith(PREFIX) and VAULT.open(first) == body("1")
    assert await db.write(seal_credentials, VAULT) == 0


async def test_a_new_key_seals_everything_again_and_the_old_one_may_go(db: Database):
    assert await db.write(seal_credentials, Vault(f"{OTHER},{KEY}")) == 2
    assert await db.write(seal_credentials, Vault(OTHER)) == 0
    assert [Vault(OTHER).open(kept) for kept in await kept_texts(db)] == [body("1"), body("2")]


@pytest.mark.parametrize("vault", [NO_KEY, Vault(OTHER)])
async def test_when_one_is_not_opened_nothing_is_changed(db: Database, vault: Vault):
    before = await kept_texts(db)
    with pytest.raises(SettingError, match=r"CREDENTIALS_KEY .* merchant sealed for Yookassa") as error:
        await db.write(seal_credentials, vault)
    assert len(str(error.value).splitlines()) == 1
    assert await kept_texts(db) == before
