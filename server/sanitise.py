"""Makes an operator's HTML safe to show to a customer. Pure; everything a customer sees goes through it."""

import html
from functools import lru_cache

import nh3
from markupsafe import Markup

TAGS = frozenset({"a", "b", "br", "em", "i", "li", "ol", "p", "strong", "ul"})
LINK_SCHEMES = frozenset({"https", "mailto", "tel"})


@lru_cache(maxsize=4096)
def sanitise(text: str | None) -> Markup | None:
    """Return `text` with nothing but the tags above and safe links; None when nothing is left to read.

    What is not allowed is removed, the words inside it stay (but those of scripts and styles). A link keeps
    just its `href`, and only of the schemes above: a relative one loses it.
    """
    if not text:
        return None
    clean = nh3.clean(
        text,
        tags=set(TAGS),
        attributes={"a": {"href"}},
        url_schemes=set(LINK_SCHEMES),
        url_relative="deny",
        link_rel="noopener noreferrer",
    ).strip()
    return Markup(clean) if _words(clean) else None


def _words(clean: str) -> str:
    return html.unescape(nh3.clean(clean, tags=set())).strip()
