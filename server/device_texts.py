"""What customers read at one machine, as technicians edit it: kept raw, sanitised when shown."""

import hashlib
import re
from collections.abc import Callable, Mapping

from markupsafe import Markup

from server.db import Transaction
from server.errors import NotFound
from server.sanitise import sanitise
from server.store import devices, users
from server.store.rows import TEXT_FIELDS, Device
from server.texts import text

WORDS = (*TEXT_FIELDS, "client_error_info")
FIELDS = (*WORDS, "logo_url")
LIMIT = 4000
"""Characters of one text at most."""

_LOGO = re.compile(r"https://[0-9A-Za-z](?:[0-9A-Za-z.-]*[0-9A-Za-z])?(?::[0-9]{1,5})?(?:/[!#-&(-:=?-~]*)?")

Values = dict[str, str | None]


def of_device(device: Device) -> Values:
    """Return the device's texts by their names."""
    return {name: getattr(device, name) for name in FIELDS}


def read_form(form: Mapping[str, str]) -> Values:
    """Return the texts of a form; an empty one is None, and one that is not in the form is left out."""
    return {name: _tidy(form[name]) or None for name in FIELDS if name in form}


def _tidy(words: str) -> str:
    """Return what was typed with the line ends of a file, as browsers send others."""
    return words.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()


def wrong(values: Values, lang: str) -> dict[str, str]:
    """Return what is wrong, by field; nothing when all may be saved."""
    errors = {
        name: text("error.too_long", lang, limit=LIMIT)
        for name, words in values.items()
        if words is not None and len(words) > LIMIT
    }
    logo_url = values.get("logo_url")
    if logo_url is not None and not is_picture_address(logo_url):
        errors.setdefault("logo_url", text("error.bad_logo_url", lang))
    return errors


def is_picture_address(url: str) -> bool:
    """Whether a logo's address is https and plain enough to stand in a Content-Security-Policy."""
    return _LOGO.fullmatch(url) is not None


def previews(values: Values) -> dict[str, Markup]:
    """Return the texts as the customer's pages show them; empty where they show nothing."""
    return {name: sanitise(values.get(name)) or Markup() for name in WORDS}


def fingerprint(device: Device) -> str:
    """Return what a form remembers of the texts it was made from."""
    return hashlib.sha256(repr(of_device(device)).encode()).hexdigest()[:16]


def save(
    device_uuid: str, values: Values, seen: str, user_name: str, now: int, new_id: Callable[[str], str]
) -> Transaction[bool]:
    """Write the texts that differ and record who changed them; False, and nothing, when the form is stale.

    `seen` is the fingerprint of the texts that the form was made from; empty: whatever they are. Raises
    NotFound.
    """
    device = yield from devices.get(device_uuid)
    if device is None:
        raise NotFound("device_not_found", device_uuid[:80])
    if seen and seen != fingerprint(device):
        return False
    before = of_device(device)
    changed = {name: words for name, words in values.items() if before[name] != words}
    if changed:
        yield from devices.change(device_uuid, {**changed, "updated_at": now})
    for name, words in changed.items():
        yield from users.record_change(
            users.Change(new_id("change"), now, user_name, device_uuid, name, before[name], words)
        )
    return True
