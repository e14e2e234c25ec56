"""Reports and plans in a browser: quiet, self-contained, readable at every width, by pointer and keyboard."""

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
        ("plan", 1280),
        ("plan", 390),
        ("plan-years", 390),
        ("plan-globe", 1280),
        ("plan-done", 390),
        ("plan-edge", 1280),
    ],
)
def test_a_page_is_quiet_alone_and_accessible(opened: Open, name: str, width: int, scheme: str) -> None:
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


def test_the_pointer_tells_where_a_planned_tile_stands(opened: Open) -> None:
    watched = opened("plan")
    panel = watched.page.locator("#tile")
    for state, standing in (("planned", "to do"), ("published", "published"), ("absent", "absent upstream")):
        watched.page.locator(f".map path.{state}").nth(1).hover(force=True)
        expect(panel.locator("b")).to_contain_text("2020 / ")
        expect(panel.locator(".state")).to_have_text(state)
        expect(panel.locator("dd").first).to_have_text(standing)
    assert watched.said == []


def test_the_keyboard_begins_at_a_tile_that_would_be_made(opened: Open) -> None:
    watched = opened("plan-globe")
    watched.page.locator("svg.map").focus()
    expect(watched.page.locator("#tile .state")).to_have_text("planned")
    first = watched.page.locator("#tile b").inner_text()
    watched.page.keyboard.press("ArrowDown")
    expect(watched.page.locator("#tile b")).not_to_have_text(first)


def test_a_map_shows_the_tiles_of_its_counts(opened: Open) -> None:
    """And none of the open sea, which would cover it."""
    watched = opened("plan-globe")
    counts = watched.page.locator(".counts b").all_inner_texts()
    drawn = [watched.page.locator(f".map path.{state}").count() for state in ("planned", "published", "absent")]
    assert [int(count.replace(",", "")) for count in counts] == drawn
    expect(watched.page.locator("header")).to_contain_text("782 more of the squares are not drawn")


def test_a_plan_ends_with_the_command_that_starts_it(opened: Open) -> None:
    watched = opened("plan-years", 390)
    expect(watched.page.locator(".command code")).to_have_text(
        "alos-mosaic run --years 2010,2017,2020,2022 --region africa"
    )
    expect(watched.page.locator("header")).to_contain_text("JAXA's listing of 2022 is not known yet")


def test_a_plan_of_nothing_starts_nothing(opened: Open) -> None:
    watched = opened("plan-done")
    expect(watched.page.locator(".verdict")).to_have_text("Nothing to do. All that JAXA has of it has an item.")
    assert watched.page.locator(".command").count() == 0
    assert watched.page.get_by_text("What it takes").count() == 0
