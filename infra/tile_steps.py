"""What happens to one tile: process it, or put it into the dead-letter queue; either way end in next to nothing."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from aws_cdk.aws_stepfunctions import JsonPath
from constructs import Construct

from alos_mosaic import errors, naming
from alos_mosaic.results import TRANSFERRING
from infra import retries
from infra.functions import TILE_TIMEOUT

OF_RUN: Final = ("schema_version", "run")
"""What the parent hands to each child from the seed."""
OF_LINE: Final = ("year", "tile", "mode", "product", "accept_partial", "since", "staged_in")
"""What it hands to it from the manifest's line: every field of :meth:`alos_mosaic.messages.TileRequest.to_line`."""
PASSED_ON: Final = OF_RUN + OF_LINE
"""What the child hands to the worker and to the queue."""
TRANSFER: Final = "transfer"
"""How far a transfer came that takes several invocations; the parent hands on that there was none yet."""


class TileSteps(Construct):
    """The child workflow of the Distributed Map; ``start`` is its first state."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        worker: lambda_.IVersion,
        dead_letters: sqs.IQueue,
        runs: s3.IBucket,
    ) -> None:
        """Create the states and tie them together."""
        super().__init__(scope, construct_id)
        # What children put out travels back to the parent all at once, and 256 KiB is the end of it: so nothing does.
        done = sfn.Pass(
            self,
            "TileDone",
            result=sfn.Result.from_object({}),
            comment="The result lies in S3, a failed tile's message in the queue; nothing travels on",
        )
        source_down = sfn.Fail(
            self,
            "SourceDown",
            comment="The tile has its letter; a Map in which too many children end here is stopped",
            error=errors.SourceUnavailableError.__name__,
            cause="The source was down for this tile, as its dead letter tells",
        )
        send, keep = self._send_dead_letter(dead_letters), self._keep_letter(runs)
        process = self._process_tile(worker)
        process.add_catch(send, errors=[errors.EVERYTHING], result_path="$.failure")
        again = sfn.Pass(
            self,
            "TransferOn",
            comment="The transfer takes more time than one invocation has; the worker bounds how often",
            parameters={**_item(), TRANSFER: JsonPath.object_at(f"$.worker.answer.{TRANSFER}")},
        )
        ended = sfn.Choice(self, "TileEnded?", comment="Or does its transfer go on in another invocation?")
        goes_on = sfn.Condition.string_equals("$.worker.answer.state", TRANSFERRING)
        process.next(ended.when(goes_on, again.next(process)).otherwise(done))
        self.start = process
        which = sfn.Choice(self, "SourceDown?", comment="Or is it only this tile that failed?")
        is_down = sfn.Condition.string_equals("$.failure.Error", errors.SourceUnavailableError.__name__)
        keep.add_catch(which, errors=[errors.EVERYTHING], result_path="$.not_kept")
        send.next(keep).next(which.when(is_down, source_down).otherwise(done))

    def _process_tile(self, worker: lambda_.IVersion) -> tasks.LambdaInvoke:
        task = tasks.LambdaInvoke(
            self,
            "ProcessTile",
            comment="Fetch the archive, write the COGs, publish them and their STAC item",
            lambda_function=worker,
            payload=sfn.TaskInput.from_object(
                {
                    **_item(),
                    TRANSFER: JsonPath.object_at(f"$.{TRANSFER}"),
                    "retries": JsonPath.number_at("$$.State.RetryCount"),
                }
            ),
            result_selector={"answer": JsonPath.object_at("$.Payload")},
            result_path="$.worker",
            retry_on_service_exceptions=False,  # infra/retries.py says it all, with reasons
            # The net below Lambda's own time-out, for an answer that never comes.
            task_timeout=sfn.Timeout.duration(TILE_TIMEOUT.plus(cdk.Duration.minutes(1))),
        )
        retries.add_retries(task, retries.TILE)
        return task

    def _send_dead_letter(self, queue: sqs.IQueue) -> tasks.SqsSendMessage:
        lost = sfn.Fail(
            self,
            "DeadLetterLost",
            comment="The tile has no result, so the summary counts it as failed all the same",
            error_path="$.lost.Error",
            cause_path="$.lost.Cause",
        )
        task = tasks.SqsSendMessage(
            self,
            "SendDeadLetter",
            comment="The failed tile, its error and cause, for people to read and for a redrive",
            queue=queue,
            message_body=sfn.TaskInput.from_object(_letter()),
            result_path=JsonPath.DISCARD,
        )
        retries.add_retries(task, retries.DEAD_LETTER)
        task.add_catch(lost, errors=[errors.EVERYTHING], result_path="$.lost")
        return task

    def _keep_letter(self, runs: s3.IBucket) -> tasks.CallAwsService:
        task = tasks.CallAwsService(
            self,
            "KeepLetter",
            comment="Says in S3 that the letter was sent, so that the summary sends those that were not, and no other",
            service="s3",
            action="putObject",
            parameters={
                "Bucket": runs.bucket_name,
                "Key": JsonPath.format(
                    naming.letter_key("{}", "{}"), JsonPath.string_at("$.run"), JsonPath.execution_name
                ),
                "Body": _letter(),
                "ContentType": "application/json",
            },
            iam_resources=[runs.arn_for_objects(naming.letter_key("*", "*"))],
            result_path=JsonPath.DISCARD,
        )
        retries.add_retries(task, retries.LETTER_KEPT)
        return task


def _letter() -> dict[str, str]:
    return {
        **_item(),
        "error": JsonPath.string_at("$.failure.Error"),
        # As it came: this language can't cut strings, and parsing fails on a cause that is plain text.
        "cause": JsonPath.string_at("$.failure.Cause"),
        "execution": JsonPath.execution_id,
        "time": JsonPath.state_entered_time,
    }


def _item() -> dict[str, str]:
    return {name: JsonPath.string_at(f"$.{name}") for name in PASSED_ON}
