"""Secrets that are shown once and recognised by their hash."""

import hashlib
import secrets


def new_token() -> str:
    """Return a new secret of 256 random bits, fit for headers and cookies."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return what is kept of a token: SHA-256, enough for a secret that nobody can guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
