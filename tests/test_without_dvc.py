"""The stages without DVC: the same bytes, and an end at the first one that fails."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Project


def contents(folder: Path) -> dict[str, bytes]:
    """Read every output of the stages: path -> bytes."""
    files = [path for name in ("artifacts", "reports") for path in (folder / name).rglob("*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.is_file()}


@pytest.mark.slow(reason="runs the pipeline again")
def test_the_stages_without_dvc_write_what_dvc_repro_writes(
    finished: Project, spoiled: Project
) -> None:
    for name in ("artifacts", ".dvc"):
        shutil.rmtree(spoiled.folder / name)
    for path in (spoiled.folder / "reports").glob("*.json"):
        path.unlink()
    spoiled.must("make", "-o", ".venv/ready", "stages")
    expected, written = contents(finished.folder), contents(spoiled.folder)
    assert set(written) == set(expected)
    assert [name for name in expected if written[name] != expected[name]] == []


def test_the_stages_end_at_the_first_that_fails(finished: Project, tmp_path: Path) -> None:
    project = Project(folder=tmp_path)
    for name in ("src", "dvc.yaml", "params.yaml"):
        (tmp_path / name).symlink_to(finished.folder / name)
    (tmp_path / "data/listens").mkdir(parents=True)  # empty
    done = project.run("python", "src/stages")
    assert done.returncode == 1
    assert "listens: who played whom" in done.stderr
    assert "error: data/listens" in done.stderr
    assert "similarity:" not in done.stderr
