"""What a tile's earlier item tells, of a tile that is described again without its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from alos_mosaic.processing.metadata.extensions import PREFIX
from alos_mosaic.publication import PIXELS_MADE

PROVENANCE: Final = f"{PREFIX}:provenance"
UNKNOWN: Final = "unknown"
"""What an item says of its provenance whose COGs were found without one."""
SOURCE_RELEASE: Final = f"{PREFIX}:source_release"
SIDECAR_WARNING: Final = "sidecar of cell"
"""What every warning about a sidecar has in it."""

_NAMES: Final = frozenset(
    {
        PROVENANCE,
        PIXELS_MADE,
        SOURCE_RELEASE,
        "processing:software",
        "processing:lineage",
        "processing:version",
        "sar:beam_ids",
        "sar:observation_direction",
        "sar:center_frequency",
        "sar:instrument_mode",
        "sat:orbit_state",
        *(
            f"{PREFIX}:{name}"
            for name in (
                "values_missing",
                "archive",
                "cell_archives",
                "parameters",
                "run",
                "cells_with_sidecar",
                "acquisitions",
                "dem",
                "source_software",
                "source_specification",
                "source_processed",
            )
        ),
    }
)
"""Properties that come from archives, sidecars and what ran, so that pixels alone don't tell them."""


@dataclass(frozen=True)
class Carried:
    """Facts for the next item."""

    properties: Mapping[str, Any] = field(default_factory=lambda: {PROVENANCE: UNKNOWN})
    """As items spell them."""
    warnings: tuple[str, ...] = ()
    """Those of the old item that can't be found anew: about sidecars."""

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Self:
        """Take over what an item's properties tell."""
        known = {name: value for name, value in properties.items() if name in _NAMES}
        if "updated" in properties:
            known.setdefault(PIXELS_MADE, properties["updated"])
        warnings = properties.get(f"{PREFIX}:warnings") or ()
        return cls(known, tuple(text for text in warnings if SIDECAR_WARNING in text))

    @property
    def source_release(self) -> str | None:
        """JAXA's generation of processing, if it is known."""
        release = self.properties.get(SOURCE_RELEASE)
        return release if isinstance(release, str) else None
