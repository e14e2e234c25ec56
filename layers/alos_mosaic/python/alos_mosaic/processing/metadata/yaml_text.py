"""YAML as Open Data Cube's tools read and people edit it: block style, scalars as JSON writes them.

Every JSON scalar is a YAML scalar, so this needs no library that the image would have to carry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_INLINE_CHARACTERS: Final = 100


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return a document of mappings, sequences and JSON scalars as YAML text.

    >>> print(to_yaml({"name": "x", "bits": [0, 1], "storage": {"crs": "EPSG:4326"}}), end="")
    ---
    name: "x"
    bits: [0, 1]
    storage:
      crs: "EPSG:4326"
    """
    return "\n".join(("---", *_mapping(document, ""), ""))


def _mapping(mapping: Mapping[Any, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        yield from _entry(f"{indent}{_key(key)}:", value, f"{indent}  ")


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if _is_block(value):
        yield head
        yield from _mapping(value, indent) if isinstance(value, Mapping) else _sequence(value, indent)
    else:
        yield f"{head} {_inline(value)}"


def _sequence(sequence: Sequence[Any], indent: str) -> Iterator[str]:
    for value in sequence:
        if isinstance(value, Mapping) and value:
            lines = _mapping(value, f"{indent}  ")
            yield f"{indent}- {next(lines).lstrip()}"
            yield from lines
        else:
            yield from _entry(f"{indent}-", value, f"{indent}  ")


def _inline(value: Any) -> str:
    """Return a scalar or a short sequence; YAML 1.1 takes a float with an exponent for text unless it has a point."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(each) for each in value)}]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return text


def _is_block(value: Any) -> bool:
    """Tell whether a value spans lines: mappings do, and sequences of mappings or of many characters."""
    if isinstance(value, Mapping):
        return bool(value)
    if not isinstance(value, list | tuple) or not value:
        return False
    return any(isinstance(each, Mapping) for each in value) or len(json.dumps(value)) > _INLINE_CHARACTERS


def _key(key: Any) -> str:
    text = str(key)
    plain = text.replace("_", "").replace(":", "").replace("-", "").replace("$", "").isalnum()
    return text if plain and not text.endswith(":") else json.dumps(text)
