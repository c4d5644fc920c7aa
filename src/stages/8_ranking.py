"""Stage 8: catalogue and test artists -> how well each system ranks, with intervals."""

from twinear.base.interrupts import end_on_interrupt

end_on_interrupt()  # on Ctrl-C, also while what follows is imported

import hashlib
import sys
from pathlib import Path

import pandas as pd

from twinear.base.files import sha256, write_json
from twinear.base.params import read_params, read_stages
from twinear.base.stage import run_stage
from twinear.catalogue.catalogue import Catalogue
from twinear.ranking.key_figures import key_figures
from twinear.ranking.listener_equivalents import judge_test, listener_equivalents
from twinear.ranking.ranking import RankingParams, rank_test
from twinear.ranking.receipt import write_receipt
from twinear.ranking.summary import (
    NO_TRUTH,
    count_undefined,
    differences,
    measure_hubness,
    summarise,
)
from twinear.ranking.systems import score_test
from twinear.ranking.tracked import tabulate_systems, tracked_metrics
from twinear.ranking.without_listens import hubness_of_catalogue, rank_nothing
from twinear.similarity.listener_sample import read_listener_sample
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.tracking.datasets import TrackedData
from twinear.tracking.runs import open_run


def ranking(
    catalogue: Path,
    spectrograms: Path,
    similarity: Path,
    split: Path,
    listens: Path,
    scorer: Path,
    training: Path,
    folder: Path,
    ranking_json: Path,
    differences_json: Path,
    hubness_json: Path,
    listeners_json: Path,
    metrics_json: Path,
) -> None:
    """Rank the test artists; without listens there are none, and only hubs are counted."""
    params, made = read_params("ranking", RankingParams), Catalogue.read(catalogue)
    target = Similarity.read(similarity, may_be_empty=True)
    if target.artists.empty:
        rank_nothing().write(folder)
        for path in (ranking_json, differences_json, metrics_json):
            write_json(path, NO_TRUTH)
        write_json(hubness_json, hubness_of_catalogue(made, params))
        write_json(listeners_json, None)
        write_receipt(folder, made.identity, [ranking_json, listeners_json])
        print("ranking: no listens, so there is nothing to judge by", file=sys.stderr)
        return
    members = Split.read(split).members("test")
    systems, everyone = score_test(made, Spectrograms.read(spectrograms), target, members, params)
    test, chance = rank_test(systems, params)
    sample = read_listener_sample(
        listens,
        read_params("similarity", SimilarityParams),
        params.max_listeners,
        params.generator("sample"),
    )
    summary = summarise(test.queries, chance, params)
    leads, hubs = differences(test.queries, params), measure_hubness(everyone.scores, params)
    test.write(folder)
    for path, numbers in (
        (ranking_json, summary),
        (differences_json, leads),
        (hubness_json, hubs),
        (listeners_json, listener_equivalents(judge_test(test, made), sample, params)),
        (metrics_json, key_figures(summary, leads, hubs, pd.read_csv(training))),
    ):
        write_json(path, numbers)
    write_receipt(folder, made.identity, [ranking_json, listeners_json])
    for metric, count in count_undefined(test.queries).items():
        print(f"{metric} is not defined for {count} of {len(test.artists)}", file=sys.stderr)
    with open_run(read_stages(), sha256(scorer)) as run:
        run.log_results(tracked_metrics(summary, leads, hubs), _test_data(split, similarity))
        run.log_text(tabulate_systems(summary).to_csv(index=False), "baselines.csv")


def _test_data(split: Path, similarity: Path) -> TrackedData:
    """The queries and their truth: the same digest is the same test."""
    parts = sha256(split) + sha256(Similarity.file(similarity))
    return TrackedData(
        name="test artists",
        source=split,
        digest=hashlib.sha256(parts.encode()).hexdigest(),
        schema=dict.fromkeys(Split.read(split).artists.columns, "string"),
    )


if __name__ == "__main__":
    run_stage(ranking)
