"""What people deploy by beside the code: the document, the policies, GitHub's workflow."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.application import synthesize
from infra.assets import REPOSITORY
from tests.infra.conftest import as_list

DOCUMENT = REPOSITORY / "docs/deploy.md"
POLICIES = sorted((REPOSITORY / "deploy/policies").glob("*.json"))
WORKFLOW = REPOSITORY / ".github/workflows/ci.yml"
SERVICES = {"cloudformation": "cloudformation", "cloudwatch": "cloudwatch", "stepfunctions": "states"}
"""Where CloudFormation's word for a service is not IAM's, in small letters."""
ROLE_ACTIONS = ("iam:CreateRole", "iam:DeleteRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:PassRole")


def _statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((REPOSITORY / f"deploy/policies/{name}.json").read_text())["Statement"]
    return found


def _allows(name: str, action: str, arn: str) -> bool:
    return any(
        any(fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        and any(fnmatchcase(arn, pattern) for pattern in as_list(statement["Resource"]))
        for statement in _statements(name)
    )


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))


@pytest.mark.parametrize("path", [DOCUMENT, WORKFLOW, REPOSITORY / "README.md"], ids=lambda path: path.name)
def test_every_make_target_that_is_told_of_is_there(path: Path) -> None:
    told = set(re.findall(r"(?:^|`|run: )make (?:--silent )?([a-z-]+)", path.read_text(), re.M))
    assert told
    assert told <= _targets()


def test_every_file_that_the_document_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", DOCUMENT.read_text())
    assert len(links) > 5
    assert [link for link in links if not (DOCUMENT.parent / link).exists()] == []


def test_the_document_tells_of_every_check_of_the_smoke_run() -> None:
    source = (REPOSITORY / "scripts/smoke.py").read_text()
    checks = re.findall(r'^            "([a-z-]+)": self\.', source, re.M)
    assert checks == re.findall(r"^\| `([a-z-]+)` \|", DOCUMENT.read_text().partition("## 7.")[2], re.M)


def test_a_refused_run_is_told_of_by_nobody_but_the_rule(definition: dict[str, Any]) -> None:
    """Or the smoke run's bad-end would prove nothing."""
    for name in ("SeedTiles", "RedriveTiles"):
        (caught,) = definition["States"][name]["Catch"]
        assert definition["States"][caught["Next"]]["Type"] == "Fail"


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_policies_say_why_by_their_sids_and_fit_into_a_managed_policy(path: Path) -> None:
    policy = json.loads(path.read_text())
    assert len(re.sub(r"\s", "", path.read_text())) <= 6144
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)


@pytest.mark.parametrize(
    "settings", [{}, {"image_repository": True, "kms_key": "new", "vpc_id": "vpc-12345678",
                      "vpc_subnet_ids": "subnet-12345678"}], ids=["default", "all"],
)  # fmt: skip
def test_cloudformation_may_make_whatever_the_stacks_consist_of(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = synthesize(tmp_path, {f"alos-mosaic:{key}": value for key, value in settings.items()})
    templates = [json.loads(template.read_text()) for template in path.parent.glob("*.template.json")]
    kinds = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    services = {kind.split("::")[1].lower() for kind in kinds} - {"iam", "ec2", "cdk"}
    missing = [s for s in services if not _allows("execution", f"{SERVICES.get(s, s)}:Create", "arn:aws:any")]
    assert missing == []
    if "AWS::EC2::SecurityGroup" in kinds:
        assert _allows("execution", "ec2:CreateSecurityGroup", "arn:aws:ec2:eu-west-1:123456789012:security-group/sg-1")


@pytest.mark.parametrize("action", ROLE_ACTIONS)
def test_cloudformation_may_touch_the_roles_of_these_stacks_alone(action: str) -> None:
    assert _allows("execution", action, "arn:aws:iam::123456789012:role/AlosMosaic-dev-FunctionsSeedTilesRole-1")
    assert not _allows("execution", action, "arn:aws:iam::123456789012:role/Admin")


NEEDS_KEY = {
    "s3:GetObject": ("s3", ["kms:Decrypt"]),
    "sqs:SendMessage": ("sqs", ["kms:Decrypt", "kms:GenerateDataKey"]),
    "sns:Publish": ("sns", ["kms:Decrypt", "kms:GenerateDataKey"]),
}
"""Of what the smoke run does, what takes grants on the key of what it does it to."""


def _key_grants() -> set[tuple[str, str]]:
    """Actions on keys that the smoke run's policy allows, each with the service by way of which."""
    found = set()
    for statement in _statements("smoke"):
        actions = [action for action in as_list(statement["Action"]) if action.startswith("kms:")]
        if actions:
            (ways,) = (as_list(condition["kms:ViaService"]) for condition in statement["Condition"].values())
            services = [way.removesuffix(".*.amazonaws.com") for way in ways]
            found |= {(action, service) for action in actions for service in services}
    return found


def test_the_smoke_run_may_use_the_key_for_what_it_does_and_for_nothing_else() -> None:
    allowed = {action for statement in _statements("smoke") for action in as_list(statement["Action"])}
    assert allowed >= set(NEEDS_KEY)
    assert allowed.isdisjoint({"s3:PutObject", "sqs:ReceiveMessage"}), "they would need the key, too"
    assert _key_grants() == {(action, service) for service, actions in NEEDS_KEY.values() for action in actions}


def test_the_policy_of_the_stages_key_leaves_it_to_iam(tmp_path: Path) -> None:
    template = json.loads(synthesize(tmp_path, {"alos-mosaic:stage": "prod"}).read_text())
    keys = [each for each in template["Resources"].values() if each["Type"] == "AWS::KMS::Key"]
    for key in keys:
        (account,) = (s for s in key["Properties"]["KeyPolicy"]["Statement"] if "AWS" in s["Principal"])
        assert (account["Effect"], account["Action"]) == ("Allow", "kms:*")
        assert json.dumps(account["Principal"]).count(":root") == 1
    assert keys


def test_who_deploys_can_not_remove_what_is_published() -> None:
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"):
        assert not _allows("deployer", action, "arn:aws:s3:::alosmosaic-dev-storageoutputbb69bb33-1/key")
    assert _allows("deployer", "s3:DeleteObjectVersion", "arn:aws:s3:::alosmosaic-dev-storagerunsedeb48ff-1/key")


def _workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return found


def test_actions_are_pinned_by_commit_and_say_their_tag() -> None:
    lines = [line.strip() for line in WORKFLOW.read_text().splitlines() if "uses:" in line]
    assert len(lines) > 5
    for line in lines:
        assert re.fullmatch(r"- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+", line), line


def test_only_the_diff_gets_a_token_and_only_within_the_repository() -> None:
    workflow = _workflow()
    assert workflow["permissions"] == {"contents": "read"}
    granted = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert granted == {"diff": {"contents": "read", "id-token": "write"}}
    assert "head.repo.full_name == github.repository" in workflow["jobs"]["diff"]["if"]


def _commands() -> dict[str, list[str]]:
    """What each job of the workflow runs."""
    jobs = _workflow()["jobs"].items()
    return {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs}


def test_it_lints_tests_synthesizes_and_compares_both_stages() -> None:
    jobs, commands = _workflow()["jobs"], _commands()
    assert "make lint" in commands["lint"]
    assert "make test" in commands["test"]
    for name in ("synth", "diff"):
        assert jobs[name]["strategy"]["matrix"]["stage"] == ["dev", "prod"]
        assert any(f"make {name}" in text or f"make --silent {name}" in text for text in commands[name])


def test_it_builds_what_people_get_and_keeps_the_site() -> None:
    commands = _commands()
    assert "make test-package" in commands["package"]
    assert "make test-clients" in commands["clients"]
    # Where there is no browser the tests of pages skip, and nobody would see it.
    found, *tests = commands["site"]
    assert found == "command -v chromium"
    assert {"make test-site", "make test-pages"} <= set(tests)
    steps = _workflow()["jobs"]["site"]["steps"]
    assert [step["with"]["path"] for step in steps if "upload" in step.get("uses", "")] == ["build/site"]
