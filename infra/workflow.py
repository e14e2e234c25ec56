"""The state machine: list the tiles, process each, say how it went."""

from __future__ import annotations

from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from aws_cdk.aws_stepfunctions import JsonPath
from constructs import Construct

from alos_mosaic import errors, naming
from alos_mosaic.messages import Transfer
from infra import retries
from infra.config import StackConfig
from infra.encryption import Encryption
from infra.functions import Functions
from infra.permissions import accept
from infra.queues import Queues
from infra.storage import Storage, log_retention
from infra.tile_steps import OF_LINE, OF_RUN, TRANSFER, TileSteps
from infra.workflow_role import MAP_LABEL, WorkflowRole


class Workflow(Construct):
    """The state machine of a run, with its log and its role."""

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
        """Create the states, the role and the state machine."""
        super().__init__(scope, construct_id)
        self._storage, self._queues, self._functions = storage, queues, functions
        self._source_failures_tolerated = config.source_failures_tolerated
        role = WorkflowRole(
            self,
            "Role",
            config=config,
            storage=storage,
            queues=queues,
            functions=functions,
            encryption=encryption,
        )
        log_group = logs.LogGroup(
            self,
            "Log",
            # With this prefix the log's permission does not grow into the account's resource policy limit.
            log_group_name=f"/aws/vendedlogs/states/{Stack.of(self).stack_name}",
            retention=log_retention(config),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.state_machine = sfn.StateMachine(
            self,
            "Run",
            definition_body=sfn.DefinitionBody.from_chainable(self._definition()),
            comment="One run: years in, published tiles out",
            # The CDK's own grants are wider than need be; infra/workflow_role.py grants what is used.
            role=role.role.without_policy_updates(),
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True),
            tracing_enabled=config.tracing,
        )
        if not config.tracing:
            accept(self.state_machine, "AwsSolutions-SF2", because="The settings say tracing = false.")
        # The CDK's own policy for it, which the role has declined.
        self.state_machine.node.try_remove_child("DistributedMapPolicy")
        role.allow_distributed_map(self.state_machine)

    def _definition(self) -> sfn.IChainable:
        digest = self._send_digest(self._verdict())
        summarise = self._summarise_run(digest)
        process = self._process_tiles()
        process.add_catch(summarise, errors=[errors.EVERYTHING], result_path="$.map_failure")
        too_large = sfn.Fail(
            self,
            "RunTooLarge",
            error=errors.RunTooLargeError.__name__,
            cause_path="States.Format('The run lists {} tiles, its limit is {}', $.seed.count, $.seed.max_tiles)",
        )
        too_expensive = sfn.Fail(
            self, "RunTooExpensive", error=errors.RunTooExpensiveError.__name__, cause_path="$.seed.cost_refusal"
        )
        within_limit = sfn.Choice(self, "WithinLimits", comment="The hard caps: nothing has started yet")
        above = sfn.Condition.number_greater_than_json_path("$.seed.count", "$.seed.max_tiles")
        dear = sfn.Condition.number_greater_than_json_path("$.seed.estimated_usd", "$.seed.max_usd")
        nothing = sfn.Condition.number_equals("$.seed.count", 0)
        within_limit.when(above, too_large).when(dear, too_expensive)
        within_limit.when(nothing, digest).otherwise(process)
        process.next(summarise)
        seed, redrive = self._list_tiles(within_limit)
        which = sfn.Choice(self, "Redrive?", comment="Tiles by years, or those that have failed?")
        return which.when(sfn.Condition.is_present("$.redrive"), redrive).otherwise(seed)

    def _list_tiles(self, then: sfn.IChainable) -> tuple[sfn.IChainable, sfn.IChainable]:
        """Return the two ways to a manifest: by what the input selects, and by the dead-letter queue."""
        refused = sfn.Fail(self, "RunRefused", error_path="$.refusal.Error", cause_path="$.refusal.Cause")
        payload = {
            "run": JsonPath.execution_name,
            "execution": JsonPath.execution_id,
            "started": JsonPath.execution_start_time,
            "state_machine": JsonPath.state_machine_id,
            "input": JsonPath.object_at("$$.Execution.Input"),
        }
        seed = self._invoke("SeedTiles", "seed", self._functions.seed_tiles, payload, "Check the input, list the tiles")
        redrive = self._invoke(
            "RedriveTiles", "seed", self._functions.redrive_tiles, payload, "List tiles out of the dead-letter queue"
        )
        for task in (seed, redrive):
            retries.add_retries(task, retries.SOURCE)
            task.add_catch(refused, errors=[errors.EVERYTHING], result_path="$.refusal")
            task.next(then)
        return seed, redrive

    def _process_tiles(self) -> sfn.DistributedMap:
        steps = TileSteps(
            self,
            "Tile",
            worker=self._functions.process_tile.current_version,
            dead_letters=self._queues.dead_letters,
            runs=self._storage.runs,
        )
        sources = dict.fromkeys(OF_RUN, "$.seed") | dict.fromkeys(OF_LINE, "$$.Map.Item.Value")
        process = sfn.DistributedMap(
            self,
            "ProcessTiles",
            comment="Every tile of the manifest, in a child execution of its own",
            label=MAP_LABEL,
            map_execution_type=sfn.StateMachineType.STANDARD,
            item_reader=sfn.S3JsonItemReader(
                bucket_name_path=JsonPath.string_at("$.seed.bucket"), key=JsonPath.string_at("$.seed.key")
            ),
            item_selector={
                **{name: JsonPath.string_at(f"{source}.{name}") for name, source in sources.items()},
                TRANSFER: Transfer().to_dict(),
            },
            max_concurrency_path="$.seed.max_concurrency",
            # A tile that fails fails alone, unless its source is down: then its child fails, too. Or a letter was lost.
            tolerated_failure_count=self._source_failures_tolerated,
            # Never read, but without it the outputs of all children count as the Map's output, also when discarded.
            result_writer_v2=sfn.ResultWriterV2(
                bucket=self._storage.runs,
                prefix=JsonPath.format(naming.map_run_prefix("{}"), JsonPath.execution_name),
            ),
            result_path=JsonPath.DISCARD,
        )
        return process.item_processor(steps.start)

    def _summarise_run(self, digest: sfn.IChainable) -> tasks.LambdaInvoke:
        failed = sfn.Fail(
            self, "SummaryFailed", error_path="$.summary_failure.Error", cause_path="$.summary_failure.Cause"
        )
        payload = {
            "run": JsonPath.execution_name,
            "execution": JsonPath.execution_id,
            "so_far": JsonPath.object_at("$"),
        }
        summarise = self._invoke(
            "SummariseRun", "summary", self._functions.summarise_run, payload, "Count how the tiles ended"
        )
        summarise.add_catch(failed, errors=[errors.EVERYTHING], result_path="$.summary_failure")
        summarise.next(digest)
        return summarise

    def _verdict(self) -> sfn.IChainable:
        """Return the choice that ends a run by its summary; a run that had nothing to do has none."""
        incomplete = sfn.Fail(
            self, "RunIncomplete", error=errors.IncompleteRunError.__name__, cause_path="$.summary.sentence"
        )
        complete = sfn.Choice(self, "RunComplete?", comment="Are failed and absent tiles within their limits?")
        is_summed_up = sfn.Condition.is_present("$.summary")
        complete.when(sfn.Condition.not_(is_summed_up), sfn.Succeed(self, "NothingToDo"))
        is_complete = sfn.Condition.boolean_equals("$.summary.complete", value=True)
        return complete.when(is_complete, sfn.Succeed(self, "RunSucceeded")).otherwise(incomplete)

    def _send_digest(self, then: sfn.IChainable) -> tasks.LambdaInvoke:
        """Return the task that tells people; if it fails, the run ends all the same, and is told of within the hour."""
        payload = {"execution": JsonPath.execution_id, "so_far": JsonPath.object_at("$")}
        digest = self._invoke("SendDigest", None, self._functions.send_digest, payload, "Tell people how the run ended")
        digest.add_catch(then, errors=[errors.EVERYTHING], result_path="$.digest_failure")
        digest.next(then)
        return digest

    def _invoke(
        self, name: str, result: str | None, function: lambda_.Function, payload: dict[str, Any], comment: str
    ) -> tasks.LambdaInvoke:
        """Return a task that invokes the published version of a zip function.

        It passes on ``{result: its answer}``; without a name for that, what it was given.
        """
        task = tasks.LambdaInvoke(
            self,
            name,
            comment=comment,
            lambda_function=function.current_version,
            payload=sfn.TaskInput.from_object(payload),
            result_selector=None if result is None else {result: JsonPath.object_at("$.Payload")},
            result_path=JsonPath.DISCARD if result is None else None,
            retry_on_service_exceptions=False,  # infra/retries.py says it all, with reasons
        )
        retries.add_retries(task, retries.RUN)
        return task
