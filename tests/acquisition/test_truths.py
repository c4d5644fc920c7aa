"""Truths from ListenBrainz and Deezer in their documented shapes: pairs that --truth reads."""

import csv
import sys
from pathlib import Path

import pytest

from tests.support.fetching import mbid_of, requested
from tests.support.services import FakeArtist, FakeServices
from twinear.acquisition.truths.fetch import TruthReport, TruthSource, fetch_truth, open_similar
from twinear.cli.main import main

ARTISTS = (
    FakeArtist(name="Air", mbid=mbid_of(1), deezer=1, similar=("Zero 7", "Björk")),
    FakeArtist(name="Zero 7", mbid=mbid_of(2), deezer=2, similar=("Air",)),
    FakeArtist(name="Björk", mbid=mbid_of(3), deezer=3),
    FakeArtist(name="Nirvana", mbid=mbid_of(4), deezer=4, relations=()),
    FakeArtist(name="Nirvana", mbid=mbid_of(5), deezer=5, relations=()),
)
WANTED = [requested("Air", mbid_of(1)), requested("Zero 7"), requested("Björk")]
WANTED += [requested("Nirvana")]


def fetch(world: FakeServices, source: TruthSource, into: Path) -> TruthReport:
    environment = world.environment
    with open_similar(source, into, "me@example.org", environment, world.clock) as similar:
        return fetch_truth(WANTED, similar, TruthReport(source=source, file=str(into)), list)


def pairs(path: Path) -> list[tuple[str, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


def test_listenbrainz_tells_similar_artists_by_mbid(world: FakeServices, tmp_path: Path) -> None:
    report = fetch(world, "listenbrainz", tmp_path / "truth.csv")
    assert (report.artists, report.pairs) == (2, 3)
    assert (report.without, report.unidentified) == (["Björk"], ["Nirvana"])
    assert pairs(tmp_path / "truth.csv") == [
        ("Air", mbid_of(1), "Zero 7", mbid_of(2)),
        ("Air", mbid_of(1), "Björk", mbid_of(3)),
        ("Zero 7", "", "Air", mbid_of(1)),
    ]
    assert world.most("listenbrainz", 5.0) <= 5


def test_deezer_tells_related_artists_by_name(world: FakeServices, tmp_path: Path) -> None:
    report = fetch(world, "deezer", tmp_path / "truth.csv")
    assert (report.artists, report.pairs, report.unidentified) == (2, 3, ["Nirvana"])
    assert pairs(tmp_path / "truth.csv")[0] == ("Air", mbid_of(1), "Zero 7", "")


@pytest.mark.parametrize("source", ["listenbrainz", "deezer"])
def test_a_service_that_fails_costs_its_artist_only_and_is_asked_again(
    world: FakeServices, tmp_path: Path, source: TruthSource
) -> None:
    into = tmp_path / "truth.csv"
    path = "related" if source == "deezer" else "similar"
    world.script(source, *["500"] * 5, path=path)
    report = fetch(world, source, into)
    assert list(report.failed) == ["Air"]
    assert report.pairs == 1
    asked = world.count(source, path)
    report = fetch(world, source, into)
    assert (report.failed, report.pairs) == ({}, 3)
    assert world.count(source, path) == asked + 1


def test_listenbrainz_says_when_to_come_back(world: FakeServices, tmp_path: Path) -> None:
    world.script("listenbrainz", "429 reset in 9")
    assert fetch(world, "listenbrainz", tmp_path / "truth.csv").pairs == 3
    first, second = world.requests("listenbrainz")[:2]
    assert second.at - first.at >= 9


@pytest.mark.parametrize("fault", ["html", "number", "no rows", "cut json"])
def test_an_answer_of_another_form_is_no_truth(
    world: FakeServices, tmp_path: Path, fault: str
) -> None:
    world.script("listenbrainz", *[fault] * 5)
    assert "Air" in fetch(world, "listenbrainz", tmp_path / "truth.csv").failed


def test_the_command_writes_the_pairs_and_names_who_is_missing(
    world: FakeServices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "wanted.csv").write_text(f"artist,mbid\nAir,{mbid_of(1)}\n", encoding="utf-8")
    words = ["fetch", "truth", "--source", "listenbrainz", "--artists", "wanted.csv"]
    monkeypatch.setattr(sys, "argv", ["twinear", *words, "--contact", "me@example.org"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == "2 pairs of 1 artists in truth-listenbrainz.csv\n"
    assert len(pairs(tmp_path / "truth-listenbrainz.csv")) == 2
