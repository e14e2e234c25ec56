"""The stack: composes the capabilities and says where to find what they made."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from alos_mosaic.naming import STACK_DESCRIPTION
from infra.alarms import Alarms
from infra.budget import Budget
from infra.config import StackConfig
from infra.digest import DigestTriggers
from infra.encryption import Encryption
from infra.functions import Functions
from infra.monitoring import Monitoring
from infra.network import Network
from infra.notices import Notices
from infra.queues import Queues
from infra.storage import Storage
from infra.watch import Watch
from infra.workflow import Workflow


class AlosMosaicStack(cdk.Stack):
    """Everything one deployment consists of."""

    def __init__(self, scope: Construct, construct_id: str, *, config: StackConfig) -> None:
        """Compose the stack; unless the settings name account and region, it deploys to any."""
        super().__init__(
            scope,
            construct_id,
            description=STACK_DESCRIPTION,
            env=cdk.Environment(account=config.account, region=config.region),
            termination_protection=config.termination_protection,
            permissions_boundary=_boundary(config.permissions_boundary),
        )
        for key, value in config.tags.items():
            cdk.Tags.of(self).add(key, value)
        encryption = Encryption(self, "Encryption", config=config)
        network = Network(self, "Network", config=config)
        storage = Storage(self, "Storage", config=config, encryption=encryption)
        notices = Notices(self, "Notices", config=config, encryption=encryption)
        queues = Queues(self, "Queues", encryption=encryption)
        functions = Functions(
            self,
            "Functions",
            config=config,
            storage=storage,
            queues=queues,
            encryption=encryption,
            network=network,
            notices=notices,
        )
        workflow = Workflow(
            self,
            "Workflow",
            config=config,
            storage=storage,
            queues=queues,
            functions=functions,
            encryption=encryption,
        )
        functions.allow_following_runs(workflow.state_machine)
        machine = workflow.state_machine
        watch = Watch(self, "Watch", config=config, functions=functions, state_machine=machine)
        DigestTriggers(self, "Digest", state_machine=machine, send_digest=functions.send_digest)
        watched: dict[str, Any] = {"config": config, "queues": queues, "functions": functions, "state_machine": machine}
        alarms = Alarms(self, "Alarms", notices=notices, watch_source=watch.function, **watched)
        Monitoring(self, "Monitoring", alarms=alarms, **watched)
        Budget(self, "Budget", config=config)
        cdk.CfnOutput(self, "StateMachineArn", value=workflow.state_machine.state_machine_arn)
        cdk.CfnOutput(self, "OutputBucketName", value=storage.output.bucket_name)
        if storage.archives_uri is not None:
            cdk.CfnOutput(self, "ArchivesUri", value=storage.archives_uri)
        cdk.CfnOutput(self, "RunsBucketName", value=storage.runs.bucket_name)
        cdk.CfnOutput(self, "DeadLetterQueueUrl", value=queues.dead_letters.queue_url)
        cdk.CfnOutput(self, "SeedTilesFunctionName", value=functions.seed_tiles.function_name)
        cdk.CfnOutput(self, "ProcessTileFunctionName", value=functions.process_tile.function_name)
        cdk.CfnOutput(self, "SendDigestFunctionName", value=functions.send_digest.function_name)
        cdk.CfnOutput(self, "NoticesTopicArn", value=notices.people.topic_arn)
        if notices.items is not None:
            cdk.CfnOutput(self, "ItemsTopicArn", value=notices.items.topic_arn)


def _boundary(policy: str | None) -> cdk.PermissionsBoundary | None:
    if policy is None:
        return None
    named = cdk.PermissionsBoundary.from_arn if policy.startswith("arn:") else cdk.PermissionsBoundary.from_name
    return named(policy)
