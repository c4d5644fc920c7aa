"""Clips of many artists: complete in spite of faults, resumable at any moment, accounted for."""

import csv
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import PARAMS, ROOT
from tests.support.audio import music, write_clip
from tests.support.fetching import (
    HASTE,
    artists,
    fetch,
    fetch_params,
    mbid_of,
    opened,
    requested,
    requested_all,
)
from tests.support.services import FakeArtist, FakeClock, FakeServices
from twinear.acquisition.croissant import read_licences
from twinear.acquisition.network.errors import InvalidContentError, ServiceUnavailableError
from twinear.acquisition.network.rate_limit import SystemClock
from twinear.acquisition.previews.artist_fetch import FetchParams
from twinear.acquisition.previews.check import check_clips
from twinear.acquisition.previews.fetch import fetch_clips, journal_folder
from twinear.acquisition.previews.folder import FolderSource
from twinear.acquisition.previews.provenance import COLUMNS
from twinear.acquisition.previews.report import FetchReport, format_report
from twinear.acquisition.previews.source import Candidate, Preview, RequestedArtist, Source
from twinear.acquisition.previews.sources import OpenSources
from twinear.acquisition.previews.table import TableSource
from twinear.artists.clip_table import read_clip_table, resolve
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.base.params import read_params
from twinear.clips.clips import ClipsParams, index_clips
from twinear.clips.waveform import load_waveform

SR = 22050
FAULTS = {
    "deezer": ("429", "429 after 7", "503", "500", "quota", "busy", "html", "cut json", "reset"),
    "itunes": ("403", "429", "reset", "html", "empty"),
    "musicbrainz": ("503", "503 after 3", "reset", "502"),
    "cdn": ("503", "reset", "truncated", "html", "not audio", "hang up", "redirect once"),
}


def rows_of(into: Path) -> list[dict[str, str]]:
    with (into / "clips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def redirects_of(into: Path) -> list[list[str]]:
    with (into / "listens/redirects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def from_sources(
    into: Path, sources: Sequence[Source], artists: Sequence[RequestedArtist], params: FetchParams
) -> FetchReport:
    opened = OpenSources(musicbrainz=None, sources=list(sources))
    return fetch_clips(artists, opened, into, params, list, SystemClock())


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]


# a long run


@pytest.mark.slow(reason="fetches a hundred artists; the other tests try one fault each")
def test_a_hundred_artists_and_a_fifth_of_faults_end_complete_within_every_limit(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    both = artists(100)
    known = [replace(one, deezer=0) if n % 4 == 0 else one for n, one in enumerate(both)]
    with FakeServices(*known, clock=clock) as services:
        services.mishaps(0.2, FAULTS, seed=1)
        started = time.process_time()
        report = fetch(services.url, tmp_path / "data", requested_all(known), fetch_params(), clock)
        assert time.process_time() - started < 200  # the waits are simulated
        assert services.most("deezer", 5) <= 50
        assert services.most("itunes", 60) <= 20
        assert services.most("musicbrainz", 1) == 1
        assert services.count() > 1.15 * (200 + 100 + 300)  # there were faults
        agents = {request.headers["user-agent"] for request in services.requests()}
        assert agents == {"twinear/0 (me@example.org)"}
    assert (report.artists, report.complete, report.clips) == (100, 100, 300)
    assert report.by_source["itunes"]["artists"] >= 25
    assert report.failed == report.few == report.ambiguous == []
    assert check_clips(tmp_path / "data", list, 1).faults == {}


def _program(services: FakeServices, into: Path, n: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.fetching", services.url, str(into), str(n)]
    return subprocess.Popen(command, cwd=ROOT)


@pytest.mark.slow(reason="four processes, two of which are killed")
def test_killed_and_started_again_nothing_is_fetched_twice(tmp_path: Path) -> None:
    n, into, in_flight = 24, tmp_path / "data", 0
    with FakeServices(*artists(n)) as services:
        for n_clips in (5, 45):  # killed at the beginning and in the middle
            process = _program(services, into, n)
            while services.count("cdn") < n_clips:
                assert process.poll() is None
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            journal = journal_folder(into)
            whole = [path for path in journal.glob("audio/*") if not path.name.startswith(".")]
            checked = [path for path in journal.glob("heard/*.json") if path.name[0] != "."]
            keys = {path.name for path in whole} | {path.stem for path in checked}
            asked = {request.path for request in services.requests("cdn")}
            assert len(asked) - len(keys) <= 8  # one a thread
            in_flight += len(asked) - len(keys)
        assert _program(services, into, n).wait() == 0
        seen = Counter(request.path for request in services.requests("cdn"))
        assert len(seen) == 3 * n
        assert sum(seen.values()) - len(seen) <= in_flight
        asked_again = Counter((request.service, request.path) for request in services.requests())
        assert max(asked_again.values()) <= 4
        assert services.most("musicbrainz", HASTE["musicbrainz"]) == 1  # starts anew included
        assert services.most("deezer", 5 * HASTE["deezer"]) <= 50
        uninterrupted = tmp_path / "uninterrupted"
        assert _program(services, uninterrupted, n).wait() == 0
    timeless = [
        [row | {"fetched": ""} for row in rows_of(folder)] for folder in (into, uninterrupted)
    ]
    assert timeless[0] == timeless[1]
    assert sorted(path.name for path in (into / "clips").iterdir()) == sorted(
        path.name for path in (uninterrupted / "clips").iterdir()
    )
    assert leftovers(tmp_path) == []
    assert check_clips(into, list, 1).faults == {}
    assert list((journal_folder(into) / "audio").iterdir()) == []


def test_what_is_complete_asks_nothing_and_more_clips_only_what_is_missing(tmp_path: Path) -> None:
    into = tmp_path / "data"
    with FakeServices(*artists(4)) as services:
        two = requested_all(services.artists)[:2]
        few = fetch(services.url, into, two, fetch_params(2))
        asked = services.count()
        before = (into / "clips.csv").read_bytes()
        assert (
            fetch(services.url, into, requested_all(services.artists)[:2], fetch_params(2)) == few
        )
        assert services.count() == asked
        assert (into / "clips.csv").read_bytes() == before
        fetch(services.url, into, requested_all(services.artists), fetch_params(3))
        paths = Counter(request.path for request in services.requests("cdn"))
        assert (len(paths), set(paths.values())) == (12, {1})
        counts = Counter(row["artist"] for row in rows_of(into))
        assert set(counts.values()) == {3}
        (into / rows_of(into)[0]["file"]).unlink()  # and what was lost is fetched anew
        fetch(services.url, into, requested_all(services.artists), fetch_params(3))
        assert services.count("cdn") == 13
    assert check_clips(into, list, 1).faults == {}


# services that fail


def test_when_a_service_is_down_the_next_is_asked(tmp_path: Path) -> None:
    known = artists(6)
    with FakeServices(*known) as services:
        services.mishaps(1, {"deezer": ("503",), "musicbrainz": ("reset",)})
        report = fetch(services.url, tmp_path / "data", requested_all(known), fetch_params())
    assert report.by_source == {"itunes": {"artists": 6, "clips": 18}}
    assert report.complete == 6
    assert {row["confidence"] for row in rows_of(tmp_path / "data")} == {"0.9"}


def test_when_all_are_down_it_is_said_and_the_next_time_mends_it(tmp_path: Path) -> None:
    known, into = artists(3), tmp_path / "data"
    with FakeServices(*known) as services:
        services.mishaps(1, dict.fromkeys(("deezer", "itunes", "musicbrainz"), ("503",)))
        report = fetch(services.url, into, requested_all(known), fetch_params(rounds=1))
        assert [entry["name"] for entry in report.failed] == [artist.name for artist in known]
        assert "deezer" in report.failed[0]["why"]
        assert "failed:" in format_report(report)
        assert not (into / "clips.csv").exists()
        assert not (into / "croissant.json").exists()  # there is no data to describe
        services.mishaps(0, {})
        time.sleep(0.1)  # as long as they are left alone
        assert fetch(services.url, into, requested_all(known), fetch_params()).complete == 3


def test_artists_missed_while_services_were_away_are_asked_for_at_the_end(tmp_path: Path) -> None:
    known, rounds = artists(3), []
    with FakeServices(*known) as services:
        services.mishaps(1, dict.fromkeys(("deezer", "itunes"), ("503",)))

        def progress(items: Iterable[Any]) -> Iterable[Any]:
            rounds.append(items)
            if len(rounds) == 2:
                services.mishaps(0, {})
                time.sleep(0.1)
            return items

        with opened(services.url, tmp_path / "answers") as sources:
            report = fetch_clips(
                requested_all(known),
                sources,
                tmp_path / "data",
                fetch_params(),
                progress,
                SystemClock(),
            )
    assert len(rounds) in (2, 3)  # the first who ask again go alone
    assert report.complete == 3


def test_bad_audio_is_passed_over_with_its_reason(tmp_path: Path) -> None:
    known, into = [replace(artists(1)[0], itunes=0)], tmp_path / "data"
    with FakeServices(*known) as services:
        services.script("cdn", "not audio", "huge", "", "html", "html", "html", "html", "html")
        services.slow_seconds = 0.2
        params = fetch_params(threads=1)
        report = fetch(services.url, into, requested_all(known), params)
        reasons = [entry["why"] for entry in report.set_aside]
        assert report.few[0]["why"] == "2 clips; 3 previews set aside"
    assert [row["title"] for row in rows_of(into)] == ["Three", "Five"]
    assert reasons[0].startswith("deezer 100: is not audio")
    assert "larger than 16000000 bytes" in reasons[1]
    assert "is a web page" in reasons[2]
    assert leftovers(tmp_path) == []


def test_short_silent_and_missing_files_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_clip(folder / "short.wav", music(0.5, SR), SR)
    write_clip(folder / "silent.wav", np.zeros(3 * SR), SR)
    write_clip(folder / "good.wav", music(3, SR), SR)
    (folder / "words.mp3").write_text("words")
    names = ("short.wav", "silent.wav", "words.mp3", "gone.mp3", "good.wav")
    rows = [f"{name},Air,{name[:-4]}" for name in names]
    (folder / "table.csv").write_text("\n".join(["file,artist,title", *rows]))
    source = TableSource(folder / "table.csv")
    report = from_sources(tmp_path / "data", [source], [requested("Air")], fetch_params(2))
    assert [entry["why"].split(": ", 1)[1][:12] for entry in report.set_aside[:2]] == [
        "is short (0.",
        "is silent (-",
    ]
    assert "words.mp3: is not audio" in report.set_aside[2]["why"]
    assert "gone.mp3: is missing" in report.set_aside[3]["why"]
    assert [row["title"] for row in rows_of(tmp_path / "data")] == ["good"]


def test_an_artist_of_bad_audio_only_is_without_audio(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("file,artist\nnone.mp3,Air\n")
    source = TableSource(tmp_path / "table.csv")
    people = [requested("Air"), requested("Blur")]
    report = from_sources(tmp_path / "data", [source], people, fetch_params(2))
    assert [entry["why"] for entry in report.without_audio] == [
        "1 previews set aside",
        "no source has it",
    ]


# who is who


def test_a_merged_id_is_recorded_and_the_listens_id_kept(tmp_path: Path) -> None:
    known = FakeArtist(name="Air", mbid=mbid_of(2), merged=(mbid_of(1),), deezer=5)
    into = tmp_path / "data"
    with FakeServices(known) as services:
        report = fetch(services.url, into, [requested("AIR (FR)", mbid_of(1))], fetch_params(1))
        fetch(services.url, into, [requested("Air", mbid_of(2))], fetch_params(1))
    assert report.merged == {mbid_of(1): mbid_of(2)}
    assert redirects_of(into) == [["old", "new"], [mbid_of(1), mbid_of(2)]]
    first = rows_of(into)[0]
    assert (first["artist"], first["mbid"], first["source_artist"]) == ("AIR (FR)", mbid_of(1), "5")
    assert (first["confidence"], first["why"]) == ("1.0", "linked by MusicBrainz")


def test_an_ambiguous_name_is_reported_and_not_guessed(tmp_path: Path) -> None:
    known = [
        FakeArtist(name="Nirvana", deezer=1, itunes=1),
        FakeArtist(name="Nirvana", deezer=2, itunes=2),
        FakeArtist(name="Air", deezer=3),
    ]
    people = [requested("Nirvana"), requested("Air"), requested("Nobody")]
    with FakeServices(*known) as services:
        report = fetch(services.url, tmp_path / "data", people, fetch_params(1))
        again = fetch(services.url, tmp_path / "data", people, fetch_params(1))
    assert [entry["name"] for entry in report.ambiguous] == ["Nirvana"]
    assert "deezer: a guess among 2" in report.ambiguous[0]["why"]
    assert "itunes: a guess among 2" in report.ambiguous[0]["why"]
    assert [entry["name"] for entry in report.without_audio] == ["Nobody"]
    assert [row["artist"] for row in rows_of(tmp_path / "data")] == ["Air"]
    assert again == report
    assert "ambiguous:\n  Nirvana: " in format_report(report)


def test_musicbrainz_tells_namesakes_apart_and_names_those_who_have_only_an_id(
    tmp_path: Path,
) -> None:
    known = [
        FakeArtist(name="Nirvana", mbid=mbid_of(1), deezer=1),
        FakeArtist(name="Nirvana", mbid=mbid_of(2), deezer=2),
        FakeArtist(name="Björk ☃ “x”", mbid=mbid_of(3), deezer=3),
        FakeArtist(name="Ludovico", mbid=mbid_of(4), relations=(), itunes=4),
    ]
    people = [requested(name, mbid_of(n)) for n, name in ((1, "Nirvana"), (2, "Nirvana"), (3, ""))]
    people.append(requested("L. Einaudi", mbid_of(4)))  # MusicBrainz has another name for it
    with FakeServices(*known) as services:
        report = fetch(services.url, tmp_path / "data", people, fetch_params(1))
    assert report.complete == 4
    rows = rows_of(tmp_path / "data")
    assert [row["source_artist"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["artist"] for row in rows] == ["Nirvana", "Nirvana", "Björk ☃ “x”", "L. Einaudi"]


def test_artists_without_audio_are_asked_for_again_only_if_told(tmp_path: Path) -> None:
    into, people = tmp_path / "data", [requested("Air", mbid_of(1))]
    known = FakeArtist(name="Air", mbid=mbid_of(1), deezer=1, without_preview=(0, 1, 2, 3, 4))
    with FakeServices(known) as services:
        fetch(services.url, into, people, fetch_params(1))
        asked = services.count()
        fetch(services.url, into, people, fetch_params(1))
        assert services.count() == asked
        services.artists[0] = replace(known, without_preview=())
        for answer in (journal_folder(into) / "answers").rglob("*.json"):
            answer.unlink()  # as if they were old
        assert fetch(services.url, into, people, fetch_params(1)).complete == 0
        assert fetch(services.url, into, people, fetch_params(1, again=True)).complete == 1


# recordings


def test_a_recording_under_two_titles_is_kept_once(tmp_path: Path) -> None:
    known = FakeArtist(
        name="Air",
        deezer=1,
        titles=("One", "One - Remastered 2011", "Two", "Two (Live)", "Three"),
        same_audio={4: 2},
    )
    with FakeServices(known) as services:
        report = fetch(services.url, tmp_path / "data", [requested("Air")], fetch_params(5))
        assert "/deezer/101.mp3" not in {request.path for request in services.requests("cdn")}
    assert [row["title"] for row in rows_of(tmp_path / "data")] == ["One", "Two", "Two (Live)"]
    assert [entry["why"] for entry in report.set_aside] == [
        "deezer 101: the same recording as 'One'",
        "deezer 104: the same audio as 'Two'",
    ]


class Shelf:
    """A source of one file for everybody, that counts."""

    name = "shelf"
    terms = "none"

    def __init__(self, file: Path, fault: BaseException | None = None) -> None:
        self.file = file
        self.fault = fault
        self.downloads = 0

    def find(self, artist: RequestedArtist) -> Candidate | None:
        return Candidate(artist_id="1", name="x", confidence=1, why="one for all")

    def previews(self, candidate: Candidate, limit: int) -> list[Preview]:
        return [
            Preview(
                source_id="1",
                title="Together",
                url="https://user:word@example.org/a/b.mp3?token=secret#x",
                duration_seconds=100,
                terms="none",
            )
        ]

    def download(self, preview: Preview, to: Path) -> None:
        self.downloads += 1
        time.sleep(0.05)
        if self.fault:
            raise self.fault
        to.write_bytes(self.file.read_bytes())


def test_a_recording_of_two_artists_is_fetched_once(tmp_path: Path) -> None:
    shelf = Shelf(write_clip(tmp_path / "a.mp3", music(2, SR), SR))
    people = [requested(name) for name in ("Air", "Blur", "Can", "Devo")]
    from_sources(tmp_path / "data", [shelf], people, fetch_params(1))
    assert shelf.downloads == 1
    assert [row["artist"] for row in rows_of(tmp_path / "data")] == ["Air", "Blur", "Can", "Devo"]
    assert len({row["file"] for row in rows_of(tmp_path / "data")}) == 1


def test_a_row_says_where_its_clip_came_from_and_no_secret(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "a.m4a", music(2, SR), SR)
    into = tmp_path / "data"
    from_sources(into, [Shelf(file)], [requested("Air", mbid_of(1))], fetch_params(1))
    (row,) = rows_of(into)
    assert tuple(row) == COLUMNS
    assert read_licences(into) == ("none",)  # as the shelf says
    content = sha256(file)
    assert row["fetched"][:2] == "20"
    assert row["fetched"].endswith("+00:00")
    assert row | {"fetched": ""} == {
        "file": f"clips/{content[:16]}.m4a",
        "artist": "Air",
        "mbid": mbid_of(1),
        "title": "Together",
        "source": "shelf",
        "source_artist": "1",
        "source_id": "1",
        "url": "https://example.org/a/b.mp3",
        "fetched": "",
        "bytes": str(file.stat().st_size),
        "sha256": content,
        "terms": "none",
        "confidence": "1",
        "why": "one for all",
    }


def test_a_signature_is_kept_nowhere(tmp_path: Path) -> None:
    with FakeServices(*artists(1)) as services:
        fetch(services.url, tmp_path / "data", requested_all(services.artists), fetch_params())
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"cdn/deezer/100.mp3" in kept
    assert b"hmac" not in kept


# what is there


def test_rows_that_came_otherwise_stay(tmp_path: Path) -> None:
    into = tmp_path / "data"
    write_clip(into / "clips/own.wav", music(2, SR), SR)
    (into / "clips.csv").write_text('year,file,artist\n1970,clips/own.wav,"Who, The"\n')
    with FakeServices(*artists(2)) as services:
        fetch(services.url, into, requested_all(services.artists), fetch_params(1))
        fetch(services.url, into, requested_all(services.artists)[:1], fetch_params(2))
    rows = rows_of(into)
    assert (rows[0]["artist"], rows[0]["year"], rows[0]["source"]) == ("Who, The", "1970", "")
    assert Counter(row["artist"] for row in rows) == {
        "Who, The": 1,
        "Artist 001": 2,
        "Artist 002": 1,
    }


def test_the_stages_read_what_was_fetched(tmp_path: Path) -> None:
    into = tmp_path / "data"
    people = [requested("Artist 001", mbid_of(1)), requested("artist 002"), requested("Own")]
    write_clip(tmp_path / "music/Own/Album/a.flac", music(3, SR), SR)
    with FakeServices(*artists(2)) as services:
        fetch(services.url, into, people, fetch_params(2))
    from_sources(into, [FolderSource(tmp_path / "music")], people, fetch_params(2))
    known = [(mbid_of(1), "Artist 001", mbid_of(1)), ("artist 002", "artist 002", "")]
    listed = pd.DataFrame(known, columns=["artist", "name", "mbid"])
    table = resolve(read_clip_table(into / "clips.csv"), listed)
    params = read_params("clips", ClipsParams, PARAMS).model_copy(update={"min_seconds": 1.0})
    index, report = index_clips(table, into, params, list, 1)
    assert (report.used, report.set_aside) == (5, {})
    assert Counter(index.table["artist"]) == {mbid_of(1): 2, "artist 002": 2, "own": 1}
    assert (rows_of(into)[-1]["terms"], rows_of(into)[-1]["url"]) == (
        "own library",
        "Own/Album/a.flac",
    )


def test_a_library_that_grew_is_looked_at_again(tmp_path: Path) -> None:
    music_folder, into = tmp_path / "music", tmp_path / "data"
    write_clip(music_folder / "Air/One/a.mp3", music(3, SR), SR)
    people = [requested("Air")]
    from_sources(into, [FolderSource(music_folder)], people, fetch_params(2))
    write_clip(music_folder / "Air/Two/b.mp3", music(4, SR, 1), SR)
    report = from_sources(into, [FolderSource(music_folder)], people, fetch_params(2))
    assert report.complete == 1
    assert [load_waveform(into / row["file"], SR).size // SR for row in rows_of(into)] == [3, 4]


# errors


def test_only_one_fetch_at_a_time(tmp_path: Path) -> None:
    into = tmp_path / "data"
    shelf = Shelf(write_clip(tmp_path / "a.mp3", music(2, SR), SR))

    def progress(items: Iterable[Any]) -> Iterable[Any]:
        with pytest.raises(DataError, match="another fetch is running"):
            from_sources(into, [shelf], [requested("Blur")], fetch_params(1))
        return items

    sources = OpenSources(musicbrainz=None, sources=[shelf])
    fetch_clips([requested("Air")], sources, into, fetch_params(1), progress, SystemClock())
    assert [row["artist"] for row in rows_of(into)] == ["Air"]


@pytest.mark.parametrize("name", ["clips.csv", "listens/redirects.csv"])
def test_a_table_that_cannot_be_added_to_is_said_before_anything_is_fetched(
    tmp_path: Path, name: str
) -> None:
    into = tmp_path / "data"
    (into / "listens").mkdir(parents=True)
    (into / name).write_text("x,y\n1,2\n")
    shelf = Shelf(tmp_path / "none")
    with pytest.raises(DataError, match=name):
        from_sources(into, [shelf], [requested("Air")], fetch_params(1))
    assert shelf.downloads == 0


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (ServiceUnavailableError("shelf", "is away"), "failed"),
        (InvalidContentError("shelf", "is odd"), "without_audio"),
    ],
)
def test_a_download_that_fails_is_accounted_for(
    tmp_path: Path, fault: Exception, kind: str
) -> None:
    shelf = Shelf(tmp_path / "none", fault)
    report = from_sources(tmp_path / "data", [shelf], [requested("Air")], fetch_params(1, rounds=1))
    assert [entry["name"] for entry in getattr(report, kind)] == ["Air"]


def test_a_bug_in_a_source_is_not_swallowed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "none", ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        from_sources(tmp_path / "data", [shelf], [requested("Air")], fetch_params(1))
