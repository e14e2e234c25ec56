"""The stack: composes the capabilities and says where to find what they made."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.config import StackConfig
from infra.functions import Functions
from infra.queues import Queues
from infra.storage import Storage
from infra.workflow import Workflow


class AlosMosaicStack(cdk.Stack):
    """Everything one deployment consists of."""

    def __init__(self, scope: Construct, construct_id: str, *, config: StackConfig) -> None:
        """Compose the stack; it knows neither account nor region, so it deploys to any."""
        super().__init__(scope, construct_id, description="JAXA's global 25 m radar mosaics as cloud-optimized data")
        storage = Storage(self, "Storage", config=config)
        queues = Queues(self, "Queues")
        functions = Functions(self, "Functions", config=config, storage=storage, queues=queues)
        workflow = Workflow(self, "Workflow", config=config, storage=storage, queues=queues, functions=functions)
        functions.allow_listing_runs(workflow.state_machine)
        cdk.CfnOutput(self, "StateMachineArn", value=workflow.state_machine.state_machine_arn)
        cdk.CfnOutput(self, "OutputBucketName", value=storage.output.bucket_name)
        if storage.archives_uri is not None:
            cdk.CfnOutput(self, "ArchivesUri", value=storage.archives_uri)
        cdk.CfnOutput(self, "RunsBucketName", value=storage.runs.bucket_name)
        cdk.CfnOutput(self, "DeadLetterQueueUrl", value=queues.dead_letters.queue_url)
        cdk.CfnOutput(self, "ProcessTileFunctionName", value=functions.process_tile.function_name)
