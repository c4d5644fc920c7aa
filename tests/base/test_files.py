"""Files are whole or absent, and what stood there stays until the new one is complete."""

import os
import pickle
import subprocess
import sys
from pathlib import Path, PurePath
from types import ModuleType

import pytest

from tests.support.disk import read_only
from twinear.base.errors import DataError, TwinearError, one_line_errors
from twinear.base.files import (
    code_digest,
    is_system_file,
    replacing,
    require,
    sha256,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def write_more_than_fits(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("more than fits")


def write_half(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_file_is_replaced_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one")
    write_text(path, "two\n")
    assert path.read_text() == "two\n"
    assert names(path.parent) == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert names(tmp_path / "folder") == ["second"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_the_last_good_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "good")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "good\n"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_and_the_last_good_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "good")
    with pytest.raises(DataError, match=r"a\.txt: .*No space left"):
        write_more_than_fits(path)
    assert path.read_text() == "good\n"


def test_a_folder_under_a_file_is_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("good")
    with pytest.raises(DataError, match=r"a\.txt: .*not be written"):
        write_text(tmp_path / "file" / "a.txt", "text")
    assert (tmp_path / "file").read_text() == "good"


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with replacing(tmp_path / "link") as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == ["folder", "link"]
    assert names(tmp_path / "folder") == ["new"]


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing(tmp_path / "a.txt"):
        (tmp_path / "elsewhere").read_text()


def test_missing_and_empty_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a: .*missing.*do this"):
        require(tmp_path / "a", "do this")
    (tmp_path / "a").touch()
    with pytest.raises(DataError, match=r"a: .*empty.*do this"):
        require(tmp_path / "a", "do this")


def test_a_hash_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize(
    "path",
    [
        "._plays.csv",
        "a/.DS_Store",
        ".Trash-1000/files/a.mp3",
        "@eaDir/a.mp3",
        "a/@EADIR/b",
        "#recycle/a",
        "$RECYCLE.BIN/a",
        "System Volume Information/a",
        "a/Thumbs.db",
        "a/desktop.ini",
        "__MACOSX/a",
    ],
)
def test_files_of_systems_are_known_at_any_depth(path: str) -> None:
    assert is_system_file(PurePath(path))
    assert is_system_file(PurePath("deep") / path)


@pytest.mark.parametrize("path", ["a.mp3", "recycle/a", "A.I/a", "eaDir", "Thumbs", "a.DS_Store"])
def test_other_files_are_data(path: str) -> None:
    assert not is_system_file(PurePath(path))


def package(folder: Path, files: dict[str, str]) -> ModuleType:
    """A package of these files; it need not be importable."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    module = ModuleType("package")
    module.__path__ = [str(folder)]
    return module


CODE = {"__init__.py": "", "a.py": "x = 1\n", "part/b.py": "y = 2\n"}
CHANGES = {
    "a new file": {"new.py": ""},
    "a new file of a part": {"part/new.py": ""},
    "an edited file": {"a.py": "x = 3\n"},
    "an edited file of a part": {"part/b.py": "y = 3\n"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_code_with_another_file_or_line_has_another_digest(tmp_path: Path, change: str) -> None:
    code = package(tmp_path / "code", CODE)
    assert code_digest(package(tmp_path / "copy", CODE)) == code_digest(code)
    changed = package(tmp_path / "copy", CHANGES[change])
    assert code_digest(changed) != code_digest(code)
    assert code_digest(code, changed) not in (code_digest(code), code_digest(changed))


def test_a_moved_file_changes_the_digest_of_the_code_and_a_cache_does_not(tmp_path: Path) -> None:
    code = package(tmp_path, CODE)
    before = code_digest(code)
    package(tmp_path, {"__pycache__/a.cpython-311.pyc": "x", "part/kernel.nbi": "x"})
    assert code_digest(code) == before
    (tmp_path / "a.py").rename(tmp_path / "part" / "a.py")
    assert code_digest(code) != before


def test_an_error_becomes_one_line_and_status_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"), one_line_errors():
        raise TwinearError("clips.csv:17", "no file a.mp3", expected="a file", remedy="look")
    assert capsys.readouterr().err == "error: clips.csv:17: no file a.mp3, expected a file; look\n"


def test_what_a_terminal_cannot_show_is_replaced() -> None:
    code = (
        "import os, sys; from twinear.base.errors import *\n"
        "with one_line_errors():\n"
        "    print('椎名林檎', 'Björk', os.fsdecode(b'Bj\\xf6rk'))\n"
        "    raise DataError('椎名林檎.csv', 'is empty')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "cp1252:strict"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.decode("cp1252").splitlines() == ["???? Björk Bj?rk"]
    assert done.stderr.decode("cp1252").splitlines() == ["error: ????.csv: is empty"]


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError


def test_an_error_survives_the_way_between_processes() -> None:
    error = DataError("clips.csv:17", "no file a.mp3", expected="a file", remedy="look")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again)) == (DataError, str(error))


def test_a_disk_that_nobody_may_write_to_is_one_line_and_reading_needs_no_writing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    write_text(folder / "a.txt", "good")
    with read_only(folder):
        with pytest.raises(DataError, match=r"a\.txt: could not be written \(Read-only file sys"):
            write_text(folder / "a.txt", "new")
        assert require(folder / "a.txt", "").read_text() == "good\n"
    assert names(folder) == ["a.txt"]
