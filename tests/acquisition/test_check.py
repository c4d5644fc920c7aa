"""Every kind of damage to a data folder's clips is found."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.fetching import artists, fetch, fetch_params, requested_all
from tests.support.services import FakeServices
from twinear.acquisition.previews.check import check_clips, format_check
from twinear.base.errors import DataError
from twinear.spectrograms.embedding_table import TABLE, EmbeddingTable


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("fetched") / "data"
    with FakeServices(*artists(2)) as services:
        fetch(services.url, into, requested_all(services.artists), fetch_params(2))
    return into


@pytest.fixture
def data(fetched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fetched, tmp_path / "data"))


def files(data: Path) -> list[Path]:
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        return [data / row["file"] for row in csv.DictReader(file)]


def test_whole_clips_have_no_faults(data: Path) -> None:
    for name in (".DS_Store", "._a.mp3", "Thumbs.db"):  # the system's, no clips
        (data / "clips" / name).touch()
    report = check_clips(data, list, 1)
    assert (report.listed, report.files, report.faults) == (4, 4, {})
    assert format_check(report) == "4 rows, 4 files, 0 faults"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20] ^= 1  # within the tag: still audio
    path.write_bytes(content)


def _leftover(path: Path) -> None:
    path.with_name(".x.mp3.17.part").write_bytes(b"half")


def _words(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


DAMAGE: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "missing": (Path.unlink, ["missing"]),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:5000]), ["size", "sha256"]),
    "changed": (_flip, ["sha256"]),
    "empty": (lambda path: path.write_bytes(b""), ["size", "sha256", "unreadable"]),
    "no audio": (_words, ["sha256", "unreadable"]),
    "unnamed": (lambda path: shutil.copy(path, path.with_name("more.mp3")), ["unnamed"]),
    "left over": (_leftover, ["unnamed"]),
    "renamed": (lambda path: path.rename(path.with_name("other.mp3")), ["missing", "unnamed"]),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(data: Path, kind: str) -> None:
    damage, expected = DAMAGE[kind]
    damage(files(data)[1])
    report = check_clips(data, list, 1)
    assert list(report.faults) == expected
    assert all(len(entries) == 1 for entries in report.faults.values())
    if kind == "missing":
        file = files(data)[1].relative_to(data).as_posix()
        assert report.faults["missing"][0]["place"].endswith(f"clips.csv: {file}")
        assert f"{file}: is not there" in format_check(report)


def test_a_table_without_sizes_and_hashes_is_checked_for_audio(data: Path) -> None:
    rows = [f"{path.relative_to(data).as_posix()},Air" for path in files(data)]
    (data / "clips.csv").write_text("\n".join(["file,artist", *rows]))
    assert check_clips(data, list, 1).faults == {}
    _words(files(data)[0])
    assert list(check_clips(data, list, 1).faults) == ["unreadable"]


def test_a_table_of_vectors_is_checked_too(data: Path) -> None:
    names = [path.relative_to(data).as_posix() for path in files(data)]
    table = EmbeddingTable(clips=names, vector=np.ones((len(names), 2), np.float32))
    table.write(data / TABLE)
    assert check_clips(data, list, 1).faults == {}
    EmbeddingTable(clips=names[1:], vector=table.vector[1:]).write(data / TABLE)
    report = check_clips(data, list, 1)
    assert list(report.faults) == ["embeddings"]
    assert f"embeddings.npz: lacks 1 of 4 clips, the first {names[0]}" in format_check(report)
    (data / TABLE).write_bytes(b"nothing")
    assert "embeddings.npz: cannot be read" in format_check(check_clips(data, list, 1))


def test_a_folder_without_a_table_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"clips\.csv: is missing; fetch or import clips first"):
        check_clips(tmp_path, list, 1)
