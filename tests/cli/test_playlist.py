"""`twinear playlist`: over the sample's catalogue, and over a folder of music."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import Project
from twinear.base.errors import DataError
from twinear.cli.app import app
from twinear.clips.decoding import frames

ARTISTS = 12  # of the sample, whose clips are the folder of music


@pytest.fixture(name="clips")
def _clips(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The sample's clips; the command runs in the finished project, and writes elsewhere."""
    monkeypatch.chdir(finished.folder)
    return pd.read_csv("data/clips.csv")


@pytest.fixture(name="folder")
def _folder(clips: pd.DataFrame, tmp_path: Path) -> Path:
    """Some of the sample's clips as a folder of music, and a text file."""
    folder = tmp_path / "music"
    for artist in clips["artist"].unique()[:ARTISTS]:
        own = clips[clips["artist"] == artist]
        (folder / artist).mkdir(parents=True)
        for file, title in zip(own["file"], own["title"], strict=True):
            shutil.copy(f"data/{file}", folder / artist / f"{title}{Path(file).suffix}")
    (folder / clips["artist"][0] / "text.mp3").write_text("la la la")
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["playlist", *words], catch_exceptions=False)


def asked(*words: str) -> dict[str, Any]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def paths(playlist: Path) -> list[Path]:
    lines = playlist.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#EXTM3U"
    assert all(line.startswith("#EXTINF:30,") for line in lines[1::2])
    return [playlist.parent / line for line in lines[2::2]]


def test_a_path_over_the_catalogue_begins_and_ends_where_asked(
    clips: pd.DataFrame, tmp_path: Path
) -> None:
    first, last = clips["artist"].iloc[0], clips["artist"].iloc[-1]
    playlist = tmp_path / "mix.m3u8"
    ends = ("--from", first, "--to", last, "--length", "9")
    made = asked(*ends, "--out", str(playlist))
    names = [each["name"] for each in made["recordings"]]
    assert (names[0], names[-1], len(names)) == (first, last, 9)
    assert all(a != b for a, b in pairwise(names))
    assert [str(path) for path in paths(playlist)] == [each["file"] for each in made["recordings"]]
    assert all(next(frames(path)).samples for path in paths(playlist))
    assert made["recordings"][0]["score"] is None
    scores = [each["score"] for each in made["recordings"][1:]]
    assert made["least_score"] == pytest.approx(min(scores))
    assert made["mean_score"] == pytest.approx(sum(scores) / 8)
    assert made["least_score"] > made["random_score"]
    assert made["nearer_than_random"] > 0.8
    text = run(*ends).stdout.splitlines()
    assert [line.split()[0] for line in text[:9]] == [str(place) for place in range(1, 10)]
    assert first in text[0]
    assert "random pairs" in text[9]


def test_a_clip_may_be_named_and_the_playlist_printed(clips: pd.DataFrame) -> None:
    clip = f"data/{clips['file'][3]}"
    result = run("--from", clip, "--length", "4", "--out", "-")
    assert result.stdout.splitlines()[2] == str(Path(clip).absolute())
    assert len(result.stdout.splitlines()) == 9


def test_a_folder_of_music_is_encoded_once_by_the_catalogues_scorer(
    clips: pd.DataFrame, folder: Path, tmp_path: Path
) -> None:
    first, elsewhere = clips["artist"].iloc[0], clips["artist"].iloc[-1]
    playlist = folder / "lists/mix.m3u8"
    music = ("--music", str(folder), "--library", str(tmp_path / "library.sqlite"))
    words = ("--from", first, "--length", "10", *music)
    result = run(*words, "--out", str(playlist))
    assert "left out: 1 cannot be decoded" in result.stderr
    assert "recordings: 100%" in result.stderr
    assert result.stdout.splitlines()[-1] == str(playlist)
    listed = paths(playlist)
    assert listed[0].parent.name == first
    assert not any(line.startswith("/") for line in playlist.read_text().splitlines())
    assert all(path.resolve().is_relative_to(folder) for path in listed)
    assert all(path.is_file() for path in listed)
    again = run(*words, "--json")
    assert "recordings:" not in again.stderr
    assert json.loads(again.stdout)["left_out"]["cannot be decoded"] == 1
    assert [Path(each["file"]) for each in json.loads(again.stdout)["recordings"]] == [
        path.resolve() for path in listed
    ]
    near = run("--from", elsewhere, "--length", "3", *music)
    assert f"{elsewhere} is not in {folder}; the nearest: {folder}/" in near.stderr


def test_what_cannot_be_is_one_line(clips: pd.DataFrame, folder: Path, tmp_path: Path) -> None:
    first = clips["artist"].iloc[0]
    with pytest.raises(DataError, match="is there and is not a playlist"):
        run("--from", first, "--out", "params.yaml")
    with pytest.raises(DataError, match="the same recording"):
        run("--from", first, "--to", first)
    for words, said in (
        (("--scorer", "x.safetensors"), "needs --music"),
        (("--out", "-", "--json"), "both use standard output"),
        (("--length", "1"), "2"),
    ):
        result = run("--from", first, *words)
        assert result.exit_code == 2
        assert said in result.output
