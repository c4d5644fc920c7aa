"""The stages without DVC: the same bytes, and an end at the first one that fails."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project
from tests.test_pipeline import PIPELINE, all_outs

OUTS = [path for stage in PIPELINE for each in all_outs(stage) for path in each]


def read_outputs(folder: Path) -> dict[str, bytes]:
    """Read every file that the stages write: path -> bytes."""
    places = [folder / out for out in OUTS]
    files = [each for place in places for each in (place, *place.rglob("*")) if each.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow(reason="runs the pipeline again")
def test_the_stages_without_dvc_write_what_dvc_repro_writes(
    finished: Project, spoiled: Project
) -> None:
    shutil.rmtree(spoiled.folder / ".dvc")
    for out in OUTS:
        path = spoiled.folder / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    spoiled.must("make", "-o", ".venv/ready", "stages")
    expected, written = read_outputs(finished.folder), read_outputs(spoiled.folder)
    assert len(expected) > 50
    assert set(written) == set(expected)
    assert [name for name in expected if written[name] != expected[name]] == []


def test_the_stages_end_at_the_first_that_fails(tmp_path: Path) -> None:
    project = Project(folder=tmp_path)
    for name in ("src", "dvc.yaml", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data/listens").mkdir(parents=True)  # empty
    done = project.run("python", "src/stages")
    assert done.returncode == 1
    assert "listens: who played whom" in done.stderr
    assert "error: data/listens" in done.stderr
    assert "similarity:" not in done.stderr
