"""The STAC extensions that items and collections use, by the versions whose schemas the tests hold them to."""

from __future__ import annotations

from typing import Final

_ROOT: Final = "https://stac-extensions.github.io"

PROJECTION: Final = f"{_ROOT}/projection/v2.0.0/schema.json"
RASTER: Final = f"{_ROOT}/raster/v2.0.0/schema.json"
SAR: Final = f"{_ROOT}/sar/v1.3.0/schema.json"
SAT: Final = f"{_ROOT}/sat/v1.1.0/schema.json"
CLASSIFICATION: Final = f"{_ROOT}/classification/v1.1.0/schema.json"
FILE: Final = f"{_ROOT}/file/v2.1.0/schema.json"
PROCESSING: Final = f"{_ROOT}/processing/v1.2.0/schema.json"

PREFIX: Final = "alos_mosaic"
"""Properties of our own stand behind this prefix."""
