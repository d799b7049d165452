"""A page of the site loads nothing from the web; links to the web are links that somebody follows."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

WEB = re.compile(r"^\s*(?:https?:)?//", flags=re.IGNORECASE)
LOADED = ("src", "srcset", "data", "poster", "background", "xlink:href")
"""Attributes whose target a browser fetches by itself, on whatever element."""
CODE = re.compile(
    r"url\(\s*['\"]?\s*((?:https?:)?//[^'\")]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)", flags=re.IGNORECASE
)


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetched = (*LOADED, "href") if tag in ("link", "image", "use", "base") else LOADED
        self.found += [value for name, value in attrs if name in fetched and value and WEB.match(value)]


def loads(text: str, style: bool = False) -> list[str]:
    """What a page of HTML (with ``style``: of CSS) makes a browser fetch from the web.

    >>> loads('<a href="https://a.org">a</a><script src="https://b.org/c.js"></script>')
    ['https://b.org/c.js']
    >>> loads("p { background: url(//b.org/c.png) }", style=True)
    ['//b.org/c.png']
    """
    parser = _Loads()
    if not style:
        parser.feed(text)
    return parser.found + [first or second for first, second in CODE.findall(text)]


def check(app: Sphinx, exception: Exception | None) -> None:
    """End the build if a page would."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for path in sorted([*out.rglob("*.html"), *out.rglob("*.css"), *out.rglob("*.svg")]):
        if found := loads(path.read_text(encoding="utf-8"), style=path.suffix == ".css"):
            raise ExtensionError(f"{path.relative_to(out)} loads from the web: {found}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Check when everything is written."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
