"""Synthetic archives in the look of JAXA's: the same members, forms, names and nodata over made-up geography.

Everything is deterministic: the same call writes the same bytes (between machines a rare pixel may round differently).
"""

from local.archives.containers import Container, Packing, write_files
from local.archives.members import Naming, members
from local.archives.mirror import add_archive_file, first_layout, place_archive, place_cell_archive, write_archive
from local.archives.pixels import CellPixels, Form, make_cell, make_forest_cell, make_quad_cell

__all__ = [
    "CellPixels", "Container", "Form", "Naming", "Packing", "add_archive_file", "first_layout", "make_cell",
    "make_forest_cell", "make_quad_cell", "members", "place_archive", "place_cell_archive", "write_archive",
    "write_files",
]  # fmt: skip
