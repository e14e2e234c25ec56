"""Other people's rules: cdk-nag, cfn-lint. Each is shown to catch what it is here to catch."""

from __future__ import annotations

import copy
import functools
import json
import operator
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from infra.application import STACK_NAME, build_app
from tests.infra.conftest import Synthesized


def cfn_lint(template: Path) -> subprocess.CompletedProcess[str]:
    """Run cfn-lint over a template."""
    # W3005: the CDK writes dependencies that references imply already.
    command = [str(Path(sysconfig.get_path("scripts")) / "cfn-lint"), "--ignore-checks", "W3005", "--", str(template)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def testcfn_lint_finds_nothing(stack: Synthesized) -> None:
    ended = cfn_lint(stack.path)
    assert (ended.returncode, ended.stdout) == (0, "")


def _machine_template(definition: dict[str, Any], path: Path) -> Path:
    """A template of the state machine alone, its references replaced: cfn-lint reads only definitions without any."""
    text = re.sub(r"\$\{[^}]*}", "x", json.dumps(definition).replace("${AWS::Partition}", "aws"))
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/x", "DefinitionString": text}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    path.write_text(json.dumps({"Resources": {"Machine": machine}}))
    return path


def testcfn_lint_finds_nothing_in_the_definition(definition: dict[str, Any], tmp_path: Path) -> None:
    ended = cfn_lint(_machine_template(definition, tmp_path / "machine.json"))
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        (("States", "ProcessTiles"), "MaxConcurencyPath", "$.seed.max_concurrency"),
        (("States", "SeedTiles"), "Type", "Tusk"),
        (("States", "ProcessTiles", "ItemProcessor"), "StartAt", "Nowhere"),
    ],
    ids=["unknown field", "unknown type", "start that does not exist"],
)
def testcfn_lint_reads_the_definition(
    definition: dict[str, Any], tmp_path: Path, place: tuple[str, ...], field: str, value: str
) -> None:
    broken = copy.deepcopy(definition)
    functools.reduce(operator.getitem, place, broken)[field] = value
    ended = cfn_lint(_machine_template(broken, tmp_path / "machine.json"))
    assert ended.returncode != 0
    assert "E3601" in ended.stdout


def test_cdk_nag_ran_and_left_nothing_open(stack: Synthesized) -> None:
    report = json.loads((stack.folder / "validation-report.json").read_text())
    assert report["pluginReports"] == []


def test_cdk_nag_would_stop_a_finding(tmp_path: Path) -> None:
    app = build_app(tmp_path)
    added = app.node.find_child(STACK_NAME)
    assert isinstance(added, cdk.Stack)
    s3.Bucket(added, "Open")
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert "AwsSolutions-S10" in (tmp_path / "validation-report.json").read_text()
