"""Digests: what people are told at the end of a run, in one message.

How many tiles ended how, why those that failed did, what it cost, where the report is, and what to do next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from alos_mosaic import estimates
from alos_mosaic.commands import command_line
from alos_mosaic.errors import IncompleteRunError
from alos_mosaic.messages import format_time
from alos_mosaic.naming import digest_key, results_prefix, summary_key
from alos_mosaic.quantities import counted
from alos_mosaic.run_ends import RunEnd
from alos_mosaic.runbook import section
from alos_mosaic.settings import DigestSettings

_SUBJECT_CHARACTERS: Final = 99
"""SNS takes subjects below 100 characters, ASCII only."""
_SHOWN_CAUSE: Final = 300
_MOST_ERRORS: Final = 20
"""Kinds of error that a message tells of; SNS ends at 256 KiB."""
_NAME_CHARACTERS: Final = 80
"""The longest name of an execution."""
_SUFFIXES: Final = {"resume": "resumed", "redrive": "redriven"}
"""By our command: what the name of the execution that it starts ends with."""
_GOING_ON: Final = "RUNNING"


@dataclass(frozen=True)
class Digest:
    """The message of a run's end."""

    end: RunEnd
    settings: DigestSettings
    now: datetime
    """As of when it counts."""

    @property
    def word(self) -> str:
        """Say in a word or three how the run ended."""
        if self.end.execution.had_nothing_to_do:
            return "nothing to do"
        if self.end.summary is not None:
            return "complete" if self.end.summary["complete"] else "incomplete"
        if self.end.results:
            return "broken off"
        return "aborted before a tile ended" if self.end.execution.status == "ABORTED" else "ended before a tile did"

    @property
    def sentence(self) -> str:
        """Say in a line how its tiles ended."""
        if self.end.execution.had_nothing_to_do:
            return self._looked_for
        if self.end.summary is not None:
            return str(self.end.summary["sentence"])
        if not self.end.requests:
            return "no tile was listed"
        return self.end.sentence

    @property
    def subject(self) -> str:
        """Return the message's subject."""
        text = f"alos-mosaic {self.end.execution.run}: {self.word}, {self.sentence}"
        return text.encode("ascii", "replace").decode()[:_SUBJECT_CHARACTERS]

    @property
    def report_uri(self) -> str:
        """Where all of it stands as JSON, tile by tile."""
        bucket, run = self.settings.runs_bucket, self.end.execution.run
        key = summary_key(run) if self.end.summary is not None else digest_key(run)
        return f"s3://{bucket}/{key}"

    @property
    def page_uri(self) -> str | None:
        """Where the report with a map of its tiles lies; None of a run that was broken off, or could not leave one."""
        return None if self.end.summary is None else self.end.summary.get("report")

    @property
    def estimated_usd(self) -> float:
        """What the run was estimated at before it began, and bounded by: as if every tile of it is made."""
        return estimates.estimated_usd(self.end.requests, self.settings)

    @property
    def worker_seconds(self) -> float:
        """Seconds of the tile Lambda that are on record: of each tile the last invocation, retries apart."""
        return sum(result.worker_seconds for result in self.end.results)

    @property
    def actual_usd(self) -> float:
        """What is on record cost."""
        tiles = [result for result in self.end.results if result.seconds]
        output = sum(result.output_bytes for result in tiles)
        return estimates.worker_of(self.settings).spent(self.worker_seconds, len(tiles), output).total

    def to_text(self) -> str:
        """Return the message, as a mail shows it."""
        end, run = self.end, self.end.execution.run
        paragraphs = [
            f"Run {run}: {self.word}.\n{self.sentence[0].upper()}{self.sentence[1:]}{self._stop}\n"
            f"As of {format_time(self.now)}{self._status}.",
            self._causes(),
            self._costs(),
            f"Report: {self.report_uri}\n{self._page}"
            f"Results, one a tile: s3://{self.settings.runs_bucket}/{results_prefix(run)}\n"
            f"Execution: {end.execution.arn}",
            "What to do next\n" + "\n".join(f"  {line}" for line in self._next_steps()),
        ]
        return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"

    def to_report(self) -> dict[str, Any]:
        """Return the digest as JSON; of a run that was broken off with every tile that left a record."""
        end = self.end
        report: dict[str, Any] = {
            "as_of": format_time(self.now),
            "status": end.execution.status,
            "error": end.execution.error,
            "cause": end.execution.cause,
            "seeded": len(end.requests),
            **end.counts,
            "unfinished": end.unfinished,
            "sentence": self.sentence,
            "failures_by_error": {error: len(tiles) for error, tiles in end.failures.items()},
            "estimated_usd": self.estimated_usd,
            "actual_usd": round(self.actual_usd, 4),
            "worker_seconds": round(self.worker_seconds, 1),
            "report": self.report_uri,
            "page": self.page_uri,
        }
        return report if end.summary is not None else report | {"tiles": [each.to_dict() for each in end.results]}

    @property
    def _status(self) -> str:
        if self.end.execution.status == _GOING_ON:
            return ""
        error = f", {self.end.execution.error}" if self.end.execution.error else ""
        return f"; Step Functions says {self.end.execution.status}{error}"

    @property
    def _stop(self) -> str:
        return "" if self.sentence.endswith("?") else "."

    @property
    def _page(self) -> str:
        """Return the line about the report for people, which a bucket that is not public hands out as a file."""
        if self.page_uri is None:
            return ""
        return f"With a map of its tiles, for a browser: aws s3 cp {self.page_uri} .\n"

    @property
    def _looked_for(self) -> str:
        """Say in a line what a run that had nothing to do has found instead."""
        told = self.end.execution.seed.get("redrive")
        if told is None:
            return "every tile that it was to go on with is published"
        if told["dry_run"]:
            price = f"estimated at {told['estimated_usd']:.2f} US dollars"
            return f"a dry run: {counted(told['tiles'], 'tile')} would be tried again, {price}"
        return (
            f"no tile of the queue is to be tried again: {counted(told['published_since'], 'letter')} taken out of "
            f"tiles that are published since, {told['left_in_queue']} left"
        )

    def _costs(self) -> str:
        if self.end.execution.had_nothing_to_do:
            return ""
        return (
            "Cost, in US dollars at us-east-1's prices\n"
            f"  estimated {self.estimated_usd:.2f} before it began, as if every tile is {self._assumed}\n"
            f"  actual    {self.actual_usd:.2f}, for the {self.worker_seconds / 3600:.2f} worker hours on record; "
            "retries and earlier parts of long transfers come on top"
        )

    @property
    def _assumed(self) -> str:
        if estimates.are_described(self.end.requests):
            return "described again, without the source"
        return f"made at {self.settings.assumed_megabytes_per_second:g} MB/s from the source"

    def _causes(self) -> str:
        """Return the errors of failed tiles, each with one of its causes and its section in the runbook."""
        failures, lines = self.end.failures, []
        for error, tiles in list(failures.items())[:_MOST_ERRORS]:
            first = tiles[0]
            lines.append(f"  {len(tiles)} x {error}, like {first.year}/{first.tile}: {_cut(first.cause)}")
            lines.append(f"    {section(error, self.settings.runbook_url)}")
        if len(failures) > _MOST_ERRORS:
            lines.append(f"  and {len(failures) - _MOST_ERRORS} more kinds of error: see the report")
        told = self.end.execution
        if told.error and told.error != IncompleteRunError.__name__ and self.end.summary is None:
            lines.append(f"  the run itself: {told.error}: {_cut(told.cause)}")
            lines.append(f"    {section(told.error, self.settings.runbook_url)}")
        return "Why\n" + "\n".join(lines) if lines else ""

    def _next_steps(self) -> Iterable[str]:
        end, summary = self.end, self.end.summary
        if end.execution.had_nothing_to_do:
            told = end.execution.seed.get("redrive", {})
            would = told.get("dry_run") and told["tiles"]
            yield "To have them tried, start it again without dry_run, under another name." if would else "Nothing."
            return
        if summary is None and end.requests and (end.results or end.execution.status in ("ABORTED", "TIMED_OUT")):
            yield "Go on with the tiles that are not published:"
            yield from self._commands("resume", end.execution.run, given={"resume": {"run": end.execution.run}})
            return
        if summary is None:
            yield "Mend what is said above, then start the run again under another name."
            return
        if not summary["failed"] and summary["complete"]:
            yield "Nothing."
            return
        if summary["failed"]:
            yield "Once the causes are mended, try the failed tiles again:"
            which = ("--run", end.execution.run)
            yield from self._commands("redrive", *which, given={"redrive": {"run": end.execution.run}})
        if not summary["complete"] and (summary["known_absent"] or not summary["failed"]):
            yield "Tiles that should be there came out absent. Ask the source where they are now:"
            yield f"  {command_line('doctor', '--source', self.settings.source_uri)}"
            yield section(IncompleteRunError.__name__, self.settings.runbook_url)

    def _commands(self, command: str, *words: str, given: dict[str, Any]) -> Iterable[str]:
        """Yield our command, and the AWS CLI's that starts the same where ours is not installed."""
        yield f"  {command_line(command, *words, '--wait', options=self.settings.deployment)}"
        yield "or, with the AWS CLI alone:"
        suffix = _SUFFIXES[command]
        name = f"{self.end.execution.run[: _NAME_CHARACTERS - len(suffix) - 1]}-{suffix}"
        region = f" --region {self.settings.aws_region}" if self.settings.aws_region else ""
        yield (
            f"  aws stepfunctions start-execution{region} --state-machine-arn {self.end.execution.state_machine} "
            f"--name {name} --input '{json.dumps(given)}'"
        )


def _cut(cause: str | None) -> str:
    text = " ".join((cause or "no cause is told").split())
    return text if len(text) <= _SHOWN_CAUSE else f"{text[:_SHOWN_CAUSE]} ..."
