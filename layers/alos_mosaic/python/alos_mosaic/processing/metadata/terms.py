"""Whose data this is and under which terms: the same words in items, collections and product definitions."""

from __future__ import annotations

from typing import Any, Final

DATASET_PAGE: Final = "https://www.eorc.jaxa.jp/ALOS/en/dataset/fnf_e.htm"
TERMS_PAGE: Final = "https://earth.jaxa.jp/policy/en.html"

LICENSE: Final = "other"
"""STAC's word for a licence that has no SPDX identifier; the link says which."""

ATTRIBUTION: Final = "Original data © JAXA; reformatted by alos-mosaic, values of valid pixels unchanged"

PROVIDERS: Final[list[dict[str, Any]]] = [
    {
        "name": "Japan Aerospace Exploration Agency (JAXA)",
        "roles": ["producer", "licensor"],
        "url": DATASET_PAGE,
    }
]

LINKS: Final[list[dict[str, str]]] = [
    {"rel": "license", "href": TERMS_PAGE, "type": "text/html", "title": "JAXA's terms of use of research data"},
    {"rel": "describedby", "href": DATASET_PAGE, "type": "text/html", "title": "JAXA's page of the data set"},
]
