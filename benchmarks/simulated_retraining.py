"""How often promotion makes the wrong scorer champion: simulated retrainings of the sample.

A world is a split of the bundled sample with a champion that was trained on it. In each world
scorers are trained on

- the same data with new seeds (nothing is new, so every promotion is by luck),
- listens whose artists are shuffled (they say nothing, the clips are as before),
- two thirds of the listens, drawn at random (the data check would block this, see
  `acceptance.max_lost`; here a person has accepted it),
- the same data with a better setting (listener factors in half of the worlds, more epochs in the
  other half),

and the code of `twinear promote` judges them, without the registry. Every number that it judges by
is kept, so that a changed rule is applied to the same trainings in seconds.

A promotion is false

- with a new seed: always, since nothing is new (the bar is a share, here as for a test's level);
- on shuffled listens: always;
- on fewer listens: if the challenger is worse than the champion by more than the margin, for the
  similarity by all listens.

The check of the planted truth is left out: real data have no hidden styles. In a world every scorer
of the usual setting is champion once, so that it has eleven retrainings with six trainings.

The usual setting is the network alone, always kept, for a few epochs: so every seed gives another
scorer. (With listener factors, which have no seed, many would be the same.)

    python -m benchmarks.simulated_retraining FOLDER [--worlds 20]

What is done already in FOLDER is not done again. A world takes about 15 s of one core.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array
from scipy.stats import binomtest
from tqdm import tqdm

from twinear.base.files import replacing, write_json
from twinear.base.params import PARAMS, parse_params, read_params, read_sections
from twinear.base.text import markdown_table
from twinear.cli.promotion import read_rules
from twinear.listens.listens import Listens
from twinear.metrics.ranking_metrics import Floats
from twinear.model import inputs
from twinear.model.scorer import Scorer
from twinear.retraining.held_out import PipelineFolders, read_held_out
from twinear.retraining.promotion import Rules, judge
from twinear.retraining.promotion_rule import QueryNdcg, decide
from twinear.similarity.computation import compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.spectrograms import Spectrograms
from twinear.spectrograms.statistics import spectrogram_statistics
from twinear.split import Split, SplitParams, split_artists
from twinear.training.scorer_training import train_scorer
from twinear.training.training import TrainingParams

DATA, ARTIFACTS = Path("data"), Path("artifacts")
SHARED = ("spectrograms", "clips.csv")  # artefacts that are the same in every world
# the params of training that are not those of params.yaml
USUAL = {"listener_factors": 0, "keep": "always", "epochs": 6, "threads": 1}
CLEAR = 3  # standard errors of a lead that must be promoted
PLANTED = "planted truth"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a challenger is trained on, and how."""

    name: str
    data: str = "same"  # same, shuffled or fewer
    training: Mapping[str, Any] = field(default_factory=dict)  # what is not as for the champion


CHAMPION = Scenario(name="champion")
SCENARIOS = {
    "a": Scenario(name="unchanged data, new seed", training={"seed": 2}),
    "b": Scenario(name="unchanged data, new seed", training={"seed": 3}),
    "c": Scenario(name="shuffled listens", data="shuffled"),
    "d": Scenario(name="a third of the listens gone", data="fewer"),
    "e": Scenario(name="a better setting", training={"listener_factors": 64, "keep": "better"}),
    "f": Scenario(name="a better setting", training={"epochs": 20}),
}


def scenarios(world: int) -> dict[str, Scenario]:
    """Give the five retrainings of a world."""
    left_out = "ef"[world % 2 == 0]
    return {key: scenario for key, scenario in SCENARIOS.items() if key != left_out}


def shuffled(listens: Listens, rng: np.random.Generator) -> Listens:
    """Give the listens of each artist to another."""
    order = rng.permutation(len(listens.artists))
    who = ["artist", "name", "mbid"]
    artists = listens.artists.copy()
    artists[who] = listens.artists[who].iloc[order].to_numpy()
    return Listens(artists=artists, plays=listens.plays)


def fewer(listens: Listens, rng: np.random.Generator) -> Listens:
    """Drop a third of the pairs of a listener and an artist."""
    entries = listens.plays.tocoo()
    kept = rng.random(entries.nnz) < 2 / 3
    values = (entries.data[kept], (entries.row[kept], entries.col[kept]))
    plays = csr_array(values, shape=entries.shape)
    plays = plays[np.flatnonzero(np.diff(plays.indptr))]
    counted = listens.artists.assign(
        listeners=np.bincount(plays.indices, minlength=plays.shape[1]),
        plays=np.asarray(plays.sum(axis=0)).ravel(),
    )
    artists = counted.sort_values(["listeners", "artist"], ascending=[False, True])
    columns = plays[:, artists.index.to_numpy()]
    columns.sort_indices()
    return Listens(artists=artists.reset_index(drop=True), plays=csr_array(columns))


def plant_world(number: int, folder: Path) -> Path:
    """Write the artefacts of a world, one folder for each kind of data; return `folder`."""
    if folder.exists():
        return folder
    listens = Listens.read(ARTIFACTS / "listens")
    similarity_params = read_params("similarity", SimilarityParams)
    split_params = read_params("split", SplitParams)
    seeds = {"method": "fractions", "seeds": (2 * number + 1, 2 * number + 2)}
    artists = Similarity.read(ARTIFACTS / "similarity").artists
    split = split_artists(artists, split_params.model_copy(update=seeds))
    rng = np.random.default_rng(number)
    with replacing(folder) as temporary:
        kinds = {"same": listens, "shuffled": shuffled(listens, rng), "fewer": fewer(listens, rng)}
        for kind, of_kind in kinds.items():
            artifacts = temporary / kind
            artifacts.mkdir(parents=True)
            of_kind.write(artifacts / "listens")
            ids = set(of_kind.artists["artist"])
            compute_similarity(of_kind, ids, similarity_params, 1).write(artifacts / "similarity")
            split.write(artifacts / "split.csv")
            for name in SHARED:
                (artifacts / name).symlink_to((ARTIFACTS / name).resolve())
    return folder


def train(scenario: Scenario, world: Path, path: Path) -> Path:
    """Train the scorer of a scenario; return its file."""
    if not path.exists():
        artifacts = world / scenario.data
        section = read_sections(PARAMS)["training"]
        section |= {**USUAL, **scenario.training}
        section["model"]["embeddings_shares"] = [0.0]
        trained = train_scorer(
            Spectrograms.read(artifacts / "spectrograms"),
            Similarity.read(artifacts / "similarity"),
            Split.read(artifacts / "split.csv"),
            parse_params("training", TrainingParams, section),
            path.with_suffix(".pt"),
            listens=Listens.read(artifacts / "listens"),
            pooling=read_rules().pooling,
        )
        path.with_suffix(".pt").unlink(missing_ok=True)
        trained.scorer.write(path)
    return path


def evaluate(scorer: Path, artifacts: Path) -> tuple[QueryNdcg, bool]:
    """Check and evaluate a scorer on some data as `twinear promote` does, without a champion.

    All numbers are kept beside the scorer. The check of the planted truth is left out.
    """
    into = scorer.with_name(f"{scorer.stem}-on-{artifacts.name}.json")
    if not into.exists():
        rules, folders = read_rules(), PipelineFolders(data=DATA, artifacts=artifacts)
        test = read_held_out(folders, rules.pooling)
        judgement = judge(Scorer.read(scorer), None, test, folders, rules, 1, same_queries=False)
        ndcg = {
            name: values.tolist()
            for name, values in vars(judgement.ndcg).items()
            if isinstance(values, np.ndarray)
        }
        checks = {check.name: check.passed for check in judgement.checks}
        write_json(into, {"ndcg": ndcg, "checks": checks})
    kept = json.loads(into.read_text(encoding="utf-8"))
    arrays = {name: np.array(values) for name, values in kept["ndcg"].items()}
    passed = all(value for name, value in kept["checks"].items() if name != PLANTED)
    return QueryNdcg(**arrays, champion=None, same_queries=False), passed


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """A retraining: what the rule says, and what is true."""

    world: int
    scenario: str
    challenger: str
    champion: str
    promoted: bool
    false: bool
    lead: float  # over the champion on the test artists
    errors: float  # the same in standard errors
    chance_errors: float  # the lead on chance in standard errors
    deviations: float  # above shuffled labels, in their standard deviations
    reason: str


def retrain(world: Path, key: str, scenario: Scenario, champion: str, rules: Rules) -> Simulated:
    """Judge a challenger beside a champion on the challenger's data."""
    artifacts = world / scenario.data
    challenger, passed = evaluate(world / f"{key}.safetensors", artifacts)
    of_champion = evaluate(world / f"{champion}.safetensors", artifacts)[0].challenger
    same = scenario.data == "same"
    ndcg = replace(challenger, champion=of_champion, same_queries=same)
    outcome = decide(ndcg, rules.promotion, rules.ranking)
    promoted = outcome.promoted and passed
    lead, errors = in_errors(ndcg.challenger - of_champion)
    if scenario.data == "fewer":  # on the similarity by all listens
        all_listens = (world / "same" / "similarity").parent
        now, before = (
            evaluate(world / f"{name}.safetensors", all_listens)[0].challenger
            for name in (key, champion)
        )
        wrong = float(np.nanmean(now - before)) < -rules.promotion.margin
    else:
        wrong = scenario.name != SCENARIOS["e"].name
    return Simulated(
        world=int(world.name.removeprefix("world-")),
        scenario=scenario.name,
        challenger=key,
        champion=champion,
        promoted=promoted,
        false=promoted and wrong,
        lead=lead,
        errors=errors,
        chance_errors=in_errors(ndcg.challenger - ndcg.chance)[1],
        deviations=outcome.numbers["deviations"],
        reason=outcome.reason,
    )


def in_errors(differences: Floats) -> tuple[float, float]:
    """Give the mean of paired differences, and the same in standard errors."""
    defined = differences[np.isfinite(differences)]
    error = float(defined.std(ddof=1)) / math.sqrt(len(defined))
    mean = float(defined.mean())
    return mean, mean / error if error else 0.0


def remember_statistics() -> Callable[..., dict[str, Any]]:
    """Give a `spectrogram_statistics` that computes each clip once: they take most of the time."""
    known: dict[tuple[type, bytes], dict[str, Any]] = {}

    def statistics(x: Any, *options: float) -> dict[str, Any]:
        keys = [(type(x), np.asarray(clip[:, ::40]).tobytes()) for clip in x]
        for row, key in enumerate(keys):
            if key not in known:
                known[key] = spectrogram_statistics(x[row : row + 1], *options)
        join = np.concatenate if isinstance(x, np.ndarray) else torch.cat
        return {name: join([known[key][name] for key in keys]) for name in known[keys[0]]}

    return statistics


def format_table(retrainings: Sequence[Simulated]) -> str:
    """Tabulate promotions, false ones and clear leads by scenario."""
    header = ["retrainings", "n", "promoted", "false", "leads of 3 errors", "of them promoted"]
    rows = []
    names = list(dict.fromkeys(each.scenario for each in retrainings))
    for name in [*names, "all"]:
        some = [each for each in retrainings if name in (each.scenario, "all")]
        n_false = sum(each.false for each in some)
        high = binomtest(n_false, len(some)).proportion_ci(method="wilson").high
        clear = [each for each in some if each.errors >= CLEAR]
        rows.append(
            [
                name,
                str(len(some)),
                str(sum(each.promoted for each in some)),
                f"{n_false} ({n_false / len(some):.1%}, at most {high:.1%})",
                str(len(clear)),
                str(sum(each.promoted for each in clear)),
            ]
        )
    return markdown_table(header, rows)


def main() -> None:
    """Do what is not done yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worlds", type=int, default=20, help="splits, of 11 retrainings each")
    parser.add_argument("--first", type=int, default=0, help="the number of the first split")
    parser.add_argument(
        "--fresh", type=int, nargs="+", default=[101], help="seeds of other corpora"
    )
    given = parser.parse_args()
    rules, retrainings = read_rules(), list[Simulated]()
    torch.set_num_threads(1)
    with patch.object(inputs, "spectrogram_statistics", remember_statistics()):
        for number in tqdm(range(given.first, given.first + given.worlds), unit="world"):
            world = plant_world(number, given.folder / f"world-{number:03}")
            tried = scenarios(number)
            for key, scenario in {"champion": CHAMPION, **tried}.items():
                train(scenario, world, world / f"{key}.safetensors")
            equals = ("champion", "a", "b")
            pairs = [
                *((key, "a", champion) for key, champion in permutations(equals, 2)),
                *((key, key, "champion") for key in ("c", "d")),
                *((key, key, champion) for key in tried if key in "ef" for champion in equals),
            ]
            retrainings += [
                retrain(world, key, SCENARIOS[scenario], champion, rules)
                for key, scenario, champion in pairs
            ]
            table = pd.DataFrame(map(asdict, retrainings))
            table.to_csv(given.folder / "retrainings.csv", index=False)
    print(format_table(retrainings))
    shown = ["lead", "errors", "chance_errors", "deviations"]
    print(table.groupby("scenario", sort=False)[shown].agg(["mean", "min", "max"]).round(4))


if __name__ == "__main__":
    main()
