"""`twinear fetch clips` and `twinear clips check`."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS
from tests.support.audio import music, tagged, write_clip
from tests.support.command import Ended, run_twinear
from tests.support.fetching import artists, mbid_of
from tests.support.services import FakeArtist, FakeServices
from twinear.acquisition.previews.fetch import journal_folder
from twinear.artists.identity import write_artists

SR = 22050
PROGRAM = [sys.executable, "-c", "from twinear.cli.main import main; main()"]
CONTACT = ("--contact", "me@example.org")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with params, in which short clips are long enough, and with listens."""
    text = PARAMS.read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("min_seconds: 5.0", "min_seconds: 1.0"))
    (tmp_path / "artifacts/listens").mkdir(parents=True)
    rows = [(mbid_of(n), f"Artist {n:03d}", mbid_of(n), 9 - n, 10) for n in (1, 2, 3)]
    table = pd.DataFrame(rows, columns=["artist", "name", "mbid", "listeners", "plays"])
    write_artists(table, tmp_path / "artifacts/listens/artists.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TWINEAR_CONTACT", raising=False)
    return tmp_path


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line, with the addresses of services on loopback."""

    def run_with(*words: str, services: FakeServices | None = None) -> Ended:
        with monkeypatch.context() as patch:
            for name, value in (services.environment if services else {}).items():
                patch.setenv(name, value)
            return run_twinear(capsys, *words)

    return run_with


def test_the_top_artists_get_clips_and_the_check_finds_them_whole(project: Path, run: Run) -> None:
    with FakeServices(*artists(3)) as services:
        words = ("fetch", "clips", "--top", "2", "--clips", "2", *CONTACT)
        done = run(*words, services=services)
        assert done.status == 0, done.stderr
        agents = {request.headers["user-agent"] for request in services.requests()}
        assert agents == {f"twinear/{version('twinear')} (me@example.org)"}
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["source", "artists", "clips"]
    assert lines[1].split() == ["deezer", "2", "4"]
    assert "Deezer's terms of use" in done.stderr
    assert "only to promote" in done.stderr
    assert "2/2" in done.stderr  # progress
    checked = run("clips", "check")
    assert (checked.status, checked.stdout) == (0, "4 rows, 4 files, 0 faults\n")
    next((project / "data/clips").iterdir()).unlink()
    checked = run("clips", "check", "--json")
    assert checked.status == 1
    assert list(json.loads(checked.stdout)["faults"]) == ["missing"]


def test_a_list_and_json(project: Path, run: Run) -> None:
    (project / "list.txt").write_text("Nirvana\nNobody\n")
    known = [FakeArtist(name="Nirvana", deezer=n) for n in (1, 2)]
    with FakeServices(*known) as services:
        words = ("fetch", "clips", "--artists", "list.txt", "--sources", "deezer", "--json")
        done = run(*words, *CONTACT, services=services)
    assert done.status == 1  # not one clip
    report = json.loads(done.stdout)
    assert [entry["name"] for entry in report["ambiguous"]] == ["Nirvana"]
    assert [entry["name"] for entry in report["without_audio"]] == ["Nobody"]
    assert not (project / "data/clips.csv").exists()


def test_ones_own_music_needs_no_contact_and_no_network(project: Path, run: Run) -> None:
    write_clip(project / "music/Artist 001/Album/a.flac", music(3, SR), SR)
    write_clip(project / "in/b.wav", music(3, SR, 1), SR)
    (project / "in/table.csv").write_text("file,artist,terms\nb.wav,Artist 002,CC0\n")
    words = ("fetch", "clips", "--top", "2", "--clips", "1", "--sources", "folder,table")
    done = run(*words, "--music", "music", "--table", "in/table.csv")
    assert done.status == 0, done.stderr
    with (project / "data/clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["terms"] for row in rows] == ["own library", "CC0"]


def test_music_of_two_bands_of_one_name_is_told_apart_and_what_is_left_out_counted(
    project: Path, run: Run
) -> None:
    one, two = mbid_of(1), mbid_of(2)
    (project / "music").mkdir()
    for n, mbid in enumerate((one, two), 1):
        path = project / f"music/{n}.flac"
        y = np.stack([music(3, 48000, n)] * 2)
        tagged(path, y, artist="Nirvana", title=f"{n}", MUSICBRAINZ_ARTISTID=mbid)
    (project / "music" / os.fsdecode(b"Bj\xf6rk")).mkdir()
    write_clip(project / "music" / os.fsdecode(b"Bj\xf6rk/a.flac"), music(3, SR, 3), SR)
    (project / "music/cover.jpg").touch()
    wanted = ["artist,mbid", f"Nirvana,{two}", "Nirvana,", f"Nirvana,{mbid_of(9)}", "Björk,"]
    (project / "wanted.csv").write_text("\n".join(wanted))
    words = ("fetch", "clips", "--artists", "wanted.csv", "--sources", "folder", "--json")
    done = run(*words, "--music", "music")
    assert done.status == 0, done.stderr
    with (project / "data/clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["artist"], row["mbid"], row["url"]) for row in csv.DictReader(file)]
    assert rows == [("Nirvana", two, "2.flac"), ("Björk", "", "Björk/a.flac")]
    report = json.loads(done.stdout)
    assert [entry["why"] for entry in report["ambiguous"]] == ["folder: 2 artists of that name"]
    assert [entry["artist"] for entry in report["without_audio"]] == [mbid_of(9)]
    assert report["left_out"] == {"not audio": 1}
    assert report["examples"] == {"not audio": ["cover.jpg"]}


@pytest.mark.parametrize("as_json", ["--json", "--text"])
def test_a_terminal_that_cannot_show_a_name_gets_a_replacement(project: Path, as_json: str) -> None:
    (project / "wanted").write_text("椎名林檎\n", encoding="utf-8")
    touched = project / "music/椎名林檎/a.flac"
    touched.parent.mkdir(parents=True)
    touched.write_text("not music")
    words = ("fetch", "clips", "--artists", "wanted", "--sources", "folder", "--music", "music")
    done = subprocess.run(
        [*PROGRAM, *words, as_json],
        cwd=project,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    text = done.stdout.decode("cp1252")
    if as_json == "--json":
        assert json.loads(text)["without_audio"][0]["name"] == "椎名林檎"
    else:
        assert "????: 1 previews set aside" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "error: twinear fetch clips: needs one of --top and --artists"),
        (("--top", "2"), "error: contact: is missing, expected an e-mail address"),
        (("--top", "2", "--contact", "me"), "error: contact: 'me', expected an e-mail address"),
        (("--top", "2", "--sources", "dezer"), "no source 'dezer', .*did you mean 'deezer'"),
        (("--top", "2", "--sources", ","), "error: --sources: names no source, expected folder"),
        (("--top", "2", "--sources", "folder"), "error: --sources: .*add --music FOLDER"),
        (("--top", "2", "--sources", "spotify", *CONTACT), "error: spotify: has no keys"),
        (("--top", "2", "--listens", "x"), r"error: x/artists.csv: is missing; run 'dvc repro"),
        (("--artists", "x"), "error: x: is missing; write one name a line"),
    ],
)
def test_what_is_wrong_is_one_line(
    project: Path, run: Run, words: tuple[str, ...], message: str
) -> None:
    done = run("fetch", "clips", *words)
    assert (done.status, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line), line


def test_an_interrupt_stops_at_once_and_keeps_what_there_is(project: Path, run: Run) -> None:
    with FakeServices(*artists(3)) as services:
        services.slow_seconds = 600
        # the artists are fetched at once: of four good answers at least two are of one artist
        services.script("cdn", "", "", "", "", "slow", "slow")
        words = ("fetch", "clips", "--top", "3", "--clips", "2", *CONTACT)
        process = subprocess.Popen(
            [*PROGRAM, *words],
            cwd=project,
            env={**os.environ, **services.environment},
            stderr=subprocess.PIPE,
        )
        outcomes = journal_folder(project / "data") / "artists"
        while services.count("cdn") < 5 or not list(outcomes.glob("[!.]*")):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)  # until all threads know of the artist that one of them has finished
        asked = services.count("cdn")
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=600)
        finally:
            process.kill()
        assert services.count("cdn") == asked
    assert process.returncode == 130
    assert (project / "data/clips.csv").is_file()
    assert json.loads(run("clips", "check", "--json").stdout)["listed"] in (2, 4)


def test_help_answers_at_once_without_the_network_library(project: Path) -> None:
    code = (
        "import sys; sys.argv = ['twinear', 'fetch', '--help']\n"
        "from twinear.cli.commands import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "assert not {'httpx', 'torch', 'pandas', 'av'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "clips" in done.stdout
