"""The bank's refusal, and the checks that every kind of request needs. Pure."""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from server.payments.notation import minor_units

AMOUNT = re.compile(r"[0-9]{1,8}\.[0-9]{2}")
CURRENCY = "RUB"
METADATA_LIMIT = 16
METADATA_KEY_LIMIT = 32
METADATA_VALUE_LIMIT = 512

Json = Mapping[str, Any]


class Refused(Exception):
    """The bank's refusal: HTTP status and the body of using-api/response-handling/response-format."""

    def __init__(self, status: int, code: str, description: str, parameter: str = "") -> None:
        super().__init__(f"{status} {code}: {description}")
        self.status = status
        self.code = code
        self.description = description
        self.parameter = parameter

    def body(self, error_id: str) -> dict[str, Any]:
        """Return the error object; `error_id` is what a shop would quote to the bank's support."""
        told = {"type": "error", "id": error_id, "code": self.code, "description": self.description}
        return told | ({"parameter": self.parameter} if self.parameter else {})


def refused_parameter(parameter: str, description: str) -> Refused:
    """Return the refusal of a request whose `parameter` is wrong."""
    return Refused(400, "invalid_request", description, parameter)


def refuse(parameter: str, description: str) -> NoReturn:
    """Refuse a request because of one parameter."""
    raise refused_parameter(parameter, description)


def money(body: Json, name: str = "amount", inside: str = "") -> int:
    """Return the kopecks of the amount object `name`; `inside` is the path to `body`, with its last dot."""
    amount = body.get(name)
    if not isinstance(amount, dict):
        refuse(inside + name, "Missing, or not an object")
    value, currency = amount.get("value"), amount.get("currency")
    if not isinstance(value, str) or not AMOUNT.fullmatch(value) or minor_units(value) == 0:
        refuse(f"{inside}{name}.value", "Invalid amount value")
    if currency != CURRENCY:
        refuse(f"{inside}{name}.currency", "Invalid currency")
    return minor_units(value)


def part(body: Json, name: str, default: Json | None = None, inside: str = "") -> Json:
    """Return the object `name`; without a default it must be there."""
    value = body.get(name, default)
    if not isinstance(value, dict):
        refuse(inside + name, "Missing, or not an object")
    return value


def text(body: Json, name: str, limit: int, inside: str = "", least: int = 0) -> str:
    """Return the text `name`, "" when it is absent, of `least` to `limit` characters."""
    value = body.get(name, "")
    if not isinstance(value, str) or not least <= len(value) <= limit:
        refuse(inside + name, f"Not a string of {least} to {limit} characters")
    return value


def flag(body: Json, name: str, default: bool, inside: str = "") -> bool:
    """Return the boolean `name`."""
    value = body.get(name, default)
    if not isinstance(value, bool):
        refuse(inside + name, "Not a boolean")
    return value


def identifier(body: Json, name: str) -> str:
    """Return the id `name`, which must be there."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        refuse(name, "Missing, or not a string")
    return value


def metadata(body: Json) -> Mapping[str, str]:
    """Return the shop's own data: strings, within the limits."""
    given = part(body, "metadata", {})
    if len(given) > METADATA_LIMIT:
        refuse("metadata", f"More than {METADATA_LIMIT} keys")
    for key, value in given.items():
        if len(key) > METADATA_KEY_LIMIT:
            refuse("metadata", f"A key longer than {METADATA_KEY_LIMIT}")
        if not isinstance(value, str) or len(value) > METADATA_VALUE_LIMIT:
            refuse(f"metadata.{key}", f"Not a string of at most {METADATA_VALUE_LIMIT}")
    return given
