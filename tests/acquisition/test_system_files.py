"""Files of the system beside the data do not change what DVC knows of it."""

import os
import shutil
from pathlib import Path

from tests.conftest import ROOT
from tests.support.dvc import run_dvc

BESIDE = [
    ".DS_Store",
    "clips/._a.mp3",
    "clips/.Trash-1000/files/a.mp3",
    "clips/@eaDir/a.mp3/SYNO@.mp3",
    "clips/#recycle/a.mp3",
    "$RECYCLE.BIN/a.mp3",
    "System Volume Information/a",
    "clips/Thumbs.db",
    "listens/desktop.ini",
    "listens/__MACOSX/plays.csv",
]


def test_files_of_the_system_do_not_change_the_data(tmp_path: Path) -> None:
    run_dvc(tmp_path, "init", "--no-scm", "-q")
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    data = ("data/clips.csv", "data/clips/a.mp3", "data/listens/.scrobbler.log")
    for name in data:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    run_dvc(tmp_path, "add", "-q", "data")
    pinned = (tmp_path / "data.dvc").read_text()
    assert f"nfiles: {len(data)}" in pinned
    for name in BESIDE:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("the system's")
    assert "up to date" in run_dvc(tmp_path, "status")
    run_dvc(tmp_path, "add", "-q", "data")
    assert (tmp_path / "data.dvc").read_text() == pinned
    (tmp_path / "data/clips/b.mp3").write_text("new")
    assert os.linesep in run_dvc(tmp_path, "status").strip()
