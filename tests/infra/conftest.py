"""The stack as it is deployed by default: synthesized once, its template and the state machine's definition."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.application import synthesize


@dataclass(frozen=True)
class Synthesized:
    """A template and where it lies."""

    path: Path
    resources: dict[str, dict[str, Any]]
    outputs: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.path.parent

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties of all resources of a type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def asset_of(self, function: dict[str, Any]) -> Path:
        """The folder that a function or layer ships."""
        code = function.get("Code", function.get("Content"))
        place = code["S3Key"] if "S3Key" in code else code["ImageUri"]["Fn::Sub"].rpartition(":")[2]
        return self.folder / f"asset.{place.removesuffix('.zip')}"


def synthesized(folder: Path, **settings: Any) -> Synthesized:
    """Synthesize with settings other than the default."""
    return read_stack(synthesize(folder, {f"alos-mosaic:{name}": value for name, value in settings.items()}))


def read_stack(path: Path) -> Synthesized:
    """Read a synthesized template."""
    template = json.loads(path.read_text())
    return Synthesized(path, template["Resources"], template["Outputs"])


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesized(tmp_path_factory.mktemp("assembly"))


@pytest.fixture(scope="session")
def definition(stack: Synthesized) -> dict[str, Any]:
    """The state machine's definition; references stand in it as ``${LogicalId}``."""
    (machine,) = stack.of_type("AWS::StepFunctions::StateMachine").values()
    return json.loads(flat(machine["DefinitionString"]))


def flat(value: Any) -> str:
    """Spell a string of a template, with its references as in ``Fn::Sub``."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        return str(argument[0]).join(flat(part) for part in argument[1])
    if function == "Fn::GetAtt":
        return "${" + ".".join(argument) + "}"
    assert function == "Ref", value
    return "${" + argument + "}"


def all_states(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every state of the definition and of its maps, by name."""
    found = dict(definition["States"])
    for state in definition["States"].values():
        found |= all_states(state["ItemProcessor"]) if "ItemProcessor" in state else {}
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
