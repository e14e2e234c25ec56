"""What people look at: a dashboard, and searches in the logs that are worth keeping."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from alos_mosaic.metric_names import DIMENSIONS, STAGES, Metric, stage_metric
from infra.alarms import Alarms, metrics_namespace, worker_metric
from infra.config import StackConfig
from infra.functions import Functions
from infra.queues import Queues

_HALF: Final = 12
"""Columns of the dashboard's 24."""

SEARCHES: Final = {
    "one tile": (
        "# All lines of a tile, over all attempts: put in your tile and year.\n"
        "fields @timestamp, level, message, attempt, run, stage, errorMessage\n"
        '| filter tile = "N10E010" and year = 2020\n'
        "| sort @timestamp"
    ),
    "failures by error": (
        'filter outcome = "failed"\n'
        "| stats count(*) as invocations, count_distinct(tile) as tiles by error, run, year\n"
        "| sort invocations desc"
    ),
    "slowest tiles": (
        # A metric's value is a list in its line, and .0 its first.
        f"filter ispresent({Metric.TILES}.0)\n"
        f"| fields tile, year, outcome, {Metric.INVOCATION_SECONDS}.0 as seconds, "
        f"{Metric.TRANSFER_RATE}.0 / 1000000 as MB_per_s, {Metric.PEAK_MEMORY_BYTES}.0 / 1048576 as memory_MiB, "
        f"{Metric.PEAK_DISK_BYTES}.0 / 1048576 as disk_MiB\n"
        "| sort seconds desc\n| limit 50"
    ),
    "seconds by stage": (
        'filter outcome = "published"\n| stats '
        + ", ".join(f"avg({stage_metric(stage)}.0) as {stage}" for stage in STAGES)
        + " by bin(1h)"
    ),
    "workers that died": (
        "# Lambda's own reports of invocations that timed out, ran out of memory or left.\n"
        'filter type = "platform.report" and record.status != "success"\n'
        "| fields @timestamp, record.status, record.errorType, record.metrics.durationMs, "
        "record.metrics.maxMemoryUsedMB, record.requestId\n| sort @timestamp desc"
    ),
    "warnings": (
        'filter level in ["WARNING", "ERROR", "CRITICAL"]\n| stats count(*) as lines by level, logger, message\n'
        "| sort lines desc"
    ),
}
"""Searches of CloudWatch Logs Insights in the tile Lambda's log, by name."""


class Monitoring(Construct):
    """The dashboard and the saved searches."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StackConfig,
        queues: Queues,
        functions: Functions,
        state_machine: sfn.StateMachine,
        alarms: Alarms,
    ) -> None:
        """Create both."""
        super().__init__(scope, construct_id)
        self._config, self._queues, self._functions = config, queues, functions
        self._machine = state_machine
        stack = cdk.Stack.of(self).stack_name
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=stack,
            default_interval=cdk.Duration.days(1),
            widgets=[
                [cloudwatch.AlarmStatusWidget(title="Alarms", width=24, height=3, alarms=alarms.alarms)],
                [self._runs(), self._tiles()],
                [self._stages(), self._transfer()],
                [self._limits(), self._letters()],
            ],
        )
        log = functions.process_tile.log_group.log_group_name
        for name, text in SEARCHES.items():
            identity = "".join(word.title() for word in name.split())
            logs.CfnQueryDefinition(self, identity, name=f"{stack}/{name}", query_string=text, log_group_names=[log])

    def _runs(self) -> cloudwatch.GraphWidget:
        machine = self._machine
        ends = (machine.metric_succeeded, machine.metric_failed, machine.metric_aborted, machine.metric_timed_out)
        return _graph("Runs", [machine.metric_started(statistic="Sum"), *(end(statistic="Sum") for end in ends)])

    def _tiles(self) -> cloudwatch.GraphWidget:
        schema = ",".join([metrics_namespace(self), *DIMENSIONS])
        search = f"SEARCH('{{{schema}}} MetricName=\"{Metric.TILES}\"', 'Sum', 300)"
        return _graph("Tiles by outcome", [cloudwatch.MathExpression(expression=search, label="", using_metrics={})])

    def _stages(self) -> cloudwatch.GraphWidget:
        return _graph(
            "Seconds by stage, on average", [worker_metric(self, stage_metric(stage), "Average") for stage in STAGES]
        )

    def _transfer(self) -> cloudwatch.GraphWidget:
        return _graph(
            "Bytes, and bytes a second from the source",
            [worker_metric(self, name, "Sum") for name in (Metric.ARCHIVE_BYTES, Metric.OUTPUT_BYTES)],
            [worker_metric(self, Metric.TRANSFER_RATE, "Average")],
        )

    def _limits(self) -> cloudwatch.GraphWidget:
        config = self._config
        limits = {"memory_mib": config.memory_mib, "ephemeral_storage_mib": config.ephemeral_storage_mib}
        return cloudwatch.GraphWidget(
            title="Memory and disk at their peak",
            width=_HALF,
            left=[worker_metric(self, name, "Maximum") for name in (Metric.PEAK_MEMORY_BYTES, Metric.PEAK_DISK_BYTES)],
            left_annotations=[
                cloudwatch.HorizontalAnnotation(value=mib * 2**20, label=name) for name, mib in limits.items()
            ],
        )

    def _letters(self) -> cloudwatch.GraphWidget:
        letters, worker = self._queues.dead_letters, self._functions.process_tile
        return _graph(
            "Dead letters; errors and throttles of the tile Lambda",
            [letters.metric_approximate_number_of_messages_visible(statistic="Maximum")],
            [worker.metric_errors(statistic="Sum"), worker.metric_throttles(statistic="Sum")],
        )


def _graph(
    title: str, left: list[cloudwatch.IMetric], right: list[cloudwatch.IMetric] | None = None
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, width=_HALF, left=left, right=right)
