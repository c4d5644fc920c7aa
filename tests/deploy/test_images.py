"""The container files: valid, pinned, without rights; and every line of them runs."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project
from tests.support.image import ScratchImage, read_instructions

CONTAINERFILES = [ROOT / "Containerfile", ROOT / "deploy/mlflow/Containerfile"]


@pytest.mark.parametrize("path", CONTAINERFILES, ids=str)
def test_a_containerfile_is_valid_and_safe(path: Path) -> None:
    done = subprocess.run(["hadolint", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    instructions = read_instructions(path)
    bases = [value for keyword, value in instructions if keyword == "FROM" and "@" in value]
    assert bases
    assert all(
        re.match(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}\b", each) for each in bases
    )
    users = [value for keyword, value in instructions if keyword == "USER"]
    assert users
    assert not any(each.startswith("0") for each in users)


def test_the_linter_sees_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM python\nRUN cd /tmp\n", encoding="utf-8")
    command = ["hadolint", str(tmp_path / "Containerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DL3006" in done.stdout  # no version


def test_docker_and_podman_leave_out_the_same_files() -> None:
    assert (ROOT / ".dockerignore").resolve() == ROOT / ".containerignore"


def test_the_devcontainer_is_a_stage_of_the_containerfile_and_begins_as_make_does() -> None:
    folder = ROOT / ".devcontainer"
    settings = json.loads((folder / "devcontainer.json").read_text(encoding="utf-8"))
    built = settings["build"]
    containerfile = (folder / built["dockerfile"]).resolve()
    assert (folder / built["context"]).resolve() == ROOT
    froms = [value for keyword, value in read_instructions(containerfile) if keyword == "FROM"]
    assert any(value.endswith(f" AS {built['target']}") for value in froms)
    (made,) = [v for k, v in read_instructions(containerfile) if k == "RUN" and "useradd" in v]
    assert made.split()[-1] == settings["remoteUser"]
    assert settings["postCreateCommand"] == "make .venv/ready"


@pytest.mark.slow(reason="installs twinear, a browser and their dependencies")
def test_every_line_of_the_image_runs_and_its_service_is_healthy(
    finished: Project, tmp_path: Path
) -> None:
    image = ScratchImage(tmp_path)
    lines = image.build(ROOT / "Containerfile")
    assert len(lines) == sum(
        keyword == "RUN" for keyword, _ in read_instructions(ROOT / "Containerfile")
    )
    project = image.root / image.settings.folder.strip("/")
    for name in ("artifacts", "data", "reports"):
        shutil.copytree(finished.folder / name, project / name)
    assert image.run("id --user").strip() == "10001"
    assert "No module named 'dvc'" in image.run("python -c 'import dvc' 2>&1 || true")
    said = image.serve(TWINEAR_TOKEN="secret")  # noqa: S106
    assert "twinear is at http://0.0.0.0:8000" in said
