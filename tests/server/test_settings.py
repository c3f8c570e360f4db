"""The settings: their defaults, where they come from, and how a wrong one is told."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from server.app import make_app
from server.errors import SettingError
from server.settings import Settings, read_settings

DEFAULTS: dict[str, Any] = {
    "HOST": "127.0.0.1",
    "PORT": 8080,
    "DATABASE_URL": "sqlite:///demitasse.db",
    "DATABASE_CONNECTIONS": 10,
    "SANDBOX": False,
    "LOG_LEVEL": "INFO",
    "ORDER_EXPIRATION_MINUTES": 15,
    "PAYMENT_CHECK_INTERVAL_S": 5,
    "FAST_TRACK_LIMIT_S": 300,
    "FAST_TRACK_INTERVAL_S": 2,
    "SLOW_TRACK_INTERVAL_S": 60,
    "PAYMENT_API_TIMEOUT_S": 3,
    "MAKE_LIFE_S": 60,
    "MAKE_RESULT_S": 180,
    "MANUAL_MAKE_S": 600,
}
NUMBERS = [setting.name.upper() for setting in fields(Settings) if type(setting.default) in (int, float)]


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_the_agreed_ones(name: str):
    assert getattr(read_settings({}, {}), name.lower()) == DEFAULTS[name]


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_every_setting_says_what_it_means(setting: Any):
    assert setting.metadata["meaning"]


def test_the_environment_sets_and_flags_win():
    environ = {"PORT": "81", "MAKE_LIFE_S": "0.5", "SANDBOX": "1", "HOST": " ::1 "}
    settings = read_settings(environ, {"port": "82", "host": None})
    assert (settings.port, settings.make_life_s, settings.sandbox, settings.host) == (82, 0.5, True, "::1")


def test_what_is_empty_counts_as_not_set():
    assert read_settings({"PORT": "", "SANDBOX": "  "}, {"log_level": ""}) == Settings()


def test_what_is_not_ours_is_ignored():
    assert read_settings({"PATH": "/bin", "PORTS": "1"}, {"file": "x", "run": None}) == Settings()


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["x", "1,5", "nan", "inf", "-1", "1e9", "0x10", "\x00"])
def test_a_wrong_number_is_named(name: str, value: str):
    with pytest.raises(SettingError, match=f"^{name} must be"):
        read_settings({name: value}, {})


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "PORT"])
def test_no_time_is_nothing(name: str):
    with pytest.raises(SettingError, match=f"^{name} must be more than 0 and less than 10000000, not 0$"):
        read_settings({name: "0"}, {})


def test_a_time_too_long_says_how_long_it_may_be():
    with pytest.raises(SettingError, match=r"^MAKE_LIFE_S must be .* less than 10000000, not 1e\+09$"):
        read_settings({"MAKE_LIFE_S": "1e9"}, {})


def test_part_of_a_minute_is_no_whole_number():
    with pytest.raises(SettingError, match=r"^ORDER_EXPIRATION_MINUTES must be a whole number, not '1\.5'$"):
        read_settings({"ORDER_EXPIRATION_MINUTES": "1.5"}, {})


def test_an_order_lives_no_longer_than_a_payment_at_yookassa():
    assert read_settings({"ORDER_EXPIRATION_MINUTES": "60"}, {}).order_expiration_minutes == 60
    with pytest.raises(SettingError, match=r"^ORDER_EXPIRATION_MINUTES must be at most 60, .*, not 61$"):
        read_settings({"ORDER_EXPIRATION_MINUTES": "61"}, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("SANDBOX", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
        ("BASE_URL", "pay.example"),
        ("BASE_URL", "ftp://pay.example"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "http://["),
        ("BASE_URL", "http://pay.example:99999"),
        ("YOOKASSA_API_URL", "api"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str):
    with pytest.raises(SettingError, match=f"^{name} must be"):
        read_settings({name: value}, {})


@pytest.mark.parametrize(
    ("value", "on"), [("1", True), ("on", True), ("YES", True), ("0", False), ("off", False)]
)
def test_a_switch_is_on_or_off(value: str, on: bool):
    assert read_settings({"SANDBOX": value}, {}).sandbox is on


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"HOST": "0.0.0.0", "PORT": "81"}, "http://127.0.0.1:81"),
        ({"BASE_URL": "https://pay.example/"}, "https://pay.example"),
        ({"HOST": "shop.example"}, "http://shop.example:8080"),
    ],
)
def test_customers_have_an_address(given: dict[str, str], url: str):
    assert read_settings(given, {}).public_url == url


async def test_a_database_that_cannot_be_is_named_at_the_start():
    with pytest.raises(SettingError, match=r"^DATABASE_URL"):
        await make_app(Settings(database_url="mysql://x"))


# --- the key of merchants' credentials ------------------------------------------------------------------

SECRET_KEY = "a secret of many characters"


def test_the_settings_do_not_show_the_key(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(SECRET_KEY + "\n")
    for given in ({"CREDENTIALS_KEY": SECRET_KEY}, {"CREDENTIALS_KEY_FILE": str(file)}):
        settings = read_settings(given, {})
        assert settings.credentials_key == SECRET_KEY
        assert "secret of many" not in repr(settings) + str(settings)


def test_a_key_that_is_too_short_is_not_shown():
    with pytest.raises(SettingError, match=r"^CREDENTIALS_KEY must be keys of at least 16") as error:
        read_settings({"CREDENTIALS_KEY": "short secret"}, {})
    assert "short secret" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"short"])
def test_a_wrong_file_of_the_key_is_told_and_not_shown(tmp_path: Path, content: bytes | None):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingError, match=r"^CREDENTIALS_KEY") as error:
        read_settings({"CREDENTIALS_KEY_FILE": str(file)}, {})
    assert str(file) not in str(error.value) and "short" not in str(error.value)


@pytest.mark.parametrize("path", [SECRET_KEY, "x" * 5000, "\x00"])
def test_a_key_in_the_place_of_its_file_is_not_shown(path: str):
    with pytest.raises(SettingError, match=r"^CREDENTIALS_KEY_FILE: cannot read") as error:
        read_settings({"CREDENTIALS_KEY_FILE": path}, {})
    assert path not in str(error.value)


def test_the_key_and_its_file_are_not_both_set():
    given = {"CREDENTIALS_KEY": SECRET_KEY, "CREDENTIALS_KEY_FILE": "key"}
    with pytest.raises(SettingError, match=r"^CREDENTIALS_KEY_FILE and CREDENTIALS_KEY are both set"):
        read_settings(given, {})
