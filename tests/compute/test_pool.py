"""A pool of processes that outlives its workers."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from tests.conftest import PARAMS
from tests.support.audio import music, write_clip
from twinear.base.errors import TwinearError
from twinear.base.files import sha256
from twinear.base.params import read_params
from twinear.clips.clips import Clips
from twinear.compute import pool
from twinear.compute.pool import choose_workers, map_in_processes
from twinear.spectrograms.computation import compute_spectrograms
from twinear.spectrograms.front_end import SpectrogramsParams


def _square(x: int) -> int:
    return x * x


def _square_or_die(x: int) -> int:
    if x == 7:
        os._exit(1)
    return x * x


def _die_once(mark: Path) -> str:
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return "done"


def test_results_come_in_order_for_any_number_of_workers() -> None:
    squares = [x * x for x in range(40)]
    assert list(map_in_processes(_square, range(40), 1, -1)) == squares
    assert list(map_in_processes(_square, range(40), 3, -1)) == squares


def test_nothing_to_do_is_done() -> None:
    assert list(map_in_processes(_square, [], 2, -1)) == []


def test_an_item_that_kills_its_worker_costs_nothing_but_itself() -> None:
    results = list(map_in_processes(_square_or_die, range(30), 2, -1))
    assert results == [-1 if x == 7 else x * x for x in range(30)]


@pytest.mark.slow(reason="workers are killed and started again")
def test_a_worker_that_was_killed_by_others_loses_nothing(tmp_path: Path) -> None:
    assert list(map_in_processes(_die_once, [tmp_path / "mark"] * 5, 2, "lost")) == ["done"] * 5


def test_items_are_taken_only_as_fast_as_results_are() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for x in range(1000):
            taken.append(x)
            yield x

    results = map_in_processes(_square, items(), 2, -1)
    for _ in range(5):
        next(results)
    assert len(taken) <= 5 + 2 * pool.AHEAD
    results.close()


# a Dask cluster


def _pid_after_a_while(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def _read(path: Path) -> str:
    return path.read_text()


def _blocks_interrupts(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_ctrl_c_never_reaches_a_worker_not_even_while_it_starts() -> None:
    """One that was interrupted before it could ignore it left the pool waiting for ever."""
    assert list(map_in_processes(_blocks_interrupts, range(2), 2, False)) == [True, True]
    assert not _blocks_interrupts(0)


def test_another_ctrl_c_waits_until_a_pool_is_closed() -> None:
    """One that interrupts the closing left the program waiting for its workers for ever."""
    before, closed = signal.signal(signal.SIGINT, signal.default_int_handler), False

    def close() -> None:
        nonlocal closed
        with pool._interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            closed = True

    try:
        with pytest.raises(KeyboardInterrupt):
            close()
    finally:
        signal.signal(signal.SIGINT, before)
    assert closed


def test_the_environment_chooses_the_workers() -> None:
    assert choose_workers({"TWINEAR_DASK": "tcp://a:1"}) == "tcp://a:1"
    assert choose_workers({"TWINEAR_DASK": ""}) == choose_workers({}) == os.cpu_count()


def test_a_cluster_gives_the_results_in_order(cluster: str) -> None:
    assert list(map_in_processes(_square, range(40), cluster, -1)) == [x * x for x in range(40)]
    assert list(map_in_processes(_square, [], cluster, -1)) == []


def test_a_killed_worker_of_a_cluster_loses_nothing(cluster: str) -> None:
    results = map_in_processes(_pid_after_a_while, range(40), cluster, -1)
    first = next(results)
    os.kill(first, signal.SIGKILL)
    pids = list(results)
    assert len(pids) == 39
    assert -1 not in pids
    assert len({first, *pids}) > 1


@pytest.mark.slow(reason="four workers of a cluster are killed and started again")
def test_an_item_that_kills_a_clusters_workers_costs_nothing_but_itself(cluster: str) -> None:
    results = list(map_in_processes(_square_or_die, range(12), cluster, -1))
    assert results == [-1 if x == 7 else x * x for x in range(12)]


def test_a_clusters_workers_stand_in_the_callers_folder(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    assert list(map_in_processes(_read, [Path("a.txt")], cluster, "")) == ["here"]
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "elsewhere")
    with pytest.raises(TwinearError, match=r"cannot enter .*elsewhere.*mount the project"):
        list(map_in_processes(_read, [Path("a.txt")], cluster, ""))


@pytest.mark.slow(reason="workers that import librosa are killed and started again")
def test_spectrograms_of_a_cluster_have_the_same_bits_though_a_worker_is_killed(
    cluster: str, tmp_path: Path
) -> None:
    params = read_params("spectrograms", SpectrogramsParams, PARAMS)
    params = params.model_copy(update={"embeddings": "none"})
    rows = []
    for seed in range(12):
        path = write_clip(tmp_path / f"{seed}.wav", music(6, 22050, seed), 22050)
        facts = {"title": "", "source": "", "seconds": 6.0, "sha256": sha256(path)}
        rows.append({"file": path.name, "artist": "a", "name": "A", **facts})
    clips = Clips(table=pd.DataFrame(rows))

    def killing(items: Iterable[Path]) -> Iterator[Path]:
        for i, item in enumerate(items):
            if i == 2:
                pid = next(map_in_processes(_pid_after_a_while, [0], cluster, -1))
                os.kill(pid, signal.SIGKILL)
            yield item

    here = compute_spectrograms(clips, tmp_path, params, list, 1)
    there = compute_spectrograms(clips, tmp_path, params, killing, cluster)
    np.testing.assert_array_equal(there.values, here.values)
    np.testing.assert_array_equal(there.mfcc_mean, here.mfcc_mean)
    np.testing.assert_array_equal(there.mfcc_cov, here.mfcc_cov)


def test_a_cluster_without_workers_is_an_error_and_no_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "PATIENCE_SECONDS", 0.2)
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(TwinearError, match=r"tcp://.* no worker for 0\.2 seconds; start"),
    ):
        list(map_in_processes(_square, [1], empty.scheduler_address, -1))


def test_an_address_where_nobody_answers_is_an_error() -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}),
        pytest.raises(TwinearError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler"),
    ):
        list(map_in_processes(_square, [1], "tcp://127.0.0.1:9", -1))


def test_a_cluster_without_dask_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(TwinearError, match=r"not installed; pip install 'twinear\[dask\]'"):
        list(map_in_processes(_square, [1], "tcp://127.0.0.1:9", -1))
