"""Reports and plans in a browser: quiet, self-contained, readable at every width, by pointer and keyboard."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

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
        ("pair", 390),
        ("globe", 1280),
        ("one", 1280),
        ("all-failed", 390),
        ("hostile", 390),
        ("empty", 390),
        ("plan", 1280),
        ("plan", 390),
        ("plan", 320),
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
    for number, year in ((3, 2017), (0, 2007)):
        maps.nth(number).focus()
        expect(watched.page.locator("#tile b")).to_contain_text(f"{year} / ")
        chosen = maps.nth(number).locator("[aria-selected]")
        expect(watched.page.locator("#tile")).to_be_in_viewport(ratio=0.99)
        assert bottom_of(chosen) < top_of(watched.page.locator("#tile")), "the panel lies over the tile it tells of"


def top_of(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box is not None
    return box["y"]


def bottom_of(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def width_of(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box is not None
    return box["width"]


def test_a_phone_shows_a_globe_s_tiles_so_large_that_they_can_be_told_apart(opened: Open) -> None:
    page = opened("globe", 390).page
    pane, tile = page.locator(".pane"), page.locator(".map path.published").first
    whole, smaller = page.get_by_role("button", name="Whole map"), page.get_by_role("button", name="Smaller")
    assert width_of(tile) >= 12
    assert any(_is_within(failed, pane) for failed in page.locator(".map path.failed").all())
    whole.click()
    assert width_of(page.locator("svg.map")) <= width_of(pane)
    assert [each.get_attribute("aria-disabled") for each in (whole, smaller)] == ["true", "true"]
    smaller.click(force=True)  # it says that it is disabled, and keeps the focus
    assert width_of(page.locator("svg.map")) <= width_of(pane)
    for _ in range(10):
        page.get_by_role("button", name="Larger").click(force=True)
    assert width_of(page.locator("svg.map")) == pytest.approx(8 * width_of(pane), rel=0.02)
    expect(page.get_by_role("button", name="Larger")).to_have_attribute("aria-disabled", "true")


def _is_within(mark: Locator, pane: Locator) -> bool:
    inner, outer = mark.bounding_box(), pane.bounding_box()
    assert inner is not None
    assert outer is not None
    return outer["x"] <= inner["x"] <= inner["x"] + inner["width"] <= outer["x"] + outer["width"]


def test_a_region_that_fits_a_phone_is_shown_whole(opened: Open) -> None:
    page = opened("failures", 390).page
    assert width_of(page.locator("svg.map")) <= width_of(page.locator(".pane"))


def test_maps_side_by_side_are_zoomed_and_moved_together(opened: Open) -> None:
    watched = opened("pair")
    page, maps = watched.page, watched.page.locator("svg.map")
    assert [round(top_of(each)) for each in maps.all()] == [round(top_of(maps.first))] * 2
    maps.nth(1).focus()
    for _ in range(3):
        page.keyboard.press("+")
    places = "panes => panes.map(pane => [pane.scrollLeft, pane.scrollTop, pane.scrollWidth])"
    page.keyboard.press("End")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    moved = page.locator(".pane").evaluate_all(places)
    assert moved[0] == moved[1]
    left, _, width = moved[0]
    assert left > 0
    assert width == pytest.approx(3 * width_of(page.locator(".pane").first), rel=0.02)
    assert _is_within(maps.nth(1).locator("[aria-selected]"), page.locator(".pane").nth(1))
    assert watched.said == []


def test_a_finger_need_not_hit_a_tile_exactly(opened: Open) -> None:
    page = opened("one", 390).page
    box = page.locator(".map path.published").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.click(box["x"] + box["width"] + 60, middle)
    expect(page.locator("#tile")).to_contain_text("Point at a tile")
    page.mouse.click(box["x"] + box["width"] + 4, middle)
    expect(page.locator("#tile b")).to_have_text("2020 / N25W165")


def test_a_press_means_the_tile_there_and_none_on_the_sea(opened: Open) -> None:
    """Though it gives the map the focus, which shows a tile that failed to who comes by the keyboard."""
    watched = opened("globe", 390)
    page, pane = watched.page, watched.page.locator(".pane")
    page.locator("figure").scroll_into_view_if_needed()
    position = pane.evaluate("pane => pane.scrollLeft")
    mark = next(each for each in page.locator(".map path.published").all() if _is_within(each, pane))
    mark.click(force=True)
    expect(page.locator("#tile b")).to_contain_text((mark.get_attribute("aria-label") or "").removesuffix(" published"))
    assert pane.evaluate("pane => pane.scrollLeft") == position
    page.keyboard.press("ArrowDown")
    assert watched.said == []


@pytest.mark.parametrize("width", [1280, 390])
def test_names_lead_to_tiles_and_failed_tiles_to_what_can_be_done(opened: Open, width: int) -> None:
    watched = opened("globe", width)
    page = watched.page
    link = page.locator(".panel a:visible").first
    for _ in range(2):  # the second time it is where the page's address is already
        link.click()
        expect(page.locator("#tile b")).to_have_text(link.inner_text().replace("/", " / "))
        expect(page.locator("[aria-selected]")).to_be_in_viewport(ratio=0.99)
        assert _is_within(page.locator("[aria-selected]"), page.locator(".pane"))
        assert page.evaluate("document.activeElement.classList.contains('map')")
        page.evaluate("scrollTo(0, 1e6)")
    page.get_by_role("link", name="What to do").click()
    error = page.locator("#tile dd").first.inner_text()
    expect(page.locator(".panel", has=page.locator("h3", has_text=error))).to_be_in_viewport()
    assert watched.said == []


def test_paper_shows_whole_maps_and_nothing_to_press(opened: Open) -> None:
    page = opened("globe", 390, "dark").page
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(236, 236, 234)"
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 29, 31)", "paper is white"
    assert width_of(page.locator("svg.map")) <= width_of(page.locator(".pane"))
    assert not [each for each in page.locator("button, #tile").all() if each.is_visible()]


def test_a_quicklook_is_shown_and_linked(opened: Open) -> None:
    watched = opened("one")
    watched.page.locator("svg.map").focus()
    assert watched.page.evaluate("document.querySelector('#tile img').naturalWidth") == 1
    assert watched.page.get_by_text("Quicklook").get_attribute("href") == "quicklooks/2020-N25W165.webp"


def test_commands_can_be_copied(opened: Open) -> None:
    watched = opened("failures")
    button = watched.page.locator(".panel > .command button").first
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
    expect(watched.page.locator("header")).to_contain_text("Not drawn: 782 squares of which JAXA has no tile")


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
