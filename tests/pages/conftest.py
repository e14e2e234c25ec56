"""A browser, and pages opened in it under watch. Nothing here imports the project: this environment lacks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import browser

__all__ = ["browser"]

_REPOSITORY = Path(__file__).parents[2]
PAGES = _REPOSITORY / "build" / "pages"
_AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Watched:
    """A page, and what it did beside showing itself."""

    page: Page
    url: str
    said: list[str] = field(default_factory=list)
    """Errors and messages on its console, and dialogs."""
    requested: list[str] = field(default_factory=list)
    """What it asked for, its own file first."""
    answered: list[str] = field(default_factory=list)
    """What it got of that."""

    def violations(self) -> list[str]:
        """Return what axe-core finds, the rule and the first place of each."""
        self.page.evaluate(_AXE.read_text("utf-8"))
        found: list[dict[str, Any]] = self.page.evaluate("async () => (await axe.run()).violations")
        return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Open a page of build/pages by its name."""
    pages = []

    def open_page(name: str, width: int = 1280, scheme: str = "light") -> Watched:
        path = PAGES / f"{name}.html"
        if not path.is_file():
            pytest.fail(f"there is no {path}; `make test-pages` makes it first")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        pages.append(page)
        watched = Watched(page, path.as_uri())
        page.on("console", lambda message: watched.said.append(message.text))
        page.on("pageerror", lambda error: watched.said.append(str(error)))
        page.on("dialog", lambda dialog: (watched.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: watched.requested.append(request.url))
        page.on("requestfinished", lambda request: watched.answered.append(request.url))
        page.goto(watched.url)
        return watched

    yield open_page
    for page in pages:
        page.close()
