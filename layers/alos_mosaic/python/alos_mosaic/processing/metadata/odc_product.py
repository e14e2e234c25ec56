"""Open Data Cube product definitions, in the shape of Digital Earth Africa's, so that either cube takes our tiles.

``products/*.odc-product.yaml`` are written by ``python -m tests.processing.written_documents``, and a test compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from alos_mosaic.bands import MASK, NODATA, Band
from alos_mosaic.grid import EPSG
from alos_mosaic.processing.metadata.classes import MASK_MEANINGS
from alos_mosaic.processing.metadata.described import PRODUCT_NAMES, described
from alos_mosaic.processing.metadata.yaml_text import to_yaml

_RESOLUTION_DEGREES: Final = 0.000222222222222
"""As Digital Earth Africa writes 1/4500: a product that differs in its digits would be another product."""

_LICENSE: Final = "proprietary"
"""Open Data Cube's word for terms without an SPDX identifier (STAC 1.1 says ``other``)."""
_LINCI_ALIASES: Final = ("local incidence angle", "incidence")


def product_definition(name: str) -> dict[str, Any]:
    """Return a product's definition for ``datacube product add``."""
    product = described(name)
    return {
        "name": product.name,
        "description": product.description,
        "license": _LICENSE,
        "metadata_type": "eo3",
        "metadata": {"product": {"name": product.name}},
        "storage": {
            "crs": f"EPSG:{EPSG}",
            "resolution": {"longitude": _RESOLUTION_DEGREES, "latitude": -_RESOLUTION_DEGREES},
        },
        "measurements": [_measurement(band) for band in product.bands],
    }


def definition_file_name(name: str) -> str:
    """Return the file name of a product's definition."""
    return f"{name}.odc-product.yaml"


def write_definitions(folder: Path) -> None:
    """Write the definitions of all products into a folder."""
    folder.mkdir(exist_ok=True)
    for name in PRODUCT_NAMES:
        (folder / definition_file_name(name)).write_text(to_yaml(product_definition(name)), "utf-8")


def _measurement(band: Band) -> dict[str, Any]:
    measurement: dict[str, Any] = {
        "name": band.measurement,
        "dtype": band.dtype,
        "nodata": NODATA,
        "units": "1",
    }
    aliases = _LINCI_ALIASES if band.code == "linci" else (band.code,)
    if band.measurement not in aliases:
        measurement["aliases"] = list(aliases)
    if band is MASK:
        measurement["flags_definition"] = {
            "category": {
                "bits": list(range(8)),
                "description": "What a pixel shows; values 1 to 4 are fillings from ScanSAR",
                "values": MASK_MEANINGS,
            }
        }
    return measurement
