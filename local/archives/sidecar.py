"""Metadata beside a cell's rasters, in the elements of JAXA's CARD4L sidecar (its spelling included)."""

from __future__ import annotations

from datetime import timedelta
from typing import cast
from xml.etree import ElementTree

import numpy as np

from alos_mosaic.bands import NODATA
from alos_mosaic.grid import Cell
from alos_mosaic.missions import Mission
from local.archives.pixels import CellPixels


def make_sidecar(pixels: CellPixels, mission: Mission, file_name: str) -> bytes:
    """Return a cell's metadata; ``file_name`` has ``{}`` where a member's name has its band."""
    dates = _dates(pixels, mission)
    root = ElementTree.Element("Metadata")
    general = _put(root, "GeneralMetadata")
    _put(general, "Product", "Normalised Radar Backscatter")
    _put(general, "DocumentIdentifier", "CARD4L-NRB v5.0")
    times = _put(general, "DataCollectionTime", TimeZone="UTC")
    _put(times, "NumberOfAcquisitions", len(dates))
    if dates:
        _put(times, "FirstAcquistionDate", dates[0])
        _put(times, "LastAcquistitionDate", dates[-1])
    for number, day in enumerate(dates, start=1):
        _put_acquisition(general, mission, number, day)
    processing = _put(general, "DataAccess")
    _put(processing, "ProcessingFacility", "made up")
    _put(processing, "ProcessingTime", "2021-03-16T12:20:00.000Z", TimeZone="UTC")
    _put(processing, "SoftwareVersion", "Sigma-SAR IMAGE 600-2020101700")
    _put_corners(general, pixels.cell)
    _put_bands(root, mission, file_name)
    ElementTree.indent(root, "\t")
    return cast(bytes, ElementTree.tostring(root, "utf-8", xml_declaration=True))


def _dates(pixels: CellPixels, mission: Mission) -> list[str]:
    """Return the days on which the cell was seen."""
    if not {"date", "mask"} <= pixels.arrays.keys():
        return []
    seen = np.zeros(1 << 16, np.bool_)  # sorting 20 million pixels would take seconds
    seen[pixels.arrays["date"][pixels.arrays["mask"] != NODATA]] = True
    return [str(mission.date_epoch + timedelta(days=int(day))) for day in np.flatnonzero(seen)]


def _put(parent: ElementTree.Element, tag: str, text: object = None, **attributes: str) -> ElementTree.Element:
    """Append an element and return it."""
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = None if text is None else str(text)
    return element


def _put_acquisition(general: ElementTree.Element, mission: Mission, number: int, day: str) -> None:
    source = _put(general, "SourceAttributes", acqID=str(number))
    _put(source, "Satellite", mission.platform)
    _put(source, "Instrument", mission.instrument)
    times = _put(source, "SourceDataAcquisitionTime")
    _put(times, "UTCStartTime", f"{day}T10:44:12.406Z")
    _put(times, "UTCEndTime", f"{day}T10:44:26.423Z")
    parameters = _put(source, "AcquisitionParameters")
    _put(parameters, "RadarBand", "L")
    _put(parameters, "RadarCenterFrequency", "1.27", Units="GHz")
    _put(parameters, "ObservationMode", "FBD")
    _put(parameters, "Polarizations", "+".join(mission.polarizations))
    _put(parameters, "AntennaPointing", "Right")
    _put(parameters, "BeamID", "F2-6")
    _put(_put(source, "OrbitInformation"), "PassDirection", "Ascending")
    processing = _put(source, "SourceProcParam")
    _put(processing, "ProductID", f"MADEUP{number:09d}")
    _put(processing, "AzimuthNumberOfLooks", 2)
    _put(processing, "RangeNumberOfLooks", 1)
    image = _put(source, "ImageAttributes")
    for tag, value in (("AzimuthResolution", 4.96), ("RangeResolution", 5.32)):
        _put(image, tag, value, Units="m")
    for tag, value in (("IncAngleNearRange", 33.687), ("IncAngleFarRange", 38.623)):
        _put(image, tag, value, Units="deg")


def _put_corners(general: ElementTree.Element, cell: Cell) -> None:
    box = cell.bounds
    for corner, north, west in (("UL", box.north, box.west), ("LL", box.south, box.west),
                                ("UR", box.north, box.east), ("LR", box.south, box.east)):  # fmt: skip
        element = _put(general, "GeographicalBoundingBox", Corner=corner)
        _put(element, "Latitude", north, Units="deg")
        _put(element, "Longitude", west, Units="deg")


def _put_bands(root: ElementTree.Element, mission: Mission, file_name: str) -> None:
    per_pixel = _put(root, "PerPixelMetadata")
    mask = _put(per_pixel, "DataMask")
    _put(mask, "FileName", file_name.format("mask"))
    values = _put(mask, "BitValues")
    for tag, value in (("ValidData", 255), ("NoData", 0), ("Layover", 100), ("Shadow", 150), ("OceanWater", 50)):
        _put(values, tag, value)
    _put(_put(per_pixel, "LocalIncAngle"), "FileName", file_name.format("linci"))
    dates = _put(per_pixel, "AcquisitionDate")
    _put(dates, "FileName", file_name.format("date"))
    _put(dates, "ZeroReferenceDate", mission.date_epoch)
    corrected = _put(root, "RadiometricTerrainCorrectedMeasurements")
    measured = _put(corrected, "BackscatterMeasurementData")
    for code in mission.polarizations:
        _put(_put(measured, "Polarization", pol=code), "FileName", file_name.format(f"sl_{code}"))
    equation = f"10 * log10(DN^2) - {-mission.calibration_factor_db}"
    _put(corrected, "BackscatterConversionEq", equation, Units="dB")
    elevation = _put(_put(root, "GeometricCorrections"), "DigitalElevationModel", dem="Surface")
    _put(elevation, "DEMReference", "https://www.eorc.jaxa.jp/ALOS/en/aw3d30/index.htm", Type="URL")
