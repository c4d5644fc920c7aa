"""Everything the report is made of, read from the outputs of earlier stages and checked."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from twinear.base.errors import DataError
from twinear.base.files import require, sha256
from twinear.catalogue.catalogue import Catalogue
from twinear.metrics.bootstrap import Interval
from twinear.ranking.listener_results import ListenerEquivalents
from twinear.ranking.ranking import CATALOGUE, CHANCE, Ranking
from twinear.report.origin import Origin
from twinear.similarity.similarity import Similarity
from twinear.split import Split
from twinear.training.keeping import KeepDecision

FILTERS = "convolutions.blocks.0.0.weight"  # of the first convolution, in the scorer's file

Metrics = Mapping[str, Mapping[str, Interval]]  # system -> metric -> interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Filters:
    """The filters of the network's first layer."""

    weights: npt.NDArray[np.float32]  # (channels, n_mels, kernel_size)
    spectrograms: Mapping[str, float]  # the params of the front end


@dataclass(frozen=True, kw_only=True)
class DataDescription:
    """What the data folder says of itself in `croissant.json`; by default nothing."""

    name: str = "data"
    description: str = ""
    license: tuple[str, ...] = ()

    @classmethod
    def read(cls, data: Path) -> "DataDescription":
        """Read it, if there is one."""
        path = data / "croissant.json"
        if not path.exists():
            return cls()
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            found = f"cannot be read ({'.'.join(map(str, first['loc']))}: {first['msg']})"
            remedy = "correct it, or restore it with 'dvc checkout data.dvc'"
            raise DataError(path, found, remedy=remedy) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class ScorerHeader:
    """What is read of a scorer's file without its network."""

    spectrograms: dict[str, Any]  # the params of the front end
    inputs: dict[str, Any]  # what a clip gives the network
    model: dict[str, Any]  # the params of the network
    kind: str  # of the input: log_mel or embedding
    n_weights: int
    filters: npt.NDArray[np.float32] | None  # (channels, n_bands, 1, kernel_size)


@dataclass(frozen=True, kw_only=True)
class SearchMeasures:
    """How many of the ten best artists the catalogue's search finds, over test artists."""

    name: str
    queries: int
    recall_at_10: float


@dataclass(frozen=True, kw_only=True)
class CatalogueMeasures:
    """What the catalogue stage measured."""

    artists: int
    clips: int
    search: SearchMeasures
    explanation: dict[str, int | Interval] | None  # the deletion test, where there is one


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportInputs:
    """The outputs of the earlier stages."""

    ranking: Metrics  # metrics of every system, over the test artists
    differences: Metrics  # the catalogue's metrics minus each other system's, paired over queries
    hubness: Mapping[str, Mapping[str, float]]  # system -> measure -> value
    # what systems are worth in listeners; None if there are too few of them
    listeners: ListenerEquivalents | None
    measures: CatalogueMeasures
    # a row for each epoch: epoch, train_loss, validation_loss, validation_ndcg, chosen
    training: pd.DataFrame  # no row where the network was not trained
    decision: KeepDecision  # which scorer was kept
    counts: Mapping[str, Any]  # what the listens, similarity and clips stages kept and dropped
    similarity: Similarity
    catalogue: Catalogue
    split: Split
    # None if the network has no convolutions, or takes embeddings instead of a log-mel
    filters: Filters | None
    test: Ranking  # the test artists and the scores of their pairs by every system
    origin: Origin

    @classmethod
    def read(cls, reports: Path, artifacts: Path, data: str) -> "ReportInputs":
        """Read the two folders that the pipeline fills; `data` is the hash of the data folder."""
        scorer = artifacts / "training" / "scorer.safetensors"
        metrics = dict[str, dict[str, Interval]]
        ranking = read_output(reports / "ranking.json", metrics, "ranking")
        if CATALOGUE not in ranking or CHANCE not in ranking:
            raise DataError(
                reports / "ranking.json",
                f"systems {', '.join(ranking) or 'none'}",
                expected=f"{CATALOGUE} and {CHANCE} among them",
                remedy="run 'dvc repro ranking'",
            )
        return cls(
            ranking=ranking,
            differences=read_output(reports / "differences.json", metrics, "ranking"),
            measures=read_output(reports / "catalogue.json", CatalogueMeasures, "catalogue"),
            hubness=read_output(reports / "hubness.json", dict[str, dict[str, float]], "ranking"),
            listeners=read_output(
                reports / "listeners.json", ListenerEquivalents | None, "ranking"
            ),
            training=_read_training(reports / "training.csv"),
            decision=read_output(reports / "training.json", KeepDecision, "training"),
            counts={
                name: read_output(reports / f"{name}.json", dict[str, Any], name)
                for name in ("listens", "similarity", "clips")
            },
            similarity=Similarity.read(artifacts / "similarity"),
            catalogue=Catalogue.read(artifacts / "catalogue"),
            split=Split.read(artifacts / "split.csv"),
            filters=_read_filters(scorer),
            test=Ranking.read(artifacts / "ranking"),
            origin=Origin(data=data, scorer=sha256(scorer)),
        )


def read_output(path: Path, kind: Any, stage: str) -> Any:
    """Read a JSON file of a stage as values of some type."""
    remedy = f"run 'dvc repro {stage}'"
    require(path, remedy)
    try:
        return TypeAdapter(kind).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        found, expected = f"cannot be read ({reason})", f"what stage {stage} writes"
        raise DataError(path, found, expected=expected, remedy=remedy) from error


def _read_training(path: Path) -> pd.DataFrame:
    require(path, "run 'dvc repro training'")
    training = pd.read_csv(path)
    columns = ["epoch", "train_loss", "validation_loss", "validation_ndcg", "chosen"]
    complete = set(columns) <= set(training.columns)
    if not complete or training["chosen"].sum() != min(len(training), 1):
        raise DataError(
            path,
            f"{len(training)} rows of columns {', '.join(training.columns)}",
            expected=f"a row for each epoch, one of them chosen, with columns {', '.join(columns)}",
            remedy="run 'dvc repro training'",
        )
    return training


def read_header(path: Path) -> ScorerHeader:
    """Read what a scorer's file says of itself, and the filters of its first layer."""
    require(path, "run 'dvc repro training'")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads(file.metadata()["twinear"])
            names = list(file.keys())
            return ScorerHeader(
                spectrograms=dict(header["spectrograms"]),
                inputs=dict(header["inputs"]),
                model=dict(header["model"]),
                kind=header["inputs"]["kind"],
                n_weights=sum(math.prod(file.get_slice(name).get_shape()) for name in names),
                filters=file.get_tensor(FILTERS) if FILTERS in names else None,
            )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        expected, remedy = "a header and weights", "run 'dvc repro training'"
        raise DataError(path, "is not a scorer", expected=expected, remedy=remedy) from error


def _read_filters(path: Path) -> Filters | None:
    header = read_header(path)
    if header.filters is None or header.kind != "log_mel":
        return None
    weights = header.filters
    shape = (*weights.shape[:2], weights.shape[-1])
    return Filters(weights=weights.reshape(shape), spectrograms=header.spectrograms)
