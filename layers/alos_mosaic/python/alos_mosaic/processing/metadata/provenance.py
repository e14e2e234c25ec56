"""Where a tile comes from and what made it."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import isal
import numpy as np
import rasterio

import alos_mosaic
from alos_mosaic.processing.download import Archive
from alos_mosaic.processing.metadata.extensions import PREFIX

if TYPE_CHECKING:
    from alos_mosaic.processing.metadata.tile_product import TileProduct


_PACKAGE: Final = Path(alos_mosaic.__file__).parent
_DIGITS: Final = 12
"""Of the code's digest: as many as a short commit has."""


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the release and, behind a ``+``, the first digits of the SHA-256 of this package's own modules.

    A release number alone would not tell a changed checkout from what was released; the same code says the same in an
    image and on a laptop. Written as PEP 440 has local versions.
    """
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py"), key=lambda path: path.relative_to(_PACKAGE).as_posix()):
        code = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(code)}\n".encode() + code)
    return f"{alos_mosaic.__version__}+{digest.hexdigest()[:_DIGITS]}"


@lru_cache(maxsize=1)
def software_versions() -> dict[str, str]:
    """Return the versions of what decides about bytes: this package, GDAL, rasterio, numpy, ISA-L."""
    return {
        "alos-mosaic": alos_mosaic.__version__,
        "GDAL": rasterio.__gdal_version__,
        "rasterio": rasterio.__version__,
        "numpy": np.__version__,
        "isal": isal.__version__,
    }


def provenance_properties(product: TileProduct) -> dict[str, Any]:
    """Return the item properties that let the tile be made again, and a re-issue of its archive be noticed."""
    properties: dict[str, Any] = {
        "processing:software": dict(product.software),
        "processing:lineage": _lineage(product),
        "processing:version": product.code_version,
        f"{PREFIX}:source_release": product.source_release,
    }
    if product.archive is not None:
        properties[f"{PREFIX}:archive"] = archive_facts(product.archive)
    if product.cell_archives:
        properties[f"{PREFIX}:cell_archives"] = [archive_facts(archive) for archive in product.cell_archives]
    if product.parameters:
        properties[f"{PREFIX}:parameters"] = dict(product.parameters)
    if product.run is not None:
        properties[f"{PREFIX}:run"] = product.run
    return properties


def archive_facts(archive: Archive) -> dict[str, Any]:
    """Return what is recorded of an archive: JAXA replaces files in place, so the address alone does not name one."""
    facts = {
        "url": archive.url,
        "layout": archive.layout.name,
        "size": archive.size_bytes,
        "sha256": archive.sha256,
        "modified": None if archive.modified is None else archive.modified.isoformat().replace("+00:00", "Z"),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _lineage(product: TileProduct) -> str:
    return (
        f"{len(product.cells)} of {len(product.tile_year.tile.cells)} cells of {product.described.source_title} merged "
        "onto the tile's grid without resampling; pixels without data set to 0 in every band; overviews added."
    )
