"""Where the tile Lambda's image comes from: three ways, each for both processors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.config import StackConfig
from infra.fields import ConfigError
from infra.images import IMAGES_KEPT, TO_PUSH
from tests.infra.conftest import Synthesized, synthesized

STACK = "AlosMosaic-local"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def _worker(stack: Synthesized) -> dict[str, Any]:
    (function,) = (f for f in stack.of_type("AWS::Lambda::Function").values() if f.get("PackageType") == "Image")
    return function


def _uri(stack: Synthesized) -> str:
    """The image's address, pseudo parameters by their names."""
    ((function, value),) = _worker(stack)["Code"]["ImageUri"].items()
    if function == "Fn::Sub":
        return str(value)
    return "".join(part if isinstance(part, str) else "${" + part["Ref"] + "}" for part in value[1])


def _images_to_build(stack: Synthesized) -> dict[str, Any]:
    """What the CDK's command builds and pushes."""
    assets = json.loads((stack.folder / f"{STACK}.assets.json").read_text())
    return dict(assets["dockerImages"])


@pytest.mark.parametrize(("architecture", "platform"), [("x86_64", "linux/amd64"), ("arm64", "linux/arm64")])
def test_the_cdk_builds_it_for_the_processor_it_runs_on(tmp_path: Path, architecture: str, platform: str) -> None:
    stack = synthesized(tmp_path, architecture=architecture)
    ((hash_, image),) = _images_to_build(stack).items()
    assert _worker(stack)["Architectures"] == [architecture]
    assert image["source"]["platform"] == platform
    assert image["source"]["dockerFile"] == "lambdas/process_tile/Dockerfile"
    assert _uri(stack).endswith(f"/cdk-hnb659fds-container-assets-${{AWS::AccountId}}-${{AWS::Region}}:{hash_}")


@pytest.mark.parametrize("name", [":v1.2", f"@{DIGEST}"], ids=["tag", "digest"])
def test_a_given_image_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    stack = synthesized(tmp_path, image_uri=f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/mosaic{name}")
    assert _uri(stack) == f"123456789012.dkr.ecr.eu-west-1.${{AWS::URLSuffix}}/team/mosaic{name}"
    assert _images_to_build(stack) == {}
    assert _worker(stack)["ImageConfig"]["Command"] == ["lambdas.process_tile.handler.lambda_handler"]


@pytest.fixture(scope="module")
def with_repository(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesized(
        tmp_path_factory.mktemp("assembly"), image_repository=True, architecture="arm64", tags='{"team": "radar"}'
    )


def test_a_repository_of_its_own_is_a_stack_ahead_of_the_other(with_repository: Synthesized) -> None:
    artifacts = json.loads((with_repository.folder / "manifest.json").read_text())["artifacts"]
    assert with_repository.path.name == f"{STACK}.template.json"
    assert f"{STACK}-image" in artifacts[STACK]["dependencies"]
    (repository,) = _repositories(with_repository)
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["EmptyOnDelete"] is True
    assert repository["Tags"] == [{"Key": "team", "Value": "radar"}]
    assert json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"][0]["selection"] == {
        "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": IMAGES_KEPT,
    }  # fmt: skip


def test_lambda_alone_may_pull_from_it_for_this_stack(with_repository: Synthesized) -> None:
    (repository,) = _repositories(with_repository)
    (statement,) = repository["RepositoryPolicyText"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert statement["Action"] == ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    assert json.dumps(statement["Condition"]["StringLike"]["aws:SourceArn"]).endswith(f':function:{STACK}-*"]]}}')


def test_its_image_is_named_by_what_it_is_built_from(with_repository: Synthesized) -> None:
    image = json.loads(with_repository.path.read_text())["Metadata"][TO_PUSH]
    (repository,) = _repositories(with_repository)
    assert image["repository"] == repository["RepositoryName"]
    assert _uri(with_repository).endswith(f"/{image['repository']}:{image['tag']}")
    assert image["tag"] == f"arm64-{image['folder'].removeprefix('asset.')}"
    assert image["platform"] == "linux/arm64"
    assert (with_repository.folder / image["folder"] / image["dockerfile"]).is_file()
    assert _images_to_build(with_repository) == {}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"image_uri": "docker.io/somebody/mosaic:1"}, "expected is an image in ECR by tag or digest"),
        ({"image_uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mosaic"}, "by tag or digest"),
        ({"image_uri": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/mosaic@{DIGEST[:-1]}"}, "by tag or digest"),
        (
            {"image_uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mosaic:1", "image_repository": True},
            "image_uri and image_repository exclude each other; both are set",
        ),
        (
            {"image_uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mosaic:1", "region": "us-east-1"},
            "image_uri is an image in eu-west-1, but Lambda takes it from us-east-1 only",
        ),
    ],
)
def test_what_lambda_can_not_take_ends_in_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StackConfig(**settings)
    assert sentence in str(caught.value)


def _repositories(stack: Synthesized) -> list[dict[str, Any]]:
    template = json.loads((stack.folder / f"{STACK}-image.template.json").read_text())
    return [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::ECR::Repository"]
