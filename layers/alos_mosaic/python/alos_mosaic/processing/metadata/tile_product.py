"""What a tile's documents are made from: facts that the pipeline gathers, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alos_mosaic.bands import BANDS
from alos_mosaic.grid import Cell, Grid
from alos_mosaic.inventory import Listing
from alos_mosaic.messages import TileYear
from alos_mosaic.missions import Mission, mission_of
from alos_mosaic.processing.checksums import sha256_of
from alos_mosaic.processing.cog import Cog
from alos_mosaic.processing.download import Archive
from alos_mosaic.processing.metadata.carried import Carried
from alos_mosaic.processing.metadata.described import Described, described
from alos_mosaic.processing.metadata.provenance import code_version, software_versions
from alos_mosaic.processing.statistics import TileStatistics


@dataclass(frozen=True)
class WrittenFile:
    """A file that is published beside the COGs."""

    path: Path
    media_type: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, media_type: str) -> WrittenFile:
        """Measure a file that lies on this machine."""
        return cls(path, media_type, path.stat().st_size, sha256_of(path))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class TileProduct:
    """Everything that the documents tell of a tile. What is optional is left out of them when it isn't known."""

    tile_year: TileYear
    grid: Grid
    archive: Archive | None
    """The tile's own; None where it was put together from archives of its cells."""
    cells: tuple[Cell, ...]
    cogs: tuple[Cog, ...]
    run: str | None
    product_name: str | None = None
    """The Open Data Cube product; the year's own mosaic without one."""
    cell_archives: tuple[Archive, ...] = ()
    """Archives of single cells, where those were fetched instead or in addition."""
    defective_cells: tuple[Cell, ...] = ()
    """Cells that JAXA has and that were left out because they can't be read."""
    listing: Listing | None = None
    """What JAXA was known to publish of the year when this release was made."""
    statistics: TileStatistics | None = None
    sidecars: Mapping[Cell, Path] = field(default_factory=dict)
    sidecar_problems: Mapping[Cell, str] = field(default_factory=dict)
    """Why a sidecar of a cell was left out."""
    quicklook: WrittenFile | None = None
    classes: Mapping[int, str] | None = None
    """The forest map's class names by value, as its release has them."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What a run may choose and pixels depend on, like how overviews are made."""
    code_version: str = field(default_factory=code_version)
    """What ran."""
    software: Mapping[str, str] = field(default_factory=software_versions)
    updated: datetime = field(default_factory=_now)
    """UTC, whole seconds; the same in all documents of the tile."""
    created: datetime | None = None
    """When a tile was first published in this place; None if that is now."""
    carried: Carried | None = None
    """What is known by an earlier item only, of a tile that is described without its source."""

    @property
    def mission(self) -> Mission:
        """Who measured it."""
        return mission_of(self.tile_year.year)

    @property
    def described(self) -> Described:
        """The product's own texts and names."""
        return described(self.product_name or self.mission.product)

    @property
    def source_release(self) -> str | None:
        """JAXA's generation of processing, by the layout that served: ``v1`` or ``v2``; all archives are of one.

        None where no archive is known.
        """
        if self.carried is not None:
            return self.carried.source_release
        archive = self.archive or self.cell_archives[0]
        return f"v{archive.layout.release}"

    @property
    def absent_cells(self) -> tuple[Cell, ...]:
        """The cells of the tile that are not there, for whatever reason, row by row."""
        return tuple(cell for cell in self.tile_year.tile.cells if cell not in self.cells)

    @property
    def lacking_cells(self) -> tuple[Cell, ...]:
        """The cells that JAXA was known to have and that its archives did not hold, row by row."""
        known = () if self.listing is None else self.listing.cells_of(self.tile_year.tile)
        return tuple(cell for cell in known if cell not in {*self.cells, *self.defective_cells})

    @property
    def polarizations(self) -> tuple[str, ...]:
        """Codes of the backscatter bands, in the order of the band table."""
        published = {cog.band.code for cog in self.cogs}
        return tuple(code for code, band in BANDS.items() if code in published and band.role == "amplitude")
