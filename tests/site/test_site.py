"""The documentation's site: whole, quiet, readable, and nothing in it comes from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import pytest

from tests.site.conftest import REPOSITORY, SITE, Watched

Open = Callable[..., Watched]

PAGES: Final = sorted(
    path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html") if path.name != "404.html"
)
LOOKED_AT: Final = (
    "index", "quickstart", "concepts", "coming-from", "operate", "operations", "configuration",
    "notebooks/two-years", "commands",
)  # fmt: skip


def test_every_document_is_a_page() -> None:
    documents = {path.stem for path in (REPOSITORY / "docs").glob("*.md")}
    assert documents | {"commands", "changelog", "notebooks/two-years"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_and_asks_nobody_else(name: str, opened: Open, origin: str) -> None:
    watched = opened(name, until="networkidle")
    assert watched.said == []
    assert watched.missing == []
    assert [url for url in watched.requested if not url.startswith((f"{origin}/", "data:", "blob:"))] == []


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_fits_a_phone(name: str, opened: Open) -> None:
    page = opened(name, width=390).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_can_be_read_by_everyone(name: str, scheme: str, opened: Open) -> None:
    watched = opened(name, scheme=scheme)
    assert watched.page.evaluate("document.body.dataset.mdColorScheme") == {"light": "default", "dark": "slate"}[scheme]
    assert watched.violations() == []


def test_the_search_finds(opened: Open) -> None:
    page = opened("index").page
    page.click("input.md-search__input")
    page.keyboard.type("redrive")
    page.wait_for_selector(".md-search-result__link")
    assert "redrive" in page.inner_text(".md-search-result__list").lower()


def test_alarms_find_their_section(opened: Open) -> None:
    page = opened("operations").page
    ids = set(page.evaluate("[...document.querySelectorAll('h3')].map(each => each.id)"))
    text = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    headings = re.findall("^### (.+)$", text, re.MULTILINE)
    assert ids == {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {"dead-letters", "sandboxtimedout"} <= ids


def test_the_notebook_ran(opened: Open) -> None:
    page = opened("notebooks/two-years").page
    widths = page.evaluate("[...document.querySelectorAll('.md-content img')].map(each => each.naturalWidth)")
    assert len(widths) == 2
    assert min(widths) > 500, "both figures are there"
    told = dict(re.findall(r"(HH|HV): median ([+-]\d\.\d\d) dB", page.inner_text(".md-content")))
    assert set(told) == {"HH", "HV"}
    assert all(abs(float(value)) < 0.5 for value in told.values()), "the ground is the same in both years"
