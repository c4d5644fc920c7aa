"""Embeddings made elsewhere: a vector for every clip or artist that is judged, or refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twinear.base.errors import DataError
from twinear.evaluation.external_embeddings import read_embedding_table, score_embeddings
from twinear.metrics.ranking_metrics import Floats
from twinear.ranking.systems import EvaluationSet
from twinear.spectrograms.embedding_table import EmbeddingTable

CLIPS = ["clips/1.mp3", "clips/2.mp3", "clips/3.mp3"]
VECTORS = np.array([[0.0, 1.0], [0.2, 1.2], [1.0, 0.0]])
ARTISTS = EvaluationSet(
    artists=pd.DataFrame({"artist": ["a", "b"], "name": ["A", "The B"], "listeners": [2, 1]}),
    truth=np.eye(2),
    clips=np.arange(3),
    artist_index=np.array([0, 0, 1]),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    table = pd.DataFrame({"file": CLIPS, "artist": ["A", "A", "B"], "source": ["x", "y", "z"]})
    table.to_csv(tmp_path / "clips.csv", index=False)
    return tmp_path


def scored(path: Path, data: Path) -> tuple[Floats, Floats]:
    return score_embeddings(read_embedding_table(path), ARTISTS, CLIPS, data, path)


def npz(path: Path, names: list[str], vectors: np.ndarray, kind: str = "clip") -> Path:
    np.savez(path, **{kind: np.array(names), "vector": vectors})  # type: ignore[arg-type]
    return path


def test_clips_are_known_by_their_file_or_by_what_it_was_called_before(data: Path) -> None:
    by_file = scored(npz(data / "e.npz", CLIPS, VECTORS), data)
    order = [2, 0, 1]
    by_source = scored(npz(data / "f.npz", ["z", "x", "y"], VECTORS[order]), data)
    for one, other in zip(by_file, by_source, strict=True):
        np.testing.assert_allclose(one, other)
    assert by_file[0][0, 1] == pytest.approx(-1)  # opposite, once standardised
    assert by_file[1][0, 1] < 0


def test_csv_parquet_and_frames_say_the_same(data: Path) -> None:
    expected = scored(npz(data / "e.npz", CLIPS, VECTORS), data)[0]
    table = pd.DataFrame({"clip": CLIPS, "x": VECTORS[:, 0], "y": VECTORS[:, 1]})
    table.to_csv(data / "e.csv", index=False)
    table.to_parquet(data / "e.parquet", index=False)
    frames = np.stack([VECTORS - 1, VECTORS + 1], axis=2)
    npz(data / "frames.npz", CLIPS, frames)
    for name in ("e.csv", "e.parquet", "frames.npz"):
        np.testing.assert_allclose(scored(data / name, data)[0], expected)


def test_a_vector_for_each_artist_will_do_by_id_or_name(data: Path) -> None:
    vectors = np.array([[9.0, 9.0], [0.1, 1.1], [1.0, 0.0]])
    by_id = scored(npz(data / "e.npz", ["else", "a", "b"], vectors, "artist"), data)
    by_name = scored(npz(data / "f.npz", ["else", "A", "the B"], vectors, "artist"), data)
    np.testing.assert_allclose(by_id[0], by_name[0])
    np.testing.assert_allclose(by_id[0], scored(npz(data / "g.npz", CLIPS, VECTORS), data)[0])


@pytest.mark.parametrize(
    ("names", "vectors", "message"),
    [
        (CLIPS[:2], VECTORS[:2], r"lacks 1 of 3 clips, the first 'clips/3.mp3', expected a vector"),
        (["p", "q"], VECTORS[:2], r"lacks 3 of 3 clips, the first 'clips/1.mp3'"),
        (
            CLIPS,
            VECTORS * [1, np.nan],
            r"no finite numbers for 3 of 3 clips, the first clips/1\.mp3",
        ),
        (CLIPS, VECTORS[:2], r"2 vectors of 3 clips, expected one"),
        (CLIPS, VECTORS[:, :0], r"no vectors \(3, 0\)"),
        ([*CLIPS[:2], CLIPS[0]], VECTORS, r"names clips/1\.mp3 in 2 rows"),
    ],
)
def test_a_table_that_lacks_clips_or_numbers_is_refused(
    data: Path, names: list[str], vectors: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=r"e.npz: .*" + message):
        scored(npz(data / "e.npz", names, vectors), data)


def test_a_table_of_something_else_is_refused(data: Path) -> None:
    np.savez(data / "e.npz", clips=np.array(CLIPS), vector=VECTORS)
    with pytest.raises(DataError, match="holds clips, vector, expected clip or artist"):
        read_embedding_table(data / "e.npz")
    np.savez(data / "e.npz", clip=np.array(CLIPS))
    with pytest.raises(DataError, match="holds clip, expected"):
        read_embedding_table(data / "e.npz")
    (data / "e.csv").write_text("clip,x\nclips/1.mp3,loud\n")
    with pytest.raises(DataError, match=r"e.csv:2: column x holds 'loud'"):
        read_embedding_table(data / "e.csv")
    (data / "e.parquet").write_bytes(b"PAR1 not so")
    with pytest.raises(DataError, match=r"e.parquet: cannot be read"):
        read_embedding_table(data / "e.parquet")
    (data / "e.txt").write_text("x")
    with pytest.raises(DataError, match=r"e.txt: is no table of vectors"):
        read_embedding_table(data / "e.txt")
    with pytest.raises(DataError, match="is missing; name a table of embeddings"):
        read_embedding_table(data / "none.npz")


def test_a_table_of_both_clips_and_artists_is_refused(data: Path) -> None:
    np.savez(data / "e.npz", clip=np.array(CLIPS), artist=np.array(CLIPS), vector=VECTORS)
    with pytest.raises(DataError, match=r"e.npz: holds clip, artist, .*clip or artist, not both"):
        read_embedding_table(data / "e.npz")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_names_that_look_like_missing_values_or_numbers_stay_text(
    tmp_path: Path, suffix: str
) -> None:
    names = ["NA", "null", "nan", "None", "", "007", "N/A"]
    path, vectors = tmp_path / f"e{suffix}", np.arange(14.0).reshape(7, 2)
    table = pd.DataFrame({"artist": names, "x": vectors[:, 0], "y": vectors[:, 1]})
    if suffix == ".npz":
        npz(path, names, vectors, "artist")
    elif suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    read = read_embedding_table(path)
    assert (read.key, list(read.clips)) == ("artist", names)
    np.testing.assert_array_equal(read.vector, vectors)


def test_whole_numbers_in_an_npz_name_artists(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", artist=np.array([7, 15]), vector=VECTORS[:2])
    assert list(read_embedding_table(tmp_path / "e.npz").clips) == ["7", "15"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_table_of_artists_is_read_as_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"e{suffix}"
    EmbeddingTable(clips=["a", "b"], vector=np.eye(2, dtype=np.float32), key="artist").write(path)
    read = read_embedding_table(path)
    assert (read.key, list(read.clips)) == ("artist", ["a", "b"])
