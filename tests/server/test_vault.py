"""Sealing credentials: what opens them, what does not, and that no error shows a secret."""

import base64

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SettingError
from server.vault import LEAST_CHARACTERS, NO_KEY, PREFIX, NotOpened, Vault, split_keys

BODY = '{"account_id": "100500", "secret_key": "live_кофе"}'
OLD, NEW = (base64.urlsafe_b64encode(character * 32).decode() for character in (b"o", b"n"))
PASSPHRASE = "пять чашек кофе, пожалуйста".replace(",", "")


@pytest.mark.parametrize("key", [OLD, PASSPHRASE, "x" * LEAST_CHARACTERS, OLD[:-1]])
def test_what_is_sealed_is_opened_by_the_same_key_only(key: str):
    kept = Vault(key).seal(BODY)
    assert kept.startswith(PREFIX) and "live_" not in kept and "100500" not in kept
    assert Vault(key).open(kept) == BODY
    with pytest.raises(NotOpened, match="CREDENTIALS_KEY holds no key"):
        Vault(NEW).open(kept)


VAULT = Vault(OLD)


@given(st.text())
def test_any_text_comes_back(body: str):
    assert VAULT.open(VAULT.seal(body)) == body


def test_a_fernet_key_is_used_as_it_is():
    token = Vault(OLD).seal(BODY).removeprefix(PREFIX)
    assert Fernet(OLD).decrypt(token).decode() == BODY


def test_the_same_text_is_sealed_differently_each_time():
    assert VAULT.seal(BODY) != VAULT.seal(BODY)


def test_without_a_key_texts_stay_in_clear_and_nothing_sealed_is_opened():
    assert not NO_KEY.has_key
    assert NO_KEY.seal(BODY) == BODY == NO_KEY.open(BODY)
    with pytest.raises(NotOpened, match="CREDENTIALS_KEY is not set"):
        NO_KEY.open(VAULT.seal(BODY))


@pytest.mark.parametrize("separator", [",", " , ", "\n", "\r\n"])
def test_of_several_keys_the_first_seals_and_all_open(separator: str):
    both = Vault(f"{NEW}{separator}{OLD}\n")
    assert Vault(NEW).open(both.seal(BODY)) == BODY
    assert both.open(Vault(OLD).seal(BODY)) == BODY


@pytest.mark.parametrize(
    ("setting", "kept", "current"),
    [
        (NEW, Vault(NEW).seal(BODY), True),
        (f"{NEW},{OLD}", Vault(NEW).seal(BODY), True),
        (f"{NEW},{OLD}", Vault(OLD).seal(BODY), False),
        (NEW, Vault(OLD).seal(BODY), False),
        (NEW, BODY, False),
        ("", BODY, True),
        ("", Vault(NEW).seal(BODY), False),
    ],
)
def test_a_text_is_current_when_it_would_be_sealed_so_again(setting: str, kept: str, current: bool):
    assert Vault(setting).is_current(kept) is current


@pytest.mark.parametrize("spoil", [lambda kept: kept[:-1], lambda kept: PREFIX + "é", lambda kept: PREFIX])
def test_a_spoiled_text_is_not_opened(spoil):
    with pytest.raises(NotOpened):
        VAULT.open(spoil(VAULT.seal(BODY)))


@pytest.mark.parametrize("setting", ["short-secret", f"{OLD},", f",{OLD}", f"{OLD},,{NEW}", ",", "x" * 15])
def test_a_wrong_key_is_told_by_the_name_of_its_setting(setting: str):
    with pytest.raises(SettingError, match=r"^CREDENTIALS_KEY must be .*token_urlsafe") as error:
        Vault(setting)
    assert not any(part in str(error.value) for part in setting.split(",") if part)


@pytest.mark.parametrize("setting", ["", " ", "\n"])
def test_an_empty_setting_holds_no_key(setting: str):
    assert split_keys(setting) == []


def test_a_vault_shows_no_key():
    assert OLD not in repr(VAULT) + str(vars(VAULT))
