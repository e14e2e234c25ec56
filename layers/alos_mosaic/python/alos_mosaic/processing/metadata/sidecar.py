"""Reading the XML sidecar that lies beside a cell's GeoTIFFs (CARD4L Normalised Radar Backscatter, JAXA's spelling).

A sidecar comes out of an archive, so it is hostile input: at most 1 MiB, at most 32 levels deep, no document type, no
entity declared or fetched, and every value is checked before it may stand in an item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element
from xml.parsers import expat

from alos_mosaic.errors import CorruptArchiveError
from alos_mosaic.processing.metadata.strict_xml import parse_xml

SIZE_LIMIT_BYTES: Final = 1 << 20
"""The real one has 7.5 KB for one acquisition."""
_TEXT_LIMIT_CHARACTERS: Final = 200
_ACQUISITIONS_LIMIT: Final = 200

_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OFFSET: Final = re.compile(r"log10\(DN\^2\)\s*([+-]\s*\d+(?:\.\d+)?)")
_NOTHING: Final = frozenset({"", "N/A", "NA", "TBC", "TBD"})


@dataclass(frozen=True)
class Acquisition:
    """One pass that a cell is made of; None where the sidecar does not say."""

    product_id: str | None
    start: str | None
    """RFC 3339, UTC."""
    end: str | None
    orbit_state: str | None
    """``ascending`` or ``descending``."""
    look_direction: str | None
    """``left`` or ``right``."""
    mode: str | None
    """Observation mode, like ``FBD`` or ``WBD``."""
    beam: str | None
    frequency_ghz: float | None
    near_incidence_deg: float | None
    far_incidence_deg: float | None
    looks_range: int | None
    looks_azimuth: int | None
    resolution_range_m: float | None
    resolution_azimuth_m: float | None


@dataclass(frozen=True)
class Sidecar:
    """What one cell's sidecar says."""

    acquisitions: tuple[Acquisition, ...]
    dem: str | None
    software: str | None
    processed: str | None
    """When JAXA made the cell, RFC 3339, UTC."""
    specification: str | None
    """Like ``CARD4L-NRB v5.0``."""
    date_epoch: date | None
    """Day 0 of the date band."""
    calibration_factor_db: float | None


def read_sidecar(path: Path) -> Sidecar:
    """Read a cell's sidecar; :class:`CorruptArchiveError` if it is too large, broken, or declares anything."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise CorruptArchiveError(f"{path.name} can't be read: {error.strerror}") from error
    if len(content) > SIZE_LIMIT_BYTES:
        raise CorruptArchiveError(f"{path.name} has more than {SIZE_LIMIT_BYTES} bytes, and no sidecar has")
    try:
        root = parse_xml(content)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise CorruptArchiveError(f"{path.name} is no XML that may be read: {error}") from error
    if root.tag != "Metadata":
        raise CorruptArchiveError(f"{path.name} is no sidecar of JAXA's")
    return _sidecar(root)


def _sidecar(root: Element) -> Sidecar:
    sources = root.findall("GeneralMetadata/SourceAttributes")[:_ACQUISITIONS_LIMIT]
    corrections = "GeometricCorrections/DigitalElevationModel/DEMReference"
    epoch = _matched(root, "PerPixelMetadata/AcquisitionDate/ZeroReferenceDate", _DATE)
    equation = _text(root, "RadiometricTerrainCorrectedMeasurements/BackscatterConversionEq") or ""
    offset = _OFFSET.search(equation)
    return Sidecar(
        tuple(_acquisition(source) for source in sources),
        _text(root, corrections),
        _text(root, "GeneralMetadata/DataAccess/SoftwareVersion"),
        _matched(root, "GeneralMetadata/DataAccess/ProcessingTime", _TIME),
        _text(root, "GeneralMetadata/DocumentIdentifier"),
        _as_date(epoch),
        float(offset[1].replace(" ", "")) if offset else None,
    )


def _acquisition(source: Element) -> Acquisition:
    numbers = _Numbers(source, "ImageAttributes"), _Numbers(source, "SourceProcParam")
    image, processing = numbers
    return Acquisition(
        _text(source, "SourceProcParam/ProductID"),
        _matched(source, "SourceDataAcquisitionTime/UTCStartTime", _TIME),
        _matched(source, "SourceDataAcquisitionTime/UTCEndTime", _TIME),
        _one_of(source, "OrbitInformation/PassDirection", "ascending", "descending"),
        _one_of(source, "AcquisitionParameters/AntennaPointing", "left", "right"),
        _text(source, "AcquisitionParameters/ObservationMode"),
        _text(source, "AcquisitionParameters/BeamID"),
        _Numbers(source, "AcquisitionParameters").number("RadarCenterFrequency", 100),
        image.number("IncAngleNearRange", 90),
        image.number("IncAngleFarRange", 90),
        processing.count("RangeNumberOfLooks"),
        processing.count("AzimuthNumberOfLooks"),
        image.number("RangeResolution", 1000),
        image.number("AzimuthResolution", 1000),
    )


@dataclass(frozen=True)
class _Numbers:
    """The numbers in one element; what is no number, or an absurd one, is None."""

    source: Element
    path: str

    def number(self, tag: str, limit: float) -> float | None:
        """Return a number between 0 and the limit."""
        try:
            number = float(_text(self.source, f"{self.path}/{tag}") or "")
        except ValueError:
            return None
        return number if 0 <= number <= limit else None

    def count(self, tag: str) -> int | None:
        """Return a whole number between 0 and 1000."""
        number = self.number(tag, 1000)
        return int(number) if number is not None and number == int(number) else None


def _text(source: Element, path: str) -> str | None:
    """Return an element's text on one line, None if it says nothing or too much."""
    text = " ".join((source.findtext(path) or "").split())
    says_something = text.upper() not in _NOTHING and len(text) <= _TEXT_LIMIT_CHARACTERS and text.isprintable()
    return text if says_something else None


def _matched(source: Element, path: str, pattern: re.Pattern[str]) -> str | None:
    text = _text(source, path)
    return text if text and pattern.fullmatch(text) and _exists(text) else None


def _one_of(source: Element, path: str, *allowed: str) -> str | None:
    text = (_text(source, path) or "").lower()
    return text if text in allowed else None


def _exists(moment: str) -> bool:
    """Tell whether a date or time of the right form is one, as the 30th of February and 25 o'clock are not."""
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return False
    return True


def _as_date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def values_of(acquisitions: Iterable[Acquisition], name: str) -> list[Any]:
    """Return the different values of a field that are known, ascending."""
    return sorted({value for each in acquisitions if (value := getattr(each, name)) is not None})
