"""The workflows: valid, safe, pinned; what they call is there, and the summary is written."""

import re
import shutil
import subprocess
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, Project
from tests.support.schemas import validate

FOLDER = ROOT / ".github/workflows"
WORKFLOWS: dict[str, Any] = {
    path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yml"))
}
PYTHONS = ["3.11", "3.12", "3.13"]
STEPS = [
    step for flow in WORKFLOWS.values() for job in flow["jobs"].values() for step in job["steps"]
]


def read_runs(workflow: str, job: str) -> list[str]:
    return [step["run"] for step in WORKFLOWS[workflow]["jobs"][job]["steps"] if "run" in step]


def test_they_are_valid_and_safe() -> None:
    for workflow in WORKFLOWS.values():
        validate(workflow, "github-workflows")
    validate(YAML(typ="safe").load(ROOT / ".github/dependabot.yml"), "dependabot")
    command = ["zizmor", "--offline", "--quiet", str(ROOT / ".github")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow(reason="fetches the linter, a package of Node.js")
def test_the_linter_of_workflows_finds_nothing_here_and_something_in_a_broken_one(
    tmp_path: Any,
) -> None:
    program = re.search(r"^ACTIONLINT := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert program is not None
    lint = [*program[1].split(), ".github/workflows/*.yml"]
    if not shutil.which("npx") or subprocess.run([*lint[:-1], "--help"], check=False).returncode:
        pytest.skip("npx cannot bring the linter")
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{len(WORKFLOWS)} workflow file(s)" in done.stdout
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    broken = tmp_path / ".github/workflows/check.yml"
    broken.write_text(broken.read_text().replace("matrix.python", "matrix.pyton"))
    done = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'property "pyton" is not defined' in done.stdout


def test_every_action_is_pinned_by_one_hash_and_its_version_stands_beside_it() -> None:
    lines = [
        line.strip(" -") for path in FOLDER.iterdir() for line in path.read_text().splitlines()
    ]
    used = {line for line in lines if line.startswith("uses:")}
    assert all(re.fullmatch(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)
    assert len({line.split("@")[0] for line in used}) == len(used)  # everywhere the same


def test_every_python_is_checked_and_every_night_all_tests_run() -> None:
    for workflow, job in (("check", "check"), ("nightly", "test")):
        assert WORKFLOWS[workflow]["jobs"][job]["strategy"]["matrix"]["python"] == PYTHONS
    assert read_runs("check", "check") == ["make check"]
    assert read_runs("nightly", "test")[:2] == ["make test", "make test-slow"]
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()


def test_they_call_targets_of_the_makefile_and_keep_the_bill_of_materials() -> None:
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {
        word
        for step in STEPS
        for word in re.findall(r"^make (?:--silent )?(\S+)", step.get("run", ""))
    }
    assert called <= targets
    assert {"check", "test", "test-slow", "sbom", "summary", "retrain"} <= called
    kept = [step["with"]["path"] for step in STEPS if "upload-artifact" in step.get("uses", "")]
    assert kept.count("sbom") == 2


@pytest.mark.slow(reason="starts DVC and twinear, for GitHub alone")
def test_the_summary_has_the_ranking_the_differences_and_the_figures(finished: Project) -> None:
    base, pictures = "BASE=HEAD", "FIGURES=https://example.org/figures"
    shown = finished.must("make", "--silent", "-o", ".venv/ready", "summary", base, pictures)
    assert "ahead, NDCG@10" in shown.split("## Metrics, compared with HEAD")[0]
    assert re.search(r"^\| reports/\S+ +\| ", shown, re.MULTILINE)
    assert "![ranking](https://example.org/figures/ranking.png)" in shown
