"""Progress: how far one tile is, for whoever looks on while it is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TileProgress:
    """What is known of a tile in the making: plain numbers, which the work counts up and anybody may read at any time.

    Nothing is called and nobody is waited for, so that it costs as much where nobody looks, as in a Lambda. It holds
    nothing of the tile, either, and may be kept.
    """

    stage: str = ""
    """As the result's seconds name it; empty before the first."""
    expected_bytes: int = 0
    """Size of all archives that were found; 0 before."""
    received_bytes: int = 0
    """Bytes of them that are here."""
    merged_cells: int = 0
    """Cells of which all that the product needs is merged, in the pass that is going on."""
    bands: int = 0
    """Bands that are to be written; 0 before that is known."""
    written_bands: int = 0
