"""Other people's opinion of the same artists: other listens, or pairs that editors call similar.

A truth of one's own listens rewards whatever fits these listeners. A second one, by other people,
shows what carries over. A file of pairs is a table with the columns `artist` and `similar_artist`
(names), or `mbid` and `similar_mbid`, or all four; a pair counts in both directions. Everything
else is read as listens, in any format, also where no artist has a MusicBrainz id and where there
are no times; its similarity is computed as that of the project's own listens, with basket
`listener`.

Artists are matched by the rules of `artists.clip_table.resolve`: by MusicBrainz id, else by name.
Only those in common take part: as queries and as candidates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from twinear.artists.clip_table import resolve
from twinear.artists.identity import artist_id, is_mbid
from twinear.base.delimited import find_separator, split_line
from twinear.base.errors import DataError
from twinear.base.files import require
from twinear.base.table import read_table
from twinear.evaluation.recipes import Recipe
from twinear.listens.listens import ListensParams, read_listens
from twinear.listens.readers.formats import USUAL_COLUMNS
from twinear.listens.readers.period import Period
from twinear.metrics.pair_metrics import pair_metrics
from twinear.metrics.ranking_metrics import Bools, Floats, others, rank_truth
from twinear.similarity.listener_sample import ListenerSample
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.partitions import Baskets

Kind = Literal["listens", "pairs"]
PAIR_COLUMNS = ("artist", "similar_artist", "mbid", "similar_mbid")
REMEDY = "name a file of listens, or a CSV with the columns artist and similar_artist"
HEAD_BYTES = 4096
SAME = 0.98  # agreement with the similarity of training from which a truth is no second opinion


@dataclass(frozen=True, kw_only=True, eq=False)
class OtherTruth:
    """A truth for the evaluated artists.

    Attributes
    ----------
    similarity
        (artists, artists), 1 for the pairs of a file of pairs, 0 where an artist is not in common.
    present
        (artists,): those in common.
    agreement
        With the similarity from the project's listens, over the artists in common: for listens the
        correlation, for pairs the AUC of that similarity as a score. NaN where it is not defined.
    """

    path: Path
    kind: Kind
    similarity: Floats
    present: Bools
    agreement: float

    @property
    def same(self) -> bool:
        """Whether it is, or nearly is, the truth that systems are trained on."""
        return self.agreement >= SAME


def read_truths(
    files: Mapping[str, Path], artists: pd.DataFrame, similarity: Floats, recipe: Recipe
) -> dict[str, OtherTruth]:
    """Read truths (name -> file) for some artists.

    Parameters
    ----------
    artists
        artist (id), name, mbid.
    similarity
        From the project's listens, (artists, artists).

    Raises
    ------
    DataError
        Files that are missing or cannot be read, no artist in common, or no two of these similar.
    """
    return {name: _read(path, artists, similarity, recipe) for name, path in files.items()}


def _read(path: Path, artists: pd.DataFrame, similarity: Floats, recipe: Recipe) -> OtherTruth:
    require(path, REMEDY)
    kind: Kind = "pairs" if _holds_pairs(path) else "listens"
    values, present = (_read_pairs if kind == "pairs" else _read_listens)(path, artists, recipe)
    unit = "pair" if kind == "pairs" else "co-listening"
    if present.sum() < 2:
        n = int(present.sum())
        raise DataError(
            path,
            f"has {'one artist' if n else 'no artist'} in common with the {len(artists)} that are "
            "evaluated",
            expected="at least two, by MusicBrainz id or by name",
            remedy="check that it names artists as the listens do; the first here is "
            f"'{artists['name'].iloc[0]}'",
        )
    np.fill_diagonal(values, 0)
    if not values.any():
        raise DataError(
            path,
            f"has no {unit} of two of the {present.sum()} artists in common",
            expected="some that are similar",
            remedy="bring more of them",
        )
    rows = np.flatnonzero(present)
    square = np.ix_(rows, rows)
    agreement = _agreement(kind, values[square], similarity[square])
    return OtherTruth(path=path, kind=kind, similarity=values, present=present, agreement=agreement)


def _holds_pairs(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace").partition("\n")[0]
    fields = [field.strip().lower() for field in split_line(head, find_separator(head)) or ()]
    return "similar_artist" in fields or "similar_mbid" in fields


def _read_pairs(path: Path, artists: pd.DataFrame, _: Recipe) -> tuple[Floats, Bools]:
    ends: list[list[tuple[str, str]]] = [[], []]  # of each pair: (MBID, name)
    for row in read_table(path, PAIR_COLUMNS, REMEDY).rows:
        for end, (mbid, name) in zip(
            ends, (("mbid", "artist"), ("similar_mbid", "similar_artist")), strict=True
        ):
            known = row.values.get(mbid, "").lower()
            known = known if is_mbid(known) else ""
            if not (known or row.values.get(name)):
                place = f"{path}:{row.line}"
                raise DataError(place, "names no two artists", remedy="fill it in")
            end.append((known, row.values.get(name, "")))
    first, second = (_find(end, artists) for end in ends)
    values = np.zeros((len(artists), len(artists)))
    both = (first >= 0) & (second >= 0)
    values[first[both], second[both]] = values[second[both], first[both]] = 1
    named = np.unique(np.concatenate([first, second]))
    return values, np.isin(np.arange(len(artists)), named)


def _read_listens(path: Path, artists: pd.DataFrame, recipe: Recipe) -> tuple[Floats, Bools]:
    anything = {
        "format": "auto",
        "columns": USUAL_COLUMNS,
        "window": Period.model_validate({"from": "", "to": ""}),
        "require_mbid": False,
        "require_profile": False,
    }
    params = recipe.read("listens", ListensParams).model_copy(update=anything)
    similarity = recipe.read("similarity", SimilarityParams)
    listens, _ = read_listens(path, params)
    table = listens.artists
    rows = _find(list(zip(table["mbid"], table["name"], strict=True)), artists)
    n_listeners = listens.plays.shape[0]
    everyone = ListenerSample(
        artists=table,
        baskets=Baskets(plays=listens.plays, listener=np.arange(n_listeners)),
        n_sampled=n_listeners,
        n_listeners=n_listeners,
        params=similarity.model_copy(update={"basket": "listener", "session_contribution": 0}),
    )
    # the most listened first: of two that are the same artist here, it is the one that counts
    found, first = np.unique(rows, return_index=True)
    found, first = found[found >= 0], first[found >= 0]
    compared = everyone.compare(list(table["artist"].iloc[first]), np.arange(n_listeners))
    values = np.zeros((len(artists), len(artists)))
    values[np.ix_(found, found)] = compared.matrix
    return values, np.isin(np.arange(len(artists)), found)


def _find(named: list[tuple[str, str]], artists: pd.DataFrame) -> np.ndarray:
    """Find the row in `artists` of each (MBID, name), -1 for none."""
    table = pd.DataFrame(named, columns=["mbid", "artist"])
    table["id"] = [artist_id(mbid, name) for mbid, name in named]
    resolved = resolve(table.assign(file="", title="", line=0), artists)
    return np.asarray(pd.Index(artists["artist"]).get_indexer(pd.Index(resolved["artist"])))


def _agreement(kind: Kind, values: Floats, similarity: Floats) -> float:
    candidates = others(len(values))
    if kind == "listens":
        one, two = values[candidates], similarity[candidates]
        return float(np.corrcoef(one, two)[0, 1]) if one.std() and two.std() else float("nan")
    generator = np.random.default_rng(0)
    truth = rank_truth(values, candidates, len(values), generator)
    auc = pair_metrics(truth, similarity, generator)["auc"]
    return float(np.nanmean(auc)) if np.isfinite(auc).any() else float("nan")
