"""What crossval and evaluate work on: similarity and spectrograms of the same artists.

It is read from the pipeline's artefacts, or made from a data folder by the stages' own functions
and kept in a work folder under a hash of all that decides it, so that it is made once.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from twinear.artists.clip_table import read_clip_table, resolve
from twinear.artists.redirects import read_redirects
from twinear.base.errors import DataError
from twinear.base.files import require, sha256
from twinear.base.params import Params
from twinear.clips.clips import Clips, ClipsParams, index_clips
from twinear.compute.pool import Progress, Workers
from twinear.listens.listens import ListensParams, read_listens
from twinear.listens.readers.formats import REDIRECTS
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.computation import compute_spectrograms, read_embeddings
from twinear.spectrograms.embedding_table import TABLE
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How listens and clips become similarity and spectrograms."""

    listens: ListensParams
    similarity: SimilarityParams
    clips: ClipsParams
    spectrograms: SpectrogramsParams


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where the artefacts are that material is read from."""

    similarity: Path
    spectrograms: Path

    @property
    def digest(self) -> str:
        """A hash of every byte in them."""
        return _digest(
            path for folder in (self.similarity, self.spectrograms) for path in _files(folder)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Similarity of the artists with listens, spectrograms of all clips."""

    similarity: Similarity
    spectrograms: Spectrograms

    @staticmethod
    def read(folders: Folders) -> "Material":
        """Read what the stages, or `prepare`, wrote."""
        return Material(
            similarity=Similarity.read(folders.similarity),
            spectrograms=Spectrograms.read(folders.spectrograms),
        )

    @property
    def pretrained(self) -> np.ndarray:
        """What another extractor made of each clip, (clips, n_dims); n_dims is 0 if none did."""
        clips = self.spectrograms
        alone = clips.front.embeddings == "only"
        return np.asarray(clips.values.mean(axis=2) if alone else clips.joined)

    def without(self, artists: Collection[str]) -> "Material":
        """Leave out the clips of some artists, who thereby take no part at all."""
        kept = ~self.spectrograms.clips["artist"].isin(set(artists)).to_numpy()
        return replace(self, spectrograms=self.spectrograms.select(np.flatnonzero(kept)))


def prepare(
    data: Path, how: Preparation, work: Path, progress: Progress, workers: Workers
) -> Folders:
    """Make similarity and spectrograms of a data folder, or find them made before.

    Parameters
    ----------
    work
        Folders named by what they hold are kept there.
    progress
        Wraps the clips while they are heard.

    Raises
    ------
    DataError
        No listens or clips, or unusable ones, as in the stages.
    """
    table = require(data / "clips.csv", "name a data folder: listens/, clips/, clips.csv")
    # The clips decide too: similarity is of those artists that have some.
    by_people = _key([*_files(data / "listens"), table], how.listens, how.similarity)
    similarity = work / f"similarity-{by_people}"
    if not similarity.exists():
        _prepare_similarity(data, how).write(similarity)
    by_file = _key([*_files(data / "clips"), table, *_files(similarity)], how.clips)
    index = work / f"clips-{by_file}.csv"
    if not index.exists():
        _prepare_index(data, similarity, how, progress, workers).write(index)
    by_ear = _key([index, *_vectors(data)], how.spectrograms)
    spectrograms = work / f"spectrograms-{by_ear}"
    if not spectrograms.exists():
        clips = Clips.read(index)
        pretrained = read_embeddings(clips, data, how.spectrograms)
        made = compute_spectrograms(clips, data, how.spectrograms, progress, workers, pretrained)
        made.write(spectrograms)
    return Folders(similarity=similarity, spectrograms=spectrograms)


def _prepare_similarity(data: Path, how: Preparation) -> Similarity:
    listens, _ = read_listens(data / "listens", how.listens)
    with_clips = set(resolve(read_data_clips(data), listens.artists)["artist"])
    return compute_similarity(listens, with_clips, how.similarity)


def _prepare_index(
    data: Path, similarity: Path, how: Preparation, progress: Progress, workers: Workers
) -> Clips:
    artists = Similarity.read(similarity).artists
    table = resolve(read_data_clips(data), artists)
    clips, _ = index_clips(table, data, how.clips, progress, workers)
    return clips


def read_data_clips(data: Path) -> pd.DataFrame:
    """Read a data folder's clips.csv; the merged ids beside its listens are followed."""
    return read_clip_table(data / "clips.csv", read_redirects(data / "listens" / REDIRECTS))


def _vectors(data: Path) -> list[Path]:
    return [data / TABLE] if (data / TABLE).exists() else []


def _files(folder: Path) -> list[Path]:
    found = sorted(
        path for path in require(folder, "name another folder").rglob("*") if path.is_file()
    )
    if not found:
        raise DataError(folder, "holds no files", remedy="name another folder")
    return found


def _key(files: Iterable[Path], *params: Params) -> str:
    settings = json.dumps([each.model_dump(mode="json") for each in params], sort_keys=True)
    return hashlib.sha256((settings + _digest(files)).encode()).hexdigest()[:16]


def _digest(files: Iterable[Path]) -> str:
    """A hash of the names and contents of some files."""
    named = "".join(f"{path.name} {sha256(path)}\n" for path in files)
    return hashlib.sha256(named.encode()).hexdigest()
