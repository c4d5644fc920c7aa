"""A catalogue of 1,000 to 1,000,000 planted artists: built, opened and asked, in one run.

Every size is planted with clusters and hubs, three clips an artist (`planted_artists`), built with
an index by faiss, and asked three kinds of questions: artists with listens, artists without, and
clips of new artists (from their embeddings; decoding and encoding are not counted). An answer is
the ten best of all artists, or of those without listens. Both ways answer the same questions:

- *exact* scores all artists;
- *index* scores the candidates that the index finds. Its recall is the share of the ten best by
  exact scores that are among its ten best.

Building, and asking with one thread and with two, are processes of their own, whose peak memory is
told; it counts pages of mapped files that were touched. Exact answers take one thread. Below
`exact_below` artists the whole neighbours table is built too.

Others may use the machine. Questions are therefore asked in three passes: "p50" and "p99" are over
all answers, "best p99" is the 99th percentile over the questions of each one's fastest answer, and
CPU time is told beside the time on the clock.

    python -m benchmarks.catalogue [--artists 1000 10000 100000] [--questions 300]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from twinear.base.text import markdown_table

KINDS = ("with listens", "without listens", "new clips")
TOP = 10
SCALE, BIAS = 10.0, -5.0  # of the cosine head
PASSES = 3
TARGETS = {"opened, s": 2.0, "best p99, ms": 10.0, "recall": 0.99, "build, GB": 8.0}

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Of one kind of work, in seconds."""

    p50: float
    p99: float
    best_p99: float
    cpu_p99: float


def times_of(clock: list[float], cpu: list[float], passes: int = 1) -> Times:
    p50, p99 = np.quantile(clock, [0.5, 0.99])
    best = np.reshape(clock, (passes, -1)).min(axis=0)
    return Times(
        p50=float(p50),
        p99=float(p99),
        best_p99=float(np.quantile(best, 0.99)),
        cpu_p99=float(np.quantile(cpu, 0.99)),
    )


@contextmanager
def timed(into: dict[str, Any], name: str) -> Iterator[None]:
    clock, cpu = time.perf_counter(), time.process_time()
    yield
    into[name] = {"clock": time.perf_counter() - clock, "cpu": time.process_time() - cpu}


def peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


# --- the steps, each a process of its own -----------------------------------------------------


def plant_artists(folder: Path, n_artists: int, n_questions: int) -> dict[str, Any]:
    from benchmarks.planted_artists import plant

    planted = plant(n_artists, n_questions, folder)
    np.save(folder / "planted_new.npy", planted.new)
    np.savez(folder / "planted_listens.npz", **asdict(planted.colistening))
    return {}


def build(folder: Path, n_artists: int, n_questions: int) -> dict[str, Any]:
    """Build a catalogue with an index, and below `exact_below` its neighbours table."""
    from twinear.base.params import read_params
    from twinear.catalogue.building import Neighbours, complete_artists, define_scoring
    from twinear.catalogue.catalogue import write_catalogue
    from twinear.catalogue.head import CosineHead
    from twinear.catalogue.params import CatalogueParams

    artists, colistening = _read_planted(folder)
    root = Path(__file__).parents[1]
    params = read_params("catalogue", CatalogueParams, root / "params.yaml")
    params = params.model_copy(update={"search": "faiss"})
    told: dict[str, Any] = {"exact_below": params.exact_below}
    with timed(told, "build"):
        head = CosineHead(scale=SCALE, bias=BIAS)
        scoring = define_scoring(artists, head, params, colistening)
        complete = complete_artists(artists, scoring, tqdm, folder / "index")
        made = _described(complete, scoring, folder / "index")
        none = Neighbours(rows=np.empty((n_artists, 0), np.int32), scores=np.empty((n_artists, 0)))
        listeners = np.zeros(n_artists, np.int64)
        listeners[colistening.rows] = 1000
        (folder / "scorer").write_bytes(b"not read")
        write_catalogue(made, none, listeners, folder / "scorer", folder / "catalogue")
    told["peak"] = peak_gigabytes()
    told["bytes"] = sum(
        path.stat().st_size for path in (folder / "catalogue").rglob("*") if path.is_file()
    )
    return told


def find_all_neighbours(folder: Path, n_artists: int, n_questions: int) -> dict[str, Any]:
    from twinear.catalogue.building import find_neighbours
    from twinear.catalogue.catalogue import Catalogue

    catalogue = Catalogue.read(folder / "catalogue")
    made = _described(catalogue.encoded, catalogue.scoring, None)
    told: dict[str, Any] = {}
    with timed(told, "neighbours"):
        find_neighbours(made, catalogue.scoring.params.n_neighbours)
    return {**told, "peak": peak_gigabytes()}


def ask(folder: Path, n_artists: int, n_questions: int) -> dict[str, Any]:
    """Answer by the index; keep the answers."""
    from twinear.catalogue.catalogue import Catalogue
    from twinear.recommendation.collection import Collection

    told: dict[str, Any] = {}
    with timed(told, "open"):
        catalogue = Catalogue.read(folder / "catalogue")
        assert catalogue.index is not None
    collection = Collection(catalogue=catalogue)
    answers: dict[str, Any] = {}
    told["times"] = {}
    for kind, allowed, questions in _questions(folder, collection, n_questions):
        clock, cpu, rows = [], [], []
        for question in [question for _ in range(PASSES) for question in questions]:
            started = time.perf_counter(), time.process_time()
            rows.append(_answer(collection, question, allowed, exact=False))
            clock.append(time.perf_counter() - started[0])
            cpu.append(time.process_time() - started[1])
        told.setdefault("first", clock[0])
        told["times"][kind] = asdict(times_of(clock, cpu, PASSES))
        answers[kind] = np.array(rows[: len(questions)])
    told["peak"] = peak_gigabytes()
    np.savez(folder / f"answers_{os.environ['OMP_NUM_THREADS']}.npz", **answers)
    return told


def ask_exactly(folder: Path, n_artists: int, n_questions: int) -> dict[str, Any]:
    """Answer by scoring all artists, fewer questions in large catalogues; compare the answers."""
    from twinear.catalogue.catalogue import Catalogue
    from twinear.recommendation.collection import Collection

    catalogue = Catalogue.read(folder / "catalogue")
    by_index = np.load(folder / "answers_1.npz")
    told: dict[str, Any] = {"times": {}, "recall": {}}
    n_exact = max(20, min(n_questions, 10_000_000 // n_artists))
    for kind, allowed, questions in _questions(
        folder, Collection(catalogue=catalogue), n_questions
    ):
        clock, cpu, recall = [], [], []
        for nth, question in enumerate(questions[:n_exact]):
            started = time.perf_counter(), time.process_time()
            best = _answer(Collection(catalogue=catalogue), question, allowed, exact=True)
            clock.append(time.perf_counter() - started[0])
            cpu.append(time.process_time() - started[1])
            recall.append(float(np.isin(best, by_index[kind][nth]).mean()))
        told["times"][kind] = asdict(times_of(clock, cpu))
        told["recall"][kind] = float(np.mean(recall))
    return {**told, "questions": n_exact, "peak": peak_gigabytes()}


def _answer(collection: Any, question: Any, allowed: Any, *, exact: bool) -> Rows:
    """Rows of the best, as `find_similar` finds them; a question is a row, or clips' embeddings."""
    catalogue = collection.catalogue
    if isinstance(question, np.ndarray):
        query = catalogue.represent(question, exact=exact)
    else:
        query = catalogue.query(question)
        allowed = allowed.copy()
        allowed[question] = False
    rows = None if exact else collection.candidates([query], TOP, allowed)
    rows = np.flatnonzero(allowed) if rows is None else rows
    totals = collection.score(query, rows).total[0]
    best = np.argpartition(-totals, TOP)[:TOP]
    return np.asarray(rows[best[np.argsort(-totals[best], kind="stable")]])


def _questions(folder: Path, collection: Any, n: int) -> Iterator[tuple[str, Any, Any]]:
    rng = np.random.default_rng(7)
    known = np.asarray(collection.catalogue.scoring.colistening.rows)
    without = np.setdiff1d(np.arange(len(collection)), known)
    every = np.ones(len(collection), dtype=bool)
    unknown = collection.listeners == 0
    asked = {
        KINDS[0]: rng.choice(known, min(n, len(known)), replace=False).tolist(),
        KINDS[1]: rng.choice(without, min(n, len(without)), replace=False).tolist(),
        KINDS[2]: list(np.load(folder / "planted_new.npy")[:n]),
    }
    for kind, questions in asked.items():
        yield kind, every, questions
        yield f"{kind}, among those without", unknown, questions


def _read_planted(folder: Path) -> tuple[Any, Any]:
    from benchmarks.planted_artists import CLIPS
    from twinear.catalogue.collaborative import Colistening
    from twinear.catalogue.encoded import plain_artists

    embeddings = np.load(folder / "planted_embeddings.npy", mmap_mode="r")
    listens = dict(np.load(folder / "planted_listens.npz"))
    listens["deviation"] = float(listens["deviation"])
    return (
        plain_artists(np.arange(0, len(embeddings) + 1, CLIPS), embeddings),
        Colistening(**listens),
    )


def _described(encoded: Any, scoring: Any, index: Path | None) -> Any:
    import pandas as pd

    from twinear.catalogue.building import ScoredArtists
    from twinear.catalogue.calibration import SiameseScale

    ids = [f"id-{row:07}" for row in range(len(encoded))]
    counts = encoded.clip_counts
    files = [f"{ids[row]}/{nth}.mp3" for row in range(len(ids)) for nth in range(counts[row])]
    return ScoredArtists(
        table=pd.DataFrame({"artist": ids, "name": ids, "clips": counts}),
        clips=pd.DataFrame({"file": files, "title": "", "seconds": 30.0}),
        encoded=encoded,
        scoring=scoring,
        calibration=SiameseScale(mean=scoring.mean, deviation=scoring.deviation),
        index=index,
    )


STEPS: dict[str, Callable[[Path, int, int], dict[str, Any]]] = {
    "plant": plant_artists,
    "build": build,
    "neighbours": find_all_neighbours,
    "ask": ask,
    "exactly": ask_exactly,
}


# --- the run ----------------------------------------------------------------------------------


def run(step: str, folder: Path, n_artists: int, n_questions: int, threads: int = 2) -> Any:
    """Run a step in a process; return what it tells."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    arguments = ["--step", step, "--folder", str(folder), "--questions", str(n_questions)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.catalogue", "--artists", str(n_artists), *arguments],
        env={**os.environ, **dict.fromkeys(names, str(threads))},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def measure(n_artists: int, n_questions: int, folder: Path) -> None:
    """Measure one size; print what was found."""
    run("plant", folder, n_artists, n_questions)
    built = run("build", folder, n_artists, n_questions)
    one, two = (run("ask", folder, n_artists, n_questions, threads) for threads in (1, 2))
    exactly = run("exactly", folder, n_artists, n_questions, 1)
    print(f"\n{n_artists:,} artists, {n_questions} questions of each kind", flush=True)
    seconds = built["build"]
    print(
        f"built in {seconds['clock']:.1f} s ({seconds['cpu']:.1f} CPU s), peak "
        f"{built['peak']:.2f} GB; {built['bytes'] / 1e6:,.0f} MB on disk"
    )
    if n_artists < built["exact_below"]:
        found = run("neighbours", folder, n_artists, n_questions)
        seconds = found["neighbours"]
        print(
            f"neighbours table, exact: {seconds['clock']:.1f} s ({seconds['cpu']:.1f} CPU s), "
            f"peak {found['peak']:.2f} GB"
        )
    opened, first = 1000 * one["open"]["clock"], 1000 * one["first"]
    print(
        f"opened in {opened:.0f} ms; first answer after {first:.0f} ms; "
        f"peak while asked {one['peak']:.2f} GB, exactly {exactly['peak']:.2f} GB"
    )
    header = [
        "asked, ms",
        "exact p50",
        "p99",
        "index p50",
        "p99",
        "best p99",
        "CPU p99",
        "2 threads p50",
        "p99",
    ]
    rows = []
    for kind, recall in exactly["recall"].items():
        exact, index, both = (told["times"][kind] for told in (exactly, one, two))
        times = [exact["p50"], exact["p99"], index["p50"], index["p99"]]
        times += [index["best_p99"], index["cpu_p99"], both["p50"], both["p99"]]
        ratio = exact["p50"] / index["p50"]
        rows.append([kind, *(f"{1000 * t:.1f}" for t in times), f"{ratio:.1f}", f"{recall:.4f}"])
    print(markdown_table([*header, "exact / index", "recall@10"], rows))
    print(f"recall on {exactly['questions']} of the questions")
    worst = max(times["best_p99"] for times in one["times"].values())
    least = min(exactly["recall"].values())
    found = [one["open"]["clock"], 1000 * worst, least, built["peak"]]
    for (name, wanted), value in zip(TARGETS.items(), found, strict=True):
        met = value >= wanted if name == "recall" else value <= wanted
        print(f"{name}: {value:.3g}, wanted {wanted}: {'met' if met else 'MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artists", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--questions", type=int, default=300, help="of each kind")
    parser.add_argument("--folder", type=Path, help="keep what is built here")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        [n_artists] = arguments.artists
        told = STEPS[arguments.step](arguments.folder, n_artists, arguments.questions)
        print(json.dumps(told))
        return
    for n_artists in arguments.artists:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            measure(n_artists, arguments.questions, Path(folder))


if __name__ == "__main__":
    main()
