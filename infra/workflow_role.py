"""What the state machine may do: only this; the grants that the CDK would derive are wider."""

from __future__ import annotations

from typing import Final

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from alos_mosaic import naming
from infra.config import StackConfig
from infra.encryption import Encryption
from infra.functions import Functions
from infra.permissions import accept_wildcards, allow
from infra.queues import Queues
from infra.storage import Storage

MAP_LABEL: Final = "Tiles"
"""Stands in the ARNs of child executions; without one AWS makes one up."""


class WorkflowRole(Construct):
    """The role of the state machine."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StackConfig,
        storage: Storage,
        queues: Queues,
        functions: Functions,
        encryption: Encryption,
    ) -> None:
        """Create the role with every grant that does not name the state machine itself."""
        super().__init__(scope, construct_id)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description="What the state machine of a run may do",
        )
        called = (
            functions.seed_tiles,
            functions.redrive_tiles,
            functions.process_tile,
            functions.summarise_run,
            functions.send_digest,
        )
        allow(
            self.role,
            ["lambda:InvokeFunction"],
            [f"{function.function_arn}:*" for function in called],
            because="The definition names one published version; a run that is under way while the next is deployed "
            "goes on with the version it started with.",
        )
        allow(self.role, ["sqs:SendMessage"], [queues.dead_letters.queue_arn])
        allow(
            self.role,
            ["s3:GetObject"],
            [storage.runs.arn_for_objects(naming.manifest_key("*"))],
            because="The Distributed Map reads the manifest of its run; runs are named when they start.",
        )
        allow(
            self.role,
            ["s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
            [storage.runs.arn_for_objects(naming.map_run_prefix("*") + "/*")],
            because="The Distributed Map's ResultWriter (AWS documents these four actions) writes below its run.",
        )
        allow(
            self.role,
            ["s3:PutObject"],
            [storage.runs.arn_for_objects(naming.letter_key("*", "*"))],
            because="Each child keeps the letter that it has sent; runs and children are named when they start.",
        )
        encryption.allow_writing(self.role, "s3")
        encryption.allow_writing(self.role, "sqs")
        self._allow_logs()
        if config.tracing:
            self._allow_traces()

    def allow_distributed_map(self, state_machine: sfn.StateMachine) -> None:
        """Let the Distributed Map start and follow its child executions.

        A policy of its own: the state machine is created after its role, so the role's first policy can't name it.
        https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
        """
        executions = [
            Stack.of(self).format_arn(
                service="states",
                resource="execution",
                resource_name=name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            for name in (f"{state_machine.state_machine_name}:*", f"{state_machine.state_machine_name}/{MAP_LABEL}:*")
        ]
        policy = iam.Policy(self, "DistributedMap", roles=[self.role])
        follow = ["states:DescribeExecution", "states:StopExecution", "states:RedriveExecution"]
        policy.add_statements(
            iam.PolicyStatement(actions=["states:StartExecution"], resources=[state_machine.state_machine_arn]),
            iam.PolicyStatement(actions=follow, resources=executions),
        )
        accept_wildcards(policy, executions, because="Child executions get their names when they start.")

    def _allow_logs(self) -> None:
        """Grant what AWS asks for to write logs: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html."""
        deliveries = ("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery")
        others = ("ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups")
        allow(
            self.role,
            [f"logs:{action}" for action in deliveries + others],
            ["*"],
            because="CloudWatch Logs' delivery API and X-Ray know no resources to limit these actions to.",
        )

    def _allow_traces(self) -> None:
        """Grant what AWS asks for to write X-Ray traces, for which the reason above holds, too.

        https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html
        """
        traces = ("PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets")
        allow(self.role, [f"xray:{action}" for action in traces], ["*"])
