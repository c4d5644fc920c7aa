"""Stage 8: the catalogue and the test artists -> how well each system ranks, and how surely."""

import json
import sys
from pathlib import Path

from twinear.catalogue import Catalogue
from twinear.files import write_text
from twinear.pairs import Split
from twinear.params import read_params
from twinear.ranking.ranking import RankingParams, rank_test
from twinear.ranking.summary import differences, hubs, summarise, undefined
from twinear.ranking.systems import line_up
from twinear.ranking.table import format_table
from twinear.similarity import Similarity
from twinear.spectrograms import Spectrograms
from twinear.stage import run_stage


def ranking(
    catalogue: Path,
    spectrograms: Path,
    similarity: Path,
    pairs: Path,
    folder: Path,
    ranks: Path,
    apart: Path,
    hubness: Path,
) -> None:
    params = read_params("ranking", RankingParams)
    systems = line_up(
        Catalogue.read(catalogue), Spectrograms.read(spectrograms), Similarity.read(similarity)
    )
    test, chance = rank_test(systems.of(Split.read(pairs).members("test")), params)
    test.write(folder)
    summary = summarise(test.queries, chance, params)
    lead = differences(test.queries, params)
    write_text(ranks, json.dumps(summary, indent=2))
    write_text(apart, json.dumps(lead, indent=2))
    write_text(hubness, json.dumps(hubs(systems, params), indent=2))
    for metric, count in undefined(test.queries).items():
        print(f"{metric} is not defined for {count} of {len(test.artists)}", file=sys.stderr)
    print(format_table(summary, lead))


if __name__ == "__main__":
    run_stage(ranking)
