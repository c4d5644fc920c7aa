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

What is true is measured on artists that nobody trained or judged on: corpora of other seeds, made
like the sample, whose artists rank each other in groups as large as the test split. A promotion is
false if the challenger is worse than the rule promises there: not better than the champion, or on
changed data worse by more than the margin. The check of the planted truth is left out: real data
have no hidden styles.

The usual setting is the network alone, always kept, for a few epochs: so every seed gives another
scorer. (With listener factors, which have no seed, many would be the same.)

    python -m benchmarks.simulated_retraining FOLDER [--worlds 40]

What is done already in FOLDER is not done again. One core: a training takes about 3 s.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from ruamel.yaml import YAML
from scipy.sparse import csr_array
from scipy.stats import binomtest
from tqdm import tqdm

from twinear.acquisition.sample.corpus import CorpusSize, write_corpus
from twinear.base.files import replacing, write_json
from twinear.base.params import PARAMS, parse_params, read_params, read_sections
from twinear.base.text import markdown_table
from twinear.cli.promotion import read_rules
from twinear.listens.listens import Listens
from twinear.metrics.ranking_metrics import Floats
from twinear.model import inputs
from twinear.model.scorer import Scorer
from twinear.retraining.held_out import Evaluator, PipelineFolders, read_held_out
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
N_TEST = 16  # artists of the test split
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
        section |= USUAL | scenario.training
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


def retrain(scenario: Scenario, champion: Path, challenger: Path, world: Path, into: Path) -> None:
    """Judge a challenger as `twinear promote` does, and keep all that it was judged by."""
    if into.exists():
        return
    rules = read_rules()
    folders = PipelineFolders(data=DATA, artifacts=world / scenario.data)
    test = read_held_out(folders, rules.pooling)
    before = read_held_out(PipelineFolders(data=DATA, artifacts=world / "same"), rules.pooling)
    judgement = judge(
        Scorer.read(challenger),
        Scorer.read(champion),
        test,
        folders,
        rules,
        1,
        same_queries=test.digest == before.digest,
    )
    ndcg = {
        name: values.tolist() if isinstance(values, np.ndarray) else values
        for name, values in vars(judgement.ndcg).items()
    }
    checks = {check.name: check.passed for check in judgement.checks}
    write_json(into, {"scenario": scenario.name, "checks": checks, "ndcg": ndcg})


def plant_fresh(folder: Path) -> Path:
    """Make a corpus of other artists and run the stages up to spectrograms there."""
    seed = int(folder.name)
    if not (folder / "data").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_corpus(folder / "data", seed, CorpusSize(), tqdm)
        (folder / PARAMS).write_bytes(PARAMS.read_bytes())
    source = Path(__file__).parents[1]
    settings = {**os.environ, "TWINEAR_TRACKING": "off", "PYTHONPATH": str(source / "src")}
    (folder / "reports").mkdir(exist_ok=True)
    stages = YAML(typ="safe").load(source / "dvc.yaml")["stages"]
    for name in ("listens", "similarity", "clips", "spectrograms", "split"):
        _, script, *paths = shlex.split(stages[name]["cmd"])
        if not (folder / paths[-1]).exists():
            words = [sys.executable, str(source / script), *paths]
            subprocess.run(words, cwd=folder, env=settings, check=True)
    return folder


def fresh_evaluators(folder: Path, rules: Rules) -> list[Evaluator]:
    """Group the artists of a fresh corpus as large as the test split; give an evaluator of each."""
    artifacts = folder / "artifacts"
    split = Split.read(artifacts / "split.csv")
    Split(artists=split.artists.assign(split="test")).write(artifacts / "split.csv")
    folders = PipelineFolders(data=folder / "data", artifacts=artifacts)
    everyone = read_held_out(folders, rules.pooling)
    order = np.random.default_rng(0).permutation(everyone.artists)
    return [
        Evaluator(held_out=everyone.exclude(set(order) - set(group), 2), params=rules.ranking)
        for group in np.split(order, len(order) // N_TEST)
    ]


def fresh_ndcg(scorer: Path, seed: int, evaluators: Sequence[Evaluator]) -> Floats:
    """Compute NDCG@10 of every artist of a fresh corpus, (artists,)."""
    path = scorer.with_suffix(f".{seed}.json")
    if not path.exists():
        values, read = list[float](), Scorer.read(scorer)
        for evaluator in evaluators:
            held_out = evaluator.held_out
            embeddings = held_out.encode(read, DATA, 1)
            values += evaluator.ndcg(held_out.score(read, embeddings)).tolist()
        write_json(path, values)
    return np.array(json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """A retraining: what the rule says, and what is true."""

    world: int
    scenario: str
    promoted: bool
    reason: str
    lead: float  # over the champion on the test artists
    errors: float  # the same in standard errors
    true_lead: float  # over the champion on fresh artists; NaN where these were not measured
    false: bool  # promoted, and worse than the rule promises


def read_simulated(into: Path, true_lead: float, rules: Rules, world: int) -> Simulated:
    """Apply the present rule to a retraining that was kept."""
    kept = json.loads(into.read_text(encoding="utf-8"))
    arrays = {
        name: np.array(values) if isinstance(values, list) else values
        for name, values in kept["ndcg"].items()
    }
    ndcg = QueryNdcg(**arrays)
    rule = decide(ndcg, rules.promotion.margin, rules.ranking)
    passed = all(value for name, value in kept["checks"].items() if name != PLANTED)
    difference = ndcg.challenger - ndcg.champion
    difference = difference[np.isfinite(difference)]
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    lead = float(difference.mean())
    least = 0.0 if ndcg.same_queries else -rules.promotion.margin
    promoted = rule.promoted and passed
    return Simulated(
        world=world,
        scenario=kept["scenario"],
        promoted=promoted,
        reason=rule.reason,
        lead=lead,
        errors=lead / error if error else 0.0,
        true_lead=true_lead,
        false=promoted and not true_lead > least,
    )


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
    parser.add_argument("--worlds", type=int, default=40, help="splits, of 5 retrainings each")
    parser.add_argument("--first", type=int, default=0, help="the number of the first split")
    parser.add_argument(
        "--fresh", type=int, nargs="+", default=[101], help="seeds of other corpora"
    )
    given = parser.parse_args()
    rules = read_rules()
    torch.set_num_threads(1)
    scorers: dict[tuple[int, str], Path] = {}
    with patch.object(inputs, "spectrogram_statistics", remember_statistics()):
        for number in tqdm(range(given.first, given.first + given.worlds), unit="world"):
            world = plant_world(number, given.folder / f"world-{number:03}")
            champion = train(CHAMPION, world, world / "champion.safetensors")
            scorers[number, "champion"] = champion
            for key, scenario in scenarios(number).items():
                scorers[number, key] = train(scenario, world, world / f"{key}.safetensors")
                into = world / f"{key}-judged.json"
                retrain(scenario, champion, scorers[number, key], world, into)
        fresh = {
            seed: fresh_evaluators(plant_fresh(given.folder / "fresh" / str(seed)), rules)
            for seed in given.fresh
        }
        ndcg = {
            key: np.concatenate([fresh_ndcg(path, *corpus) for corpus in fresh.items()])
            for key, path in tqdm(scorers.items(), unit="scorer")
        }
    retrainings = []
    for number, key in scorers:
        if key != "champion":
            lead = float(np.nanmean(ndcg[number, key] - ndcg[number, "champion"]))
            into = scorers[number, key].with_name(f"{key}-judged.json")
            retrainings.append(read_simulated(into, lead, rules, number))
    table = pd.DataFrame(map(asdict, retrainings))
    table.to_csv(given.folder / "retrainings.csv", index=False)
    print(format_table(retrainings))
    print(
        table.groupby("scenario", sort=False)[["lead", "true_lead"]].agg(["mean", "std"]).round(4)
    )


if __name__ == "__main__":
    main()
