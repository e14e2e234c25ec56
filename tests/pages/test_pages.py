"""Reports in a browser: quiet, self-contained, readable at every width, in light and dark, by pointer and keyboard."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Watched

Open = Callable[..., Watched]


def is_alone(watched: Watched) -> bool:
    """Tell whether a page asked for its own file and what it holds itself, and for nothing else."""
    return all(url == watched.url or url.startswith("data:") for url in watched.requested)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("ordinary", 1280),
        ("failures", 1280),
        ("failures", 390),
        ("years", 390),
        ("one", 1280),
        ("all-failed", 390),
        ("hostile", 390),
        ("empty", 390),
    ],
)
def test_a_report_is_quiet_alone_and_accessible(opened: Open, name: str, width: int, scheme: str) -> None:
    watched = opened(name, width, scheme)
    if watched.page.locator("svg.map").count():
        watched.page.locator("svg.map").first.focus()
    for summary in watched.page.locator("summary").all()[:3]:
        summary.click()
    assert watched.violations() == []
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.said == []
    assert is_alone(watched)


def test_the_policy_stops_what_would_leave_the_page(opened: Open) -> None:
    """Were the checks above blind, this would show it: the page tries, is stopped, and is seen to try."""
    watched = opened("one")
    watched.page.evaluate("fetch('https://example.org/').catch(() => {})")
    watched.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
    watched.page.wait_for_timeout(200)
    assert len(watched.said) >= 2
    assert all("Content Security Policy" in said for said in watched.said)
    assert not is_alone(watched)
    assert watched.answered == [watched.url]


def test_the_pointer_tells_of_a_tile(opened: Open) -> None:
    watched = opened("failures")
    panel = watched.page.locator("#tile")
    expect(panel).to_contain_text("Point at a tile")
    watched.page.locator("path.failed").nth(3).hover(force=True)
    expect(panel).to_contain_text("failed")
    expect(panel).to_contain_text("cause")
    watched.page.locator(".map path.published").first.hover(force=True)
    expect(panel).to_contain_text("published")
    assert panel.get_by_text("STAC item").get_attribute("href") is not None


def test_arrow_keys_go_from_tile_to_tile(opened: Open) -> None:
    watched = opened("globe")
    page = watched.page
    page.locator("svg.map").focus()
    expect(page.locator("#tile")).to_contain_text("failed")
    page.keyboard.press("Home")
    seen = [page.locator("#tile b").inner_text()]
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "End"):
        page.keyboard.press(key)
        seen.append(page.locator("#tile b").inner_text())
        active = page.locator("svg.map").get_attribute("aria-activedescendant")
        assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"
    assert all(before != after for before, after in itertools.pairwise(seen)), seen
    assert page.locator("[aria-selected]").count() == 1
    assert watched.said == []


def test_a_tile_of_several_years_tells_its_own(opened: Open) -> None:
    watched = opened("years", 390)
    maps = watched.page.locator("svg.map")
    assert maps.count() == 5
    maps.nth(3).focus()
    expect(watched.page.locator("figure:nth-of-type(4) + #tile b")).to_contain_text("2017 / ")


def test_a_quicklook_is_shown_and_linked(opened: Open) -> None:
    watched = opened("one")
    watched.page.locator("svg.map").focus()
    assert watched.page.evaluate("document.querySelector('#tile img').naturalWidth") == 1
    assert watched.page.get_by_text("Quicklook").get_attribute("href") == "quicklooks/2020-N25W165.webp"


def test_commands_can_be_copied(opened: Open) -> None:
    watched = opened("failures")
    button = watched.page.get_by_role("button").first
    button.click()
    expect(button).to_have_text("Copied")
    assert watched.said == []
