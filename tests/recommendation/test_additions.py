"""Added artists: scored as built ones are, kept over builds, nothing lost whatever happens."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from tests.conftest import PARAMS
from tests.support.audio import music, write_clip
from tests.support.disk import limited_disk
from tests.support.planted_catalogue import EVERYTHING
from tests.support.scorers import ALONE, FRONT, JOINED, clip_spectrograms, small_scorer
from twinear.base.errors import ClipError, DataError
from twinear.base.params import read_params
from twinear.catalogue.building import find_neighbours, score_catalogue
from twinear.catalogue.catalogue import Catalogue, write_catalogue
from twinear.catalogue.collaborative import TrainingArtists
from twinear.cli.app import app
from twinear.clips.clips import ClipsParams
from twinear.clips.waveform import load_waveform
from twinear.encoders.musicnn import load_musicnn
from twinear.model.scorer import Scorer
from twinear.recommendation import additions_file
from twinear.recommendation.additions import Additions
from twinear.recommendation.additions_file import AdditionsFile
from twinear.recommendation.collection import Collection
from twinear.recommendation.new_clips import USABLE
from twinear.recommendation.similar_artists import SimilarOptions, ask, find_similar
from twinear.similarity.similarity import Similarity
from twinear.spectrograms.front_end import SpectrogramsParams, log_mel
from twinear.split import Split

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
BUILT = [(A, "Nirvana"), ("air", "Air"), *((f"built {row}", f"Built {row}") for row in range(10))]
SR = FRONT.sr


def listens(ids: list[str]) -> TrainingArtists:
    values = np.random.default_rng(3).random((len(ids), len(ids)))
    artists = pd.DataFrame({"artist": ids, "name": ids, "mbid": "", "listeners": 5, "plays": 5})
    split = pd.DataFrame({"artist": ids, "name": ids, "split": ["train"] * 9 + ["validation"] * 3})
    similarity = Similarity(artists=artists, matrix=((values + values.T) / 2).astype(np.float32))
    return TrainingArtists.from_split(similarity, Split(artists=split))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder with a catalogue, some audio, and room for the additions."""

    folder: Path

    def build(
        self,
        seed: int = 0,
        front: SpectrogramsParams = FRONT,
        artists: list[tuple[str, str]] = BUILT,
        extractor: str = "",
    ) -> Catalogue:
        """Build the catalogue again, by another scorer if the seed is another one."""
        n_dims = 200 if extractor else 0
        scorer = small_scorer(seed, front, n_dims, extractor)
        file = self.folder / "scorer.safetensors"
        scorer.write(file)
        clips = clip_spectrograms(2 * len(artists), front, n_dims, extractor)
        ids, names = ([artist[at] for artist in artists for _ in range(2)] for at in (0, 1))
        clips = replace(clips, clips=clips.clips.assign(artist=ids, name=names))
        known = listens([artist for artist, _ in artists][:12])
        scored = score_catalogue(clips, scorer, EVERYTHING, known, scorer)
        counts, folder = np.zeros(len(artists)), self.folder / "artifacts/catalogue"
        write_catalogue(scored, find_neighbours(scored, 3), counts, file, folder)
        return Catalogue.read(folder)

    @property
    def additions(self) -> Additions:
        return Additions.beside(Catalogue.read(self.folder / "artifacts/catalogue"))

    @property
    def file(self) -> Path:
        return self.folder / "artifacts/additions.sqlite"

    def scorer(self) -> Scorer:
        return Scorer.read(self.folder / "artifacts/catalogue/scorer.safetensors")

    def collection(self) -> Collection:
        return Collection.open(self.folder / "artifacts/catalogue")

    def clip(self, seed: int = 0, name: str = "") -> Path:
        return self.folder / (name or f"{seed}.wav")

    def add(self, name: str = "Local Band", *clips: Path, mbid: str = "") -> None:
        self.additions.add(name, clips or [self.clip(0), self.clip(1)], self.scorer(), mbid)

    def names(self) -> list[str]:
        """Name those that can be asked about; none needs the scorer."""
        return [artist.name for artist in self.additions.current(no_scorer).artists]


def no_scorer() -> Scorer:
    raise AssertionError("the scorer is not needed")


def fill(folder: Path) -> Place:
    place = Place(folder=folder)
    for seed in range(3):
        write_clip(place.clip(seed), music(5.2, SR, seed), SR)
    place.build()
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return fill(tmp_path_factory.mktemp("made"))


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    shutil.copytree(made.folder, tmp_path / "place")
    return Place(folder=tmp_path / "place")


def inputs(place: Place, *seeds: int, front: SpectrogramsParams = FRONT) -> np.ndarray:
    """What the pipeline would give the network of these clips."""
    waveforms = (load_waveform(place.clip(seed), front.sr, front.max_seconds) for seed in seeds)
    return np.stack([log_mel(y, front).astype(np.float16) for y in waveforms])


# --- what is added ----------------------------------------------------------------------------


def test_without_additions_there_is_no_file_and_nothing_is_read(place: Place) -> None:
    additions = place.additions
    assert additions.current(no_scorer).artists == []
    assert additions.describe(no_scorer) == []
    with pytest.raises(DataError, match="no artist 'Local Band' among 0"):
        additions.remove("Local Band")
    assert not place.file.exists()


def test_an_added_artist_is_encoded_and_scored_as_the_pipeline_would(place: Place) -> None:
    added = place.additions.add(" Local\nBand ", [place.clip(0), place.clip(1)], place.scorer())
    assert (added.artist, added.name) == ("local band", "Local Band")
    assert added.clips == [str(place.clip(0)), str(place.clip(1))]
    expected = place.scorer().encode(inputs(place, 0, 1))
    catalogue = place.additions.catalogue
    represented = catalogue.represent(expected)
    assert (represented.weights > 0).any()
    for _ in ("computed", "kept"):
        current = place.additions.current(no_scorer)
        assert current.warnings == []
        (artist,) = current.artists
        assert (artist.artist, artist.name) == ("local band", "Local Band")
        assert [clip.path for clip in artist.clips] == [place.clip(0), place.clip(1)]
        assert [(clip.title, clip.seconds) for clip in artist.clips] == [("0", 5.2), ("1", 5.2)]
        for name in (field.name for field in fields(represented) if field.init):
            given, wanted = getattr(artist.encoded, name), getattr(represented, name)
            assert given.dtype == wanted.dtype
            assert np.array_equal(given, wanted), name
    with closing(sqlite3.connect(place.file)) as connection:
        assert connection.execute("SELECT count(*) FROM represented").fetchone() == (1,)


@pytest.mark.parametrize(
    ("name", "mbid", "artist", "shown"),
    [
        ("The Locals feat. Guest", "", "locals", "The Locals"),
        ("The Locals feat. Guest", B.upper(), B, "The Locals feat. Guest"),
        ("Сплин", "", "сплин", "Сплин"),
        ("Bj\udcf6rk", "", "bjork", "Björk"),  # a terminal that is not UTF-8
        ("Robert'); DROP TABLE artists;--", "", None, "Robert'); DROP TABLE artists;--"),
        ("Nirvana", B, B, "Nirvana"),  # a namesake of one in the catalogue
    ],
)
def test_an_artist_is_identified_as_by_the_import(
    place: Place, name: str, mbid: str, artist: str | None, shown: str
) -> None:
    place.add(name, mbid=mbid)
    (added,) = place.additions.current(no_scorer).artists
    assert added.name == shown
    assert artist is None or added.artist == artist
    assert place.additions.remove(added.artist).name == shown
    assert place.names() == []


def test_artists_are_removed_by_name_or_id_and_the_file_shrinks(place: Place) -> None:
    for name, mbid in (("One", ""), ("Twins", A.replace("a", "c")), ("Twins", B)):
        place.add(name, mbid=mbid)
    size = place.file.stat().st_size
    assert place.additions.remove("ONE").artist == "one"
    with pytest.raises(DataError, match=rf"several artists 'twins': Twins .*\({B}\); give the id"):
        place.additions.remove("twins")
    assert place.additions.remove(B.upper()).name == "Twins"
    with pytest.raises(DataError, match="no artist 'Twinz' among 1; did you mean 'Twins'"):
        place.additions.remove("Twinz")
    assert place.names() == ["Twins"]
    assert place.file.stat().st_size < size


def test_the_same_content_is_taken_once_and_a_folder_for_the_audio_in_it(place: Place) -> None:
    folder = place.folder / "Album"
    for name, seed in (("b/copy.wav", 0), ("b/other.wav", 1), (".hidden.wav", 2)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(place.clip(seed), folder / name)
    (folder / "broken.mp3").write_text("no audio")
    (folder / "notes.txt").write_text("no audio")
    added = place.additions.add(
        "Local Band", [place.clip(0), place.clip(0), folder], place.scorer()
    )
    assert added.clips == [str(place.clip(0)), str(folder / "b/other.wav")]
    left_out = [place.clip(0), folder / "b/copy.wav", folder / "broken.mp3"]
    assert [line.split(": ")[0] for line in added.left_out] == list(map(str, left_out))


# --- what is refused --------------------------------------------------------------------------


def text_file(path: Path) -> None:
    path.write_text("no audio at all\n" * 100)


def silence(path: Path) -> None:
    write_clip(path, np.zeros(6 * SR), SR)


def one_second(path: Path) -> None:
    write_clip(path, music(1, SR), SR)


def not_numbers(path: Path) -> None:
    y = music(6, SR)
    y[SR] = np.nan
    write_clip(path, y, SR, codec="pcm_f32le")


def empty_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no audio")


def folder_of_silence(path: Path) -> None:
    path.mkdir()
    silence(path / "0.wav")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (text_file, "is not audio .*replace the file or leave it out"),
        (Path.touch, "is not audio"),
        (silence, r"is silent \(-\d+ dBFS\), expected at least 5 s and -70 dBFS"),
        (one_second, r"is short \(1\.00 s\), expected at least 5 s"),
        (not_numbers, ".*not numbers"),
        (lambda path: None, "is no file; name an audio file"),
        (os.mkfifo, "is no file"),
        (empty_folder, "holds no audio; name an audio file"),
        (folder_of_silence, "holds no clip that can be used .*silent"),
    ],
)
def test_a_clip_that_cannot_be_used_is_refused_with_its_reason_and_nothing_is_added(
    place: Place, spoil: object, message: str
) -> None:
    path = place.folder / "bad.wav"
    assert callable(spoil)
    spoil(path)
    with pytest.raises((ClipError, DataError), match=rf"bad\.wav: {message}"):
        place.add("Local Band", path)
    if not path.is_dir():  # in a folder it would be left out
        with pytest.raises(ClipError, match=r"bad\.wav"):
            place.add("Local Band", place.clip(0), path)
    assert not place.file.exists()


def test_what_is_usable_by_default_is_what_the_projects_params_say() -> None:
    assert read_params("clips", ClipsParams, PARAMS) == USABLE


def test_other_params_of_usable_clips_are_kept_to(place: Place) -> None:
    one_second(place.folder / "short.wav")
    usable = USABLE.model_copy(update={"min_seconds": 0.5})
    clips = [place.folder / "short.wav"]
    place.additions.add("Local Band", clips, place.scorer(), usable=usable)
    assert place.names() == ["Local Band"]


def test_of_three_hours_only_the_beginning_is_decoded(place: Place) -> None:
    front = FRONT.model_copy(update={"max_seconds": 6.0})
    place.build(front=front)
    path = place.folder / "long.wav"
    sound = music(8, 1000, 1)
    write_clip(path, sound, 1000)
    header = path.read_bytes()[: -2 * len(sound)]
    n_bytes = 3 * 3600 * 2000
    header = header[:-4] + n_bytes.to_bytes(4, "little")
    with path.open("r+b") as file:  # the rest is a hole, which takes no disk
        file.write(header)
        file.truncate(len(header) + n_bytes)
    place.add("Local Band", path)
    (artist,) = place.additions.current(no_scorer).artists
    assert artist.clips[0].seconds == pytest.approx(3 * 3600)
    beginning = write_clip(place.folder / "beginning.wav", sound[:6000], 1000)
    values = log_mel(load_waveform(beginning, SR), front).astype(np.float16)
    expected = place.scorer().encode(values[None])
    assert np.allclose(artist.encoded.embeddings, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "mbid", "message"),
    [
        ("", "", "name: is empty"),
        (" \n", "", "name: is empty"),
        ("Various Artists", "", "'Various Artists' stands for no artist"),
        ("[unknown]", "", "stands for no artist"),
        ("X", "89ad4ac3-39f7-470e-963a-56509c546377", "stands for no artist"),
        ("X", "123", "mbid: is '123', expected a UUID"),
        ("the NIRVANA", "", rf"is in the catalogue as Nirvana \({A}\); .*--mbid"),
        ("X", A, rf"is in the catalogue as Nirvana \({A}\)"),
        ("AIR", B, r"is in the catalogue as Air \(air\)"),
        ("locál bánd", "", r"was added before as Local Band \(local band\); remove it first"),
        ("Local Band", B, "was added before"),
        ("X", A.replace("a", "c"), "was added before as Other"),
    ],
)
def test_a_name_that_is_none_or_there_already_is_refused(
    place: Place, name: str, mbid: str, message: str
) -> None:
    place.add("Local Band")
    place.add("Other", mbid=A.replace("a", "c"))
    with pytest.raises(DataError, match=message):
        # before the audio is read
        place.additions.add(name, [place.folder / "none.wav"], place.scorer(), mbid)
    assert place.names() == ["Local Band", "Other"]


def test_no_clip_at_all_is_refused(place: Place) -> None:
    with pytest.raises(DataError, match="clips: none are named"):
        place.additions.add("Local Band", [], place.scorer())


def test_a_scorer_that_needs_embeddings_is_refused(place: Place) -> None:
    front = FRONT.model_copy(update={"embeddings": "only"})
    scorer = small_scorer(0, front, n_dims=8)
    with pytest.raises(DataError, match="made by an unknown extractor"):
        place.additions.add("Local Band", [place.clip(0)], scorer)


# --- builds in between ------------------------------------------------------------------------


def test_after_a_build_by_a_new_scorer_clips_are_encoded_again_without_their_audio(
    place: Place,
) -> None:
    place.add()
    place.names()
    wanted = inputs(place, 0, 1)
    for seed in (0, 1):
        place.clip(seed).unlink()
    catalogue = place.build(seed=7)
    (listed,) = place.additions.describe(place.scorer)
    assert listed.state == "outdated"
    (artist,) = place.additions.current(place.scorer).artists
    expected = place.scorer().encode(wanted)
    assert np.array_equal(artist.encoded.embeddings, expected)
    assert np.array_equal(artist.encoded.nearness, catalogue.represent(expected).nearness)
    (kept,) = place.additions.current(no_scorer).artists  # the second time all is there
    assert np.array_equal(kept.encoded.embeddings, expected)
    assert np.array_equal(kept.encoded.nearness, artist.encoded.nearness)
    assert [each.state for each in place.additions.describe(no_scorer)] == ["current"]


@pytest.mark.parametrize("front", [JOINED, ALONE], ids=["concat", "only"])
def test_what_an_encoder_made_of_a_clip_is_kept_for_the_next_scorer(
    place: Place, front: SpectrogramsParams
) -> None:
    encoder = load_musicnn("musicnn-msd")
    place.build(front=front, extractor=encoder.name)
    place.add("Local Band", place.clip(0))
    place.add("Other", place.clip(1))
    (_, asked) = place.collection().encode([place.clip(0)])
    found = place.collection().encoded([len(BUILT)]).embeddings
    np.testing.assert_allclose(found, asked, atol=1e-5)
    place.clip(0).unlink()
    place.build(seed=7, front=front, extractor=encoder.name)
    again = place.collection().encoded([len(BUILT), len(BUILT) + 1]).embeddings
    (_, asked) = place.collection().encode([place.clip(1)])
    np.testing.assert_allclose(again[1:], asked, atol=1e-5)
    # another network needs the audio, and must be here
    place.build(seed=8, front=front, extractor="musicnn-msd of old")
    first, second = place.additions.describe(place.scorer)
    assert "0.wav is no longer there; bring the file back" in first.problem
    assert "made by musicnn-msd of old, expected musicnn-msd" in second.problem
    assert len(place.additions.current(place.scorer).warnings) == 2


def test_params_that_change_no_spectrogram_ask_for_no_audio(place: Place) -> None:
    place.add()
    place.clip(0).unlink()
    place.build(seed=7, front=FRONT.model_copy(update={"n_mfcc": 13}))
    assert len(place.additions.current(place.scorer).artists) == 1


def test_for_another_front_end_the_audio_is_read_again_if_it_is_as_it_was(place: Place) -> None:
    for name, seed in (("Stays", 0), ("Changes", 1), ("Vanishes", 2)):
        place.add(name, place.clip(seed))
    front = FRONT.model_copy(update={"n_mels": 12})
    place.build(seed=7, front=front)
    write_clip(place.clip(1), music(5.2, SR, 9), SR)
    place.clip(2).unlink()
    states = {each.name: each for each in place.additions.describe(place.scorer)}
    assert [states[name].state for name in ("Stays", "Changes", "Vanishes")] == [
        *("outdated", "unavailable", "unavailable")
    ]
    assert "has changed" in states["Changes"].problem
    current = place.additions.current(place.scorer)
    assert [artist.name for artist in current.artists] == ["Stays"]
    expected = place.scorer().encode(inputs(place, 0, front=front))
    assert np.array_equal(current.artists[0].encoded.embeddings, expected)
    changed, vanished = current.warnings
    assert changed.startswith(f"Changes: the scorer has another front end, and {place.clip(1)} has")
    assert f"{place.clip(2)} is no longer there; bring the file back" in vanished
    assert "twinear catalogue remove vanishes" in vanished
    # what was read again is kept, with the new front end
    place.clip(0).unlink()
    place.build(seed=8, front=front)
    assert [artist.name for artist in place.additions.current(place.scorer).artists] == ["Stays"]


def test_an_artist_that_came_into_the_catalogue_counts_there(place: Place) -> None:
    place.add("Local Band")
    place.add("Other")
    place.build(artists=[*BUILT[:11], (B, "Local Band")])
    current = place.additions.current(no_scorer)
    assert [artist.name for artist in current.artists] == ["Other"]
    assert current.warnings == []
    states = [(each.name, each.state) for each in place.additions.describe(no_scorer)]
    assert states == [("Local Band", "in the catalogue"), ("Other", "current")]


# --- several programs, and programs that end at the wrong moment ---------------------------------


def test_programs_that_add_at_the_same_time_lose_nothing(place: Place) -> None:
    additions, scorer = place.additions, place.scorer()
    names, refusals = [f"Band {n}" for n in range(8)] * 2, list[str]()

    def add(name: str) -> None:
        try:
            additions.add(name, [place.clip(0)], scorer)
        except DataError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(place.names()) == sorted(set(names))
    assert len(refusals) == 8
    assert all("was added before" in line for line in refusals)


HOLD = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE artists SET name = 'Renamed'")
print("locked", flush=True)
sys.stdin.read()
connection.execute("COMMIT")
"""


def test_a_program_waits_for_another_one_or_says_which_file_is_locked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.add("First")
    words, pipe = [sys.executable, "-c", HOLD, str(place.file)], subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        assert place.names() == ["First"]  # reading does not wait
        monkeypatch.setattr(additions_file, "BUSY_SECONDS", 0.1)
        with pytest.raises(DataError, match=r"additions\.sqlite: has been locked .*0\.1 s; wait"):
            place.additions.remove("First")
        monkeypatch.setattr(additions_file, "BUSY_SECONDS", 600)
        waiting = threading.Thread(target=place.add, args=("Second",))
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive()
        other.communicate()
        waiting.join()
    assert place.names() == ["Renamed", "Second"]


DIE_AT = """
import os, signal, sqlite3, sys
from pathlib import Path

connect = sqlite3.connect

def connect_and_die(*args, **kwargs):
    connection = connect(*args, **kwargs)
    connection.execute("PRAGMA cache_size = 1")  # what is written goes to the disk at once
    def trace(statement):
        if sys.argv[2] in statement:
            os.kill(os.getpid(), signal.SIGKILL)
    connection.set_trace_callback(trace)
    return connection

from twinear.catalogue.catalogue import Catalogue
from twinear.recommendation.additions import Additions

additions = Additions.beside(Catalogue.read(Path(sys.argv[1])))
sqlite3.connect = connect_and_die
additions.remove("Local Band")
"""


@pytest.mark.parametrize("statement", ["DELETE FROM artists", "COMMIT"])
def test_a_program_that_is_killed_leaves_what_was_there(place: Place, statement: str) -> None:
    place.add("Local Band", *(place.clip(seed) for seed in range(3)))
    place.add("Other", place.clip(0))
    catalogue = place.folder / "artifacts/catalogue"
    died = subprocess.run([sys.executable, "-c", DIE_AT, catalogue, statement], check=False)
    assert died.returncode == -signal.SIGKILL
    is_half_written = place.file.with_name("additions.sqlite-journal").exists()
    assert is_half_written == (statement == "COMMIT")
    assert place.names() == ["Local Band", "Other"]
    assert len(place.additions.current(no_scorer).artists[0].clips) == 3
    assert place.additions.remove("Local Band").name == "Local Band"


def test_a_first_writer_that_was_killed_leaves_a_file_that_is_used_again(place: Place) -> None:
    place.file.touch()
    assert place.names() == []
    assert place.additions.describe(no_scorer) == []
    place.add("Local Band")
    assert place.names() == ["Local Band"]


@pytest.mark.parametrize("n_bytes", [100, 20_000, 60_000])
def test_a_disk_that_fills_up_is_one_line_and_nothing_is_lost(place: Place, n_bytes: int) -> None:
    place.add("First")
    names = ["First", *place.names()[1:]]
    clips, scorer, additions = [place.clip(0), place.clip(2)], place.scorer(), place.additions

    def add_until_the_disk_is_full() -> None:
        for number in range(20):
            additions.add(f"Band {number}", clips, scorer)
            names.append(f"Band {number}")

    full = pytest.raises(DataError, match=r"additions\.sqlite: could not be .*free some space")
    with limited_disk(n_bytes), full:
        add_until_the_disk_is_full()
    assert place.names() == names
    assert (len(names) > 1) == (n_bytes == 60_000)
    place.add("Last")
    assert place.names() == [*names, "Last"]


# --- files that are not what they should be -----------------------------------------------------


def not_a_database(path: Path) -> None:
    path.write_text("artist,name\n" * 1000)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-6000])


def overwritten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096))


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def set_pragma(path: Path, pragma: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA {pragma}")
        connection.commit()


def shorter_embedding(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE clips SET embedding = x'00'")
        connection.commit()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (not_a_database, "is damaged .*; move it away, or restore it"),
        (cut_off, "is damaged"),
        (overwritten, "is damaged"),
        (shorter_embedding, r"is damaged \(the embeddings of Local Band\)"),
        (folder_instead, "could not be opened"),
        (lambda path: set_pragma(path, "application_id = 7"), "is a database of another program"),
        (
            lambda path: set_pragma(path, "user_version = 99"),
            ".* a newer twinear .*; update twinear",
        ),
        (lambda path: set_pragma(path, "user_version = 0"), ".* an older twinear .*; move it away"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_kept(
    place: Place, spoil: object, message: str
) -> None:
    place.add("Local Band")
    assert callable(spoil)
    spoil(place.file)
    before = place.file.read_bytes() if place.file.is_file() else b""
    uses: list[Callable[[], object]] = [place.names]
    if spoil is not shorter_embedding:  # which nothing else reads
        uses += [lambda: place.add("Other"), lambda: place.additions.remove("Local Band")]
        uses += [lambda: place.additions.describe(no_scorer)]
    for use in uses:
        with pytest.raises(DataError, match=rf"additions\.sqlite: {message}"):
            use()
    assert before == (place.file.read_bytes() if place.file.is_file() else b"")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere: be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_in_a_folder_that_is_read_only_added_artists_are_read_and_none_are_written() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are root's alone
        place = fill(Path(name))
        place.add("Local Band")
        place.folder.chmod(0o755)
        place.file.parent.chmod(0o555)
        additions, scorer = place.additions, place.scorer()
        place.file.chmod(0o444)
        with unprivileged():
            for _ in ("computed", "computed again"):
                assert [each.name for each in additions.current(no_scorer).artists] == [
                    "Local Band"
                ]
            assert [each.state for each in additions.describe(no_scorer)] == ["current"]
            with pytest.raises(DataError, match=r"could not be .*fix the permissions"):
                additions.add("Other", [place.clip(2)], scorer)
            with pytest.raises(DataError, match=r"could not be .*fix the permissions"):
                additions.remove("Local Band")
        place.file.parent.chmod(0o755)


# --- together with the catalogue ----------------------------------------------------------------


def test_added_artists_are_asked_about_and_are_answers_like_all_others(place: Place) -> None:
    place.add("Local Band")
    place.add("Nirvana", place.clip(2), mbid=B)
    collection = place.collection()
    n = len(BUILT)
    assert len(collection) == n + 2
    assert collection.find("local bänd") == collection.records([n])[0]
    assert [clip.file for clip in collection.clips_of(n)] == [
        f"{place.clip(0)}",
        f"{place.clip(1)}",
    ]
    n_clips = collection.catalogue.artists.n_clips
    assert [clip.artist_row for clip in collection.clips(range(n_clips, n_clips + 3))] == [n, n, 13]
    found = find_similar(collection, ask(collection, ["Local Band"]), SimilarOptions(top=99))
    assert "Local Band" not in [artist.name for artist in found.similar]
    assert len(found.similar) == n + 1
    # of two artists each is as near to the other
    of_air = find_similar(collection, ask(collection, ["Air"]), SimilarOptions(top=99))
    scores = [
        next(artist.score for artist in answer.similar if artist.name == name)
        for answer, name in ((found, "Air"), (of_air, "Local Band"))
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_an_added_namesake_is_told_from_the_one_in_the_catalogue(place: Place) -> None:
    place.add("Nirvana", mbid=B)
    collection = place.collection()
    with pytest.raises(DataError, match=rf"several artists 'nirvana': .*\({A}\), .*\({B}\)"):
        collection.find("nirvana")
    assert collection.find(B.upper()).row == len(BUILT)
    with pytest.raises(DataError, match=r"no artist 'Nirvanna' among 13; did you mean 'Nirvana'"):
        collection.find("Nirvanna")


def test_an_artist_that_is_left_out_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    place.add("Local Band")
    place.build(seed=7, front=FRONT.model_copy(update={"n_mels": 12}))
    place.clip(1).unlink()
    result = CliRunner().invoke(app, ["similar", "Air"], catch_exceptions=False)
    assert result.stderr.startswith("left out: Local Band: the scorer has another front end")
    assert "Built 3" in result.stdout
    assert "Local Band" not in result.stdout


# --- the command line ---------------------------------------------------------------------------


def run(place: Place, *words: object) -> str:
    folder = ("--catalogue", str(place.folder / "artifacts/catalogue"))
    result = CliRunner().invoke(app, ["catalogue", *map(str, words), *folder])
    if result.exception:
        raise result.exception
    return result.stdout


@pytest.mark.parametrize("repeated", [False, True])
def test_the_commands_add_list_and_remove(
    place: Place, repeated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    files = [place.clip(0), place.clip(1)]
    clips = ["--clips", files[0], *(["--clips"] if repeated else []), files[1]]
    assert run(place, "add", "Local Band", *clips) == "added Local Band (local band), clips: 2\n"
    added = json.loads(run(place, "add", *clips, "--json", "--mbid", B, "44"))
    assert (added["artist"], added["clips"]) == (B, list(map(str, files)))
    listed = run(place, "list").splitlines()
    assert [line.split() for line in listed[2:]] == [
        ["44", B, "2", "current"],
        ["Local", "Band", "local", "band", "2", "current"],
    ]
    assert json.loads(run(place, "list", "--json"))[1] == {
        "artist": "local band",
        "name": "Local Band",
        "clips": list(map(str, files)),
        "state": "current",
        "problem": "",
    }
    assert run(place, "remove", "LOCAL band") == "removed Local Band (local band), clips: 2\n"
    assert json.loads(run(place, "remove", B, "--json"))["name"] == "44"
    assert run(place, "list") == "none were added\n"


def test_the_params_of_the_folder_say_what_is_usable(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.folder)
    words = "add", "Local Band", "--clips", place.clip(0)
    text = PARAMS.read_text(encoding="utf-8")
    assert "min_seconds: 5.0" in text
    params = place.folder / "params.yaml"
    params.write_text(text.replace("min_seconds: 5.0", "min_seconds: 60.0"), encoding="utf-8")
    with pytest.raises(ClipError, match=r"is short \(5\.20 s\), expected at least 60 s"):
        run(place, *words)
    params.unlink()
    run(place, *words)


def test_additions_are_read_without_the_large_libraries() -> None:
    code = (
        "import sys, twinear.recommendation.additions;"
        "print({'pandas', 'pyarrow', 'torch', 'librosa', 'av'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert AdditionsFile(path=Path("nowhere")).read() == []
