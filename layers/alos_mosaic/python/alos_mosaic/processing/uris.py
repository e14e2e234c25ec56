"""URIs that people give: of sources and targets."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from alos_mosaic.errors import InvalidRequestError


def split_uri(uri: str) -> SplitResult:
    """Return a URI's parts; :class:`InvalidRequestError` for one that can't be read, or whose end would be lost.

    >>> split_uri("ftp://ftp.eorc.jaxa.jp/pub").hostname
    'ftp.eorc.jaxa.jp'
    """
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - parsed only now
    except ValueError as error:
        raise InvalidRequestError(f"{uri!r} is no URI: {error}") from error
    if parts.query or parts.fragment or "%00" in uri:
        raise InvalidRequestError(f"{uri!r} has a ?, # or %00 in it; write %3F or %23 for those in a name")
    return parts
