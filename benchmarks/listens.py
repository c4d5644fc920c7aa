"""Listens -> similarity, compared with the original's way and others: seconds, CPU, peak memory.

    python -m benchmarks.listens                       # 2 million rows, a minute
    python -m benchmarks.listens --rows 17559530       # the size of Last.fm-360K
    python -m benchmarks.listens --rows 17559530 --original-rows 17559530   # the original's too
    python -m benchmarks.listens --growth              # 1 to 100 million rows
    python -m benchmarks.listens --scrobbles 19150868  # by sessions and by listeners, Last.fm-1K

Every way runs in a process of its own on the same generated file (`listens_file`). Our very first
run is shown apart, because it waits for the compiler. The others need
`pip install 'twinear[benchmarks]'`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array, csr_array

from benchmarks.listens_file import LISTENS, ROWS, write_listens, write_scrobbles
from twinear.base.params import read_params
from twinear.listens.listens import Listens, ListensParams, read_listens
from twinear.listens.readers.formats import PLAYS
from twinear.listens.sessions import Basket
from twinear.similarity.computation import compute, compute_neighbours, compute_similarity
from twinear.similarity.measures import SimilarityParams
from twinear.similarity.partitions import in_memory

ROOT = Path(__file__).parents[1]
TOP, NEIGHBOURS = 1000, 100
COLUMNS = ["listener", "mbid", "name", "plays"]
TARGETS = {
    "faster": 25.0,
    "memory": 1000.0,
    "implicit": 1.0,
    "difference": 1e-6,
    "sessions": 2.0,
    "sessions_memory": 2000.0,
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a way: seconds, CPU seconds of all its threads, peak megabytes."""

    wall: float
    cpu: float
    peak: float


def _params() -> tuple[ListensParams, SimilarityParams]:
    path = ROOT / "params.yaml"
    return (
        read_params("listens", ListensParams, path),
        read_params("similarity", SimilarityParams, path).model_copy(
            update={"top_artists": TOP, "neighbours": NEIGHBOURS}
        ),
    )


def ours(folder: Path) -> None:
    """File -> listens -> similarity."""
    cleaning, similarity = _params()
    listens, _ = read_listens(folder / PLAYS["lastfm_360k"], cleaning)
    result = compute_similarity(listens, list(listens.artists["artist"].head(TOP)), similarity)
    np.savez(
        folder / "ours.npz",
        artists=result.artists["artist"].to_numpy(dtype=str),
        matrix=result.matrix,
    )


def listens_kept(folder: Path) -> None:
    """File -> listens, written."""
    read_listens(folder / PLAYS["lastfm_360k"], _params()[0])[0].write(folder / "kept")


def ours_from_kept(folder: Path) -> None:
    """Listens -> similarity."""
    listens = Listens.read(folder / "kept")
    compute_similarity(listens, list(listens.artists["artist"].head(TOP)), _params()[1])


def ours_neighbours(folder: Path) -> None:
    """Listens -> the neighbours of all artists, cosine."""
    params = _params()[1].model_copy(update={"measure": "cosine"})
    neighbours = compute_neighbours(Listens.read(folder / "kept"), params)
    np.save(folder / "ours_neighbours.npy", neighbours.similarity[:, :NEIGHBOURS].sum(axis=1))


def by_listeners(folder: Path) -> None:
    """Log of single listens -> similarity and neighbours by listeners."""
    _compare_scrobbles(folder, "listener")


def by_sessions(folder: Path) -> None:
    """Log of single listens -> similarity and neighbours by sessions."""
    _compare_scrobbles(folder, "session")


def by_capped_sessions(folder: Path) -> None:
    """Log of single listens -> by sessions, of which a listener counts at most 5 for a pair."""
    _compare_scrobbles(folder, "session", 5)


def _compare_scrobbles(folder: Path, basket: Basket, contribution: int = 0) -> None:
    cleaning, similarity = _params()
    changes = {"basket": basket, "session_contribution": contribution}
    similarity = similarity.model_copy(update=changes)
    gap = similarity.session_gap
    listens, _ = read_listens(folder / PLAYS["lastfm_1k"], cleaning, gap)
    ids = list(listens.artists["artist"].head(TOP))
    compute(in_memory(listens, basket), ids, similarity, 2**40, 2)


def _read_with_pandas(folder: Path) -> pd.DataFrame:
    """Clean as the original: drop rows without MBID, `[unknown]`, and artists with one row."""
    table = pd.read_csv(
        folder / PLAYS["lastfm_360k"],
        sep="\t",
        names=COLUMNS,
        quoting=3,
        on_bad_lines="skip",
        dtype=dict.fromkeys(COLUMNS, str),
    )
    table["plays"] = pd.to_numeric(table["plays"], errors="coerce")
    table = table[(table["plays"] >= 1) & table["mbid"].notna() & (table["name"] != "[unknown]")]
    n = table["mbid"].map(table["mbid"].value_counts())
    return table[n > 1]


def _most_listened(table: pd.DataFrame) -> list[str]:
    """The 1,000 with most listeners, then by id."""
    n = table["mbid"].value_counts()
    order = pd.DataFrame({"n": n.to_numpy(), "id": n.index}).sort_values(
        ["n", "id"], ascending=[False, True]
    )
    return list(order["id"].head(TOP))


def original(folder: Path) -> None:
    """Pandas: artists merged on their listeners in chunks, crosstab."""
    table = _read_with_pandas(folder)
    top = _most_listened(table)
    listens = table.loc[table["mbid"].isin(top), ["listener", "mbid"]]
    both = pd.DataFrame(0, index=top, columns=top)
    listeners = listens["listener"].unique()
    for chunk in np.array_split(listeners, max(1, len(listeners) // 20_000)):
        part = listens[listens["listener"].isin(set(chunk))]
        pairs = part.merge(part, on="listener")
        counted = pd.crosstab(pairs["mbid_x"], pairs["mbid_y"])
        both = both.add(counted, fill_value=0)
    _keep("original", top, both.loc[top, top].to_numpy(dtype=float), folder)


def pandas_and_scipy(folder: Path) -> None:
    """Pandas, then a product of sparse matrices."""
    table = _read_with_pandas(folder)
    top = _most_listened(table)
    listens = table[table["mbid"].isin(top)]
    listener = pd.factorize(listens["listener"])[0]
    artist = pd.Index(top).get_indexer(pd.Index(listens["mbid"]))
    played = coo_array((np.ones(len(listens), np.float32), (listener, artist))).tocsr()
    _keep("pandas", top, (played.T @ played).toarray().astype(float), folder)


def _keep(name: str, top: list[str], both: npt.NDArray[np.float64], folder: Path) -> None:
    n = both.diagonal()
    matrix = np.minimum(both / n, both / n[:, None])
    np.fill_diagonal(matrix, np.nan)
    matrix = (matrix - np.nanmin(matrix)) / (np.nanmax(matrix) - np.nanmin(matrix))
    np.fill_diagonal(matrix, 1)
    np.savez(folder / f"{name}.npz", artists=np.array(top, dtype=object).astype(str), matrix=matrix)


def _unit(folder: Path) -> csr_array[Any, tuple[int, int]]:
    """Listens whose product with themselves is the cosine."""
    listens = Listens.read(folder / "kept")
    n = np.bincount(listens.plays.indices)
    data = (1 / np.sqrt(n))[listens.plays.indices]
    shape = listens.plays.shape
    return csr_array((data, listens.plays.indices, listens.plays.indptr), shape=shape)


def implicit_neighbours(folder: Path) -> None:
    """The library implicit's item-item recommender, the same matrix and measure."""
    from implicit.nearest_neighbours import ItemItemRecommender
    from scipy.sparse import csr_matrix

    recommender = ItemItemRecommender(K=NEIGHBOURS + 1)  # each is its own neighbour
    recommender.fit(csr_matrix(_unit(folder)), show_progress=False)
    found = recommender.similarity.tocsr()
    np.save(folder / "implicit_neighbours.npy", np.asarray(found.sum(axis=1)).ravel() - 1)


def sparse_dot_topn_neighbours(folder: Path) -> None:
    """The library sparse_dot_topn, the same matrix and measure."""
    from scipy.sparse import csr_matrix
    from sparse_dot_topn import sp_matmul_topn

    unit = _unit(folder).astype(np.float32)
    sp_matmul_topn(
        csr_matrix(unit.T), csr_matrix(unit), top_n=NEIGHBOURS + 1, n_threads=os.cpu_count() or 1
    )


WAYS: dict[str, Callable[[Path], None]] = {
    way.__name__: way
    for way in (
        original,
        pandas_and_scipy,
        ours,
        listens_kept,
        ours_from_kept,
        ours_neighbours,
        implicit_neighbours,
        sparse_dot_topn_neighbours,
    )
}
OF_SCROBBLES = {way.__name__: way for way in (by_listeners, by_sessions, by_capped_sessions)}


def run(way: str, folder: Path, compiled: Path | None = None) -> Cost:
    """Run one way in a process of its own, imports included; `compiled`: folder of its cache."""
    cache = {} if compiled is None else {"NUMBA_CACHE_DIR": str(compiled)}
    command = [sys.executable, "-m", "benchmarks.listens", "--way", way, "--folder", str(folder)]
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **cache}, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr}")
    usage = json.loads(done.stdout.splitlines()[-1])
    return Cost(wall=wall, cpu=usage["cpu"], peak=usage["peak"])


def _child(way: str, folder: Path) -> None:
    (WAYS | OF_SCROBBLES)[way](folder)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = re.search(r"VmHWM:\s+(\d+)", status)  # since this program began
    print(json.dumps({"cpu": time.process_time(), "peak": int(peak[1]) / 1000 if peak else 0}))


def _row(way: str, cost: Cost) -> None:
    print(f"| {way} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.peak:.0f} |", flush=True)


def _generated(folder: Path, n_rows: int) -> int:
    started = time.perf_counter()
    n = write_listens(folder / PLAYS["lastfm_360k"], n_rows)
    size = (folder / PLAYS["lastfm_360k"]).stat().st_size
    print(f"\n{n:,} rows, {size / 1e6:,.0f} MB, written in {time.perf_counter() - started:.0f} s")
    print("| way | seconds | CPU | peak MB |\n|---|--:|--:|--:|")
    return n


def compare(folder: Path, n_rows: int, original_rows: int, rounds: int) -> None:
    """Compare the costs and the results of all ways."""
    small = folder / "small"
    small.mkdir(exist_ok=True)
    _generated(small, original_rows)
    theirs = run("original", small)
    _row("original", theirs)
    compiled = folder / "compiled"
    _row("ours, the first run ever, which compiles", run("ours", small, compiled))
    ours_small = run("ours", small, compiled)
    _row("ours", ours_small)
    _equal(small, "original")
    _target("original / ours, CPU", theirs.cpu / ours_small.cpu, "faster", above=True)
    _target("original / ours, seconds", theirs.wall / ours_small.wall, "faster", above=True)
    if n_rows != original_rows:
        _generated(folder, n_rows)
    else:
        folder = small
    costs: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        for way in (way for way in WAYS if way != "original"):
            costs.setdefault(way, []).append(run(way, folder))
            _row(way, costs[way][-1])
    _equal(folder, "pandas")
    mine, other = (
        min(cost.cpu for cost in costs[f"{way}_neighbours"]) for way in ("ours", "implicit")
    )
    _target("ours peak MB", max(cost.peak for cost in costs["ours"]), "memory", above=False)
    _target("ours / implicit, all artists, CPU", mine / other, "implicit", above=False)
    ours_sum, their_sum = (
        np.load(folder / f"{way}_neighbours.npy") for way in ("ours", "implicit")
    )
    difference = abs(ours_sum - their_sum).max()
    print(f"largest difference of the {NEIGHBOURS} neighbours' sum: {difference:.1e}")


def _equal(folder: Path, other: str) -> None:
    """Compare our result with another way's, artist by artist."""
    mine, theirs = (np.load(folder / f"{name}.npz") for name in ("ours", other))
    rows = pd.Index(theirs["artists"]).get_indexer(pd.Index(mine["artists"]))
    assert (rows >= 0).all(), "not the same artists"
    difference = np.abs(mine["matrix"] - theirs["matrix"][np.ix_(rows, rows)]).max()
    _target(f"largest difference from {other}'s", float(difference), "difference", above=False)


def _target(what: str, value: float, target: str, above: bool) -> None:
    met = value >= TARGETS[target] if above else value <= TARGETS[target]
    bound = "at least" if above else "at most"
    print(f"{what}: {value:.3g}, wanted {bound} {TARGETS[target]:g}: {'met' if met else 'MISSED'}")


def compare_baskets(folder: Path, n_listens: int, rounds: int) -> None:
    """Compare the costs of a similarity by listeners and by sessions."""
    n = write_scrobbles(folder / PLAYS["lastfm_1k"], n_listens)
    print(f"\n{n:,} listens\n| way | seconds | CPU | peak MB |\n|---|--:|--:|--:|")
    costs: dict[str, list[Cost]] = {way: [] for way in OF_SCROBBLES}
    for _ in range(rounds):
        for way, those in costs.items():
            those.append(run(way, folder))
            _row(way, those[-1])
    mine, other = (min(cost.cpu for cost in costs[way]) for way in ("by_sessions", "by_listeners"))
    _target("by sessions / by listeners, CPU", mine / other, "sessions", above=False)
    peak = max(cost.peak for cost in costs["by_sessions"])
    _target("by sessions, peak MB", peak, "sessions_memory", above=False)


def measure_growth(folder: Path, sizes: list[int], largest: int) -> None:
    """Measure our cost over sizes; extrapolate to the largest if it is not among them."""
    costs = []
    for size in sizes:
        here = folder / str(size)
        here.mkdir()
        n = _generated(here, size)
        costs.append((n, run("ours", here)))
        _row("ours", costs[-1][1])
        (here / PLAYS["lastfm_360k"]).unlink()
    if largest > sizes[-1]:
        (m, before), (n, last) = costs[-2:]
        extrapolated = {
            name: getattr(last, name)
            + (getattr(last, name) - getattr(before, name)) / (n - m) * (largest - n)
            for name in ("wall", "cpu", "peak")
        }
        _row(f"ours, {largest:,} rows, EXTRAPOLATED along the last two", Cost(**extrapolated))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help=f"Last.fm-360K has {ROWS:,}")
    parser.add_argument("--original-rows", type=int, default=1_000_000, help="for the original's")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each way, in turn")
    parser.add_argument("--growth", action="store_true", help="sizes instead of ways")
    parser.add_argument("--sizes", default="1,4,16", help="of --growth, in million rows")
    parser.add_argument("--scrobbles", type=int, help=f"baskets; Last.fm-1K has {LISTENS:,}")
    parser.add_argument("--folder", type=Path, help="where the files go; else a temporary one")
    parser.add_argument("--way", choices=[*WAYS, *OF_SCROBBLES], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        _child(arguments.way, arguments.folder)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.scrobbles:
            compare_baskets(Path(folder), arguments.scrobbles, arguments.rounds)
        elif arguments.growth:
            sizes = [int(float(size) * 1e6) for size in arguments.sizes.split(",")]
            measure_growth(Path(folder), sizes, 100_000_000)
        else:
            compare(Path(folder), arguments.rows, arguments.original_rows, arguments.rounds)


if __name__ == "__main__":
    main()
