"""The look at known vulnerabilities: what the scanners say is read, and silence is never taken for a clean bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.assets import REPOSITORY
from scripts import audit
from scripts.audit import CANARY, Finding, NoAnswerError, pins_of, python_findings, read_npm_audit, read_pip_audit

VULNERABLE = {"name": "urllib3", "version": "1.24.1", "vulns": [{"id": "PYSEC-2019-132", "fix_versions": ["1.24.2"]}]}


def test_pins_are_read_without_extras_and_comments() -> None:
    text = "# a comment\nmoto[s3,sqs]==5.2.5\n-r other.txt\nPyYAML==6.0.3  # why\n\nisal>=1\n"
    assert list(pins_of(text)) == ["moto==5.2.5", "pyyaml==6.0.3"]


def test_every_file_with_pins_is_looked_at() -> None:
    """But what only installs others, and what is tried for the engine and not used."""
    found = {str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("[!.]*/**/*requirements*.txt")
             if "node_modules" not in path.parts and "build" not in path.parts}  # fmt: skip
    assert found - {"benchmarks/candidates/requirements.txt"} <= set(audit.REQUIREMENTS)
    locks = {str(path.parent.relative_to(REPOSITORY)) for path in REPOSITORY.glob("[!.]*/**/package-lock.json")
             if not {"node_modules", "build"} & set(path.parts)}  # fmt: skip
    assert locks == set(audit.NPM_FOLDERS)


def test_what_pip_audit_finds_is_found() -> None:
    sound = {"name": "six", "version": "1.17.0", "vulns": []}
    assert list(read_pip_audit({"dependencies": [VULNERABLE, sound]})) == [
        Finding("urllib3 1.24.1", "PYSEC-2019-132", ("1.24.2",))
    ]


def test_a_package_that_nobody_answered_for_is_no_clean_bill() -> None:
    skipped = {"name": "six", "skip_reason": "Dependency not found on PyPI and could not be audited: six (1.17.0)"}
    with pytest.raises(NoAnswerError, match="1 of 2, first Dependency not found"):
        list(read_pip_audit({"dependencies": [VULNERABLE, skipped]}))


def test_a_database_that_finds_nothing_in_a_bad_package_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def finds_nothing(_: Path, pins: list[str]) -> dict[str, Any]:
        return {"dependencies": [{"name": pin.partition("==")[0], "version": "1", "vulns": []} for pin in pins]}

    monkeypatch.setattr(audit, "_pip_audit", finds_nothing)
    with pytest.raises(NoAnswerError, match=CANARY):
        list(python_findings(Path("pip-audit")))


def test_what_npm_finds_is_found_once() -> None:
    advisory = {"url": "https://github.com/advisories/GHSA-xxxx-yyyy-zzzz"}
    report = {"vulnerabilities": {"a": {"range": "<2", "via": [advisory]}, "b": {"range": "*", "via": ["a"]}}}
    assert list(read_npm_audit(report)) == [Finding("a <2", "GHSA-xxxx-yyyy-zzzz")]
    with pytest.raises(NoAnswerError, match="audit endpoint returned an error"):
        list(read_npm_audit({"error": {"summary": "audit endpoint returned an error"}}))


def test_a_finding_ends_it_badly_and_silence_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["audit"])
    monkeypatch.setattr(audit, "python_findings", lambda _: iter([Finding("six 1", "PYSEC-1", ("2",))]))

    def silent() -> list[Finding]:
        raise NoAnswerError("405")

    monkeypatch.setattr(audit, "npm_findings", silent)
    with pytest.raises(SystemExit, match="1"):
        audit.main()
    said = capsys.readouterr().out
    assert "audit: six 1: PYSEC-1, mended in 2\n" in said
    assert "audit: SKIPPED, npm's packages were not checked: 405\n" in said
    monkeypatch.setattr(audit, "ACCEPTED", {"PYSEC-1": "a reason"})
    with pytest.raises(SystemExit, match="0"):
        audit.main()
