"""The walker of music folders: what it takes, whose it is, and what it leaves out, counted."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.audio import (
    CODECS,
    MORE,
    NARROW,
    music,
    tagged,
    write_clip,
    write_dsd,
    write_speex,
)
from twinear.acquisition.music_folder import Credit, MusicFolder, Recording, read_music_folder
from twinear.base.errors import DataError
from twinear.clips.decoding import AUDIO, UNCERTAIN
from twinear.clips.waveform import load_waveform

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
VARIOUS = "89ad4ac3-39f7-470e-963a-56509c546377"


@pytest.fixture(scope="module")
def y() -> npt.NDArray[np.float32]:
    return np.stack([music(2, 48000)] * 2)


def touch(folder: Path, *names: str | bytes) -> Path:
    """Files that the walker takes for music, as it does not decode the usual kinds."""
    for name in map(os.fsdecode, names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"not decoded, {folder.name} {name!a}")
    return folder


def of(folder: MusicFolder) -> list[tuple[str, str]]:
    return [(recording.artist, recording.name) for recording in folder.recordings]


@pytest.mark.parametrize(
    "suffix", [".mp3", ".flac", ".m4a", ".ogg", ".opus", ".mka", ".wv", ".wma"]
)
def test_tags_are_believed_before_the_folder(
    tmp_path: Path, suffix: str, y: npt.NDArray[np.float32]
) -> None:
    path = tmp_path / "music/Various/Hits" / f"x{suffix}"
    path.parent.mkdir(parents=True)
    tagged(path, y, title="Hyperballad", album="Post", artist="Björk feat. Nobody")
    (found,) = read_music_folder(tmp_path / "music").recordings
    assert found == Recording(
        file=path,
        name=f"Various/Hits/x{suffix}",
        credits=(Credit(name="Björk"),),
        title="Hyperballad",
        album="Post",
        seconds=found.seconds,
    )
    assert found.seconds == pytest.approx(0 if suffix == ".ogg" else 2, abs=0.2)  # odd timestamps


def test_without_tags_the_place_says_it(tmp_path: Path) -> None:
    folder = touch(tmp_path, "Air/Moon Safari/CD 1/01 Intro.mp3", "Air/One.OGG", "loose.mp3")
    found = read_music_folder(folder)
    assert [(each.artist, each.album, each.title) for each in found.recordings] == [
        ("Air", "Moon Safari/CD 1", "01 Intro"),
        ("Air", "", "One"),
    ]
    assert found.left_out.counts == {"no artist": 1}


@pytest.mark.parametrize(
    ("tags", "credits"),
    [
        ({"artist": "Muse", "album_artist": "Various Artists"}, [("Muse", "")]),
        ({"album_artist": "Muse"}, [("Muse", "")]),
        ({"album_artist": "Muse", "compilation": "1"}, [("Folder", "")]),
        ({"artist": "Various Artists", "album_artist": "Muse"}, [("Muse", "")]),
        ({"artist": "Unknown Artist"}, [("Folder", "")]),
        ({"artist": "AC/DC", "MUSICBRAINZ_ARTISTID": A}, [("AC/DC", A)]),
        ({"artist": "Q / B", "MUSICBRAINZ_ARTISTID": f"{A}/{B}"}, [("Q", A), ("B", B)]),
        ({"artist": "Q;B", "MUSICBRAINZ_ARTISTID": f"{A};{B}"}, [("Q", A), ("B", B)]),
        ({"artist": "Q feat. B", "MUSICBRAINZ_ARTISTID": f"{A}; {B}"}, [("Q", A), ("B", B)]),
        ({"artist": "Q + B", "MUSICBRAINZ_ARTISTID": f"{A} / {B}"}, [("Q + B", A), ("", B)]),
        ({"artist": "Unknown", "MUSICBRAINZ_ARTISTID": A}, [("Unknown", A)]),  # a band
        ({"artist": "Various Artists", "MUSICBRAINZ_ARTISTID": VARIOUS}, [("Folder", "")]),
        ({"artist": "[unknown]"}, [("Folder", "")]),
        ({"artist": "Q (ft. B)"}, [("Q", "")]),
        ({"artist": "Q", "MUSICBRAINZ_ARTISTID": "none"}, [("Q", "")]),
        ({"artist": "Q", "MUSICBRAINZ_ALBUMARTISTID": B}, [("Q", "")]),
        ({"album_artist": "Q", "MUSICBRAINZ_ALBUMARTISTID": B}, [("Q", B)]),
    ],
)
def test_the_performer_is_the_artist(
    tmp_path: Path,
    tags: dict[str, str],
    credits: list[tuple[str, str]],
    y: npt.NDArray[np.float32],
) -> None:
    (tmp_path / "Folder").mkdir()
    tagged(tmp_path / "Folder/a.flac", y, **tags)
    (found,) = read_music_folder(tmp_path).recordings
    assert [(credit.name, credit.mbid) for credit in found.credits] == credits


def test_a_folder_of_nobody_names_no_artist(tmp_path: Path) -> None:
    folder = touch(tmp_path, "Various Artists/a.mp3", "Air/a.mp3")
    found = read_music_folder(folder)
    assert of(found) == [("Air", "Air/a.mp3")]
    assert found.left_out.examples == {"no artist": ["Various Artists/a.mp3"]}


SYSTEM = [
    "Air/._One.mp3",
    ".Trash-1000/files/Air/One.mp3",
    "#recycle/One.mp3",
    "$RECYCLE.BIN/S-1/One.mp3",
    "Air/@eaDir/One.mp3/SYNO.mp3",
    ".AppleDouble/One.mp3",
    "System Volume Information/One.mp3",
    "__MACOSX/Air/One.mp3",
    "Air/Thumbs.db",
    "Air/.DS_Store",
]


def test_files_of_the_system_are_never_music(tmp_path: Path) -> None:
    found = read_music_folder(touch(tmp_path, "Air/One.mp3", *SYSTEM))
    assert of(found) == [("Air", "Air/One.mp3")]
    assert found.left_out.counts == {"system file": len(SYSTEM)}


def test_every_file_left_out_is_counted_with_some_examples(tmp_path: Path) -> None:
    folder = touch(tmp_path, "Air/One.mp3", "Air/cover.jpg", "Air/rip.log", "Air/all.m3u")
    touch(folder, *(f"Air/{n}.txt" for n in range(9)), *(f"Air/a{s}" for s in UNCERTAIN))
    (folder / "Air/gone.flac").symlink_to("nowhere.flac")
    (folder / "Air/circle.flac").symlink_to("circle.flac")
    os.mkfifo(folder / "Air/pipe.flac")  # opening it would wait for ever
    left_out = read_music_folder(folder).left_out
    assert left_out.counts == {
        "not audio": 12,
        "unreadable": 3,
        "cannot be decoded": len(UNCERTAIN),
    }
    assert left_out.examples["not audio"][0] == "Air/0.txt"
    assert len(left_out.examples["not audio"]) == 5


def test_what_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    folder = touch(tmp_path, "Air/One.mp3", "Air/secret.mp3", "Blur/One.mp3")
    (folder / "Air/secret.mp3").chmod(0)
    (folder / "Blur").chmod(0)
    found = read_music_folder(folder)
    (folder / "Blur").chmod(0o700)
    assert of(found) == [("Air", "Air/One.mp3")]
    assert found.left_out.examples == {"unreadable": ["Blur", "Air/secret.mp3"]}


def test_links_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path / "disk", "Blur/Song 2.mp3", "x.mp3")
    folder = touch(tmp_path / "music", "Zoo/album/One.mp3")
    (folder / "Blur").symlink_to(elsewhere / "Blur")
    (folder / "Aaa").symlink_to(folder / "Zoo")  # the real folder says the artist
    (folder / "Zoo/album/loop").symlink_to(folder)
    (folder / "Air").mkdir()
    (folder / "Air/linked.mp3").symlink_to(elsewhere / "x.mp3")
    found = read_music_folder(folder)
    assert of(found) == [
        ("Air", "Air/linked.mp3"),
        ("Blur", "Blur/Song 2.mp3"),
        ("Zoo", "Zoo/album/One.mp3"),
    ]
    assert sorted(found.left_out.examples["folder linked again"]) == ["Aaa", "Zoo/album/loop"]


def test_the_folder_itself_may_be_a_link_and_hold_letters_of_patterns(tmp_path: Path) -> None:
    folder = touch(tmp_path / "mu[s]ic *?", "A[i]r*/One [live].mp3")
    (tmp_path / "link").symlink_to(folder)
    for place in (folder, tmp_path / "link"):
        assert of(read_music_folder(place)) == [("A[i]r*", "A[i]r*/One [live].mp3")]


def test_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    both = (b"Bj\xf6rk/J\xf3ga.mp3", "Björk/Jóga.mp3".encode())
    found = read_music_folder(touch(tmp_path, *both, b"Sigur R\xf3s/\xc1.mp3", b"\xe9.txt"))
    assert [(each.artist, each.title) for each in found.recordings] == [
        ("Björk", "Jóga"),
        ("Björk", "Jóga"),
        ("Sigur Rós", "Á"),
    ]
    names = [each.name for each in found.recordings]
    assert sorted(names)[1:] == ["Björk/Jóga.mp3", "Sigur Rós/Á.mp3"]
    assert len(set(names)) == 3
    assert found.left_out.examples == {"not audio": ["é.txt"]}
    assert all(each.file.is_file() for each in found.recordings)


@pytest.mark.parametrize("suffix", sorted(AUDIO & {*CODECS, *MORE, *NARROW}))
def test_every_kind_that_is_taken_decodes(
    tmp_path: Path, suffix: str, y: npt.NDArray[np.float32]
) -> None:
    sr = 8000 if suffix in NARROW else 48000
    write_clip(tmp_path / f"Air/a{suffix}", music(2, sr) if suffix in NARROW else y, sr)
    (found,) = read_music_folder(tmp_path).recordings
    assert load_waveform(found.file, 22050).size / 22050 == pytest.approx(2, abs=0.1)


def test_speex_and_one_bit_audio_decode(tmp_path: Path) -> None:
    write_speex(tmp_path / "Air/a.spx"), write_dsd(tmp_path / "Air/b.dsf")
    for found, seconds in zip(read_music_folder(tmp_path).recordings, (2, 1), strict=True):
        y = load_waveform(found.file, 22050)
        assert len(y) / 22050 == pytest.approx(seconds, abs=0.1)
        assert y.std() > 0


def test_a_video_without_sound_is_left_out(tmp_path: Path) -> None:
    import av

    touch(tmp_path, "Air/a.mp3")
    with av.open(str(tmp_path / "Air/b.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert read_music_folder(tmp_path).left_out.examples == {"cannot be decoded": ["Air/b.mp4"]}


def test_a_folder_without_music_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no music \(it is empty\), expected Artist/"):
        read_music_folder(tmp_path)
    touch(tmp_path, "a.mp3", "Air/cover.jpg")
    with pytest.raises(DataError, match=r"no music \(1 not audio, 1 no artist\)"):
        read_music_folder(tmp_path)
