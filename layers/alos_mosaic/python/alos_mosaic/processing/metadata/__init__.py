"""Describing: the documents that are published with a tile, and those of the products."""

from alos_mosaic.processing.metadata.collection import COLLECTION_MEDIA_TYPE, collection_key, collection_of
from alos_mosaic.processing.metadata.eo3 import EO3_MEDIA_TYPE, eo3_document, eo3_text
from alos_mosaic.processing.metadata.item import ITEM_MEDIA_TYPE, describe
from alos_mosaic.processing.metadata.odc_product import product_definition
from alos_mosaic.processing.metadata.tile_product import TileProduct, WrittenFile

__all__ = [
    "COLLECTION_MEDIA_TYPE",
    "EO3_MEDIA_TYPE",
    "ITEM_MEDIA_TYPE",
    "TileProduct",
    "WrittenFile",
    "collection_key",
    "collection_of",
    "describe",
    "eo3_document",
    "eo3_text",
    "product_definition",
]
