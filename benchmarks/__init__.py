"""Benchmarks: this project beside its ancestors, GDAL's COG driver and the machine's limit (``make bench``)."""
