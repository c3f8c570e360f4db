"""The server's settings: the only place that reads the environment. Flags win over it.

A wrong setting is a SettingError that names it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from server.errors import SettingError
from server.networks import networks
from server.vault import split_keys

NETWORK_RULES = ("off", "log", "enforce")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
MOST_WORKERS = 256
PAYABLE_MINUTES = 60
"""YooKassa ends a payment an hour after it was begun; an order must not promise more."""
TOO_MUCH = 10_000_000
"""No time is as long: about four months in seconds."""


def _setting(default: Any, meaning: str, secret: bool = False) -> Any:
    return field(default=default, metadata={"meaning": meaning}, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting; the name in the environment is the field's in capitals."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8080, "port to listen on")
    workers: int = _setting(1, "how many processes serve the port; more than 1 needs PostgreSQL")
    base_url: str = _setting("", "address customers reach the server at; empty: http://HOST:PORT")
    database_url: str = _setting(
        "sqlite:///demitasse.db",
        "where the data is: a SQLite file, or postgresql://USER@HOST/NAME",
        secret=True,
    )
    database_connections: int = _setting(10, "connections of one server to PostgreSQL, at most")
    credentials_key: str = _setting(
        "",
        "seals merchants' credentials; several, separated by commas: the first seals, all open",
        secret=True,
    )
    credentials_key_file: str = _setting("", "a file that holds `CREDENTIALS_KEY` instead", secret=True)
    sandbox: bool = _setting(False, "1: serve the sandbox bank; refused when a merchant has live credentials")
    log_level: str = _setting("INFO", "least level logged: DEBUG, INFO, WARNING, ERROR")
    order_expiration_minutes: int = _setting(15, "how long a new order may be paid; at most 60")
    make_life_s: float = _setting(60.0, "how long a paid order waits for its machine")
    make_result_s: float = _setting(180.0, "how long a started drink may stay silent before a person looks")
    manual_make_s: float = _setting(600.0, "how long a customer who paid late may choose drink or money")
    unknown_refund_s: float = _setting(
        86400.0, "how long a drink of unknown outcome waits for a decision; then refund"
    )
    payment_check_interval_s: float = _setting(5.0, "longest pause between two looks for payments to check")
    fast_track_limit_s: float = _setting(
        300.0, "how long after its start a payment is asked for often; later it is late"
    )
    fast_track_interval_s: float = _setting(2.0, "pause between two questions about a fresh payment")
    slow_track_interval_s: float = _setting(60.0, "pause between two questions about an older payment")
    payment_api_timeout_s: float = _setting(3.0, "how long the provider may take to answer a read")
    device_online_threshold_s: float = _setting(
        30.0, "how long after its agent was last seen a machine still sells"
    )
    yookassa_api_url: str = _setting("https://api.yookassa.ru/v3/", "where YooKassa's API is")
    tbank_api_url: str = _setting("https://securepay.tinkoff.ru/v2", "where T-Bank's API is")
    tbank_ca_file: str = _setting("", "who may sign T-Bank's certificate, PEM; empty: whom the system trusts")

    yookassa_networks: str = _setting("off", "notifications from other networks: off (taken), log, enforce")
    trusted_proxies: str = _setting("", "networks of proxies whose X-Forwarded-For counts, with commas")

    def __post_init__(self) -> None:
        _check(self)

    @property
    def public_url(self) -> str:
        """Address customers reach the server at, without a slash at its end."""
        return self.base_url.rstrip("/") or f"http://{self.local_host}:{self.port}"

    @property
    def local_host(self) -> str:
        """Address at which the server reaches itself."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host


def environment() -> dict[str, str]:
    """Return the process's environment."""
    return dict(os.environ)


def read_settings(environ: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """Return the settings of the environment, with the flags given on top. Raises SettingError."""
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        name = setting.name.upper()
        text = flags.get(setting.name)
        if text is None:
            text = environ.get(name)
        if text is not None and text.strip():
            values[setting.name] = _parse(name, text.strip(), type(setting.default))
    if "credentials_key_file" in values:
        if "credentials_key" in values:
            raise SettingError("CREDENTIALS_KEY_FILE and CREDENTIALS_KEY are both set: set one of them")
        values["credentials_key"] = _key_in(values["credentials_key_file"])
    return Settings(**values)


def _key_in(path: str) -> str:
    """Return what the file holds. Raises SettingError, without the path: it could be the key itself."""
    try:
        key = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"CREDENTIALS_KEY_FILE: cannot read the file: {why}") from None
    if not key:
        raise SettingError("CREDENTIALS_KEY_FILE: the file is empty")
    return key


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise SettingError(f"{name} must be 1 or 0, not {text!r}")
    try:
        return kind(text)
    except ValueError:
        number = "a whole number" if kind is int else "a number"
        raise SettingError(f"{name} must be {number}, not {text!r}") from None


def _check(settings: Settings) -> None:
    for setting in fields(Settings):
        value = getattr(settings, setting.name)
        if setting.name in ("port", "sandbox") or not isinstance(value, int | float):
            continue
        if not 0 < value < TOO_MUCH:
            raise SettingError(
                f"{setting.name.upper()} must be more than 0 and less than {TOO_MUCH}, not {value:g}"
            )
    if not 0 <= settings.port <= 65535:
        raise SettingError(f"PORT must be between 0 and 65535, not {settings.port}")
    if settings.order_expiration_minutes > PAYABLE_MINUTES:
        raise SettingError(
            f"ORDER_EXPIRATION_MINUTES must be at most {PAYABLE_MINUTES}, as long as a payment at YooKassa "
            f"lives, not {settings.order_expiration_minutes}"
        )
    if settings.workers > MOST_WORKERS:
        raise SettingError(f"WORKERS must be between 1 and {MOST_WORKERS}, not {settings.workers}")
    if settings.log_level.upper() not in LOG_LEVELS:
        raise SettingError(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {settings.log_level!r}")
    split_keys(settings.credentials_key)
    if settings.yookassa_networks not in NETWORK_RULES:
        raise SettingError(
            f"YOOKASSA_NETWORKS must be one of {', '.join(NETWORK_RULES)}, not {settings.yookassa_networks!r}"
        )
    try:
        networks(settings.trusted_proxies)
    except ValueError as error:
        raise SettingError(f"TRUSTED_PROXIES must be networks like 10.0.0.0/8: {error}") from None
    for name in ("base_url", "yookassa_api_url", "tbank_api_url"):
        _check_url(name.upper(), getattr(settings, name))


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if url and not fine:
        raise SettingError(f"{name} must be an address like https://coffee.example, not {url!r}")
