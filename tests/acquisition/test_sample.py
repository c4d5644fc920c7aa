"""The bundled sample: its format, its quirks, its determinism, and the truth planted in it."""

import csv
import hashlib
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.stats import spearmanr
from typer.testing import CliRunner

import twinear.cli.commands  # noqa: F401  (adds every command to the app)
from twinear.acquisition.sample.corpus import CODECS, Codec, CorpusSize, encode, write_corpus
from twinear.acquisition.sample.listeners import (
    BOGUS_LISTENER,
    N_UNKNOWN,
    N_WITHOUT_MBID,
    ONCE_NAME,
    PLAYS_FILE,
    PROFILE_FILE,
    UNKNOWN_NAME,
    imagine_listeners,
    write_listens,
    write_profiles,
)
from twinear.acquisition.sample.sound import Traits, synthesise
from twinear.acquisition.sample.style import DIMENSIONS, QUOTED_NAME, imagine_artists
from twinear.artists.identity import normalise_name
from twinear.base.errors import DataError, TwinearError
from twinear.cli.app import app

SMALL = CorpusSize(n_artists=8, clips_per_artist=2, seconds=2.0, n_listeners=60)

# The first 16 digits of the SHA-256 of files, as first released. Opus is left out: it rounds
# otherwise on other processors.
KNOWN = {  # of `SMALL`
    "clips/40137ddc-8e0d-4bd7-b2bc-64e08bb37f4f-1.mp3": "8e9d14b63c449952",
    "clips/4b13cf78-8e29-4f9e-8209-28462e3260eb-2.m4a": "937e4af407243588",
    "clips/7296c6c0-f27f-4b0d-b237-de253ce4898b-2.mp3": "b042e727db94b98b",
    "clips/d7bc67cd-2db9-455b-959a-fa3064c8bf7a-1.m4a": "a39f30a46259c585",
    "clips.csv": "034ef446d33b01e6",
    f"listens/{PLAYS_FILE}": "f261616bf3e59e6b",
    f"listens/{PROFILE_FILE}": "e2c4af993c019acc",
    "truth.csv": "9578eadb460946a9",
}
SAMPLE = {  # of the bundled sample
    "README.md": "b1c218c1c51d33d5",
    "clips.csv": "ff3c9288600e7f12",
    "croissant.json": "4c3cba6b844ec35f",
    f"listens/{PLAYS_FILE}": "fc03a4f9846eec5a",
    f"listens/{PROFILE_FILE}": "3109e5245b4d9189",
    "truth.csv": "b85549f36d003849",
}
SAMPLE_CLIPS = "9a4594a2da402c5f"  # of the digests of its .mp3 and .m4a files, by name


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "data"
    write_corpus(folder, 1, SMALL)
    return folder


@pytest.fixture(scope="module")
def rows(corpus: Path) -> list[list[str]]:
    text = (corpus / "listens" / PLAYS_FILE).read_bytes().decode()
    assert text.endswith("\n")
    return [line.split("\t") for line in text[:-1].split("\n")]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def decoded_seconds(path: Path) -> float:
    with av.open(path) as container:
        return float(sum(f.samples / f.sample_rate for f in container.decode(audio=0)))


def test_the_same_seed_writes_the_same_bytes_with_any_number_of_workers(
    corpus: Path, tmp_path: Path
) -> None:
    write_corpus(tmp_path / "again", 1, SMALL, workers=3)
    assert contents(tmp_path / "again") == contents(corpus)


def test_a_corpus_has_the_bytes_of_the_first_release(corpus: Path) -> None:
    """Known answers, from the generator that made the bundled sample."""
    found = {name: digest(data) for name, data in contents(corpus).items()}
    for name, expected in KNOWN.items():
        assert found[name] == expected, name


def test_the_listens_of_the_bundled_sample_are_unchanged(tmp_path: Path) -> None:
    artists = imagine_artists(80, np.random.default_rng([1, 0]))
    rng = np.random.default_rng([1, 1])
    listeners = imagine_listeners(artists, 2000, rng)
    write_listens(tmp_path / "listens", artists, listeners, rng)
    write_profiles(tmp_path / "profiles", listeners, rng)
    assert digest((tmp_path / "listens").read_bytes()) == SAMPLE["listens/" + PLAYS_FILE]
    assert digest((tmp_path / "profiles").read_bytes()) == SAMPLE["listens/" + PROFILE_FILE]


@pytest.mark.slow(reason="synthesises the 160 clips of the bundled sample")
def test_the_bundled_sample_is_unchanged(tmp_path: Path) -> None:
    write_corpus(tmp_path / "data", 1, CorpusSize(), workers=2)
    found = contents(tmp_path / "data")
    assert {name: digest(found[name]) for name in SAMPLE} == SAMPLE
    clips = {name: data for name, data in found.items() if name.endswith((".mp3", ".m4a"))}
    assert len([name for name in found if name.startswith("clips/")]) == 160
    assert digest(b"".join(digest(clips[name]).encode() for name in sorted(clips))) == SAMPLE_CLIPS


def test_more_clips_and_other_listeners_change_no_clip(corpus: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(clips: Iterable[int]) -> Iterator[int]:
        for clip in clips:
            seen.append(clip)
            yield clip

    size = CorpusSize(n_artists=8, clips_per_artist=3, seconds=2.0, n_listeners=20)
    write_corpus(tmp_path / "more", 1, size, progress=watch)
    assert seen == list(range(24))
    clips = {name: data for name, data in contents(corpus).items() if name.startswith("clips/")}
    more = contents(tmp_path / "more")
    assert clips.items() <= more.items()
    assert sum(name.startswith("clips/") for name in more) == 24


def test_the_command_makes_a_corpus_of_any_size_and_says_so(tmp_path: Path) -> None:
    size = ("--artists", "3", "--clips", "1", "--listeners", "20", "--seconds", "1.5")
    words = ("sample", str(tmp_path / "data"), "--seed", "4", *size)
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.stdout == f"{tmp_path / 'data'}\n"
    assert len(list((tmp_path / "data/clips").iterdir())) == 3
    readme = (tmp_path / "data/README.md").read_text(encoding="utf-8")
    command = "twinear sample --seed 4 --artists 3 --clips 1 --listeners 20 --seconds 1.5"
    assert f"`{command}`" in readme


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"n_artists": 0}, "--artists: found 0, expected 1 to 100000; give another number"),
        ({"n_artists": 200_000}, "--artists: found 200000"),
        ({"clips_per_artist": -1}, "--clips: found -1"),
        ({"n_listeners": 0}, "--listeners: found 0"),
        ({"seconds": 0.5}, "--seconds: found 0.5, expected 1 to 3600"),
        ({"seconds": float("nan")}, "--seconds: found nan"),
    ],
)
def test_a_size_that_cannot_be_made_is_refused(values: dict[str, int], told: str) -> None:
    with pytest.raises(TwinearError, match=told):
        CorpusSize(**values)


def test_another_seed_writes_another_corpus(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path / "other", 2, SMALL)
    ours, other = contents(corpus), contents(tmp_path / "other")
    assert not {name for name in ours if name.startswith("clips/")} & set(other)
    assert ours["listens/" + PLAYS_FILE] != other["listens/" + PLAYS_FILE]


def test_every_clip_of_the_table_is_there_and_decodes_whole(corpus: Path) -> None:
    clips = table(corpus / "clips.csv")
    files = {str(path.relative_to(corpus)) for path in (corpus / "clips").iterdir()}
    assert {row["file"] for row in clips} == files
    assert set(Counter(row["artist"] for row in clips).values()) == {2}
    for row in clips:
        assert decoded_seconds(corpus / row["file"]) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("chosen", CODECS, ids=[codec.encoder for codec in CODECS])
def test_each_codec_keeps_a_tone_and_its_bytes(chosen: Codec, tmp_path: Path) -> None:
    t = np.arange(3 * chosen.sr) / chosen.sr
    y = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    paths = [tmp_path / f"{name}{chosen.suffix}" for name in "ab"]
    for path in paths:
        encode(y, chosen, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with av.open(paths[0]) as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        sr = container.streams.audio[0].rate
    decoded = np.concatenate(parts)
    assert np.abs(np.fft.rfft(decoded)).argmax() * sr / len(decoded) == pytest.approx(440, abs=2)


def test_ids_are_random_uuids_and_names_are_one_each(corpus: Path) -> None:
    truth = table(corpus / "truth.csv")
    assert list(truth[0]) == ["artist", "mbid", *DIMENSIONS]
    assert {uuid.UUID(row["mbid"]).version for row in truth} == {4}
    artists = imagine_artists(80, np.random.default_rng(1))
    assert len({normalise_name(name) for name in artists.names}) == 80


def test_the_readme_says_that_all_is_made_up(corpus: Path) -> None:
    text = (corpus / "README.md").read_text(encoding="utf-8")
    assert "Nothing here is real" in text
    assert "MIT" in text


def test_rows_have_the_shape_of_lastfm_360k(rows: list[list[str]]) -> None:
    sound = [row for row in rows if len(row) == 4]
    ids = [row[0] for row in sound if row[0] != BOGUS_LISTENER]
    assert all(re.fullmatch("[0-9a-f]{40}", listener) for listener in ids)
    assert sum(not row[3].isdigit() for row in sound) == 1


def test_rows_of_a_listener_stand_together_most_played_first(rows: list[list[str]]) -> None:
    ids = [row[0] for row in rows]
    changes = sum(a != b for a, b in pairwise(ids))
    assert changes + 1 == len(set(ids))
    for listener in set(ids):
        plays = [float(row[3]) for row in rows if row[0] == listener and len(row) == 4]
        whole = [n for n in plays if n.is_integer()]
        assert whole == sorted(whole, reverse=True)


def test_every_quirk_is_there_as_often_as_said(rows: list[list[str]], corpus: Path) -> None:
    names = Counter(row[2] for row in rows)
    assert Counter(map(len, rows)) == {4: len(rows) - 2, 3: 1, 5: 1}
    assert names[UNKNOWN_NAME] == N_UNKNOWN
    assert names[ONCE_NAME] == 1
    assert names[QUOTED_NAME] > 1
    assert QUOTED_NAME.count('"') % 2 == 1
    assert sum("\r" in name for name in names) == 1
    assert sum(row[1] == "" for row in rows) == N_WITHOUT_MBID
    assert sum(row[0] == BOGUS_LISTENER for row in rows) == 1


def test_profiles_are_of_all_listeners_but_one(rows: list[list[str]], corpus: Path) -> None:
    lines = (corpus / "listens" / PROFILE_FILE).read_text(encoding="utf-8").splitlines()
    profiles = [line.split("\t") for line in lines]
    assert {len(profile) for profile in profiles} == {5}
    assert all(re.fullmatch(r"[A-Z][a-z]{2} \d{1,2}, \d{4}", profile[4]) for profile in profiles)
    with_profile = {profile[0] for profile in profiles}
    assert len({row[0] for row in rows} - {BOGUS_LISTENER} - with_profile) == 1


def test_co_listening_recovers_the_hidden_styles_and_popularity_is_skewed() -> None:
    rng = np.random.default_rng(1)
    artists = imagine_artists(80, rng)
    played = (imagine_listeners(artists, 2000, rng).plays.toarray() > 0).astype(float)
    both = played.T @ played
    n = np.diag(both)
    similarity = both / np.maximum(n[:, None], n)
    distance = np.linalg.norm(artists.styles[:, None] - artists.styles, axis=-1)
    pairs = np.triu_indices(80, 1)
    assert spearmanr(similarity[pairs], -distance[pairs]).statistic > 0.8
    assert n.max() > 2 * np.median(n)


def test_popularity_says_nothing_of_style() -> None:
    values = [imagine_artists(80, np.random.default_rng(seed)) for seed in range(40)]
    styles = np.concatenate([artists.styles for artists in values])
    popularity = np.concatenate([artists.popularity for artists in values])
    for dimension in styles.T:
        assert abs(spearmanr(dimension, popularity).statistic) < 0.06


def test_each_dimension_moves_its_own_two_traits() -> None:
    middle = vars(Traits.from_style(np.zeros(3)))
    for dimension in range(3):
        moved = vars(Traits.from_style(np.eye(3)[dimension]))
        assert sum(moved[trait] != middle[trait] for trait in middle) == 2


@pytest.mark.parametrize(("dimension", "measure"), [(0, "onsets"), (2, "centroid")])
def test_a_style_is_heard_through_the_nuisances(dimension: int, measure: str) -> None:
    low, high = -np.eye(3)[dimension], np.eye(3)[dimension]
    measured = {"onsets": _onsets, "centroid": _moving_centroid}[measure]
    values = [[measured(_clip(style, seed)) for seed in range(12)] for style in (low, high)]
    assert np.median(values[1]) > 1.2 * np.median(values[0])


def test_nuisances_make_two_clips_of_one_artist_differ_like_those_of_two() -> None:
    spectra = np.array([[_spectrum(_clip(z, seed)) for seed in (1, 2)] for z in _styles(12)])
    own = np.linalg.norm(spectra[:, 0] - spectra[:, 1], axis=-1).mean()
    others = np.linalg.norm(spectra[:, None, 0] - spectra[None, :, 1], axis=-1).mean()
    assert own > 0.6 * others


def test_the_codec_says_nothing_of_style() -> None:
    draws = [np.random.default_rng([1, 2, artist, clip]) for artist in range(80) for clip in (0, 1)]
    codec = np.array([rng.integers(len(CODECS)) for rng in draws])
    styles = imagine_artists(80, np.random.default_rng([1, 0])).styles.repeat(2, axis=0)
    for suffix in range(len(CODECS)):
        assert (codec == suffix).sum() > 30
        assert np.abs(styles[codec == suffix].mean(0)).max() < 0.25


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="is not empty; name a new folder"):
        write_corpus(tmp_path, 1, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_sample_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(clips: Iterable[int]) -> Iterator[int]:
        yield from list(clips)[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "data", 1, SMALL, progress=interrupt, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_cannot_be_written_stops_it_with_a_message(tmp_path: Path) -> None:
    def lose_the_folder(clips: Iterable[int]) -> Iterator[int]:
        for clip in clips:
            shutil.rmtree(next(tmp_path.glob(".data*/clips")), ignore_errors=True)
            yield clip

    with pytest.raises(DataError, match=r"data: could not be written \(No such file"):
        write_corpus(tmp_path / "data", 1, SMALL, progress=lose_the_folder)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_is_shorter_than_a_beat_has_a_note() -> None:
    slow = np.array([-1.0, -1.0, 0.0])
    for seed in range(20):
        y = synthesise(slow, 1.0, 16000, np.random.default_rng(seed))
        assert np.isfinite(y).all()
        assert np.abs(y).max() > 0.1


def _styles(n: int) -> np.ndarray:
    return imagine_artists(n, np.random.default_rng(5)).styles


def _clip(style: np.ndarray, seed: int) -> np.ndarray:
    return synthesise(style, 12.0, 16000, np.random.default_rng(seed))


def _frames(y: np.ndarray) -> np.ndarray:
    """Log power spectra in dB, (frames, 513)."""
    frames = y[: len(y) // 1024 * 1024].reshape(-1, 1024) * np.hanning(1024)
    return np.asarray(10 * np.log10(np.abs(np.fft.rfft(frames)) ** 2 + 1e-9))


def _spectrum(y: np.ndarray) -> np.ndarray:
    mean = _frames(y).mean(0)
    return np.asarray(mean - mean.max())


def _rises(y: np.ndarray) -> np.ndarray:
    return np.maximum(np.diff(_frames(y), axis=0), 0)


def _onsets(y: np.ndarray) -> float:
    """How often a frame rises clearly above the one before: blind to level and equaliser."""
    return float((_rises(y).mean(1) > 4).mean())


def _moving_centroid(y: np.ndarray) -> float:
    """The mean band, of 32, in which the level varies in time: blind to a steady equaliser."""
    bands = _frames(y)[:, :512].reshape(-1, 32, 16).mean(-1)
    rises = np.maximum(bands.std(0) - np.median(bands.std(0)), 0)
    return float((rises * np.arange(len(rises))).sum() / rises.sum())
