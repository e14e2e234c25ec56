"""The built site on a server of this machine, and its pages in a browser under watch. Nothing imports the project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import browser

__all__ = ["browser"]

REPOSITORY = Path(__file__).parents[2]
SITE = REPOSITORY / "build" / "site"
_AXE = REPOSITORY / "tests" / "pages" / "node_modules" / "axe-core" / "axe.min.js"

_THE_THEMES_OWN = ("landmark-unique", "scrollable-region-focusable")
"""Rules that the theme's copy buttons and scrolling tables break, wherever they are."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@dataclass
class Watched:
    """A page, and what went wrong while it was shown."""

    page: Page
    said: list[str] = field(default_factory=list)
    """Errors and warnings on its console."""
    requested: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What it asked for and did not get."""

    def violations(self) -> list[str]:
        """Return what axe-core finds wrong with the page's own text: contrast, links, pictures, tables, headings."""
        self.page.evaluate(_AXE.read_text("utf-8"))
        run = "async rules => (await axe.run('.md-content', {rules})).violations"
        found: list[dict[str, Any]] = self.page.evaluate(run, {name: {"enabled": False} for name in _THE_THEMES_OWN})
        return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"][:3]]


@pytest.fixture(scope="session")
def origin() -> Iterator[str]:
    """Where the site is served, a URL without a slash at its end."""
    if not (SITE / "index.html").is_file():
        pytest.fail(f"there is no site in {SITE}; `make site` makes it first")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def opened(browser: Browser, origin: str) -> Iterator[Callable[..., Watched]]:
    """Open a page of the site by its name, like notebooks/two-years."""
    pages = []

    def open_page(name: str, width: int = 1280, scheme: str = "light", until: str = "load") -> Watched:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        pages.append(page)
        watched = Watched(page)
        page.on("console", lambda message: watched.said.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: watched.said.append(str(error)))
        page.on("request", lambda request: watched.requested.append(request.url))
        page.on("requestfailed", lambda request: watched.missing.append(request.url))
        page.on("response", lambda got: watched.missing.append(got.url) if got.status >= 400 else None)
        page.goto(f"{origin}/{name}.html", wait_until=until)  # type: ignore[arg-type]
        return watched

    yield open_page
    for page in pages:
        page.close()
