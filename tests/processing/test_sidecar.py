"""Sidecars: what they tell, and what they must not do."""

from __future__ import annotations

import tarfile
from datetime import date
from pathlib import Path

import pytest

from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.missions import mission_of
from alos_mosaic.processing.metadata.acquisitions import acquisition_properties, read_sidecars, sidecar_warnings
from alos_mosaic.processing.metadata.sidecar import SIZE_LIMIT_BYTES, Sidecar, read_sidecar
from local.archives import make_cell, members

CELL, OTHER = Cell.from_name("N23W161"), Cell.from_name("N22W161")
PALSAR_2 = mission_of(2020)


@pytest.fixture
def xml(grid: Grid) -> str:
    found = dict(members(make_cell(CELL, 2020, grid), 2020))
    return found["N23W161_20_F02DAR.xml"].decode()


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "N23W161_20_F02DAR.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(tmp_path: Path, content: str | bytes) -> Sidecar:
    return read_sidecar(written(tmp_path, content))


def test_every_fact_is_read(tmp_path: Path, xml: str) -> None:
    sidecar = read(tmp_path, xml)
    first = sidecar.acquisitions[0]
    assert (first.orbit_state, first.look_direction, first.mode, first.beam) == ("ascending", "right", "FBD", "F2-6")
    assert (first.near_incidence_deg, first.far_incidence_deg, first.frequency_ghz) == (33.687, 38.623, 1.27)
    assert (first.looks_range, first.looks_azimuth) == (1, 2)
    assert str(first.start).endswith("T10:44:12.406Z")
    assert sidecar.dem == "https://www.eorc.jaxa.jp/ALOS/en/aw3d30/index.htm"
    assert sidecar.software == "Sigma-SAR IMAGE 600-2020101700"
    assert sidecar.specification == "CARD4L-NRB v5.0"
    assert (sidecar.date_epoch, sidecar.calibration_factor_db) == (date(2014, 5, 24), -83.0)


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE Metadata [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><Metadata>&i;</Metadata>"
)


@pytest.mark.parametrize(
    "content",
    [
        BILLION_LAUGHS,
        '<!DOCTYPE Metadata [<!ENTITY x SYSTEM "file:///etc/hostname">]><Metadata>&x;</Metadata>',
        '<!DOCTYPE Metadata [<!ENTITY % x SYSTEM "http://localhost/x.dtd"> %x;]><Metadata/>',
        '<!DOCTYPE Metadata SYSTEM "http://localhost/x.dtd"><Metadata/>',
        "<!DOCTYPE Metadata><Metadata/>",
        "<Metadata>&undeclared;</Metadata>",
        "<a>" * 40 + "</a>" * 40,
        "<Metadata><GeneralMetadata>",
        "<html>busy</html>",
        "",
        b"\x00\x01\x02",
        b"\xff\xfe<\x00M\x00",
        '<?xml version="1.0" encoding="no-such-encoding"?><Metadata/>',
    ],
)
def test_what_is_hostile_or_broken_is_a_typed_error(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(CorruptArchiveError, match=r"N23W161_20_F02DAR\.xml"):
        read(tmp_path, content)


def test_a_truncated_sidecar_is_a_typed_error_wherever_it_ends(tmp_path: Path, xml: str) -> None:
    for end in range(0, len(xml.rstrip()), 101):
        with pytest.raises(CorruptArchiveError):
            read(tmp_path, xml[:end])


def test_a_huge_sidecar_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(CorruptArchiveError, match=str(SIZE_LIMIT_BYTES)):
        read(tmp_path, b"<Metadata>" + b" " * (2 << 20) + b"</Metadata>")


def test_a_sidecar_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(CorruptArchiveError, match="can't be read"):
        read_sidecar(tmp_path / "none.xml")


@pytest.mark.parametrize(
    ("line", "other", "field"),
    [
        ("Ascending", "Sideways", "orbit_state"),
        ("33.687", "TBC", "near_incidence_deg"),
        ("33.687", "nan", "near_incidence_deg"),
        ("33.687", "1e9", "near_incidence_deg"),
        ("T10:44:12.406Z", " at noon", "start"),
        ("T10:44:12.406Z", "T25:44:12.406Z", "start"),
        ("T10:44:12.406Z", "T1\u0660:44:12.406Z", "start"),
        ("F2-6", "F" * 5000, "beam"),
        ("F2-6", "N/A", "beam"),
    ],
)
def test_a_value_that_makes_no_sense_is_left_out(tmp_path: Path, xml: str, line: str, other: str, field: str) -> None:
    assert line in xml
    assert getattr(read(tmp_path, xml.replace(line, other)).acquisitions[0], field) is None


def test_a_sidecar_that_says_nothing_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "<Metadata/>") == Sidecar((), None, None, None, None, None, None)


def test_cells_that_agree_give_fields_and_cells_that_do_not_give_lists(tmp_path: Path, xml: str) -> None:
    one, other = tmp_path / "one.xml", tmp_path / "other.xml"
    one.write_text(xml)
    other.write_text(xml.replace("Ascending", "Descending").replace("F2-6", "F2-7").replace("MADEUP", "OTHER"))
    same = acquisition_properties(read_sidecars({CELL: one, OTHER: one}))
    assert same["sat:orbit_state"] == "ascending"
    assert same["sar:beam_ids"] == ["F2-6"]
    assert same["sar:observation_direction"] == "right"
    assert same["alos_mosaic:cells_with_sidecar"] == 2
    assert same["alos_mosaic:acquisitions"]["incidence_angles_deg"] == [33.687, 38.623]

    mixed = acquisition_properties(read_sidecars({CELL: one, OTHER: other}))
    assert "sat:orbit_state" not in mixed
    assert mixed["sar:beam_ids"] == ["F2-6", "F2-7"]
    assert mixed["alos_mosaic:acquisitions"]["orbit_states"] == ["ascending", "descending"]
    assert mixed["alos_mosaic:acquisitions"]["count"] == 2 * same["alos_mosaic:acquisitions"]["count"]


def test_a_broken_sidecar_is_a_warning_and_the_others_count(tmp_path: Path, xml: str) -> None:
    good, bad = written(tmp_path, xml), tmp_path / "bad.xml"
    bad.write_text(BILLION_LAUGHS)
    sidecars = read_sidecars({CELL: good, OTHER: bad})
    assert acquisition_properties(sidecars)["alos_mosaic:cells_with_sidecar"] == 1
    (warning,) = sidecar_warnings(sidecars, PALSAR_2)
    assert "cell N22W161 is unreadable" in warning


def test_a_sidecar_that_contradicts_the_mission_is_a_warning(tmp_path: Path, xml: str) -> None:
    wrong = xml.replace("2014-05-24", "2006-01-24").replace("- 83.0", "- 80.0")
    warnings = sidecar_warnings(read_sidecars({CELL: written(tmp_path, wrong)}), PALSAR_2)
    assert ["days from 2006-01-24" in warnings[0], "factor of -80.0 dB" in warnings[1]] == [True, True]
    assert sidecar_warnings(read_sidecars({CELL: written(tmp_path, xml)}), PALSAR_2) == []


def test_the_real_sidecar_tells_all_of_it(samples: Path, tmp_path: Path) -> None:
    with tarfile.open(samples / "N23W161_20_MOS_F02DAR.tar.gz") as archive:
        content = archive.extractfile("N23W161_20_F02DAR.xml")
        assert content is not None
        path = written(tmp_path, content.read())
    sidecars = read_sidecars({CELL: path})
    assert sidecar_warnings(sidecars, PALSAR_2) == []
    assert acquisition_properties(sidecars) == {
        "alos_mosaic:cells_with_sidecar": 1,
        "alos_mosaic:acquisitions": {
            "count": 1,
            "first": "2020-09-09T10:44:12.406Z",
            "last": "2020-09-09T10:44:26.423Z",
            "products": ["SARD000000308991-00027"],
            "orbit_states": ["ascending"],
            "modes": ["FBD"],
            "incidence_angles_deg": [33.687, 38.623],
            "looks_range": [1],
            "looks_azimuth": [2],
            "resolution_range_m": [5.32],
            "resolution_azimuth_m": [4.96],
        },
        "sar:beam_ids": ["F2-6"],
        "alos_mosaic:dem": ["https://www.eorc.jaxa.jp/ALOS/en/aw3d30/index.htm"],
        "alos_mosaic:source_software": ["Sigma-SAR IMAGE 600-2020101700"],
        "alos_mosaic:source_specification": ["CARD4L-NRB v5.0"],
        "alos_mosaic:source_processed": "2021-03-16T12:20:11.100Z",
        "sar:observation_direction": "right",
        "sar:center_frequency": 1.27,
        "sat:orbit_state": "ascending",
        "sar:instrument_mode": "FBD",
    }


def test_no_sidecar_says_nothing() -> None:
    assert acquisition_properties(read_sidecars({})) == {}
