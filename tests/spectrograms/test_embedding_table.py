"""A table of vectors is read whatever made it, and refused in one line when it is not whole."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest

from tests.conftest import PARAMS, ROOT
from tests.support.stages import run_stage
from twinear.acquisition.import_corpus import import_corpus
from twinear.artists.clip_table import read_clip_table
from twinear.base.arrays import HARMLESS_BYTES
from twinear.base.errors import DataError
from twinear.base.params import read_params
from twinear.clips.clips import Clips
from twinear.listens.listens import ListensParams, read_listens
from twinear.metrics.ranking_metrics import others, query_ndcg, rank_truth
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.spectrograms.embedding_table import (
    TABLE,
    EmbeddingTable,
    read_clip_embeddings,
)

REAL = ROOT.parent / "shared" / "real"
NAMES = ["clips/b.mp3", "clips/a.mp3", "clips/ü,c.mp3"]
FLAT = np.array([[1.5, -2.25], [0, 1e-30], [3e30, 1 / 3]], np.float32)
FRAMED = np.random.default_rng(1).random((3, 2, 4), np.float32)


def table(vector: npt.NDArray[np.float32] = FLAT, **values: Any) -> EmbeddingTable:
    return EmbeddingTable(clips=NAMES, vector=vector, **values)


# read as written


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_a_table_is_read_as_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"vectors{suffix}"
    table().write(path)
    read = EmbeddingTable.read(path)
    assert list(read.clips) == NAMES
    assert read.vector.dtype == np.float32
    np.testing.assert_array_equal(read.vector, FLAT)


def test_an_npz_keeps_frames_and_where_they_came_from(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npz"
    known = {"extractor": "CLAP x", "licence": "CC BY-NC 4.0", "sha256": ["1", "2", ""]}
    table(FRAMED, **known).write(path)
    read = EmbeddingTable.read(path)
    np.testing.assert_array_equal(read.vector, FRAMED)
    assert {key: getattr(read, key) for key in known} == known
    first = path.read_bytes()
    read.write(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "N/A", "-", "inf", "007"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_name_is_text_whatever_it_says(tmp_path: Path, suffix: str, name: str) -> None:
    table = EmbeddingTable(clips=[name, "Muse"], vector=np.eye(2, dtype=np.float32), key="artist")
    table.write(tmp_path / f"e{suffix}")
    assert EmbeddingTable.read(tmp_path / f"e{suffix}", ("artist",)).clips == [name, "Muse"]


def test_a_csv_of_a_spreadsheet_reads_alike(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes('Artist ;v0;v1\nBjörk;1;2\n"Air; France";3;4\n'.encode("cp1252"))
    read = EmbeddingTable.read(path, ("artist",))
    assert read.clips == ["Björk", "Air; France"]
    np.testing.assert_array_equal(read.vector, [[1, 2], [3, 4]])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_frames_go_into_npz_only(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError, match=r"vectors\.\w+: .*frame.*\.npz"):
        table(FRAMED).write(tmp_path / f"vectors{suffix}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8])
def test_vectors_of_any_numbers_are_read(tmp_path: Path, dtype: type[Any]) -> None:
    np.savez(tmp_path / "v.npz", clip=np.array(["a", "b"]), vector=np.eye(2, dtype=dtype))
    np.testing.assert_array_equal(EmbeddingTable.read(tmp_path / "v.npz").vector, np.eye(2))


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("x,clip,y\n1,007,2\n3,08,4.5\n")
    read = EmbeddingTable.read(tmp_path / "v.csv")
    assert list(read.clips) == ["007", "08"]
    np.testing.assert_array_equal(read.vector, [[1, 2], [3, 4.5]])


def test_clips_get_their_vectors_in_their_own_order(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    table(sha256=["1", "", "3"]).write(path)
    np.testing.assert_array_equal(
        read_clip_embeddings(NAMES[::-1], ["3", "2", "1"], path).vector, FLAT[::-1]
    )
    np.testing.assert_array_equal(read_clip_embeddings(NAMES[1:2], ["2"], path).vector, FLAT[1:2])


# what is refused


def test_a_table_that_lacks_clips_is_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"v\.npz: .*2 of 3 clips, the first x.*twinear embed",
    ):
        table().select(["x", NAMES[0], "y"], [""] * 3, Path("v.npz"))


def test_a_vector_of_other_audio_is_refused() -> None:
    held = table(sha256=["1", "", "3"])
    with pytest.raises(DataError, match=r"v\.npz: .*older.*1 of 2 clips, the first clips/b\.mp3"):
        held.select(NAMES[:2], ["other", "2"], Path("v.npz"))


def test_a_missing_table_says_how_to_get_one_or_do_without(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing.*twinear embed.*spectrograms\.embeddings: no"):
        read_clip_embeddings(NAMES, [""] * 3, tmp_path / "v.npz")


GOOD = np.array(["a", "b"])
NPZ: dict[str, tuple[dict[str, Any], str]] = {
    "other keys": ({"clips": GOOD, "vector": np.eye(2)}, "holds clips, vector, expected clip"),
    "no arrays": ({}, "holds nothing, expected clip"),
    "twice": ({"clip": np.array(["a", "a"]), "vector": np.eye(2)}, "names a in 2 rows, expected"),
    "nan": ({"clip": GOOD, "vector": np.diag([1, np.nan])}, "for 1 of 2 clips, the first b"),
    "inf": ({"clip": GOOD, "vector": np.diag([np.inf, 1])}, "for 1 of 2 clips, the first a"),
    "too large": ({"clip": GOOD, "vector": np.full((2, 2), 1e300)}, "for 2 of 2 clips"),
    "fewer": ({"clip": GOOD, "vector": np.eye(3)}, "holds 3 vectors of 2 clips, expected one"),
    "hashes": (
        {"clip": GOOD, "vector": np.eye(2), "sha256": np.array(["1"])},
        "holds 1 hashes of 2 clips",
    ),
    "empty": ({"clip": GOOD, "vector": np.empty((2, 0))}, r"holds no vectors \(2, 0\)"),
    "no clips": ({"clip": GOOD[:0], "vector": np.empty((0, 3))}, r"holds no vectors \(0, 3\)"),
    "one number a clip": ({"clip": GOOD, "vector": np.ones(2)}, r"vector is float64 \(2,\), exp"),
    "text": ({"clip": GOOD, "vector": np.array([["x"], ["y"]])}, r"vector is <U1 \(2, 1\)"),
    "complex": ({"clip": GOOD, "vector": np.eye(2) * 1j}, "vector is complex128"),
    "numbers for names": ({"clip": np.arange(2), "vector": np.eye(2)}, r"clip is int64 \(2,\)"),
    "odd licence": (
        {"clip": GOOD, "vector": np.eye(2), "licence": np.arange(3)},
        r"licence is int64 \(3,\), expected one text",
    ),
}


@pytest.mark.parametrize("kind", NPZ)
def test_an_npz_that_is_no_table_is_refused(tmp_path: Path, kind: str) -> None:
    arrays, message = NPZ[kind]
    path = tmp_path / "v.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=rf"v\.npz: .*{message}"):
        EmbeddingTable.read(path)


def _ragged(path: Path) -> None:
    vector = np.empty(2, object)
    vector[:] = [np.ones(2), np.ones(3)]
    np.savez(path, clip=GOOD, vector=vector)


def _cut(path: Path) -> None:
    table().write(path)
    path.write_bytes(path.read_bytes()[:-60])


def _damaged(path: Path) -> None:
    np.savez_compressed(path, clip=GOOD, vector=np.random.default_rng(1).random((2, 900)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def _array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.eye(2))


@pytest.mark.parametrize(
    "make",
    [_ragged, _cut, _damaged, _array, lambda path: path.write_bytes(b"words")],
    ids=["ragged", "cut off", "damaged", "one array", "words"],
)
def test_an_npz_that_cannot_be_read_is_refused(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "v.npz")
    with pytest.raises(DataError, match=r"v\.npz: cannot be read .*expected clip"):
        EmbeddingTable.read(tmp_path / "v.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,x\na,1\na,2\n", "names a in 2 rows"),
        ("clip,x\na,1\n,2\n,3\n", "names no clip in 2 rows"),
        ("clip,x,y\na,1,\nb,2,3\n", "no finite numbers for 1 of 2 clips, the first a"),
        ("clip,x,y\na,1\nb,2,3\n", "no finite numbers for 1 of 2 clips, the first a"),
        ("clip,x,y\na,1,NaN\nb,2,3\n", "no finite numbers for 1 of 2 clips, the first a"),
        ("clip,x,y\na,1,inf\nb,2,3\n", "no finite numbers for 1 of 2 clips, the first a"),
        ("clip,x\na,1\nb,2,3\n", "3: has more fields"),
        ("clip,x,genre\na,1,jazz\n", "2: column genre holds 'jazz', expected a column clip"),
        ("clip,x,y\na,1,\n", "no finite numbers"),
        ("file,x\na,1\n", "has no column clip, but file, x, expected a column clip"),
        ("clip\na\n", r"holds no vectors \(1, 0\)"),
        ("clip,x\n", "holds no vectors"),
    ],
)
def test_a_csv_that_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(DataError, match=rf"v\.csv:.*{message}"):
        EmbeddingTable.read(tmp_path / "v.csv")


def test_a_parquet_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    pl.DataFrame({"clip": ["a"], "x": [[1.0, 2.0]]}).write_parquet(path)
    with pytest.raises(DataError, match="column x holds list"):
        EmbeddingTable.read(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"v\.parquet: cannot be read"):
        EmbeddingTable.read(path)


def test_a_table_made_to_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    """Zeros take next to nothing in a zip, and in Parquet."""
    n = HARMLESS_BYTES // 4 + 1
    np.savez_compressed(tmp_path / "v.npz", clip=np.array(NAMES), vector=np.zeros(n, np.float32))
    with pytest.raises(DataError, match=r"v\.npz: cannot be read .*vector\.npy: .* unpack to 67,"):
        EmbeddingTable.read(tmp_path / "v.npz")
    rows = np.zeros(n // 8, np.float32)
    many = pl.DataFrame({"clip": "a", **{f"d{i}": rows for i in range(8)}})
    many.write_parquet(tmp_path / "v.parquet")
    with pytest.raises(DataError, match=r"v\.parquet: cannot be read .*rows unpack to"):
        EmbeddingTable.read(tmp_path / "v.parquet")


def test_files_of_another_kind_or_empty_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.pkl").write_bytes(b"x")
    with pytest.raises(DataError, match=r"v\.pkl: .*\.npz"):
        EmbeddingTable.read(tmp_path / "v.pkl")
    (tmp_path / "v.npz").touch()
    with pytest.raises(DataError, match=r"v\.npz: is empty"):
        EmbeddingTable.read(tmp_path / "v.npz")


def test_what_would_be_refused_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finite numbers"):
        table(FLAT * np.float32(np.nan)).write(tmp_path / "v.npz")
    assert not any(tmp_path.iterdir())


# the stage


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (None, "missing"),
        (["clips/other.wav"], "1 of 1 clips, the first clips/a.wav"),
    ],
)
def test_the_stage_says_in_one_line_that_vectors_are_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    held: list[str] | None,
    message: str,
) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert text.count("  embeddings: auto") == 1
    text = text.replace("  embeddings: auto", "  embeddings: concat")
    (tmp_path / "params.yaml").write_text(text)
    columns = "file,artist,name,title,source,seconds,sr,channels,sha256"
    (tmp_path / "clips.csv").write_text(f"{columns}\nclips/a.wav,a,A,,,2.0,22050,1,00\n")
    if held:
        EmbeddingTable(clips=held, vector=FLAT[:1]).write(tmp_path / "data/clips/embeddings.npz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="1"):
        run_stage("spectrograms", "data", "clips.csv", "spectrograms")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: data/clips/embeddings.npz: ")
    assert message in line
    assert not (tmp_path / "spectrograms").exists()
    assert Clips.read(tmp_path / "clips.csv").table["file"][0] == "clips/a.wav"


# real vectors


@pytest.mark.skipif(not REAL.exists(), reason="the acceptance corpus is not here")
def test_the_acceptance_vectors_rank_as_they_are_known_to(tmp_path: Path) -> None:
    listens, npz = REAL / "hetrec2011-lastfm-2k", REAL / "musicnn.npz"
    report = import_corpus(listens, REAL / "clips.csv", tmp_path, embeddings=npz)
    assert (report.clips, report.embeddings) == (326, 272)
    held = EmbeddingTable.read(tmp_path / TABLE)
    clips = read_clip_table(tmp_path / "clips.csv").assign(
        hetrec=pd.read_csv(tmp_path / "clips.csv", dtype=str)["hetrec_artist_id"]
    )
    clips = clips[clips["file"].isin(list(held.clips))]
    table = read_clip_embeddings(list(clips["file"]), [""] * len(clips), tmp_path / TABLE)
    vectors = table.vector
    assert vectors.shape == (272, 200)

    cleaning = read_params("listens", ListensParams, PARAMS)
    rules = {"require_mbid": False, "min_listeners": 5}
    heard, _ = read_listens(tmp_path / "listens", cleaning.model_copy(update=rules))
    chosen = read_params("similarity", SimilarityParams, PARAMS)
    similarity = compute_similarity(heard, set(clips["id"]), chosen)
    ids = list(similarity.artists["artist"])
    assert len(ids) == 175
    everyone, same_fold = others(len(ids)), others(len(ids)) & same_fold_of(clips, ids)
    owned = clips["id"].to_numpy()[:, None] == np.array(ids)
    # dimensions standardised, clips of an artist averaged, cosine: what the known figures are of
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    artists = (owned / owned.sum(axis=0)).T @ standard  # (artists, n_dims)
    artists /= np.linalg.norm(artists, axis=1, keepdims=True)
    scores = artists @ artists.T
    for candidates, known in ((everyone, 0.268), (same_fold, 0.419)):
        random = np.random.default_rng(1)
        truth = rank_truth(similarity.matrix * candidates, candidates, 10, random)
        ndcg = np.nanmean(query_ndcg(truth, scores, 10, random))
        assert ndcg == pytest.approx(known, abs=0.001)


def same_fold_of(clips: pd.DataFrame, ids: list[str]) -> npt.NDArray[np.bool_]:
    """Whether two artists share one of five folds, (artists, artists)."""
    hetrec = dict(zip(clips["id"], clips["hetrec"], strict=True))
    fold = np.array(
        [int(hashlib.sha256(hetrec[each].encode()).hexdigest(), 16) % 5 for each in ids]
    )
    return np.asarray(fold[:, None] == fold)


def test_a_table_under_its_old_name_is_refused_with_the_new_one(tmp_path: Path) -> None:
    table().write(tmp_path / "vectors.npz")
    with pytest.raises(DataError, match=r"embeddings\.npz: is missing.*vectors\.npz.*rename it"):
        read_clip_embeddings(NAMES, [""] * 3, tmp_path / "embeddings.npz")
