"""What ships: exactly what the allow-lists say, and it works where it is put."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.assets import REPOSITORY
from tests.infra.conftest import Synthesized

IMAGE = REPOSITORY / "lambdas" / "process_tile"
PACKAGE = REPOSITORY / "layers" / "alos_mosaic"
DATA = ("py.typed", "coastlines.json", "inventory.json", "page.css", "page.js")


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _layer(stack: Synthesized) -> Path:
    (layer,) = stack.of_type("AWS::Lambda::LayerVersion").values()
    return stack.asset_of(layer)


def _function(stack: Synthesized, name: str) -> Path:
    (function,) = (f for key, f in stack.of_type("AWS::Lambda::Function").items() if name in key)
    return stack.asset_of(function)


def _pins(path: Path) -> dict[str, str]:
    lines = (line for line in path.read_text().splitlines() if "==" in line)
    return {re.sub(r"\[.*]", "", line).partition("==")[0].lower(): line.partition("==")[2] for line in lines}


def test_the_layer_holds_the_light_half_and_nothing_else(stack: Synthesized) -> None:
    source = PACKAGE / "python" / "alos_mosaic"
    light = {f"python/alos_mosaic/{path.name}" for path in source.glob("*.py")}
    assert _files(_layer(stack)) == light | {f"python/alos_mosaic/{name}" for name in DATA}


def test_the_layer_imports_by_itself(stack: Synthesized) -> None:
    """Without any installed package: light means the standard library and what Lambda's Python ships."""
    folder = _layer(stack) / "python"
    modules = [f"alos_mosaic.{path.stem}" for path in (folder / "alos_mosaic").glob("*.py") if path.stem != "__init__"]
    code = (
        f"import sys, importlib; sys.path.insert(0, {str(folder)!r})\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "assert sys.modules['alos_mosaic.inventory'].known_years()\n"
        "assert sys.modules['alos_mosaic.report'].report_page({'tiles': []})\n"
        "print(sys.modules['alos_mosaic'].__file__)"
    )
    # -S: nothing that pip installed is found, in particular no editable alos_mosaic.
    ended = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(str(folder))


@pytest.mark.parametrize(("function", "folder"), [("SeedTiles", "seed_tiles"), ("SummariseRun", "summarise_run")])
def test_a_zip_holds_its_handler_under_the_path_that_pytest_uses(
    stack: Synthesized, function: str, folder: str
) -> None:
    source = REPOSITORY / "lambdas" / folder
    expected = {"lambdas/__init__.py", *(f"lambdas/{folder}/{path.name}" for path in source.glob("*.py"))}
    assert _files(_function(stack, function)) == expected
    assert (source / "__init__.py").exists()
    (properties,) = (f for key, f in stack.of_type("AWS::Lambda::Function").items() if function in key)
    assert properties["Handler"] == f"lambdas.{folder}.handler.lambda_handler"


def test_the_image_is_built_from_code_and_pins_alone(stack: Synthesized) -> None:
    shipped = _files(_function(stack, "ProcessTile"))
    package = {path.relative_to(REPOSITORY).as_posix() for path in (PACKAGE / "python" / "alos_mosaic").rglob("*.py")}
    others = {
        "lambdas/__init__.py",
        "lambdas/process_tile/Dockerfile",
        "lambdas/process_tile/requirements.txt",
        "layers/alos_mosaic/pyproject.toml",
        *(f"layers/alos_mosaic/python/alos_mosaic/{name}" for name in DATA),
        *(f"lambdas/process_tile/{path.name}" for path in IMAGE.glob("*.py")),
        "lambdas/watch_source/__init__.py",
        "lambdas/watch_source/handler.py",
    }
    assert shipped == package | others
    assert not [name for name in shipped if "__pycache__" in name or "egg-info" in name]


def test_everything_the_dockerfile_copies_is_shipped(stack: Synthesized) -> None:
    folder = _function(stack, "ProcessTile")
    copies = [line.split()[1:-1] for line in (IMAGE / "Dockerfile").read_text().splitlines() if line.startswith("COPY")]
    assert copies
    for pattern in (source for sources in copies for source in sources):
        assert list(folder.glob(pattern)), pattern


def test_the_dockerfile_builds_on_any_base() -> None:
    lines = [line for line in (IMAGE / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[:2] == ["ARG BASE=public.ecr.aws/lambda/python:3.13", "FROM ${BASE}"]
    assert {line.split()[0] for line in lines[2:]} == {"COPY", "RUN", "CMD"}
    runs = [line.removeprefix("RUN ") for line in lines if line.startswith("RUN")]
    assert all(run.startswith("pip install --no-cache-dir ") for run in runs[:-1])
    assert runs[-1] == 'python -c "import lambdas.process_tile.handler, lambdas.watch_source.handler"'
    assert lines[-1] == 'CMD ["lambdas.process_tile.handler.lambda_handler"]'


def test_image_and_machine_have_the_same_versions() -> None:
    image, constraints = _pins(IMAGE / "requirements.txt"), _pins(REPOSITORY / "constraints.txt")
    assert {name: constraints.get(name) for name in image} == image
    machine = _pins(REPOSITORY / "requirements.txt")
    for name in ("rasterio", "numpy", "boto3"):
        assert image[name] == machine[name]


def test_the_package_admits_what_the_image_pins() -> None:
    packaging = pytest.importorskip("packaging.requirements")
    image = _pins(IMAGE / "requirements.txt")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    needed = [packaging.Requirement(text) for text in project["dependencies"]]
    for requirement in needed:
        if requirement.name not in {
            "rich",
            "rio-cogeo",
            "shapely",
            "typer",
        }:  # the command's, which the image does not use
            assert requirement.specifier.contains(image[requirement.name]), requirement


def test_every_line_of_the_image_s_requirements_is_exact() -> None:
    lines = [line for line in (IMAGE / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
