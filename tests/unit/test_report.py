"""The report: what it says of a run, and that nothing in it is anything but text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from alos_mosaic.grid import Bounds, Tile
from alos_mosaic.inventory import tiles_of_year
from alos_mosaic.maps import WORLD, view_of
from alos_mosaic.pages import Markup, page, tag
from alos_mosaic.report import Picture, report_page
from alos_mosaic.results import State, TileResult

VOID = ("meta", "wbr", "link", "img", "path", "rect", "use")
HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)> & "quoted"'


class Outline(HTMLParser):
    """A page taken apart: elements with their attributes, and all text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._within: list[str] = []
        self.commands: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._within.append(tag)
        if tag == "pre":
            self.commands.append("")

    def handle_endtag(self, tag: str) -> None:
        while tag in self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._within):
            self.words.append(data)
        if "pre" in self._within:
            self.commands[-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def summary(*results: TileResult, **facts: Any) -> dict[str, Any]:
    worker = {"memory_mib": 2048, "architecture": "x86_64", "ephemeral_storage_mib": 10_240}
    times = {"started": "2026-11-24T06:30:00Z", "ended": "2026-11-24T08:00:00Z"}
    given = {"run": "a-run", "sentence": "so it ended", "complete": True, "worker": worker, **times, **facts}
    return {**given, "tiles": [result.to_dict() for result in results]}


def published(tile: str = "N10E010", year: int = 2020, **facts: Any) -> TileResult:
    return TileResult(
        State.PUBLISHED,
        year,
        tile,
        cells=("N09E013", "N09E014"),
        archive={"size": 170_000_000},
        output_bytes=188_000_000,
        item_uri=f"s3://out/alos_palsar_mosaic/{year}/{tile}/{tile}_{year % 100}.stac-item.json",
        seconds={"check": 1.0, "gather": 40.0, "transfer": 30.0, "write": 9.0},
        **facts,
    )


def failed(
    tile: str, error: str = "CorruptArchiveError", cause: str = "gzip ends early", year: int = 2020
) -> TileResult:
    defective = ("N10E012",) if error == "CorruptArchiveError" else ()
    return TileResult(
        State.FAILED, year, tile, error=error, cause=cause, log="/group stream", defective_cells=defective
    )


def data_of(outline: Outline, text: str) -> list[dict[str, Any]]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    tiles: list[dict[str, Any]] = json.loads(found)["tiles"]
    return tiles


def test_every_tile_is_on_the_map_of_its_year_with_its_state() -> None:
    results = (published(), failed("N05E010"), published(year=2017), TileResult(State.ABSENT, 2017, "N05E010"))
    outline = Outline(report_page(summary(*results)))
    assert [each["aria-label"] for each in outline.named("svg") if each.get("role") == "listbox"] == [
        "Tiles of 2017",
        "Tiles of 2020",
    ]
    marks = [(each["class"], each["aria-label"], each["id"]) for each in outline.named("path") if "role" in each]
    assert marks == [
        ("published", "N10E010 published", "t2"),
        ("absent", "N05E010 absent", "t3"),
        ("published", "N10E010 published", "t0"),
        ("failed", "N05E010 failed", "t1"),
    ]
    assert "2017 1 published 1 absent" in outline.text


def test_the_four_counts_and_the_verdict_stand_on_top() -> None:
    text = Outline(report_page(summary(published(), published("N05E010"), failed("N15E010"), complete=False))).text
    assert "Incomplete. so it ended." in text
    assert "24 November 2026, 06:30 to 08:00 UTC · 1 h 30 min" in text
    assert "published 2 66.7 %, made and in the bucket skipped 0 0 %, there already absent 0" in text


def test_failures_are_gathered_by_error_and_cause_with_what_to_paste() -> None:
    tiles = ["N10E010", "N05E010", "N15E010", "N20E010"]
    broken = [failed(tile, cause=f"{tile}_20.zip ends after {number} bytes") for number, tile in enumerate(tiles)]
    other = failed("N25E010", "SourceUnavailableError", "421 busy")
    outline = Outline(report_page(summary(*broken, other, failed("N30E010", cause="a strange mask"), run="a b")))
    assert "CorruptArchiveError 5 tiles, 2 causes" in outline.text
    assert "4 tiles: 2020/N10E010, 2020/N05E010, 2020/N15E010 and 1 more" in outline.text
    assert outline.commands == [
        "alos-mosaic logs 2020/N10E010 --run 'a b'",
        "alos-mosaic logs 2020/N30E010 --run 'a b'",
        "alos-mosaic redrive --error CorruptArchiveError --run 'a b' --wait",
        "alos-mosaic run --years 2020 --tiles N10E010,N05E010,N15E010,N20E010,N30E010 --mode refresh --accept-partial",
        "alos-mosaic logs 2020/N25E010 --run 'a b'",
        "alos-mosaic redrive --error SourceUnavailableError --run 'a b' --wait",
        "alos-mosaic resume 'a b' --wait",
    ]
    assert "Log: /group stream" in outline.text


def test_commands_name_the_deployment_that_the_run_was_on() -> None:
    deployment = {"stack": "My stack", "aws_region": "us-east-1", "profile": "x", "other": 1}
    outline = Outline(report_page(summary(failed("N10E010"), failed("N10E010", year=2017), deployment=deployment)))
    found = " --stack 'My stack' --aws-region us-east-1"
    assert len(outline.commands) == 5
    assert [command.partition(found)[1:] for command in outline.commands] == [(found, "")] * 5
    assert f"alos-mosaic run --years 2017 --tiles N10E010 --mode refresh --accept-partial{found}" in outline.commands


@pytest.mark.parametrize("told", [None, [], "AlosMosaic", {"stack": None, "aws_region": 1}])
def test_a_deployment_that_is_not_told_is_not_named(told: object) -> None:
    outline = Outline(report_page(summary(failed("N10E010", "OutputError"), deployment=told)))
    assert outline.commands[1:] == [
        "alos-mosaic redrive --error OutputError --run a-run --wait",
        "alos-mosaic resume a-run --wait",
    ]


def test_names_lead_to_tiles_and_failed_tiles_to_what_can_be_done() -> None:
    text = report_page(summary(published(), failed("N05E010", "OutputError"), failed("N00E010", "unknown")))
    outline = Outline(text)
    ids = {each["id"] for _, each in outline.elements if "id" in each}
    leads = {each["href"] for each in outline.named("a")}
    assert leads == {"#t0", "#t1", "#t2"}
    assert {lead[1:] for lead in leads if lead} <= ids
    remedies = [each.get("remedy") for each in data_of(outline, text)]
    assert remedies == [None, "e0", "e1"]
    assert set(remedies[1:]) <= ids


def test_a_run_without_a_failure_says_so_and_offers_no_command() -> None:
    text = Outline(report_page(summary(published()))).text
    assert "No tile failed." in text
    assert "alos-mosaic re" not in text


def test_what_it_took_stands_beside_what_was_planned() -> None:
    failed = TileResult(State.FAILED, 2020, "N15E010", error="OutputError", seconds={"until_failure": 20.0})
    given = summary(published(), published("N05E010"), failed, max_concurrency=2)
    text = Outline(report_page(given)).text
    assert "2 published tiles Actual Planned" in text
    assert "Work of their workers 1 min 40 s" in text
    assert "3 tiles on record, 2 of them published: 2 min 0 s of work, $0.0048. It took 1 h 30 min" in text
    assert "From start to end 1 h 30 min 3 min 14 s 8 min 46 s 38 min 25 s Work" in text
    assert "Planned at 20 MB/s Planned at 5 MB/s Planned at 1 MB/s" in text
    assert re.search(r"Cost( \$0\.\d+){4} ", text)
    assert "gather 80.0 % 40.0 s 40.0 s 40.0 s 2020/N10E010" in text
    assert "transfer (within gather) 60.0 %" in text


def test_what_a_run_without_a_published_tile_took_is_told_without_a_plan() -> None:
    failed = TileResult(State.FAILED, 2020, "N15E010", error="OutputError", seconds={"until_failure": 20.0})
    text = Outline(report_page(summary(failed))).text
    assert "1 tile on record, none of them published: 20.0 s of work, $0.00093. It took 1 h 30 min" in text
    assert "Planned" not in text


def test_without_a_price_there_is_time_only() -> None:
    text = Outline(report_page(summary(published(), worker={}))).text
    assert "Work of their workers 50.0 s \N{EN DASH}" in text
    assert "$" not in text


def test_shares_of_the_pixels_are_told_of_what_was_counted() -> None:
    counted = published(valid_percent=40.0, water_percent=25.0)
    text = Outline(report_page(summary(counted, published("N05E010")))).text
    assert "Data 2020 land 30.0 % water 10.0 % no data 60.0 % Shares are" in text
    assert "Mosaic Tiles Cells Partial Archives COGs 2020 2 4 0 340.0 MB" in text


def test_an_estimate_that_is_none_is_not_told_of() -> None:
    worker = {"memory_mib": 2048, "architecture": "x86_64", "ephemeral_storage_mib": 10_240}
    for estimated, rate in ((None, 1.0), ("<b>", 1.0), (5.0, "<b>")):
        given = {"worker": {**worker, "assumed_megabytes_per_second": rate}, "estimated_usd": estimated}
        text = Outline(report_page(summary(published(), **given))).text
        assert ("estimated at $5.00: 1 tile, all of them made." in text) is (estimated == 5.0)


def test_older_summaries_are_read_as_far_as_they_tell() -> None:
    outline = Outline(report_page({"tiles": [{"state": "published", "year": 2020, "tile": "N10E010"}]}))
    assert "Run without a name" in outline.text
    assert "No worker recorded its time." in outline.text


def test_an_empty_run_has_a_report() -> None:
    assert "Nothing was seeded." in Outline(report_page({"tiles": []})).text


def test_hostile_text_stays_text() -> None:
    given = failed("N10E010", f"Odd{HOSTILE}", HOSTILE * 20)
    text = report_page(summary(given, run=HOSTILE, sentence=HOSTILE))
    outline = Outline(text)
    assert [each.get("type") for each in outline.named("script")] == ["application/json", None]
    assert not outline.named("img")
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]
    assert HOSTILE in "".join(outline.words)
    assert data_of(outline, text)[0]["facts"][0] == ["error", f"Odd{HOSTILE}"]


def test_the_page_may_load_nothing() -> None:
    outline = Outline(report_page(summary(published())))
    (policy,) = (each["content"] for each in outline.named("meta") if "http-equiv" in each)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    for name, attributes in outline.elements:
        assert not attributes.get("src"), name
        assert (attributes.get("href") or "#").startswith(("#", "data:")), name


def test_pictures_are_shown_and_linked() -> None:
    text = report_page(
        summary(published()), {"2020/N10E010": Picture("quicklooks/a.webp", "data:image/webp;base64,AA")}
    )
    (entry,) = data_of(Outline(text), text)
    assert (entry["quicklook"], entry["thumbnail"]) == ("quicklooks/a.webp", "data:image/webp;base64,AA")


def test_a_globe_s_year_is_less_than_two_megabytes() -> None:
    tiles = sorted(tiles_of_year(2020))
    results = [
        failed(tile.name, cause="x" * 300) if n % 10 == 0 else published(tile.name) for n, tile in enumerate(tiles)
    ]
    assert len(results) > 1100
    assert len(report_page(summary(*results)).encode()) < 1_000_000


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        ([], WORLD),
        (["N85W180", "S55E175"], WORLD),
        (["N00W180"], Bounds(-180, -23.125, -114, 18.125)),
        (["S55W070"], Bounds(-100.5, -60, -34.5, -18.75)),
    ],
)
def test_a_map_shows_its_tiles_and_stays_in_the_world(tiles: list[str], expected: Bounds) -> None:
    assert view_of(map(Tile.from_name, tiles)) == expected


@pytest.mark.parametrize("tile", sorted(tiles_of_year(2020))[::50])
def test_a_view_holds_its_tile(tile: Tile) -> None:
    view, bounds = view_of([tile]), tile.bounds
    assert view.west <= bounds.west < bounds.east <= view.east
    assert view.south <= bounds.south < bounds.north <= view.north


def test_markup_is_escaped_once() -> None:
    assert tag("p", "a&b", Markup("<br>"), [1, None, "<"], title='"', hidden=True, lang=None) == (
        '<p title="&quot;" hidden>a&amp;b<br>1&lt;</p>'
    )
    assert "\\u003c/script>" in page("a title", Markup(""), {"text": "</script>"})
