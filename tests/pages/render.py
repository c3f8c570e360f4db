"""Renders the real templates with sample data, as the server's environment would. No server, no browser."""

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from server import texts

ROOT = Path(__file__).parent.parent.parent
STATIC = ROOT / "server" / "static"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def static(name: str) -> str:
    """Return the address of our own file, with its content's hash in it."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


def environment() -> Environment:
    """Return the templates with the globals that every page counts on."""
    env = Environment(loader=FileSystemLoader(ROOT / "templates"), autoescape=True)
    env.globals.update(text=texts.text, static=static, lang=texts.DEFAULT_LANGUAGE)
    return env


def render(template: str, **context: Any) -> str:
    """Return the page that `template` makes of `context`."""
    return environment().get_template(template).render(**context)
