"""Epochs of a set number of steps, along neighbours, beside one that grows with all pairs.

Artists are planted, a third of them near others of their scene; a clip is an embedding in which
eight dimensions say who listens and others, twice as loud, say nothing. The similarity is sparse:
the 100 most similar artists of each. A *quadratic epoch* has as many steps as score every pair of
training artists once (10,000 artists, 64 a step: 24,802). Trained with each share of similar
artists in a step are a twentieth of these steps; the rest is trained with random artists only.

Shown are the NDCG@10 of artists that were held out, the mean over seeds and its range, and the
milliseconds of a step.

    python -m benchmarks.budgeted_epochs [--artists 10000] [--seeds 3] [--objective approx_ndcg]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, eye_array

from twinear.base.params import parse_params, read_params
from twinear.model.inputs import Embedding
from twinear.training.batches import ClipInputs, Examples
from twinear.training.checkpoint import Epoch
from twinear.training.training import TrainingParams, fit, steps_per_epoch

ROOT = Path(__file__).resolve().parents[1]
CLIPS, LATENT, DIMS, NEIGHBOURS, HELD_OUT = 3, 8, 48, 100, 600
PARTS = 20  # of a quadratic epoch


def plant(n_artists: int, seed: int) -> Examples:
    """Draw `n_artists` to learn from and `HELD_OUT` to validate by."""
    rng = np.random.default_rng(seed)
    n = n_artists + HELD_OUT
    scenes = rng.normal(size=(n // 40, LATENT))
    style = scenes[rng.integers(len(scenes), size=n)] + 0.4 * rng.normal(size=(n, LATENT))
    popularity = rng.lognormal(0, 0.5, n)
    rows, columns, values = [], [], []
    for block in np.array_split(np.arange(n), max(n // 500, 1)):
        squares = (style[block] ** 2).sum(axis=1)[:, None] + (style**2).sum(axis=1)
        apart = np.maximum(squares - 2 * style[block] @ style.T, 0)
        close = np.exp(-apart / 2) * np.sqrt(np.outer(popularity[block], popularity))
        close *= rng.lognormal(0, 0.3, close.shape)  # few listeners: much noise
        close[np.arange(len(block)), block] = 0
        nearest = np.argpartition(close, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        rows.append(np.repeat(block, NEIGHBOURS))
        columns.append(nearest.ravel())
        values.append(np.take_along_axis(close, nearest, axis=1).ravel())
    entries = np.concatenate(rows), np.concatenate(columns)
    one_way = csr_array((np.concatenate(values).astype(np.float32), entries), shape=(n, n))
    similarity = csr_array(one_way.maximum(one_way.T))
    similarity.data /= similarity.data.max()
    artist_index = np.repeat(np.arange(n), CLIPS)
    mix = rng.normal(size=(LATENT, DIMS)) / LATENT**0.5
    nuisances = rng.normal(size=(DIMS // 2, DIMS)) / (DIMS // 2) ** 0.5
    sound = np.tanh(style @ mix)[artist_index]
    per_artist = 1.5 * rng.normal(size=(n, DIMS // 2))[artist_index]
    noise = 1.5 * rng.normal(size=(len(artist_index), DIMS // 2))
    sound += (per_artist + noise) @ nuisances + 0.3 * rng.normal(size=sound.shape)
    return Examples(
        clip_inputs=ClipInputs(
            values=sound[:, :, None].astype(np.float32),
            joined=np.zeros((len(artist_index), 0), np.float32),
        ),
        artist_index=artist_index,
        similarity=csr_array(similarity + eye_array(n, dtype=np.float32)),
        validation=np.arange(n) >= n_artists,
    )


def train(
    examples: Examples, similar: float, n_epochs: int, n_steps: int, seed: int, objective: str
) -> tuple[list[Epoch], float]:
    """Train `n_epochs` of `n_steps`; the records, and the milliseconds of a step."""
    values = read_params("training", TrainingParams, ROOT / "params.yaml").model_dump(mode="json")
    values["model"] |= {"branches": "statistics", "statistics_units": DIMS}
    values |= {
        "epochs": n_epochs, "patience": n_epochs, "steps_per_epoch": n_steps, "seed": seed,
        "batch_similar": similar, "refit": False, "device": "cpu", "threads": 1,
        "objective": objective,
    }  # fmt: skip
    params = parse_params("training", TrainingParams, values, ROOT / "params.yaml")
    seen: list[tuple[float, Epoch]] = []
    with tempfile.TemporaryDirectory() as folder:
        fit(
            Embedding(n_dims=DIMS, n_frames=1, extractor="planted"),
            examples,
            params,
            Path(folder) / "c.pt",
            lambda epoch: seen.append((time.perf_counter(), epoch)),
        )
    seconds = np.diff([at for at, _ in seen]).mean() if len(seen) > 1 else np.nan
    return [epoch for _, epoch in seen], 1e3 * float(seconds) / n_steps


def runs(arguments: argparse.Namespace) -> Iterator[tuple[float, int, list[Epoch], float]]:
    """Train every share of similar artists with every seed."""
    quadratic = steps_per_epoch(arguments.artists, 64)
    for seed in range(1, arguments.seeds + 1):
        examples = plant(arguments.artists, seed)
        for similar in arguments.similar:
            n_epochs = 2
            found = train(
                examples, similar, n_epochs, quadratic // PARTS // n_epochs, seed,
                arguments.objective,
            )  # fmt: skip
            yield similar, seed, *found
        if not arguments.no_quadratic:
            found = train(examples, 0.0, 4, quadratic // 4, seed, arguments.objective)
            yield -1.0, seed, *found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artists", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--similar", type=float, nargs="*", default=[0.0, 0.25, 0.5, 0.75, 0.9])
    parser.add_argument("--objective", default="approx_ndcg")
    parser.add_argument("--no-quadratic", action="store_true")
    for similar, seed, records, milliseconds in runs(parser.parse_args()):
        name = "quadratic" if similar < 0 else f"similar {similar:g}"
        curve = " ".join(f"{record.validation_ndcg:.4f}" for record in records)
        print(f"seed {seed}  {name:13}  {milliseconds:5.1f} ms a step  {curve}", flush=True)
