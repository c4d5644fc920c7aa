"""What learning gives, by the number of training artists.

Some artists are held out, and of the others so many are drawn as training artists; one in five of
them is for validation. Two scorers are made of the same draw: the untrained one
(`training.keep: never`) and what the defaults keep of listener factors. With --network a third:
the network without listener factors, always kept. All artists are in the catalogue; only the
training artists have listens there. The listens of the artists that are neither drawn nor held out
shape the listener factors, as those of artists without clips do.

The value is NDCG@10 of the held-out artists by their listens: each ranks all other artists ("all"),
and the held-out ones ("fold"), by the whole catalogue and by the scorer alone. A query's values are
averaged over the draws; intervals are over queries, and the gain is paired. `params.yaml` and --set
decide everything else.

    python -m benchmarks.learning_curve measure FOLDER OUT.csv --sizes 25,50,100 [--network]
    python -m benchmarks.learning_curve vectors REAL FOLDER
    python -m benchmarks.learning_curve plot OUT.png "a title=FIRST.csv" "another=SECOND.csv"

FOLDER holds the artefacts listens, similarity and spectrograms: of the pipeline, of
`benchmarks.planted_music`, or of `vectors`, which takes the acceptance corpus's table of vectors of
two sources.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import bootstrap
from torch import Tensor
from tqdm import tqdm

from twinear.artists.identity import normalise_name
from twinear.base.files import replacing
from twinear.base.params import PARAMS
from twinear.catalogue.building import score_catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.catalogue.listener_factors import add_listener_factors
from twinear.catalogue.params import CatalogueParams
from twinear.evaluation.recipes import read_recipe
from twinear.listens.listens import Listens, ListensParams, read_listens
from twinear.metrics.ranking_metrics import Floats, query_ndcg, rank_truth
from twinear.model import inputs
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.similarity import Similarity, dense
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.spectrograms.statistics import spectrogram_statistics
from twinear.split import Split, fold_of
from twinear.training.scorer_training import Trained, train_scorer
from twinear.training.training import TrainingParams

SYSTEMS = {"untrained": "untrained", "learned": "listener factors", "network": "the network alone"}
SCORES = {"catalogue": "catalogue", "siamese": "scorer alone"}
PROTOCOLS = {"all": "among all artists", "fold": "among held-out artists"}
COLUMNS = ["artists", "system", "score", "protocol", "query", "draw", "ndcg", "kept", "weight"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Artists with clips and listens."""

    listens: Listens
    similarity: Similarity  # of the artists that have both, in the order of `ids`
    clips: Spectrograms  # of these artists only
    ids: list[str]

    @classmethod
    def read(cls, folder: Path) -> "Corpus":
        """Read artefacts; artists without clips remain in the listens only."""
        similarity = Similarity.read(folder / "similarity")
        clips = Spectrograms.read(folder / "spectrograms")
        known = similarity.artists["artist"]
        rows = np.flatnonzero(known.isin(set(clips.clips["artist"])))
        of_these = clips.clips["artist"].isin(set(known.iloc[rows])).to_numpy()
        return cls(
            listens=Listens.read(folder / "listens"),
            similarity=Similarity(
                artists=similarity.artists.iloc[rows].reset_index(drop=True),
                matrix=similarity.matrix[rows][:, rows],
            ),
            clips=clips.select(np.flatnonzero(of_these)),
            ids=list(known.iloc[rows]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """Who learns and who asks, ids."""

    number: int
    train: list[str]
    validation: list[str]
    queries: list[str]


def remember_statistics() -> None:
    """Compute the statistics of a spectrogram once: a curve asks for them a hundred times."""
    compute, known = spectrogram_statistics, dict[bytes, dict[str, Tensor]]()

    def remembered(
        x: Tensor | np.ndarray, frames_per_second: float, top_db: float
    ) -> dict[str, Tensor] | dict[str, np.ndarray]:
        if isinstance(x, np.ndarray):  # one clip, to count its statistics
            return compute(x, frames_per_second, top_db)
        keys = [hashlib.sha256(clip.half().numpy().tobytes()).digest() for clip in x]
        for row, key in enumerate(keys):
            if key not in known:
                known[key] = compute(x[row : row + 1], frames_per_second, top_db)
        return {name: torch.cat([known[key][name] for key in keys]) for name in known[keys[0]]}

    vars(inputs)["spectrogram_statistics"] = remembered


def draw_artists(
    ids: Sequence[str], sizes: Sequence[int], n_folds: int, n_held_out: int, n_draws: int
) -> Iterator[tuple[int, Draw]]:
    """Draw training artists: of every fold held out once, or of the same artists held out."""
    fold = fold_of(ids, n_folds)
    artists = np.array(ids)
    fixed = np.random.default_rng(0).permutation(len(ids))[:n_held_out]
    held_outs = (
        [np.isin(np.arange(len(ids)), fixed)]
        if n_held_out
        else [fold == number for number in range(n_folds)]
    )
    for number in range(n_draws):
        for size in sizes:
            for nth, held_out in enumerate(held_outs):
                others = np.flatnonzero(~held_out)
                if size >= len(others) and number:
                    continue  # there is one way to draw all
                rng = np.random.default_rng([number, nth, size])
                drawn = np.sort(rng.permutation(others)[:size])
                validation = np.isin(np.arange(len(drawn)), rng.permutation(len(drawn))[::5])
                yield (
                    size,
                    Draw(
                        number=number,
                        train=list(artists[drawn[~validation]]),
                        validation=list(artists[drawn[validation]]),
                        queries=list(artists[held_out]),
                    ),
                )


def train(
    corpus: Corpus, draw: Draw, params: TrainingParams, catalogue: CatalogueParams
) -> Trained:
    """Train on the clips of the drawn artists; the held-out artists' listens are not used."""
    learned_from = {*draw.train, *draw.validation}
    artists = corpus.similarity.artists
    taking_part = artists[artists["artist"].isin(learned_from | set(draw.queries))]
    split = Split.from_ids(taking_part, train=draw.train, validation=draw.validation)
    rows = np.flatnonzero(corpus.clips.clips["artist"].isin(learned_from))
    with tempfile.TemporaryDirectory() as folder:
        return train_scorer(
            corpus.clips.select(rows),
            corpus.similarity,
            split,
            params,
            Path(folder) / "checkpoint.pt",
            listens=corpus.listens if params.listener_factors else None,
            pooling=catalogue.pooling,
        )


def evaluate(
    corpus: Corpus, draw: Draw, trained: Trained, params: CatalogueParams
) -> dict[tuple[str, str], Floats]:
    """Compute the NDCG@10 of the queries, (queries,), by score and protocol."""
    artists = corpus.similarity.artists
    taking_part = artists[artists["artist"].isin({*draw.train, *draw.validation, *draw.queries})]
    split = Split.from_ids(taking_part, train=[*draw.train, *draw.validation])
    known = TrainingArtists.from_split(corpus.similarity, split)
    if params.collaborative_denoised:
        known = add_listener_factors(known, corpus.listens, split)
    catalogue = score_catalogue(corpus.clips, trained.scorer, params, known)
    rows, columns = catalogue.rows(draw.queries), catalogue.rows(corpus.ids)
    queries = pd.Index(corpus.ids).get_indexer(pd.Index(draw.queries))
    others = np.arange(len(corpus.ids)) != queries[:, None]
    masks = {"all": others, "fold": others & np.isin(np.arange(len(corpus.ids)), queries)}
    truth = dense(corpus.similarity.matrix[queries]).astype(np.float64)
    values = {}
    for score, of_rows in (("catalogue", catalogue.scores), ("siamese", catalogue.siamese)):
        table = of_rows(rows, columns)
        for protocol, mask in masks.items():
            ranked = rank_truth(truth, mask, 10, np.random.default_rng(1))
            values[score, protocol] = query_ndcg(ranked, table, 10, np.random.default_rng(1))
    return values


def measure(options: argparse.Namespace) -> pd.DataFrame:
    """Measure and summarise; the summary of the draws so far is written after each."""
    recipe = read_recipe(PARAMS, None, options.set)
    catalogue = recipe.read("catalogue", CatalogueParams)
    training = recipe.read("training", TrainingParams)
    systems = {
        "untrained": training.model_copy(update={"keep": "never"}),
        "learned": training.model_copy(update={"epochs": 0}),
    }
    if options.network:
        systems["network"] = training.network_alone
    remember_statistics()
    corpus = Corpus.read(options.folder)
    rows: list[tuple[Any, ...]] = []
    draws = list(
        draw_artists(corpus.ids, options.sizes, options.folds, options.held_out, options.draws)
    )
    for size, draw in tqdm(draws, unit="draw", mininterval=10):
        for system, params in systems.items():
            trained = train(corpus, draw, params, catalogue)
            steps = trained.decision.steps
            weight = steps[0].factors_weight if steps and steps[0].better else 0.0
            for (score, protocol), values in evaluate(corpus, draw, trained, catalogue).items():
                rows += [
                    (size, system, score, protocol, query, draw.number, value,
                     trained.decision.kept, weight)
                    for query, value in zip(draw.queries, values, strict=True)
                ]  # fmt: skip
        with replacing(options.out) as temporary:
            summarise(pd.DataFrame(rows, columns=COLUMNS)).to_csv(temporary, index=False)
    return summarise(pd.DataFrame(rows, columns=COLUMNS))


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Average over draws, and give means, gains over the untrained scorer, and their intervals."""
    keys = ["artists", "score", "protocol"]
    of_queries = values.pivot_table(index=[*keys, "query"], columns="system", values="ndcg")
    rows = []
    for size, score, protocol in product(values["artists"].unique(), SCORES, PROTOCOLS):
        asked = of_queries.xs((size, score, protocol), level=keys)
        for system in asked.columns:
            ndcg = asked[system].to_numpy(np.float64)
            made = values[(values["artists"] == size) & (values["system"] == system)]
            rows.append(
                {"artists": size, "system": system, "score": score, "protocol": protocol}
                | _mean_and_interval("ndcg", ndcg)
                | _mean_and_interval("gain", ndcg - asked["untrained"].to_numpy(np.float64))
                | {"queries": int(np.isfinite(ndcg).sum()), "draws": made["draw"].nunique()}
                | {"kept": round(float((made["kept"] != "untrained").mean()), 3)}
                | {"weight": made["weight"].median()}
            )
    return pd.DataFrame(rows)


def _mean_and_interval(name: str, values: np.ndarray) -> dict[str, float]:
    values = values[np.isfinite(values)]
    low = high = float(values.mean())
    if values.std() > 0:
        rng = np.random.default_rng(1)
        interval = bootstrap((values,), np.mean, method="percentile", rng=rng, n_resamples=2000)
        low, high = map(float, interval.confidence_interval)
    return {name: round(float(values.mean()), 4), f"{name}_low": round(low, 4)} | {
        f"{name}_high": round(high, 4)
    }


def plot(path: Path, curves: dict[str, pd.DataFrame]) -> None:
    """Draw the curves: a row for each corpus, a column for each protocol."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure = Figure(figsize=(8.4, 0.8 + 2.7 * len(curves)), layout="constrained")
    grid = figure.subplots(len(curves), len(PROTOCOLS), squeeze=False, sharex="row")
    colours = {"untrained": "#7a7a7a", "learned": "#0b6fa4", "network": "#c4561b"}
    styles = {"catalogue": "-", "siamese": "--"}
    for row, (title, curve) in enumerate(curves.items()):
        for column, (protocol, where) in enumerate(PROTOCOLS.items()):
            axes = grid[row, column]
            shown = curve[curve["protocol"] == protocol]
            for system, score in product(SYSTEMS, SCORES):
                line = shown[(shown["system"] == system) & (shown["score"] == score)]
                if line.empty:
                    continue
                label = f"{SYSTEMS[system]}, {SCORES[score]}"
                axes.plot(line["artists"], line["ndcg"], styles[score], marker="o", markersize=3.5,
                          color=colours[system], label=label)  # fmt: skip
                axes.fill_between(line["artists"], line["ndcg_low"], line["ndcg_high"],
                                  color=colours[system], alpha=0.08, linewidth=0)  # fmt: skip
            axes.set_xscale("log")
            axes.set_xticks(sorted(shown["artists"].unique()))
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.25)
            axes.tick_params(labelsize=8)
            axes.set_title(f"{title}, {where}", fontsize=9)
            if row == len(curves) - 1:
                axes.set_xlabel("training artists")
        grid[row, 0].set_ylabel("NDCG@10")
    handles, labels = grid[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def write_vectors(real: Path, folder: Path) -> None:
    """Write artefacts of the acceptance corpus's vectors: 271 artists, two sources, no audio."""
    settings = ["listens.require_mbid=false", "spectrograms.embeddings=only",
                "similarity.neighbours=0"]  # fmt: skip
    recipe = read_recipe(PARAMS, None, settings)
    listens, _ = read_listens(real / "hetrec2011-lastfm-2k", recipe.read("listens", ListensParams))
    clips = pd.read_csv(real / "clips.csv").set_index("file")["artist"]
    tables = []
    for source, name in (("emotion", "musicnn.npz"), ("excerpts", "more_vectors.npz")):
        with np.load(real / name, allow_pickle=False) as table:
            artists = table["artist"] if "artist" in table else clips.loc[table["clip"]]
            tables.append(
                pd.DataFrame({"name": artists, "source": source, "vector": list(table["vector"])})
            )
    table = pd.concat(tables, ignore_index=True)
    ids = listens.artists["artist"]
    id_of_name = dict(
        zip(map(normalise_name, listens.artists["name"][::-1]), ids[::-1], strict=True)
    )
    table["artist"] = [id_of_name.get(normalise_name(name), "") for name in table["name"]]
    table = table[table["artist"] != ""].sort_values(["artist", "source"], ignore_index=True)
    n = len(table)
    similarity = compute_similarity(
        listens, set(table["artist"]), recipe.read("similarity", SimilarityParams)
    )
    similarity.write(folder / "similarity")
    listens.write(folder / "listens")
    front = recipe.read("spectrograms", SpectrogramsParams)
    Spectrograms(
        clips=pd.DataFrame(
            {
                "file": [f"{row}.wav" for row in range(n)],
                "artist": table["artist"],
                "name": table["name"],
                "title": "",
                "source": table["source"],
                "seconds": 30.0,
            }
        ),
        values=np.stack(list(table["vector"])).astype(np.float32)[:, :, None],
        mfcc_mean=np.zeros((n, front.n_mfcc), np.float32),
        mfcc_cov=np.tile(np.eye(front.n_mfcc, dtype=np.float32), (n, 1, 1)),
        front=front,
        joined=np.empty((n, 0), np.float32),
    ).write(folder / "spectrograms")
    print(f"{similarity.artists.shape[0]} artists, {n} vectors")


def _sizes(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    curve = commands.add_parser("measure")
    curve.add_argument("folder", type=Path)
    curve.add_argument("out", type=Path)
    curve.add_argument("--sizes", type=_sizes, default=[25, 50, 100, 200])
    curve.add_argument("--draws", type=int, default=2)
    curve.add_argument("--folds", type=int, default=5, help="each held out once")
    curve.add_argument("--held-out", type=int, default=0, help="so many artists, instead of folds")
    curve.add_argument("--network", action="store_true", help="train the network too")
    curve.add_argument("--set", nargs="*", default=[], help="section.key=value")
    vectors = commands.add_parser("vectors")
    vectors.add_argument("real", type=Path)
    vectors.add_argument("folder", type=Path)
    figure = commands.add_parser("plot")
    figure.add_argument("out", type=Path)
    figure.add_argument("curves", nargs="+", help="title=FILE.csv")
    options = parser.parse_args()
    if options.command == "measure":
        print(measure(options).to_string(index=False))
    elif options.command == "vectors":
        write_vectors(options.real, options.folder)
    else:
        named = (text.rpartition("=") for text in options.curves)
        plot(options.out, {title: pd.read_csv(file) for title, _, file in named})


if __name__ == "__main__":
    main()
