"""Other people's truths: read in any form, matched by identity, judged side by side."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.planting import plant_artefacts, plant_params
from twinear.base.errors import DataError
from twinear.cli.main import main
from twinear.evaluation.other_truths import OtherTruth, read_truths
from twinear.evaluation.recipes import read_recipe
from twinear.listens.listens import ListensParams, read_listens

MBIDS = [f"0000000{at}-0000-4000-8000-000000000000" for at in range(3)]
ARTISTS = pd.DataFrame(
    {
        "artist": [MBIDS[0], MBIDS[1], "beatles", "air", "bjork"],
        "name": ["Nirvana", "Low", "The Beatles", "Air", "Björk"],
        "mbid": [MBIDS[0], MBIDS[1], "", "", ""],
    }
)
OWN = np.random.default_rng(0).random((5, 5))


def read(path: Path, own: np.ndarray = OWN) -> OtherTruth:
    recipe = read_recipe(plant_params(path.parent))
    return read_truths({"x": path}, ARTISTS, own, recipe)["x"]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_pairs_count_in_both_directions_and_find_artists_however_they_are_spelt(
    tmp_path: Path,
) -> None:
    lines = ("Artist,Similar_Artist", "Beatles,BJORK", "air,Somebody", "air,beatles", "low,low")
    truth = read(write(tmp_path / "pairs.csv", *lines))
    assert (truth.kind, truth.present.tolist()) == ("pairs", [False, True, True, True, True])
    assert np.argwhere(truth.similarity).tolist() == [[2, 3], [2, 4], [3, 2], [4, 2]]


def test_an_mbid_decides_between_namesakes(tmp_path: Path) -> None:
    lines = (
        "artist,mbid,similar_artist,similar_mbid",
        f"Other Name,{MBIDS[0]},Low,{MBIDS[1]}",
        f"Nirvana,{MBIDS[2]},Air,",
    )
    truth = read(write(tmp_path / "pairs.csv", *lines))
    assert np.argwhere(truth.similarity).tolist() == [[0, 1], [1, 0]]


def test_listens_need_neither_plays_nor_mbids_and_may_be_compressed(tmp_path: Path) -> None:
    rows = [(1, "the beatles"), (1, "air"), (2, "beatles"), (2, "AIR"), (3, "air"), (3, "bjork")]
    rows += [(4, "bjork"), (4, "unheard of")]
    path = tmp_path / "listens.csv.gz"
    pd.DataFrame(rows, columns=["listener", "artist"]).to_csv(path, index=False)
    truth = read(path)
    assert truth.kind == "listens"
    assert truth.present.tolist() == [False, False, True, True, True]
    expected = np.zeros((5, 5))
    expected[2, 3] = expected[3, 2] = 1  # 2 of 3 listeners, the most
    expected[3, 4] = expected[4, 3] = 0.5  # 1 of 3
    np.testing.assert_allclose(truth.similarity, expected)


def test_a_truth_that_is_that_of_training_is_known_as_such(tmp_path: Path) -> None:
    path = tmp_path / "listens.csv"
    generator = np.random.default_rng(0)
    names = list(ARTISTS["name"])
    rows = [
        (listener, names[at])
        for listener in range(60)
        for at in generator.choice(5, 1 + listener % 3, replace=False, p=[0.4, 0.3, 0.1, 0.1, 0.1])
    ]
    pd.DataFrame(rows, columns=["listener", "artist"]).to_csv(path, index=False)
    truth = read(path)
    assert not truth.same
    assert read(path, truth.similarity * 0.9).same
    pairs = write(tmp_path / "pairs.csv", "artist,similar_artist", "Low,Air", "Air,Nirvana")
    similarity = read(pairs).similarity
    assert read(pairs, similarity + OWN / 2).same
    assert not read(pairs, -similarity + OWN / 2).same


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("artist,similar_artist", "Foo,Bar"), r"x.csv: has no artist in common with the 5 .*"),
        (("artist,similar_artist", "Foo,Air"), "has one artist in common.*at least two"),
        (("listener,artist", "1,Foo", "2,Foo"), "has no artist in common.*the first here is 'Nirv"),
        (("artist,similar_artist", "Air,Foo", "Low,Foo"), "has no pair of two of the 2 artists"),
        (("artist,similar_artist", "Air,Low", "Air,"), r"x.csv:3: names no two artists"),
        (("artist,similar_artist", "Air,Low,Air"), r"x.csv:2: has more fields than the header"),
        (("listener,artist", "1,Air", "2,Low", "3,Low", "4,Air"), "has no co-listening of two"),
        (("colour,size", "red,1"), r"x.csv"),
    ],
)
def test_a_truth_that_cannot_be_used_says_why(
    tmp_path: Path, lines: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "x.csv", *lines))
    with pytest.raises(DataError, match=r"none.csv: is missing; name a file of listens"):
        read(tmp_path / "none.csv")


def test_crossval_judges_by_all_truths_and_writes_what_systems_are_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = plant_params(tmp_path).read_text(encoding="utf-8")
    params = text.replace("listener_draws: 20", "listener_draws: 2")
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    plant_artefacts(tmp_path / "artifacts")
    names = [f"Artist {at}" for at in range(23)]
    pairs = [f"{one},{two}" for one, two in pairwise(names)]
    write(tmp_path / "pairs.csv", "artist,similar_artist", *pairs)
    generator = np.random.default_rng(0)
    plays = pd.DataFrame(
        [(listener, names[at]) for listener in range(40) for at in generator.choice(23, 6, False)],
        columns=["listener", "artist"],
    )
    plays.to_csv(tmp_path / "listens.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWINEAR_TRACKING", "off")
    write_own_listens(plays, tmp_path)
    words = ["--systems", "catalogue,l2", "--folds", "3", "--truth", "friends=listens.csv"]
    words += ["--truth", "editors=pairs.csv", "--name", "try"]
    monkeypatch.setattr(sys, "argv", ["twinear", "crossval", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "truth 'editors' (pairs, 23 queries); candidates: all other artists" in shown
    assert max(map(len, shown.splitlines())) <= 100
    folder = tmp_path / "artifacts/crossval/try"
    summary = json.loads((folder / "summary.json").read_text())
    for protocol in ("all", "fold"):
        others = summary["protocols"][protocol]["others"]
        assert list(others) == ["friends", "editors"]
        assert list(others["editors"]["metrics"]["l2"]) == ["auc", "recall@20", "ndcg@10"]
        worth = summary["protocols"][protocol]["listeners"]
        assert list(worth["systems"]) == ["catalogue", "l2", "catalogue_strict"]
        assert (folder / f"listeners_{protocol}.png").read_bytes().startswith(b"\x89PNG")
    assert shown.rstrip() in (folder / "summary.md").read_text()
    queries = pd.read_parquet(folder / "queries.parquet")
    assert set(queries["truth"]) == {"similarity", "corrected", "friends", "editors"}


def write_own_listens(plays: pd.DataFrame, folder: Path) -> None:
    """Write listens beside the planted artefacts, of the same artists."""
    path = folder / "own.csv"
    plays.to_csv(path, index=False)
    params = read_recipe(folder / "params.yaml").read("listens", ListensParams)
    listens, _ = read_listens(path, params.model_copy(update={"require_mbid": False}))
    listens.write(folder / "artifacts/listens")
