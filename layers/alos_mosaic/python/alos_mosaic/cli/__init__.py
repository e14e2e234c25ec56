"""The command ``alos-mosaic``."""
