"""Files of the system beside the data do not change what DVC knows of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

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


def dvc(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_files_of_the_system_do_not_change_the_data(tmp_path: Path) -> None:
    dvc(tmp_path, "init", "--no-scm", "-q")
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    data = ("data/clips.csv", "data/clips/a.mp3", "data/listens/.scrobbler.log")
    for name in data:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    dvc(tmp_path, "add", "-q", "data")
    pinned = (tmp_path / "data.dvc").read_text()
    assert f"nfiles: {len(data)}" in pinned
    for name in BESIDE:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("the system's")
    assert "up to date" in dvc(tmp_path, "status")
    dvc(tmp_path, "add", "-q", "data")
    assert (tmp_path / "data.dvc").read_text() == pinned
    (tmp_path / "data/clips/b.mp3").write_text("new")
    assert os.linesep in dvc(tmp_path, "status").strip()
