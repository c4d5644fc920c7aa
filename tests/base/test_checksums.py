"""A byte that has changed in an artefact is noticed by whoever reads it."""

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Project
from twinear.base.checksums import (
    BLOCK,
    CHECKSUMS,
    crc32,
    verify_checksums,
    write_checksums,
)
from twinear.base.errors import DataError
from twinear.catalogue.catalogue import Catalogue, verify
from twinear.listens.listens import Listens
from twinear.model.scorer import Scorer
from twinear.ranking.ranking import Ranking
from twinear.similarity.neighbours import find_similar
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms

READERS: dict[str, Callable[[Path], object]] = {
    "listens": Listens.read,
    "similarity": Similarity.read,
    "neighbours": lambda folder: find_similar(folder, "Baldoul", top=3),
    "spectrograms": Spectrograms.read,
    "training/scorer.safetensors": Scorer.read,
    "catalogue": Catalogue.read,
    "ranking": Ranking.read,
}
# of another stage's file, and of a program that only looks whether it is of this catalogue
NOT_READ = {"reports.json"}
N_FLIPS = 4  # in each file


def test_a_checksum_is_that_of_the_bytes_whatever_their_number(tmp_path: Path) -> None:
    for n in (0, 1, BLOCK, BLOCK + 7):
        content = np.random.default_rng(n).bytes(n)
        (tmp_path / "a").write_bytes(content)
        assert crc32(tmp_path / "a") == f"{zlib.crc32(content):08x}"


def test_a_changed_file_is_named_with_its_remedy_and_a_missing_one_left_to_its_reader(
    tmp_path: Path,
) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a", "deep/b"):
        (tmp_path / name).write_bytes(b"content")
    write_checksums(tmp_path)
    verify_checksums(tmp_path, ["a", "deep/b"], "do this")
    (tmp_path / "deep/b").write_bytes(b"contenu")
    with pytest.raises(DataError, match=r"deep/b: has changed.*expected [0-9a-f]{8}; do this"):
        verify_checksums(tmp_path, ["a", "deep/b"], "do this")
    (tmp_path / "deep/b").unlink()
    verify_checksums(tmp_path, ["a", "deep/b"], "do this")


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"a": 7}'])
def test_checksums_that_are_damaged_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / CHECKSUMS).write_text(text)
    with pytest.raises(DataError, match=r"(checksums\.json: is not|a: has changed).*do this"):
        verify_checksums(tmp_path, ["a"], "do this")


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_bit_anywhere_in_an_artefact_is_noticed(
    finished: Project, tmp_path: Path, name: str
) -> None:
    source, target = finished.folder / "artifacts" / name, tmp_path / "artefact"
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    files = [path for path in [target, *target.rglob("*")] if path.is_file()]
    rng = np.random.default_rng(0)
    READERS[name](target)
    for path in files:
        if path.name in NOT_READ:
            continue
        whole = path.read_bytes()
        for at in {0, len(whole) - 1, *rng.integers(0, len(whole), N_FLIPS).tolist()}:
            damaged = bytearray(whole)
            damaged[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            with pytest.raises(DataError):
                READERS[name](target)
        path.write_bytes(whole)


def test_a_large_catalogue_is_compared_on_demand(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "catalogue"
    shutil.copytree(finished.folder / "artifacts/catalogue", folder)
    sizes = json.loads((folder / "catalogue.json").read_text())["files"]
    monkeypatch.setattr("twinear.catalogue.catalogue.VERIFIED_BYTES", 1000)
    assert verify(folder) == sum(sizes.values())
    damaged = bytearray((folder / "embeddings.npy").read_bytes())
    damaged[-1] ^= 1
    (folder / "embeddings.npy").write_bytes(damaged)
    Catalogue.read(folder)
    with pytest.raises(DataError, match=r"embeddings\.npy: has changed.*dvc repro catalogue"):
        verify(folder)
