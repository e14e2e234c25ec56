"""``python -m infra.config_document``: write the tables of docs/configuration.md from the code and the stages' files.

Between the two marks all is written anew; what stands outside them is written by hand.
"""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra import config
from infra.assets import REPOSITORY
from infra.fields import Field, fields_of
from infra.stages import LOCAL, read_stage, stages

DOCUMENT: Final = REPOSITORY / "docs" / "configuration.md"
_BEGIN: Final = "<!-- settings: begin (made by make docs; don't edit) -->\n"
_END: Final = "<!-- settings: end -->\n"


@dataclass(frozen=True)
class Described:
    """A setting with what only the source text tells of it."""

    setting: Field
    section: str
    """The comment above it that begins its section."""
    text: str
    """Its docstring."""


def settings() -> list[Described]:
    """Return every setting of :class:`~infra.config.StackConfig`, in order."""
    source = inspect.getsource(config.StackConfig)
    (declared,) = ast.parse(source).body
    if not isinstance(declared, ast.ClassDef):
        raise TypeError("StackConfig is a class")
    known = fields_of(config.StackConfig)
    sections = {
        number: line.strip("# ") for number, line in enumerate(source.splitlines(), 1) if line.startswith("    # ")
    }
    found = []
    for field, docstring in itertools.pairwise(declared.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            section = sections[max(number for number in sections if number < field.lineno)]
            found.append(Described(known[field.target.id], section, _text(docstring)))
    return found


def written(document: str) -> str:
    """Return the document with its tables as they should be."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{''.join(_tables())}{_END}{after}"


def _text(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    raise TypeError(f"line {statement.lineno} of StackConfig: a setting without a docstring before it")


def _tables() -> Iterator[str]:
    shown = {name: read_stage(name) for name in stages() if name != LOCAL}
    for section, group in itertools.groupby(settings(), key=lambda described: described.section):
        yield f"\n## {section}\n\n| setting | means | may be | default | {' | '.join(shown)} |\n"
        yield f"|{'---|' * (4 + len(shown))}\n"
        yield from (_row(described, shown) for described in group)
    yield "\n"


def _row(described: Described, shown: Mapping[str, Mapping[str, Any]]) -> str:
    setting = described.setting
    chosen = (_value(values[setting.name]) if setting.name in values else "" for values in shown.values())
    expected = setting.expected.replace("a number", "a whole number") if setting.kind is int else setting.expected
    cells = [f"`{setting.name}`", described.text, expected, _value(setting.default), *chosen]
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _value(value: Any) -> str:
    """Spell a value as in a stage's file; nothing for what is left open."""
    if value in (None, "", (), {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Mapping):
        return ", ".join(f"`{key}={text}`" for key, text in value.items())
    if isinstance(value, tuple):
        return ", ".join(f"`{text}`" for text in value)
    return f"`{value}`"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
