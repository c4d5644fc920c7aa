"""A pool of processes that outlives its workers."""

import os
from pathlib import Path

from twinear.pool import spread


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
    assert list(spread(_square, range(40), 1, -1)) == squares
    assert list(spread(_square, range(40), 3, -1)) == squares


def test_nothing_to_do_is_done() -> None:
    assert list(spread(_square, [], 2, -1)) == []


def test_an_item_that_kills_its_worker_costs_nothing_but_itself() -> None:
    results = list(spread(_square_or_die, range(30), 2, -1))
    assert results == [-1 if x == 7 else x * x for x in range(30)]


def test_a_worker_that_was_killed_by_others_loses_nothing(tmp_path: Path) -> None:
    assert list(spread(_die_once, [tmp_path / "mark"] * 5, 2, "lost")) == ["done"] * 5
