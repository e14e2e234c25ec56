"""Pages: HTML that is one file, asks the network for nothing, and holds hostile text as text.

Markup is made of :func:`tag`, which escapes whatever is not :class:`Markup` already. Style and script ship as
``page.css`` and ``page.js`` beside this module and stand in each page; its Content-Security-Policy lets the browser run
these two by their checksums and nothing else, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from importlib import resources
from typing import Final

_STYLE: Final = "page.css"
_SCRIPT: Final = "page.js"
FILE_NAMES: Final = (_STYLE, _SCRIPT)
"""What ships beside this module."""
_VOID: Final = frozenset({"br", "img", "link", "meta", "col"})
_DRAWN: Final = frozenset({"path", "rect", "use"})
"""SVG's elements without content; they close themselves."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | int | None | Iterable["Content"]
"""What may stand in an element: markup, text, numbers, nothing, or a sequence of these."""


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an element. Attributes lose a closing underscore and get hyphens; None and False leave them out.

    >>> tag("p", "a < b", class_="note", aria_label='"')
    '<p class="note" aria-label="&quot;">a &lt; b</p>'
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _DRAWN:
        return Markup(f"<{name}{given}/>")
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*content)}</{name}>")


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def joined(*content: Content) -> Markup:
    """Return contents one behind the other."""
    return Markup("".join(_spelt(each) for each in content))


def _spelt(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int):
        return html.escape(str(content))
    return joined(*content)


def page(title: str, body: Markup, data: object = None) -> str:
    """Return a whole document; ``data`` is what its script reads, anything that JSON can spell."""
    style, script = _text(_STYLE), _text(_SCRIPT)
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {_checksum(style)}",
            f"script-src {_checksum(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )
    scripts = joined(
        tag("script", _json(data), type="application/json", id="data"),
        tag("script", Markup(script)),
    )
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', body, scripts), lang='en')}\n"


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _checksum(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _json(data: object) -> Markup:
    """Return JSON that ends no script element, whatever is in it."""
    text = json.dumps(data, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def table(caption: str, head: Iterable[Content], rows: Iterable[Iterable[Content]], *, text_columns: int = 1) -> Markup:
    """Return a table that scrolls by itself where it is too wide; its first columns are text, the others numbers."""
    columns = tuple(head)
    kinds = [None if number < text_columns else "number" for number in range(len(columns))]
    header = tag("tr", [tag("th", cell, scope="col", class_=kind) for cell, kind in zip(columns, kinds, strict=True)])
    body = [_row(tuple(row), kinds) for row in rows]
    made = tag("table", tag("caption", caption), tag("thead", header), tag("tbody", body))
    return tag("div", made, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _row(cells: tuple[Content, ...], kinds: list[str | None]) -> Markup:
    pairs = zip(cells, kinds, strict=True)
    return tag(
        "tr",
        [
            tag("td" if number else "th", cell, scope=None if number else "row", class_=kind)
            for number, (cell, kind) in enumerate(pairs)
        ],
    )


def command(text: str) -> Markup:
    """Return a line to paste into a shell, broken behind words and commas; the script puts a button beside it."""
    words = [tag("span", Markup(_spelt(word).replace(",", ",<wbr>"))) for word in text.split(" ")]
    return tag("div", tag("pre", tag("code", Markup(" ".join(words)))), class_="command")
