"""A folder of music as a source of clips."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.audio import music, tagged, write_clip
from tests.support.fetching import find, requested
from twinear.acquisition.network.errors import InvalidContentError
from twinear.acquisition.previews.folder import FolderSource
from twinear.base.errors import DataError
from twinear.clips.waveform import load_waveform

SR = 22050
A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"


def stereo(seconds: float) -> npt.NDArray[np.float32]:
    return np.stack([music(seconds, 48000)] * 2)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for name in ("Air/Moon Safari/01 Intro.mp3", "Air/Moon Safari/02 More.mp3", "Air/Demo/One.ogg"):
        write_clip(folder / name, stereo(3), 48000)
    (folder / "Air/cover.jpg").write_text("a picture")
    (folder / "Air/._01 Intro.mp3").write_text("a Mac's")
    return folder


def test_an_artist_is_found_by_the_id_in_the_tags_then_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    y = stereo(3)
    tagged(folder / "a.flac", y, artist="Nirvana", title="A", MUSICBRAINZ_ARTISTID=A.upper())
    tagged(folder / "b.mp3", y, artist="The Beatles", title="B", **{"MusicBrainz Artist Id": B})
    source = FolderSource(folder)
    by_id = find(source, requested("Nirwana", A))
    assert (by_id.confidence, by_id.name, by_id.artist_id) == (1.0, "Nirvana", A)
    merged = find(source, requested("Fab Four", "c" * 36, musicbrainz=B))
    assert merged.name == "The Beatles"
    by_name = find(source, requested("BEATLES"))
    assert by_name.confidence == 0.9
    assert source.find(requested("Nobody")) is None
    assert source.find(requested("")) is None


def test_an_id_that_contradicts_is_never_overridden_by_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "music/Nirvana"
    folder.mkdir(parents=True)
    tagged(folder / "a.flac", stereo(3), artist="Nirvana", MUSICBRAINZ_ARTISTID=A)
    source = FolderSource(tmp_path / "music")
    assert source.find(requested("Nirvana", B)) is None
    assert source.find(requested("Nirvana", "", musicbrainz=B)) is None
    assert find(source, requested("Nirvana")).confidence == 0.9  # the only one of the name
    write_clip(folder / "untagged.flac", stereo(3), 48000)
    maybe = find(FolderSource(tmp_path / "music"), requested("Nirvana", B))
    assert (maybe.confidence, maybe.why) == (0.5, "the name has another MusicBrainz id there, too")


def test_a_name_of_two_artists_is_ambiguous_without_an_id(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    for name, mbid in (("a", A), ("b", B)):
        tagged(folder / f"{name}.flac", stereo(3), artist="Nirvana", MUSICBRAINZ_ARTISTID=mbid)
    source = FolderSource(folder)
    guess = find(source, requested("Nirvana"))
    assert (guess.confidence, guess.why) == (0.5, "2 artists of that name")
    (preview,) = source.previews(find(source, requested("Nirvana", B)), 9)
    assert preview.source_id == "b.flac"


@pytest.mark.parametrize("joined", [f"{A};{B}", f"{A}; {B}", f"{A}/{B}", f"{A} / {B.upper()}"])
def test_of_several_ids_the_wanted_one_counts(tmp_path: Path, joined: str) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    tags = {"artist": "Queen & David Bowie", "MUSICBRAINZ_ARTISTID": joined}
    tagged(folder / "a.flac", stereo(3), **tags)
    source = FolderSource(folder)
    for mbid in (A, B):
        assert find(source, requested("x", mbid)).confidence == 1.0
    assert find(source, requested("David Bowie")).confidence == 0.9
    assert source.find(requested("David Bowie", A.replace("a", "c"))) is None


def test_names_that_are_not_utf_8_are_found_and_cut(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    for name in (b"Bj\xf6rk", "Björk".encode()):
        write_clip(folder / os.fsdecode(name) / "Jóga.flac", stereo(3), 48000)
    source = FolderSource(folder)
    previews = source.previews(find(source, requested("Björk")), 9)
    assert [preview.url for preview in previews] == ["Björk/Jóga.flac", r"Bj\xf6rk/Jóga.flac"]
    for preview in previews:
        source.download(preview, tmp_path / "clip")
        assert load_waveform(tmp_path / "clip", SR).size


def test_albums_take_turns(library: Path) -> None:
    source = FolderSource(library)
    candidate = find(source, requested("Air"))
    previews = source.previews(candidate, 5)
    assert [preview.title for preview in previews] == ["One", "01 Intro", "02 More"]
    assert [preview.url for preview in source.previews(candidate, 1)] == ["Air/Demo/One.ogg"]
    assert {preview.terms for preview in previews} == {"own library"}


def test_a_window_is_what_is_kept(tmp_path: Path) -> None:
    write_clip(tmp_path / "music/Air/Long/a.mp3", music(45, SR), SR)
    source = FolderSource(tmp_path / "music")
    candidate = find(source, requested("Air"))
    (preview,) = source.previews(candidate, 3)
    assert preview.duration_seconds == pytest.approx(45, abs=0.5)
    source.download(preview, tmp_path / "clip")
    assert load_waveform(tmp_path / "clip", SR).size / SR == pytest.approx(30, abs=0.1)


def test_what_is_no_audio_is_malformed(library: Path, tmp_path: Path) -> None:
    (library / "Air/Demo/One.ogg").write_bytes(b"not music")
    source = FolderSource(library)
    candidate = find(source, requested("Air"))
    preview = source.previews(candidate, 1)[0]
    with pytest.raises(InvalidContentError, match=r"One\.ogg: is not audio"):
        source.download(preview, tmp_path / "clip")
    assert not (tmp_path / "clip").exists()


def test_a_folder_without_music_or_none_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: is missing; name a folder of music with --music"):
        FolderSource(tmp_path / "nowhere")
    (tmp_path / "loose.mp3").write_text("of nobody")
    with pytest.raises(DataError, match=r"holds no music \(1 no artist\), expected Artist/"):
        FolderSource(tmp_path).find(requested("Air"))
