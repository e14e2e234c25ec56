"""What wakes people: a table of alarms, each with its section in docs/operations.md.

No metric math and no anomaly models: each alarm compares one metric with one number that a person can look up. Where
there is nothing to measure, as between runs, nothing is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from alos_mosaic.metric_names import Metric
from alos_mosaic.runbook import section
from infra.config import StackConfig
from infra.functions import TILE_TIMEOUT, Functions
from infra.notices import Notices
from infra.queues import Queues

NEAR: Final = 0.9
"""Of a limit: memory and disk are measured at a tile's peak, so what comes near it once may pass it the next time."""
_NEAR_TIME: Final = 0.95
"""Of Lambda's 15 minutes; a transfer that is handed on takes 12 of them in good order."""
_OLD: Final = cdk.Duration.days(10)
"""Of the 14 days after which SQS drops a letter."""
_MANY_ERRORS: Final = 20
"""In 15 minutes. Single errors are what retries are for; this many mean that the source or the worker has trouble."""
_QUARTER: Final = cdk.Duration.minutes(15)


@dataclass(frozen=True)
class Row:
    """An alarm: it rings if the metric reaches the threshold in every one of so many periods."""

    name: str
    """Also its heading in the runbook."""
    metric: cloudwatch.IMetric
    threshold: float
    sentence: str
    periods: int = 1


class Alarms(Construct):
    """The alarms, on the people's topic."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StackConfig,
        queues: Queues,
        functions: Functions,
        state_machine: sfn.StateMachine,
        notices: Notices,
        watch_source: lambda_.Function | None,
    ) -> None:
        """Create an alarm for each row."""
        super().__init__(scope, construct_id)
        self._config, self._functions = config, functions
        rows = [
            *_of_queue(queues),
            *_of_runs(state_machine),
            *self._of_worker(functions.process_tile),
            *self._of_worker_limits(),
            *self._of_messages(),
            *([] if watch_source is None else [_of_watch(watch_source)]),
        ]
        self.alarms = [self._alarm(row, notices) for row in rows]

    def _of_worker(self, worker: lambda_.Function) -> list[Row]:
        return [
            Row(
                "worker-errors",
                worker.metric_errors(period=_QUARTER, statistic="Sum"),
                _MANY_ERRORS,
                f"{_MANY_ERRORS} or more invocations of the tile Lambda failed in 15 minutes.",
            ),
            Row(
                "worker-throttles",
                worker.metric_throttles(statistic="Sum"),
                1,
                "Invocations of the tile Lambda were throttled for 15 minutes.",
                periods=3,
            ),
            Row(
                "worker-duration",
                worker.metric_duration(statistic="Maximum"),
                _NEAR_TIME * TILE_TIMEOUT.to_milliseconds(),
                "An invocation of the tile Lambda came near its time-out of 15 minutes.",
            ),
        ]

    def _of_worker_limits(self) -> list[Row]:
        """Return the alarms on the worker's own metrics."""
        config = self._config
        limits = (
            ("worker-memory", Metric.PEAK_MEMORY_BYTES, config.memory_mib, "memory_mib"),
            ("worker-disk", Metric.PEAK_DISK_BYTES, config.ephemeral_storage_mib, "ephemeral_storage_mib"),
        )
        return [
            Row(
                name,
                worker_metric(self, metric, "Maximum"),
                NEAR * mib * 2**20,
                f"A tile took more than {NEAR:.0%} of {setting}, which is {mib}.",
            )
            for name, metric, mib, setting in limits
        ]

    def _of_messages(self) -> list[Row]:
        rows = [
            Row(
                "digest-errors",
                self._functions.send_digest.metric_errors(period=cdk.Duration.hours(1), statistic="Sum"),
                1,
                "The digest of a run could not be sent; it is tried again every hour.",
            )
        ]
        if self._config.publish_notifications:
            rows.append(
                Row(
                    "notifications-failed",
                    worker_metric(self, Metric.NOTIFICATIONS_FAILED, "Sum"),
                    1,
                    "Items were published whose message SNS did not take.",
                )
            )
        return rows

    def _alarm(self, row: Row, notices: Notices) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            "".join(word.title() for word in row.name.split("-")),
            alarm_name=f"{cdk.Stack.of(self).stack_name}-{row.name}",
            alarm_description=f"{row.sentence} What to do: {section(row.name, self._config.runbook_url)}",
            metric=row.metric,
            threshold=row.threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=row.periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(notices.people))
        return alarm


def worker_metric(scope: Construct, name: str, statistic: str) -> cloudwatch.Metric:
    """Return one of the metrics that the tile Lambda emits itself, over all products and outcomes."""
    return cloudwatch.Metric(namespace=metrics_namespace(scope), metric_name=name, statistic=statistic)


def metrics_namespace(scope: Construct) -> str:
    """Return where the tile Lambda's metrics stand: apart from those of other stacks in the account."""
    return cdk.Stack.of(scope).stack_name


def _of_queue(queues: Queues) -> list[Row]:
    letters = queues.dead_letters
    return [
        Row(
            "dead-letters",
            letters.metric_approximate_number_of_messages_visible(statistic="Maximum"),
            1,
            "Tiles have failed and wait in the dead-letter queue.",
        ),
        Row(
            "dead-letter-age",
            letters.metric_approximate_age_of_oldest_message(statistic="Maximum"),
            _OLD.to_seconds(),
            "A failed tile's letter is 10 days old; after 14 it is gone.",
        ),
    ]


def _of_runs(state_machine: sfn.StateMachine) -> list[Row]:
    return [
        Row("run-failed", state_machine.metric_failed(statistic="Sum"), 1, "A run ended as failed."),
        Row("run-timed-out", state_machine.metric_timed_out(statistic="Sum"), 1, "A run timed out."),
        Row("run-aborted", state_machine.metric_aborted(statistic="Sum"), 1, "A run was aborted."),
        Row(
            "run-throttled",
            state_machine.metric_throttled(statistic="Sum"),
            1,
            "Step Functions throttled a run's steps for 15 minutes.",
            periods=3,
        ),
    ]


def _of_watch(watch_source: lambda_.Function) -> Row:
    """Return the alarm of a look that failed: not its errors, since what a retry made good is nobody's business."""
    return Row(
        "watch-failed",
        watch_source.metric("AsyncEventsDropped", period=cdk.Duration.hours(1), statistic="Sum"),
        1,
        "The source could not be looked at for news; the schedule tries again the next time.",
    )
