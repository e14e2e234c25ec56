"""From settings to a cloud assembly: the app, its stack and the rules that check it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra import assets
from infra.images import ImageStack
from infra.stack import AlosMosaicStack
from infra.stages import LOCAL, read_deployment, stack_name

STACK_NAME: Final = stack_name(LOCAL)
"""The stack of the demo and the tests, which name no stage."""


def build_app(outdir: Path, context: Mapping[str, Any] | None = None, stage: str = LOCAL) -> cdk.App:
    """Return the whole app, ready to be synthesized into ``outdir``; ``stage`` counts where the context names none.

    ``context`` overrides cdk.json; what the CDK CLI passes (``cdk synth -c alos-mosaic:stage=prod``) overrides both.
    Raises :class:`~infra.fields.ConfigError` for settings that make no sense.
    """
    # Only the CDK CLI reads cdk.json; reading it here makes `python app.py` and the tests build the very same template.
    defaults = json.loads(assets.CDK_JSON.read_text())["context"]
    app = cdk.App(outdir=str(outdir), context={**defaults, **(context or {})}, analytics_reporting=False)
    deployment = read_deployment(app.node.get_all_context(), stage)
    stack = AlosMosaicStack(app, deployment.stack_name, config=deployment.config)
    if deployment.config.image_repository:
        stack.add_stack_dependency(ImageStack(app, deployment.stack_name, config=deployment.config))
    # The reasons for accepted findings go into the template, where a security review reads them.
    rules = AwsSolutionsChecks(app, verbose=True, write_suppressions_to_cloud_formation=True)
    cdk.Validations.of(app).add_plugins(rules)
    return app


def synthesize(outdir: Path, context: Mapping[str, Any] | None = None, stage: str = LOCAL) -> Path:
    """Write the cloud assembly below ``outdir`` and return the template's path; raise if a rule is broken."""
    *_, stack = build_app(outdir, context, stage).synth().stacks  # what it depends on comes first
    return Path(stack.template_full_path)
