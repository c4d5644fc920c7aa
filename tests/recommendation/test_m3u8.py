"""Playlists as files: what players read, and names that they could misread."""

import os
from pathlib import Path

import pytest

from tests.support.disk import limited_disk
from twinear.base.errors import DataError
from twinear.recommendation.m3u8 import format_m3u8, write_m3u8
from twinear.recommendation.playlist import PlaylistEntry


def entry(file: Path, title: str = "Sexy Boy", seconds: float = 297.4) -> PlaylistEntry:
    return PlaylistEntry(file=file, artist="air", name="Air", title=title, seconds=seconds)


def listed(path: Path) -> list[str]:
    """The paths of a playlist, as a player reads them."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("#")]


def test_a_playlist_names_artist_title_seconds_and_path(tmp_path: Path) -> None:
    entries = [
        entry(tmp_path / "music/Air/Sexy Boy.mp3"),
        entry(tmp_path / "music/Air/Björk\u2028.flac", "Two\nlines", seconds=0),
    ]
    write_m3u8(tmp_path / "music/mix.m3u8", entries, tmp_path / "music")
    assert (tmp_path / "music/mix.m3u8").read_bytes().decode() == (
        "#EXTM3U\n"
        "#EXTINF:297,Air - Sexy Boy\nAir/Sexy Boy.mp3\n"
        "#EXTINF:-1,Air - Two lines\nAir/Björk\u2028.flac\n"
    )


@pytest.mark.parametrize(
    ("playlist", "expected"),
    [
        ("music/mix.m3u8", "Air/a.mp3"),
        ("music/Playlists/Own/mix.m3u8", "../../Air/a.mp3"),
        ("mix.m3u8", "music/Air/a.mp3"),
        ("elsewhere/mix.m3u8", "{root}/music/Air/a.mp3"),
    ],
)
def test_a_path_is_relative_where_playlist_and_music_move_together(
    tmp_path: Path, playlist: str, expected: str
) -> None:
    write_m3u8(tmp_path / playlist, [entry(tmp_path / "music/Air/a.mp3")], tmp_path / "music")
    assert listed(tmp_path / playlist) == [expected.format(root=tmp_path)]


def test_a_recording_from_elsewhere_is_absolute(tmp_path: Path) -> None:
    entries = [entry(tmp_path / "music/a.mp3"), entry(tmp_path / "b.mp3")]
    write_m3u8(tmp_path / "music/mix.m3u8", entries, tmp_path / "music")
    assert listed(tmp_path / "music/mix.m3u8") == ["a.mp3", f"{tmp_path}/b.mp3"]


@pytest.mark.parametrize("linked", ["music", "Playlists"])
def test_paths_resolve_also_where_folders_are_links(tmp_path: Path, linked: str) -> None:
    (tmp_path / "disk/deep/Playlists").mkdir(parents=True)
    (tmp_path / "disk/deep/a.mp3").write_text("sound")
    music = tmp_path / "disk/deep"
    if linked == "music":
        music = tmp_path / "music"
        music.symlink_to(tmp_path / "disk/deep")
    playlist = music / "Playlists/mix.m3u8"
    if linked == "Playlists":
        (tmp_path / "lists").symlink_to(music / "Playlists")
        playlist = tmp_path / "lists/mix.m3u8"
    write_m3u8(playlist, [entry(music / "a.mp3")], music)
    (path,) = listed(playlist)
    assert (playlist.parent / path).read_text() == "sound"


@pytest.mark.parametrize(
    "name",
    ["#1 hits/a.mp3", " lead/a.mp3", "\tlead.mp3", "AC: DC.mp3", "http://a.mp3", "a%20b.mp3",
     "a\\b.mp3", "plain.mp3", "'quoted'.mp3"],
)  # fmt: skip
def test_a_name_is_never_taken_for_a_comment_or_an_address(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("sound")
    write_m3u8(tmp_path / "mix.m3u8", [entry(file)], tmp_path)
    (path,) = listed(tmp_path / "mix.m3u8")
    assert path == path.strip()
    assert not path.split("/")[0].endswith(":")
    assert (tmp_path / path).read_text() == "sound"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("two\nlines.mp3", "line break"),
        ("two\rlines.mp3", "line break"),
        ("end.mp3 ", "ends with a space"),
        (os.fsdecode(b"Bj\xf6rk.mp3"), "not UTF-8"),
    ],
)
def test_a_name_that_no_playlist_can_hold_is_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(DataError, match=f"{why}.*rename"):
        write_m3u8(tmp_path / "mix.m3u8", [entry(tmp_path / name)], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", ["#EXTM3U\n#EXTINF:1,x\nx.mp3\n", "", "\ufeff#EXTM3U\r\n"])
def test_a_playlist_is_replaced(tmp_path: Path, before: str) -> None:
    path = tmp_path / "mix.m3u8"
    path.write_text(before, encoding="utf-8")
    write_m3u8(path, [entry(tmp_path / "a.mp3")], tmp_path)
    assert listed(path) == ["a.mp3"]


def test_anything_else_is_not_replaced(tmp_path: Path) -> None:
    song = tmp_path / "song.mp3"
    song.write_text("ID3 sound")
    for path in (song, tmp_path):
        with pytest.raises(DataError, match="is there and is not a playlist"):
            write_m3u8(path, [entry(song)], tmp_path)
    assert song.read_text() == "ID3 sound"


def test_a_full_disk_leaves_the_playlist_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "mix.m3u8"
    write_m3u8(path, [entry(tmp_path / "a.mp3")], tmp_path)
    many = [entry(tmp_path / f"{at}.mp3") for at in range(100)]
    with pytest.raises(DataError, match="could not be written"), limited_disk(1000):
        write_m3u8(path, many, tmp_path)
    assert listed(path) == ["a.mp3"]
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_folder_all_paths_are_absolute(tmp_path: Path) -> None:
    text = format_m3u8([entry(tmp_path / "a.mp3")], tmp_path, None)
    assert text.splitlines()[-1] == f"{tmp_path}/a.mp3"
