"""Stage 8: the catalogue and the test artists -> how well each system ranks, and how surely."""

import json
import sys
from pathlib import Path

from twinear.base.files import sha256, write_text
from twinear.base.params import read_params, read_stages
from twinear.base.stage import run_stage
from twinear.catalogue.catalogue import Catalogue
from twinear.ranking.ranking import RankingParams, rank_test
from twinear.ranking.summary import as_metrics, differences, headline, hubs, summarise, undefined
from twinear.ranking.systems import line_up
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.split import Split
from twinear.tracking.runs import open_run


def ranking(
    catalogue: Path,
    spectrograms: Path,
    similarity: Path,
    split: Path,
    scorer: Path,
    folder: Path,
    ranks: Path,
    apart: Path,
    hubness: Path,
) -> None:
    params = read_params("ranking", RankingParams)
    systems = line_up(
        Catalogue.read(catalogue), Spectrograms.read(spectrograms), Similarity.read(similarity)
    )
    test, chance = rank_test(systems.of(Split.read(split).members("test")), params)
    summary = summarise(test.queries, chance, params)
    lead, hub = differences(test.queries, params), hubs(systems, params)
    test.write(folder)
    for path, numbers in ((ranks, summary), (apart, lead), (hubness, hub)):
        write_text(path, json.dumps(numbers, indent=2))
    for metric, count in undefined(test.queries).items():
        print(f"{metric} is not defined for {count} of {len(test.artists)}", file=sys.stderr)
    with open_run(read_stages(), sha256(scorer)) as run:
        run.log_metrics(headline(summary) | as_metrics(summary))


if __name__ == "__main__":
    run_stage(ranking)
