"""A folder of music as a source of clips."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.support.audio import music, write_clip
from tests.support.fetching import find, requested
from twinear.acquisition.network.errors import InvalidContentError
from twinear.acquisition.previews.folder import FolderSource, Recording, read_folder
from twinear.base.errors import DataError
from twinear.clips.waveform import load_waveform

SR = 22050
A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"


def stereo(seconds: float) -> npt.NDArray[np.float32]:
    return np.stack([music(seconds, 48000)] * 2)


def tagged(path: Path, **tags: str) -> Path:
    """A recording with tags."""
    plain = write_clip(path.with_name(f"plain{path.suffix}"), stereo(3), 48000)
    kind = "mp4" if path.suffix == ".m4a" else None
    with av.open(str(plain)) as source, av.open(str(path), "w", format=kind) as target:
        target.metadata.update(tags)
        copied = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
    plain.unlink()
    return path


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    for name in ("Air/Moon Safari/01 Intro.mp3", "Air/Moon Safari/02 More.mp3", "Air/Demo/One.ogg"):
        write_clip(folder / name, stereo(3), 48000)
    (folder / "Air/cover.jpg").write_text("a picture")
    (folder / "Air/._01 Intro.mp3").write_text("a Mac's")
    return folder


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".ogg", ".opus"])
def test_tags_are_believed_before_the_folder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "music/Various/Hits" / f"x{suffix}"
    path.parent.mkdir(parents=True)
    tags = {"title": "Hyperballad", "album": "Post", "artist": "Björk feat. Nobody"}
    tagged(path, **tags)
    (found,) = read_folder(tmp_path / "music")
    assert found == Recording(
        path=f"Various/Hits/x{suffix}",
        artist="Björk",
        mbid="",
        title="Hyperballad",
        album="Post",
        seconds=found.seconds,
    )
    assert found.seconds == pytest.approx(0 if suffix == ".ogg" else 3, abs=0.2)  # odd timestamps


def test_without_tags_the_place_says_it(library: Path) -> None:
    recordings = read_folder(library)
    assert [(recording.artist, recording.album, recording.title) for recording in recordings] == [
        ("Air", "Demo", "One"),
        ("Air", "Moon Safari", "01 Intro"),
        ("Air", "Moon Safari", "02 More"),
    ]


def test_an_artist_is_found_by_the_id_in_the_tags_then_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    tagged(folder / "a.flac", artist="Nirvana", title="A", MUSICBRAINZ_ARTISTID=A.upper())
    tagged(folder / "b.mp3", artist="The Beatles", title="B", **{"MusicBrainz Artist Id": B})
    source = FolderSource(folder)
    by_id = find(source, requested("Nirwana", A))
    assert (by_id.confidence, by_id.name, by_id.artist_id) == (1.0, "Nirvana", A)
    merged = find(source, requested("Fab Four", "c" * 36, musicbrainz=B))
    assert merged.name == "The Beatles"
    by_name = find(source, requested("BEATLES"))
    assert by_name.confidence == 0.9
    assert source.find(requested("Nobody")) is None
    assert source.find(requested("")) is None


def test_albums_take_turns(library: Path) -> None:
    source = FolderSource(library)
    candidate = find(source, requested("Air"))
    previews = source.previews(candidate, 5)
    assert [preview.title for preview in previews] == ["One", "01 Intro", "02 More"]
    assert [preview.url for preview in source.previews(candidate, 1)] == ["Air/Demo/One.ogg"]
    assert {preview.terms for preview in previews} == {"own library"}


def test_a_window_is_what_is_kept(tmp_path: Path) -> None:
    write_clip(tmp_path / "music/Air/Long/a.mp3", music(70, SR), SR)
    source = FolderSource(tmp_path / "music")
    candidate = find(source, requested("Air"))
    (preview,) = source.previews(candidate, 3)
    assert preview.duration_seconds == pytest.approx(70, abs=0.5)
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
    with pytest.raises(DataError, match="holds no music, expected Artist/Album/"):
        FolderSource(tmp_path).find(requested("Air"))
