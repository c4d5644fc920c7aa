"""The data of an evaluation: similarity and spectrograms of the same artists.

They are read from the pipeline's artefacts, or computed from a data folder by the functions of the
stages. What is computed is kept in a work folder, under a hash of everything that decides it, so
that it is computed once.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

from twinear.artists.clip_table import read_clip_table, resolve
from twinear.artists.redirects import read_redirects
from twinear.base.errors import DataError
from twinear.base.files import is_system_file, require, sha256
from twinear.base.params import Params
from twinear.clips.clips import Clips, ClipsParams, index_clips
from twinear.compute.pool import choose_workers
from twinear.encoders.sources import find_embeddings
from twinear.evaluation.progress import Progress
from twinear.evaluation.recipes import Recipe
from twinear.listens.listens import Listens, ListensParams, read_listens
from twinear.listens.readers.formats import REDIRECTS
from twinear.ranking.systems import EvaluationSet, build_evaluation_set
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.computation import write_spectrograms
from twinear.spectrograms.embedding_table import TABLE
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms, StorageParams


@dataclass(frozen=True, kw_only=True)
class PreparationParams:
    """The params that decide similarity and spectrograms."""

    listens: ListensParams
    similarity: SimilarityParams
    clips: ClipsParams
    spectrograms: SpectrogramsParams
    storage: StorageParams

    @classmethod
    def from_recipe(
        cls, recipe: Recipe, front: SpectrogramsParams | None = None
    ) -> "PreparationParams":
        """Read the sections of a recipe; a scorer's own `front` replaces that of the recipe."""
        return cls(
            listens=recipe.read("listens", ListensParams),
            similarity=recipe.read("similarity", SimilarityParams),
            clips=recipe.read("clips", ClipsParams),
            spectrograms=front or recipe.read("spectrograms", SpectrogramsParams),
            storage=recipe.read("storage", StorageParams),
        )


@dataclass(frozen=True, kw_only=True)
class ArtefactFolders:
    """The folders of the artefacts that an evaluation reads."""

    similarity: Path
    spectrograms: Path
    listens: Path | None = None  # those behind the similarity

    @property
    def digest(self) -> str:
        """A hash of every byte in them."""
        folders = [each for each in (self.similarity, self.spectrograms, self.listens) if each]
        return _digest(file for folder in folders for file in _files(folder))


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationData:
    """Similarity of the artists with listens, spectrograms of all clips."""

    similarity: Similarity
    spectrograms: Spectrograms
    listens_folder: Path | None = None

    @staticmethod
    def read(folders: ArtefactFolders) -> "EvaluationData":
        """Read what the stages, or `prepare`, wrote."""
        return EvaluationData(
            similarity=Similarity.read(folders.similarity),
            spectrograms=Spectrograms.read(folders.spectrograms),
            listens_folder=folders.listens,
        )

    @cached_property
    def listens(self) -> Listens | None:
        """The listens behind the similarity, where they are known."""
        return None if self.listens_folder is None else Listens.read(self.listens_folder)

    @cached_property
    def artists(self) -> EvaluationSet:
        """The artists that have both."""
        return build_evaluation_set(self.spectrograms, self.similarity)

    @property
    def identities(self) -> pd.DataFrame:
        """The artists that have both: artist (id), name, mbid."""
        known = self.similarity.artists.set_index("artist", drop=False)
        return known.loc[self.artists.ids, ["artist", "name", "mbid"]].reset_index(drop=True)

    @property
    def embeddings(self) -> np.ndarray:
        """The embedding of each clip by a pre-trained network, (clips, n_dims); n_dims may be 0."""
        clips = self.spectrograms
        only = clips.front.embeddings == "only"
        return np.asarray(clips.values).mean(axis=2) if only else clips.joined

    def without(self, artists: Collection[str]) -> "EvaluationData":
        """Leave out the clips of some artists, which then take no part at all."""
        if not artists:
            return self
        remain = ~self.spectrograms.clips["artist"].isin(set(artists)).to_numpy()
        return replace(self, spectrograms=self.spectrograms.select(np.flatnonzero(remain)))


def prepare(
    data: Path,
    params: PreparationParams,
    artifacts: Path,
    progress: Progress,
    extractor: str = "",
) -> ArtefactFolders:
    """Compute similarity and spectrograms of a data folder, unless they were computed before.

    They, and the listens, are kept in `prepared/` of `artifacts`, named by a hash of what decides
    them. `extractor` is that of the scorer whose front end the params have, see `find_embeddings`.

    Raises
    ------
    DataError
        No listens or clips, or unusable ones, as in the stages.
    """
    table = require(data / "clips.csv", "name a data folder: listens/, clips/, clips.csv")
    work, workers = artifacts / "prepared", choose_workers(os.environ)
    bar = partial(progress, desc=f"preparing {data}", unit="clip")
    # The clips decide the similarity too: it is of the artists that have some.
    key = _key([*_files(data / "listens"), table], params.listens, params.similarity)
    similarity, plays = work / f"similarity-{key}", work / f"listens-{key}"
    if not (similarity.exists() and plays.exists()):
        listens, _ = read_listens(data / "listens", params.listens, params.similarity.session_gap)
        with_clips = set(resolve(read_data_clips(data), listens.artists)["artist"])
        listens.write(plays)
        compute_similarity(listens, with_clips, params.similarity).write(similarity)
    key = _key([*_files(data / "clips"), table, *_files(similarity)], params.clips)
    index = work / f"clips-{key}.csv"
    if not index.exists():
        named = read_data_clips(data, params.clips.source_column)
        resolved = resolve(named, Similarity.read(similarity).artists)
        clips, _ = index_clips(resolved, data, params.clips, bar, workers)
        clips.write(index)
    embedding_table = [data / TABLE] if (data / TABLE).exists() else []
    clips, front, storage = Clips.read(index), params.spectrograms, params.storage
    stored = [storage] if len(clips.table) >= storage.shards_from else []  # else it does not matter
    key = _key([index, *embedding_table], front, *stored, extractor=extractor)
    spectrograms = work / f"spectrograms-{key}"
    if not spectrograms.exists():
        embeddings = find_embeddings(clips, data, front, extractor)
        write_spectrograms(clips, data, front, storage, spectrograms, bar, workers, embeddings)
    return ArtefactFolders(similarity=similarity, spectrograms=spectrograms, listens=plays)


def read_data_clips(data: Path, source_column: str = "") -> pd.DataFrame:
    """Read a data folder's clips.csv; ids that were merged become the new ones."""
    redirects = read_redirects(data / "listens" / REDIRECTS)
    return read_clip_table(data / "clips.csv", redirects, source_column=source_column)


def _files(folder: Path) -> list[Path]:
    remedy = "name another folder"
    files = sorted(
        path
        for path in require(folder, remedy).rglob("*")
        if path.is_file() and not is_system_file(path.relative_to(folder))
    )
    if not files:
        raise DataError(folder, "holds no files", remedy=remedy)
    return files


def _key(files: Iterable[Path], *params: Params, extractor: str = "") -> str:
    dumped: list[object] = [each.model_dump(mode="json") for each in params]
    settings = json.dumps(dumped + [extractor] * bool(extractor), sort_keys=True)
    return hashlib.sha256((settings + _digest(files)).encode()).hexdigest()[:16]


def _digest(files: Iterable[Path]) -> str:
    named = "".join(f"{path.name} {sha256(path)}\n" for path in files)
    return hashlib.sha256(named.encode()).hexdigest()
