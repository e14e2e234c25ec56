"""JAXA's global 25 m radar mosaics as cloud-optimized, catalogued data.

The modules directly below this package are light: they import nothing but the standard library, and run in the zip
Lambdas, the CDK app and the command line alike. ``processing`` and ``cli`` bring rasterio and friends.
"""

__version__ = "0.1.0"
