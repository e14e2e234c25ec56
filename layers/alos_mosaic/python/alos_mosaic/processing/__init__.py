"""The tile pipeline: fetch, unpack, mosaic, write COGs, describe, publish."""
