"""Write what tests compare with: ``python -m tests.processing.written_documents``; then read the difference in git.

Golden items and EO3 documents go to ``tests/processing/golden``, the product definitions to ``products``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from alos_mosaic.naming import eo3_file_name, item_file_name, item_key
from alos_mosaic.processing.metadata import EO3_MEDIA_TYPE, TileProduct, WrittenFile, describe, eo3_text
from alos_mosaic.processing.metadata.odc_product import write_definitions
from alos_mosaic.products import PRODUCTS
from tests.processing.described_tiles import GOLDEN

GOLDEN_FOLDER = Path(__file__).parent / "golden"
PRODUCTS_FOLDER = Path(__file__).parents[2] / "products"


def golden_item(product: TileProduct) -> dict[str, Any]:
    """Return a tile's item without what differs between two runs of the same input."""
    year, tile = product.tile_year.year, product.tile_year.tile
    key = item_key(PRODUCTS[product.described.name], year, tile)
    item = describe(product, f"s3://bucket/{key}", eo3_file(product))
    for name in ("created", "updated", "alos_mosaic:run"):
        del item["properties"][name]
    return item


def golden_eo3(product: TileProduct) -> str:
    """Return a tile's EO3 document."""
    return eo3_text(product, item_file_name(product.tile_year.tile, product.tile_year.year))


def eo3_file(product: TileProduct) -> WrittenFile:
    """Return what an item tells of its EO3 document, which lies nowhere."""
    name = eo3_file_name(product.tile_year.tile, product.tile_year.year)
    content = golden_eo3(product).encode()
    return WrittenFile(Path(name), EO3_MEDIA_TYPE, len(content), hashlib.sha256(content).hexdigest())


def write() -> None:
    """Write all of it."""
    GOLDEN_FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in GOLDEN.items():
            product = make(Path(folder))
            text = json.dumps(golden_item(product), indent=2, ensure_ascii=False)
            (GOLDEN_FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")
            (GOLDEN_FOLDER / f"{name}.odc-metadata.yaml").write_text(golden_eo3(product), "utf-8")
    write_definitions(PRODUCTS_FOLDER)


if __name__ == "__main__":
    write()
