"""A folder of music encoded: what is left out, what is kept, and what is not done twice."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PARAMS
from tests.support.audio import music, tagged, write_clip
from tests.support.disk import limited_disk
from tests.support.scorers import ALONE, small_scorer
from twinear.acquisition.music_folder import FileTags
from twinear.base.errors import DataError
from twinear.base.files import sha256
from twinear.base.params import read_params
from twinear.clips.clips import ClipsParams
from twinear.inference import embed
from twinear.model.scorer import Scorer
from twinear.recommendation.library import MusicLibrary, encode_library
from twinear.recommendation.library_cache import EncodedRecording, FileState, LibraryCache

USABLE = read_params("clips", ClipsParams, PARAMS)
UNITS = 12
MBID = "aaaaaaaa-0000-4000-8000-000000000000"


@pytest.fixture(name="scorer", scope="module")
def _scorer() -> Scorer:
    return small_scorer()


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Music of three formats, with and without tags, and files that no playlist can use."""
    folder = tmp_path_factory.mktemp("library") / "music"
    for artist in ("Air", "Moby", "Other"):
        (folder / artist).mkdir(parents=True)
    tagged(folder / "Other/1.mp3", music(6, 48000, seed=1), artist="Air", title="Sexy Boy")
    write_clip(folder / "Air/Moon Safari/02 Talisman.flac", music(6, seed=2))
    write_clip(folder / "Moby/Porcelain.m4a", music(6, seed=3))
    write_clip(folder / "Moby/short.wav", music(1, seed=4), sr=44100)
    write_clip(folder / "Moby/silence.flac", np.zeros(6 * 44100))
    middle = music(30, seed=5)
    middle[44100:-44100] = 0
    write_clip(folder / "Moby/silent middle.flac", middle)
    (folder / "Moby/text.mp3").write_text("la la la")
    (folder / "Moby/cover.jpg").write_bytes(b"a picture")
    write_clip(folder / "no artist.flac", music(6, seed=6))
    shutil.copy(folder / "Air/Moon Safari/02 Talisman.flac", folder / "Moby/two\nlines.flac")
    latin1 = folder / os.fsdecode(b"Bj\xf6rk/J\xf3ga.flac")
    latin1.parent.mkdir()
    shutil.copy(folder / "Air/Moon Safari/02 Talisman.flac", latin1)
    return folder


def encoded(
    folder: Path, scorer: Scorer, cache: Path, sha256: str = "a", usable: ClipsParams = USABLE
) -> MusicLibrary:
    with LibraryCache.open(cache, sha256, scorer.units) as opened:
        return encode_library(folder, scorer, opened, usable, iter, workers=1)


@pytest.fixture(name="cache", scope="module")
def _cache(folder: Path, scorer: Scorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the folder."""
    cache = tmp_path_factory.mktemp("cache") / "artifacts/library.sqlite"
    assert encoded(folder, scorer, cache).n_decoded == 8
    return cache


def test_recordings_are_described_by_tags_and_place_and_encoded_as_any_file(
    folder: Path, scorer: Scorer, cache: Path
) -> None:
    library = encoded(folder, scorer, cache)
    found = [(each.name, each.artist, each.title) for each in library.entries]
    assert found == [
        ("Air", "air", "02 Talisman"),
        ("Moby", "moby", "Porcelain"),
        ("Air", "air", "Sexy Boy"),
    ]
    assert [each.seconds for each in library.entries] == pytest.approx([6, 6, 6], abs=0.2)
    files = [each.file for each in library.entries]
    np.testing.assert_allclose(library.embeddings, embed(scorer, files), atol=1e-5)
    assert len({each.sha256 for each in library.entries}) == 3


def test_what_is_left_out_is_counted_by_reason(folder: Path, scorer: Scorer, cache: Path) -> None:
    left_out = encoded(folder, scorer, cache).left_out
    assert left_out.counts == {
        "not audio": 1,
        "name that is not UTF-8": 1,
        "path with a line break": 1,
        "short": 1,
        "silent": 2,
        "cannot be decoded": 1,
        "no artist": 1,
    }
    assert left_out.examples["cannot be decoded"] == ["Moby/text.mp3"]
    assert left_out.examples["name that is not UTF-8"] == ["Björk/Jóga.flac"]


def test_a_folder_that_did_not_change_is_not_decoded_again(
    folder: Path, scorer: Scorer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoded(folder, scorer, cache)
    for module in ("library", "library_cache"):  # nothing that opens a file of music is there
        for name in ("map_in_processes", "read_tags", "decode"):
            monkeypatch.delattr(f"twinear.recommendation.{module}.{name}", raising=False)
    again = encoded(folder, scorer, cache)
    assert again.n_decoded == 0
    assert again.entries == first.entries
    np.testing.assert_array_equal(again.embeddings, first.embeddings)


def test_what_is_usable_is_decided_without_decoding_again(
    folder: Path, scorer: Scorer, cache: Path
) -> None:
    usable = USABLE.model_copy(update={"min_seconds": 0.5, "min_dbfs": -300.0})
    library = encoded(folder, scorer, cache, usable=usable)
    assert library.n_decoded == 0
    assert len(library.entries) == 6


def test_the_place_of_a_file_counts_in_the_folder_that_is_asked_for(
    folder: Path, scorer: Scorer, cache: Path
) -> None:
    library = encoded(folder / "Air", scorer, cache)
    assert library.n_decoded == 0
    assert [(each.name, each.title) for each in library.entries] == [("Moon Safari", "02 Talisman")]


def test_a_file_that_changed_is_decoded_again_and_one_that_is_gone_is_left_out(
    folder: Path, scorer: Scorer, tmp_path: Path
) -> None:
    here, cache = tmp_path / "music", tmp_path / "library.sqlite"
    for name in ("Air/Moon Safari/02 Talisman.flac", "Moby/Porcelain.m4a"):
        (here / name).parent.mkdir(parents=True)
        shutil.copy2(folder / name, here / name)
    first = encoded(here, scorer, cache)
    assert first.n_decoded == 2
    os.utime(here / "Moby/Porcelain.m4a", ns=(0, 1))
    assert encoded(here, scorer, cache).n_decoded == 1
    (here / "Moby/Porcelain.m4a").unlink()
    changed = encoded(here, scorer, cache)
    assert (changed.n_decoded, len(changed.entries)) == (0, 1)
    assert encoded(here, scorer, cache, sha256="another scorer").n_decoded == 1
    assert encoded(here, scorer, cache).n_decoded == 0  # both are kept


def test_a_name_with_and_without_an_id_is_one_artist(scorer: Scorer, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    (folder / "Air").mkdir(parents=True)
    y = music(6, 48000)
    tagged(folder / "Air/1.flac", y, artist="AIR", MUSICBRAINZ_ARTISTID=MBID)
    tagged(folder / "Air/2.flac", y, artist="Air", title="The same audio")
    library = encoded(folder, scorer, tmp_path / "library.sqlite")
    assert [each.artist for each in library.entries] == [MBID, MBID]
    assert len({each.sha256 for each in library.entries}) == 1


def test_a_folder_without_recordings_says_why(scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "music/Air").mkdir(parents=True)
    (tmp_path / "music/Air/a.mp3").write_text("la la la")
    with pytest.raises(DataError, match=r"music: holds no music \(1 cannot be decoded\)"):
        encoded(tmp_path / "music", scorer, tmp_path / "library.sqlite")
    with pytest.raises(DataError, match="elsewhere: is missing"):
        encoded(tmp_path / "elsewhere", scorer, tmp_path / "library.sqlite")


def test_a_scorer_that_needs_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    scorer = small_scorer(front=ALONE, n_dims=3)
    with pytest.raises(DataError, match="made by an unknown extractor"):
        encoded(folder, scorer, tmp_path / "library.sqlite")


# --- the cache by itself ----------------------------------------------------------------------

RECORDING = EncodedRecording(
    tags=FileTags(values={"artist": ["Air"]}, seconds=3.5),
    seconds=3.4,
    dbfs=-20.0,
    sha256="b",
    embedding=np.arange(UNITS, dtype=np.float32),
)


def state(at: int) -> FileState:
    return FileState(file=Path(os.fsdecode(b"/music/Bj\xf6rk %d" % at)), size=at, mtime_ns=7)


@contextmanager
def opened(path: Path) -> Iterator[LibraryCache]:
    with LibraryCache.open(path, "a", UNITS) as cache:
        yield cache


def test_a_recording_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    with opened(path) as cache:
        cache.write(state(1), RECORDING)
        cache.write(state(2), EncodedRecording(fault="cannot be decoded"))
    with opened(path) as cache:
        found = cache.read(state(1))
        assert found is not None
        assert (found.tags, found.seconds, found.dbfs, found.sha256) == (
            RECORDING.tags,
            RECORDING.seconds,
            RECORDING.dbfs,
            RECORDING.sha256,
        )
        np.testing.assert_array_equal(found.embedding, RECORDING.embedding)
        fault = cache.read(state(2))
        assert fault is not None
        assert fault.fault == "cannot be decoded"
        for other in (replace(state(1), size=9), replace(state(1), mtime_ns=8), state(3)):
            assert cache.read(other) is None


def test_several_programs_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"

    def write(first: int) -> None:
        with opened(path) as cache:
            for at in range(first, first + 15):
                cache.write(state(at), RECORDING)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(write, (0, 10, 20)))
    with opened(path) as cache:
        assert all(cache.read(state(at)) is not None for at in range(35))


def test_a_full_disk_is_one_line_and_what_was_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite"
    long = replace(RECORDING, sha256="b" * 3000)

    def fill() -> None:
        with opened(path) as cache:
            cache.write(state(0), long)
            with limited_disk(path.stat().st_size + 5000):
                for at in range(1, 10):
                    cache.write(state(at), long)

    with pytest.raises(DataError, match=r"library\.sqlite: could not be written"):
        fill()
    with opened(path) as cache:
        assert cache.read(state(0)) is not None
        assert cache.read(state(9)) is None


def damage_text(path: Path) -> None:
    path.write_text("this is no database, but a text of some length\n" * 100)


def damage_end(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage_embedding(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE recordings SET embedding = x'00000000'")


def damage_tags(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE recordings SET tags = '{'")


def damage_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE recordings")


def damage_layout(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    "damage",
    [damage_text, damage_end, damage_embedding, damage_tags, damage_table, damage_layout],
)
def test_a_damaged_cache_is_refused_with_the_remedy(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "library.sqlite"
    with opened(path) as cache:
        for at in range(20):
            cache.write(state(at), RECORDING)
    damage(path)

    def read() -> None:
        with opened(path) as cache:
            for at in range(20):
                cache.read(state(at))

    with pytest.raises(DataError, match=r"library\.sqlite: (is damaged|has layout).*delete it"):
        read()


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE own (x)")
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"another program.*name another"), opened(path):
        pass
    assert path.read_bytes() == before


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be written"), opened(tmp_path / "file/x.sqlite"):
        pass
    with pytest.raises(DataError, match="could not be written"), opened(tmp_path):
        pass


def test_a_program_that_writes_for_too_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.sqlite"
    monkeypatch.setattr("twinear.recommendation.library_cache.PATIENCE_SECONDS", 0.0)
    with opened(path) as cache, closing(sqlite3.connect(path)) as other:
        assert cache.read(state(1)) is None
        other.execute("BEGIN IMMEDIATE")

        def write() -> None:
            with opened(path) as again:
                again.write(state(1), RECORDING)

        with pytest.raises(DataError, match="another program has been writing"):
            write()


# --- interrupted ------------------------------------------------------------------------------


def count_rows(cache: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{cache.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM recordings").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


def test_an_interrupted_run_is_resumed(scorer: Scorer, tmp_path: Path) -> None:
    n = 72  # rows are kept in blocks: so many that the interrupt finds work to do
    first = write_clip(tmp_path / "music/Artist 0/a.flac", music(20))
    for at in range(1, n):
        (tmp_path / f"music/Artist {at}").mkdir()
        os.link(first, tmp_path / f"music/Artist {at}/{at}.flac")
    scorer.write(tmp_path / "scorer.safetensors")
    shutil.copy(PARAMS, tmp_path)
    cache = tmp_path / "library.sqlite"
    words = ["playlist", "--from", "Artist 0", "--length", "5", "--music", "music"]
    words += ["--scorer", "scorer.safetensors", "--library", "library.sqlite"]
    program = "from twinear.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as running:
        while not count_rows(cache):
            assert running.poll() is None
            time.sleep(0.005)
        running.send_signal(signal.SIGINT)
        assert running.stderr is not None
        said = running.stderr.read()
    assert running.returncode == 130, said
    n_kept = count_rows(cache)
    assert 0 < n_kept < n
    todo: list[int] = []

    def progress(states: Iterable[FileState]) -> Iterable[FileState]:
        todo.append(len(list(states)))
        return states

    with LibraryCache.open(cache, sha256(tmp_path / "scorer.safetensors"), scorer.units) as resumed:
        library = encode_library(tmp_path / "music", scorer, resumed, USABLE, progress, workers=2)
    assert todo == [n - n_kept]
    assert len(library.entries) == n
