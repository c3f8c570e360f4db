"""The agent's settings: the only place that reads the environment and the config file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

DEFAULT_CONFIG = Path("agent.toml")

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

SIZES = ("small", "medium", "large")
Products = Mapping[str, Mapping[str, str]]
"""drink_no → size → what the machine calls it."""


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names it, and never holds a token."""


class MachineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[machine]`: the driver, where the machine is connected, which model, and what it calls the drinks.

    `make_limit_s`: seconds after which a drink without proof is given up, up to 140 (the server must wait
    longer); without it as long as the model's slowest drink may take.
    """

    driver: str = ""
    port: str = ""
    profile: str = "auto"
    make_limit_s: Annotated[float, msgspec.Meta(gt=0, le=140)] | None = None
    products: dict[str, dict[str, str]] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: str = ""
    token: str = ""
    token_file: str = ""
    journal: str = ""
    machine: MachineSettings = MachineSettings()


@dataclass(frozen=True)
class Settings:
    """Everything the agent is told. Relative paths are relative to the working directory."""

    server: str
    token: str = field(repr=False)
    journal: Path
    driver: str
    port: str
    profile: str
    products: Products
    make_limit_s: float | None = None


def read(config: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings: the file's, over which the environment wins.

    Without `config` the default file is read if there is one. Raises SettingsError.
    """
    environment = os.environ if environment is None else environment
    file = _read_file(config)
    token = environment.get("AGENT_TOKEN") or _token(file)
    return Settings(
        server=_server(environment.get("AGENT_SERVER") or file.server, config or DEFAULT_CONFIG),
        token=_checked_token(token),
        journal=Path(environment.get("AGENT_JOURNAL") or file.journal or "agent.db"),
        driver=_present("machine.driver", "AGENT_DRIVER", environment, file.machine.driver),
        port=_present("machine.port", "AGENT_PORT", environment, file.machine.port),
        profile=file.machine.profile,
        products=_products(file.machine.products),
        make_limit_s=file.machine.make_limit_s,
    )


def log_level(environment: Mapping[str, str] | None = None, default: str = "INFO") -> str:
    """Return LOG_LEVEL, the default unless set. Raises SettingsError."""
    level = (os.environ if environment is None else environment).get("LOG_LEVEL", default).upper()
    if level not in LOG_LEVELS:
        raise SettingsError(f"LOG_LEVEL: {level!r} is none of {', '.join(LOG_LEVELS)}")
    return level


def _read_file(config: Path | None) -> _File:
    path = config or DEFAULT_CONFIG
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if config is None:
            return _File()
        raise SettingsError(f"--config: there is no file {path}") from None
    except OSError as error:
        raise SettingsError(f"--config: {path} cannot be read: {error.strerror}") from None
    try:
        return msgspec.toml.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {_one_line(error)}") from None


def _token(file: _File) -> str:
    if file.token and file.token_file:
        raise SettingsError("token: give either token or token_file, not both")
    if not file.token_file:
        return file.token
    try:
        return Path(file.token_file).read_text().strip()
    except OSError as error:
        raise SettingsError(f"token_file: {file.token_file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"token_file: {file.token_file} cannot be read: it is not text") from None


def _checked_token(token: str) -> str:
    if not token:
        raise SettingsError("token: missing; set token, token_file or AGENT_TOKEN")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError("token: it may hold only letters, digits and signs, without spaces")
    return token


def _server(url: str, config: Path) -> str:
    if not url:
        file = f"in {config}" if config.exists() else f"in {config}, which is not there,"
        raise SettingsError(f"server: missing; set it {file} or by AGENT_SERVER")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise SettingsError(f"server: {url!r} is not an address like wss://coffee.example/v1/agent")
    return url


def _products(products: Products) -> Products:
    for drink_no, sizes in products.items():
        for size in sizes:
            if size not in SIZES:
                where = f"machine.products.{drink_no}.{size}"
                raise SettingsError(f"{where}: there is no such size; sizes are {', '.join(SIZES)}")
    return products


def _present(name: str, variable: str, environment: Mapping[str, str], in_file: str) -> str:
    value = environment.get(variable) or in_file
    if not value:
        raise SettingsError(f"{name}: missing; set it in the file or by {variable}")
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
