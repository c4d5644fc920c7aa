"""The ranking of a large catalogue: seconds, and peak memory, of each part of the stage.

Artists, clips, similarity and listens are planted, so that only time and memory mean anything. A
fifth of the artists are test artists. The similarity is that of 100 neighbours of each artist;
spectrograms are small (8 bands x 16 frames), so that the time of the baseline `l2`, which grows
with their size, is that of its blocks. Nothing is read or written.

    python -m benchmarks.ranking [--artists 100000] [--queries 1000] [--chance 1000] [--draws 20]
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array, eye_array

from benchmarks.planted_artists import plant
from twinear.base.params import read_params
from twinear.catalogue.building import ScoredArtists
from twinear.catalogue.calibration import SiameseScale
from twinear.catalogue.head import CosineHead
from twinear.catalogue.params import CatalogueParams
from twinear.catalogue.scoring import Scoring
from twinear.metrics.ranking_metrics import others
from twinear.ranking.listener_equivalents import JudgedSystems, listener_equivalents
from twinear.ranking.ranking import RankingParams, rank_test
from twinear.ranking.summary import differences, measure_hubness, summarise
from twinear.ranking.systems import score_test
from twinear.similarity.listener_sample import ListenerSample
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.partitions import Baskets
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams
from twinear.spectrograms.spectrograms import Spectrograms

ROOT = Path(__file__).resolve().parents[1]
PARAMS = ROOT / "params.yaml"
N_MFCC, NEIGHBOURS, REPRESENTATIVES, CLIPS = 20, 100, 32, 3


def plant_nouns(
    n_artists: int, folder: Path
) -> tuple[ScoredArtists, Spectrograms, Similarity, list[str]]:
    """Make a catalogue, clips, a similarity, and the ids of the test artists."""
    rng = np.random.default_rng(1)
    planted = plant(n_artists, 1, folder)
    known, n_known = planted.colistening.rows, len(planted.colistening.rows)
    ids = np.array([f"{row:07}" for row in range(n_artists)])
    representatives = rng.integers(n_known, size=(n_artists, REPRESENTATIVES)).astype(np.int32)
    weights = rng.dirichlet(np.ones(REPRESENTATIVES), n_artists).astype(np.float32)
    representatives[known], weights[known] = -1, 0
    representatives[known, 0], weights[known, 0] = np.arange(n_known), 1
    catalogue = ScoredArtists(
        table=pd.DataFrame({"artist": ids, "name": ids, "clips": CLIPS}),
        clips=pd.DataFrame(),
        encoded=replace(planted.artists, representatives=representatives, weights=weights),
        scoring=Scoring(
            head=CosineHead(scale=10, bias=-5),
            params=read_params("catalogue", CatalogueParams, PARAMS),
            mean=-3,
            deviation=1,
            colistening=planted.colistening,
        ),
        calibration=SiameseScale(mean=0, deviation=1),
    )
    of_clip = np.repeat(ids, CLIPS)
    clips = pd.DataFrame({"file": of_clip, "artist": of_clip, "name": of_clip})
    spread = np.tile(np.eye(N_MFCC, dtype=np.float32), (len(clips), 1, 1))
    spectrograms = Spectrograms(
        clips=clips.assign(title="", source="", seconds=30.0),
        values=rng.random((len(clips), 8, 16), dtype=np.float32).astype(np.float16),
        mfcc_mean=rng.normal(size=(len(clips), N_MFCC)).astype(np.float32),
        mfcc_cov=spread * rng.uniform(0.5, 2, (len(clips), 1, 1)).astype(np.float32),
        front=read_params("spectrograms", SpectrogramsParams, PARAMS),
        joined=np.empty((len(clips), 0), np.float32),
    )
    row = np.repeat(np.arange(n_artists), NEIGHBOURS)
    column = (row + rng.integers(1, 400, len(row))) % n_artists
    one_way = coo_array((rng.random(len(row), np.float32), (row, column)), (n_artists,) * 2).tocsr()
    matrix = csr_array(one_way.maximum(one_way.T) + eye_array(n_artists, dtype=np.float32))
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "plays": 1})
    similarity = Similarity(
        artists=artists.assign(listeners=np.arange(n_artists, 0, -1)), matrix=matrix
    )
    return catalogue, spectrograms, similarity, list(np.delete(ids, known))


def plant_listeners(
    similarity: Similarity, n_listeners: int, params: SimilarityParams
) -> ListenerSample:
    rng = np.random.default_rng(2)
    n_artists, n_each = len(similarity.artists), 50
    first = rng.integers(n_artists, size=n_listeners)
    heard = (first[:, None] + rng.integers(0, 400, (n_listeners, n_each))) % n_artists
    entries = np.repeat(np.arange(n_listeners), n_each), heard.ravel()
    plays = coo_array((np.ones(heard.size, np.int64), entries), (n_listeners, n_artists)).tocsr()
    return ListenerSample(
        artists=similarity.artists,
        baskets=Baskets(plays=csr_array(plays), listener=np.arange(n_listeners)),
        n_sampled=n_listeners,
        n_listeners=n_listeners,
        params=params,
    )


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Print what a part takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{part:22} {wall:8.1f} s  {cpu:8.1f} CPU s  peak {peak:5.2f} GiB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artists", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--chance", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=20, help="of listeners; 0: none")
    arguments = parser.parse_args()
    params = read_params("ranking", RankingParams, PARAMS).model_copy(
        update={
            "max_queries": arguments.queries,
            "n_chance": arguments.chance,
            "listener_draws": max(arguments.draws, 1),
        }
    )
    with tempfile.TemporaryDirectory() as work:
        with timed("planting"):
            made, clips, target, test = plant_nouns(arguments.artists, Path(work))
        print(f"{len(made.table):,} artists, {len(test):,} of them test artists")
        with timed("scores"):
            systems, everyone = score_test(made, clips, target, test, params)
        with timed("metrics and chance"):
            ranking, chance = rank_test(systems, params)
        with timed("intervals, hubs"):
            summary = summarise(ranking.queries, chance, params)
            differences(ranking.queries, params)
            measure_hubness(everyone.scores, params)
        print(f"random rankings: {len(chance['mrr'])}, queries: {len(ranking.artists)}")
        if not arguments.draws:
            raise SystemExit
        with timed("listener equivalents"):
            sample = plant_listeners(
                target, 20_000, read_params("similarity", SimilarityParams, PARAMS)
            )
            judged = JudgedSystems(
                ids=list(ranking.artists["artist"]),
                candidates=others(len(ranking.artists)),
                scores={system: [table] for system, table in ranking.scores.items()},
                strict={},
            )
            listener_equivalents(judged, sample, params)
