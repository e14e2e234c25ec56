"""The fields of a dataclass of settings: read from a file or from text, checked by type and rule."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from infra.rules import Rule, is_text_table


class ConfigError(ValueError):
    """A setting of the deployment makes no sense; the text is a sentence for the person who deploys."""


_TRUTH: Final = {"true": True, "false": False}
_WORDS: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list of texts",
    dict: "a table of texts",
}


@dataclass(frozen=True)
class Field:
    """A setting: its name, its type without None, whether it may be left open, and what else it must be."""

    name: str
    kind: type
    is_optional: bool
    rules: tuple[Rule, ...]
    default: Any

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        words = " and ".join(rule.expected for rule in self.rules)
        if self.kind is tuple:
            return f"a list, each {words}" if words else _WORDS[tuple]
        return words or _WORDS[self.kind]

    def of_text(self, text: str) -> Any:
        """Read a value as the command line gives it: a list with commas between, a table as JSON.

        An empty text leaves an optional setting open. What can't be read stays text, which :meth:`check` refuses.
        """
        if self.kind is bool:
            return _TRUTH.get(text.lower(), text)
        if self.kind is tuple:
            return tuple(part.strip() for part in text.split(",")) if text else ()
        if text == "" and self.is_optional:
            return None
        try:
            return json.loads(text) if self.kind is dict else self.kind(text)
        except ValueError:
            return text

    def of_value(self, value: Any) -> Any:
        """Read a value as TOML and JSON give it: their lists are tuples here, a whole number may stand for any."""
        if self.kind is tuple and isinstance(value, list):
            return tuple(value)
        return float(value) if self.kind is float and type(value) is int else value

    def check(self, value: Any) -> None:
        """Raise :class:`ConfigError` unless the value has the type and keeps the rules."""
        if value is None and self.is_optional:
            return
        if not self._has_type(value):
            self._refuse(value, _WORDS[self.kind])
        if self.kind is tuple and (twice := [part for part in value if value.count(part) > 1]):
            raise ConfigError(f"{self.name} names {twice[0]!r} twice")
        for rule in self.rules:
            for part in value if self.kind is tuple else (value,):
                if not rule.accepts(part):
                    self._refuse(part, rule.expected)

    def _has_type(self, value: Any) -> bool:
        if self.kind is tuple:
            return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
        if self.kind is dict:
            return is_text_table(value)
        return type(value) is self.kind  # exact: True is an int to isinstance

    def _refuse(self, value: Any, expected: str) -> None:
        raise ConfigError(f"{self.name} is {value!r}; expected is {expected}")


def fields_of(settings: type) -> Mapping[str, Field]:
    """Return the fields of a dataclass of settings, by name, in their order."""
    hints = get_type_hints(settings, include_extras=True)
    return {field.name: _field(field.name, hints[field.name], _default(field)) for field in fields(settings)}


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _field(name: str, hint: Any, default: Any) -> Field:
    kind, *rules = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    is_optional = get_origin(kind) in (Union, types.UnionType)
    if is_optional:
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    return Field(name, _plain(kind), is_optional, tuple(rules), default)


def _plain(kind: Any) -> type:
    origin = get_origin(kind) or kind
    return dict if origin is Mapping else origin
