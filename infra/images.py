"""The tile Lambda's image: built by the CDK, given by its URI, or pushed to a repository of the deployment's own."""

from __future__ import annotations

import re
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from alos_mosaic.costs import Architecture
from infra import assets
from infra.config import ECR_IMAGE, StackConfig

TO_PUSH: Final = "AlosMosaic::ImageToPush"
"""Key of the template's metadata that tells ``scripts/push_image.py`` what to build, and where to push it."""
IMAGES_KEPT: Final = 10
"""Each deployment that changes the image leaves one; CloudFormation rolls back to the one before."""


def tile_image(scope: Construct, config: StackConfig, name: str = "process_tile") -> lambda_.DockerImageCode:
    """Return the image by whichever of the three ways the settings choose, for one of its handlers."""
    if config.image_uri is not None:
        return _given_image(scope, config.image_uri, name)
    architecture = Architecture(config.architecture)
    if config.image_repository:
        return _pushed_image(scope, architecture, name)
    return assets.image_code(architecture, name)


def repository_name(stack_name: str) -> str:
    """Return the name of a deployment's own repository; ECR knows no capitals.

    >>> repository_name("AlosMosaic-dev")
    'alosmosaic-dev'
    """
    return stack_name.lower()


class ImageStack(cdk.Stack):
    """The repository, in a stack ahead of the other: the function can't be created before its image is pushed."""

    def __init__(self, scope: Construct, of_stack: str, *, config: StackConfig) -> None:
        """Create the repository of the stack called ``of_stack``; it goes with this stack, images and all."""
        super().__init__(
            scope,
            image_stack_name(of_stack),
            description=f"Images of the tile Lambda of {of_stack}",
            env=cdk.Environment(account=config.account, region=config.region),
            termination_protection=config.termination_protection,
        )
        for key, value in config.tags.items():
            cdk.Tags.of(self).add(key, value)
        repository = ecr.Repository(
            self,
            "Images",
            repository_name=repository_name(of_stack),
            image_scan_on_push=True,
            # A tag is the hash of what the image is built from: there is nothing to overwrite.
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            lifecycle_rules=[ecr.LifecycleRule(max_image_count=IMAGES_KEPT)],
            empty_on_delete=True,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        functions = self.format_arn(
            service="lambda",
            resource="function",
            resource_name=f"{of_stack}-*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        # https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#gettingstarted-images-permissions
        repository.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("lambda.amazonaws.com")],
                actions=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                conditions={"StringLike": {"aws:SourceArn": functions}},
            )
        )
        cdk.CfnOutput(self, "RepositoryUri", value=repository.repository_uri)


def image_stack_name(of_stack: str) -> str:
    """Return the name of the stack with the repository of the stack called ``of_stack``."""
    return f"{of_stack}-image"


def _given_image(scope: Construct, uri: str, function: str) -> lambda_.DockerImageCode:
    match = re.fullmatch(ECR_IMAGE, uri)
    if match is None:
        raise AssertionError(f"{uri} has passed the settings' check")
    arn = cdk.Stack.of(scope).format_arn(
        service="ecr",
        account=match["account"],
        region=match["region"],
        resource="repository",
        resource_name=match["name"],
    )
    return _from_repository(scope, arn, match["name"], match["digest"] or match["tag"], function)


def _pushed_image(scope: Construct, architecture: Architecture, function: str) -> lambda_.DockerImageCode:
    """Return the image that is named by what it is built from: a change of that asks for another push."""
    stack = cdk.Stack.of(scope)
    name = repository_name(stack.stack_name)
    staged = assets.image_folder(scope, f"ImageToPush-{function}")
    tag = f"{architecture}-{staged.asset_hash}"
    what: dict[str, Any] = {
        "folder": staged.relative_staged_path(stack),
        "dockerfile": assets.DOCKERFILE,
        "platform": assets.PLATFORMS[architecture].platform,
        "repository": name,
        "tag": tag,
    }
    stack.add_metadata(TO_PUSH, what)
    arn = stack.format_arn(service="ecr", resource="repository", resource_name=name)
    return _from_repository(scope, arn, name, tag, function)


def _from_repository(
    scope: Construct, arn: str, name: str, tag_or_digest: str, function: str
) -> lambda_.DockerImageCode:
    repository = ecr.Repository.from_repository_attributes(
        scope, f"ImageRepository-{function}", repository_arn=arn, repository_name=name
    )
    return lambda_.DockerImageCode.from_ecr(repository, tag_or_digest=tag_or_digest, cmd=[assets.handler(function)])
