"""What the doctor says of sources that work, that half work and that don't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alos_mosaic.errors import InvalidRequestError
from alos_mosaic.grid import Grid
from alos_mosaic.layouts import LAYOUTS
from alos_mosaic.processing.checks import Diagnosis, Verdict
from alos_mosaic.processing.diagnosis import EXAMPLE_TILE, EXAMPLE_YEARS, diagnose
from alos_mosaic.processing.sources.file import FileSource
from alos_mosaic.processing.sources.protocol import Credentials, SourceAccess
from local.archives import make_cell, make_forest_cell, place_archive, place_cell_archive, write_archive
from local.certificates import write_certificate
from local.jaxa_server import Account, JaxaServer
from local.web_server import Answer, WebServer

LOGIN = Credentials("me", "s3cret")
FOLDER_2020 = "pub/ALOS-2/ext1/PALSAR-2_MSC/25m_MSC/2020"


@pytest.fixture
def mirror(mirror: Path, grid: Grid) -> Path:
    for year in EXAMPLE_YEARS:
        place_archive(mirror, EXAMPLE_TILE, year, grid, cells=EXAMPLE_TILE.cells[:1])
    return mirror


def verdicts(diagnosis: Diagnosis) -> dict[str, str]:
    return {f"{check.subject} {check.name}": str(check.verdict) for check in diagnosis.checks}


def detail(diagnosis: Diagnosis, name: str) -> str:
    return next(check.detail for check in diagnosis.checks if check.name == name)


def test_a_whole_mirror_works_over_ftp_and_as_a_folder(mirror: Path) -> None:
    with JaxaServer(mirror, account=Account("me", "s3cret")) as server:
        by_ftp = diagnose(server.url, SourceAccess(LOGIN, allow_plain_login=True))
        names = server.names()
    by_file = diagnose(mirror.as_uri(), SourceAccess())
    expected = {
        "server login": "ok", "server listing": "ok", "server size": "ok", "server time": "ok", "server resume": "ok",
        "server rate": "ok", "JERS-1 1996/N10E010 archive": "ok", "JERS-1 1996/N10E010 jers-1-v1": "ok",
        "PALSAR 2009/N10E010 archive": "ok", "PALSAR 2009/N10E010 palsar-v1": "ok",
        "PALSAR-2 2020/N10E010 archive": "ok", "PALSAR-2 2020/N10E010 palsar-2-v1": "ok",
    }  # fmt: skip
    for diagnosis in (by_ftp, by_file):
        assert diagnosis.works
        found = verdicts(diagnosis)
        assert {name: found[name] for name in expected} == expected
        assert {name for name, verdict in found.items() if verdict == "no"} == set(found) - set(expected)
        assert "no" in found.values()
    assert "with the given user" in detail(by_ftp, "login")
    assert f"1 in {FOLDER_2020}" in detail(by_ftp, "listing")
    assert {"SIZE", "MDTM", "REST", "MLSD"} <= set(names)
    assert "s3cret" not in str(by_ftp.to_dict())


FOREST_ROW = "PALSAR 2009/N10E010 forest map"


def test_forest_maps_are_asked_for_and_may_be_missing(mirror: Path, grid: Grid) -> None:
    (row,) = (row for row in LAYOUTS if row.name == "palsar-fnf-v1")
    without = diagnose(mirror.as_uri(), SourceAccess())
    assert verdicts(without)[f"{FOREST_ROW} archive"] == verdicts(without)[f"{FOREST_ROW} {row.name}"] == "no"
    cell = make_forest_cell(EXAMPLE_TILE.cells[0], 2009, grid)
    write_archive(mirror / row.archive_path(EXAMPLE_TILE, 2009), [cell], 2009)
    found = diagnose(mirror.as_uri(), SourceAccess())
    assert found.works
    assert verdicts(found)[f"{FOREST_ROW} archive"] == verdicts(found)[f"{FOREST_ROW} {row.name}"] == "ok"
    assert not [name for name in verdicts(found) if "1996" in name and "forest" in name]


def test_layouts_of_the_configuration_are_asked_for(mirror: Path) -> None:
    moved = replace(next(row for row in LAYOUTS if row.name == "palsar-2-v1"), name="moved", folder_template="new")
    place = mirror / moved.archive_path(EXAMPLE_TILE, 2020)
    place.parent.mkdir()
    next(mirror.rglob("*_20_MOS*.tar.gz")).rename(place)
    assert not diagnose(mirror.as_uri(), SourceAccess()).works
    found = diagnose(mirror.as_uri(), SourceAccess(), extra_layouts=[moved])
    assert found.works
    assert verdicts(found)["PALSAR-2 2020/N10E010 moved"] == "ok"


def test_what_a_site_of_another_tree_does_not_serve_is_no_failure(tmp_path: Path, grid: Grid) -> None:
    """JAXA's download site has cells of PALSAR-2 and nothing else."""
    certificate = write_certificate(tmp_path / "server.pem")
    (row,) = (row for row in LAYOUTS if row.name == "palsar-2-site-v2")
    place_cell_archive(tmp_path / "site", make_cell(EXAMPLE_TILE.cells[12], 2020, grid), 2020, row)
    with WebServer(tmp_path / "site", certificate=certificate) as server:
        found = diagnose(server.url, SourceAccess(ca_file=certificate))
        empty = diagnose(server.url, SourceAccess(ca_file=certificate), years=(1996, 2009))
    assert found.works
    answers = verdicts(found)
    assert answers["PALSAR-2 2020/N10E010 archive"] == "ok"
    for subject in ("JERS-1 1996/N10E010", "PALSAR 2009/N10E010", FOREST_ROW, "PALSAR-2 2020/N10E010 forest map"):
        assert answers[f"{subject} archive"] == "no"
    details = {check.subject: check.detail for check in found.checks if check.name == "archive"}
    assert "not served there" in details["JERS-1 1996/N10E010"]
    assert not empty.works


def test_over_https_there_is_no_listing_and_all_else_works(mirror: Path) -> None:
    with WebServer(mirror, account=Account("me", "s3cret")) as server:
        good = diagnose(server.url, SourceAccess(LOGIN, allow_plain_login=True))
        bad = diagnose(server.url, SourceAccess())
    assert good.works
    assert verdicts(good)["server listing"] == "no"
    assert verdicts(good)["server resume"] == "ok"
    assert not bad.works
    assert "401" in detail(bad, "login")


def test_a_server_that_ignores_range_still_works(mirror: Path) -> None:
    with WebServer(mirror) as server:
        for file in mirror.rglob("*.tar.gz"):
            server.answers[f"/{file.relative_to(mirror)}"] = Answer(200, body=file.read_bytes())
        diagnosis = diagnose(server.url, SourceAccess())
    assert diagnosis.works
    assert verdicts(diagnosis)["server time"] == verdicts(diagnosis)["server resume"] == "no"
    assert "ignores Range" in detail(diagnosis, "resume")


def test_a_server_that_resumes_elsewhere_than_told_does_not_work(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FileSource.read
    monkeypatch.setattr(FileSource, "read", lambda self, path, sink, _start=0: read(self, path, sink))
    diagnosis = diagnose(mirror.as_uri(), SourceAccess())
    assert not diagnosis.works
    assert verdicts(diagnosis)["server resume"] == "failed"


def test_an_empty_server_fails_with_what_was_asked_for(tmp_path: Path) -> None:
    with JaxaServer(tmp_path) as server:
        diagnosis = diagnose(server.url, SourceAccess())
    assert not diagnosis.works
    found = verdicts(diagnosis)
    assert found["server login"] == "ok"
    assert found["server listing"] == "failed"
    assert found["PALSAR 2009/N10E010 archive"] == "failed"
    assert found["PALSAR 2009/N10E010 palsar-v1"] == found["server rate"] == "no"


def test_a_mission_that_is_missing_fails_alone(mirror: Path) -> None:
    next(mirror.rglob("*_96_*.tar.gz")).unlink()
    diagnosis = diagnose(mirror.as_uri(), SourceAccess())
    failed = [(check.subject, check.name) for check in diagnosis.checks if check.verdict is Verdict.FAILED]
    assert failed == [("JERS-1 1996/N10E010", "archive")]
    assert diagnose(mirror.as_uri(), SourceAccess(), years=(2009, 2020)).works


def test_a_login_that_is_refused_ends_the_questions(mirror: Path) -> None:
    with JaxaServer(mirror, account=Account("me", "other")) as server:
        diagnosis = diagnose(server.url, SourceAccess(LOGIN, allow_plain_login=True))
    assert verdicts(diagnosis) == {"server login": "failed"}
    assert "530" in detail(diagnosis, "login")


def test_a_transfer_that_breaks_off_fails(mirror: Path) -> None:
    with WebServer(mirror) as server:
        for file in mirror.rglob("*.tar.gz"):
            path = f"/{file.relative_to(mirror)}"
            server.answers[path] = Answer(200, body=file.read_bytes(), sent_bytes=10, method="GET")
        diagnosis = diagnose(server.url, SourceAccess(timeout_seconds=1))
    assert verdicts(diagnosis)["server rate"] == "failed"


@pytest.mark.parametrize(("url", "years"), [("gopher://host", (2020,)), ("file:///", (2012,))])
def test_senseless_questions_are_refused(url: str, years: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequestError):
        diagnose(url, SourceAccess(), years)


def test_rows_of_cells_answer_too(tmp_path: Path, grid: Grid) -> None:
    middle = EXAMPLE_TILE.cells[12]
    place_cell_archive(tmp_path, make_cell(middle, 2020, grid), 2020)
    diagnosis = diagnose(tmp_path.as_uri(), SourceAccess(), years=(2020,))
    found = verdicts(diagnosis)
    assert found["PALSAR-2 2020/N10E010 palsar-2-v1"] == "no"
    assert found["PALSAR-2 2020/N10E010 palsar-2-v1, cells"] == "ok"
    assert "palsar-2-v1, cells serves it" in detail(diagnosis, "archive")
