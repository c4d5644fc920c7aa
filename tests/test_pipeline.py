"""dvc.yaml says the truth: deps are what a stage really imports, params what it really reads."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from twinear.base.params import STAGES
from twinear.listens.sessions import BasketParams
from twinear.model.pooling import PoolingParams

PIPELINE: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
SCRIPTS = {p.stem.split("_", 1)[1]: p for p in sorted((ROOT / "src/stages").glob("[0-9]_*.py"))}


class Imports(ast.NodeVisitor):
    """The modules that a file imports when it runs; imports for types only do not count."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names |= {each.name for each in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        self.names |= {module} | {f"{module}.{each.name}" for each in node.names}


@cache
def imported(path: Path) -> frozenset[Path]:
    """The files of twinear that a file imports, directly or not; docstring-only ones left out."""
    visitor = Imports()
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    found: set[Path] = set()
    for name in visitor.names:
        module = ROOT / "src" / Path(*name.split(".")).with_suffix(".py")
        if name.startswith("twinear.") and module.exists():
            found |= {module} | imported(module)
    return frozenset(found)


def code_deps(stage: str) -> set[str]:
    return {each for each in PIPELINE[stage]["deps"] if each.startswith("src/")}


def needed(stage: str) -> set[Path]:
    """The files that decide a stage's outputs; tracking only records them."""
    script = SCRIPTS[stage]
    files = {script, *imported(script)}
    return {path for path in files if "tracking" not in path.parts}


def covers(dep: str, path: Path) -> bool:
    return path == ROOT / dep or path.is_relative_to(ROOT / dep)


def test_stages_params_and_scripts_share_their_words() -> None:
    assert tuple(PIPELINE) == tuple(SCRIPTS) == STAGES


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_file_that_a_stage_imports_is_under_one_of_its_deps(stage: str) -> None:
    deps = code_deps(stage)
    missing = [path for path in needed(stage) if not any(covers(dep, path) for dep in deps)]
    assert not missing


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_dep_covers_a_file_that_the_stage_imports(stage: str) -> None:
    files = needed(stage)
    idle = [dep for dep in code_deps(stage) if not any(covers(dep, path) for path in files)]
    assert not idle


@pytest.mark.parametrize("stage", PIPELINE)
def test_no_dep_lies_in_the_package_of_a_later_stage(stage: str) -> None:
    later = STAGES[STAGES.index(stage) + 1 :]
    packages = tuple(f"src/twinear/{name}" for name in later)
    assert not [dep for dep in code_deps(stage) if dep.startswith(packages)]


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stages_params_are_the_sections_it_reads(stage: str) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(SCRIPTS[stage].read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "read_params"
    ]
    sections = {ast.literal_eval(call.args[0]) for call in calls}
    if stage == "listens":  # its raw files alone have the times that baskets of sessions need
        sections |= {f"similarity.{key}" for key in BasketParams.model_fields}
    if stage == "training":  # it scores artists as the catalogue does
        sections |= {f"catalogue.{key}" for key in PoolingParams.model_fields}
    assert sections == set(PIPELINE[stage]["params"])


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stages_paths_are_its_deps_and_outs(stage: str) -> None:
    words = PIPELINE[stage]["cmd"].split()
    paths = {word.rstrip("/") for word in words[1:]}
    outs = {path: options for each in all_outs(stage) for path, options in each.items()}
    data = set(PIPELINE[stage]["deps"]) - code_deps(stage) | {str(SCRIPTS[stage].relative_to(ROOT))}
    assert set(outs) <= paths
    assert all(any(each == path or each.startswith(f"{path}/") for path in paths) for each in data)
    assert all(options.get("persist") for options in outs.values())


def all_outs(stage: str) -> list[dict[str, Any]]:
    entries = [
        each for key in ("outs", "metrics", "plots") for each in PIPELINE[stage].get(key, [])
    ]
    return [each if isinstance(each, dict) else {each: {}} for each in entries]
