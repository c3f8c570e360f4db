"""Seals merchants' credentials before the database keeps them, and opens them again; knows no database.

What is sealed is `sealed:` and a Fernet token (AES-128-CBC with HMAC-SHA256). What does not begin so stands
in clear, as in databases of before and, without a key, of test shops.
"""

import base64
import hashlib
import re

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from server.errors import SettingError

PREFIX = "sealed:"
LEAST_CHARACTERS = 16
REMEMBERED = 1000
"""Texts whose opened form is kept in memory: more than there are accounts."""
HOW_TO_MAKE_A_KEY = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"

_FERNET_KEY = re.compile(r"[0-9A-Za-z_-]{43}=")
_SALT = b"demitasse credentials"
"""The same everywhere: the key must come out of the setting alone."""


class NotOpened(SettingError):
    """No key that is set opens what was sealed."""


def split_keys(setting: str) -> list[str]:
    """Return the keys of CREDENTIALS_KEY, the one that seals first; none when it is empty.

    Raises SettingError, which never shows what the setting holds.
    """
    if not setting.strip():
        return []
    keys = [part.strip() for part in re.split(r"[,\n]", setting.strip())]
    if min(map(len, keys)) < LEAST_CHARACTERS:
        raise SettingError(
            f"CREDENTIALS_KEY must be keys of at least {LEAST_CHARACTERS} characters, separated by commas; "
            f"make one by: {HOW_TO_MAKE_A_KEY}"
        )
    return keys


class Vault:
    """Seals with the first key of CREDENTIALS_KEY, opens with any; without a key it leaves texts in clear."""

    def __init__(self, setting: str) -> None:
        self._keys = [_fernet(key) for key in split_keys(setting)]
        self._opened: dict[str, str] = {}

    @property
    def has_key(self) -> bool:
        """Whether it can seal."""
        return bool(self._keys)

    def seal(self, body: str) -> str:
        """Return the text that the database keeps."""
        if not self._keys:
            return body
        return PREFIX + self._keys[0].encrypt(body.encode()).decode()

    def open(self, kept: str) -> str:
        """Return what was sealed, or the text itself when it stands in clear. Raises NotOpened.

        What was opened is remembered: every sale needs it.
        """
        if not kept.startswith(PREFIX):
            return kept
        if not self._keys:
            raise NotOpened("CREDENTIALS_KEY is not set")
        body = self._opened.get(kept)
        if body is None:
            if len(self._opened) >= REMEMBERED:
                self._opened.clear()
            body = self._opened[kept] = _opened(MultiFernet(self._keys), kept)
        return body

    def is_current(self, kept: str) -> bool:
        """Whether the text is kept as `seal` would keep it now; if not, it should be sealed again."""
        if not self._keys or not kept.startswith(PREFIX):
            return not self._keys and not kept.startswith(PREFIX)
        try:
            _opened(self._keys[0], kept)
        except NotOpened:
            return False
        return True


def _opened(key: Fernet | MultiFernet, kept: str) -> str:
    try:
        return key.decrypt(kept.removeprefix(PREFIX).encode()).decode()
    except InvalidToken:
        raise NotOpened("CREDENTIALS_KEY holds no key that opens them") from None


def _fernet(key: str) -> Fernet:
    """Return the cipher of a Fernet key as it is, of any other text by scrypt (the costs are OWASP's)."""
    if _FERNET_KEY.fullmatch(key):
        return Fernet(key)
    derived = hashlib.scrypt(key.encode(), salt=_SALT, n=2**14, r=8, p=5, dklen=32)
    return Fernet(base64.urlsafe_b64encode(derived))


NO_KEY = Vault("")
