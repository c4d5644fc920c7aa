"""Which file of a folder is which song of a server."""

from pathlib import Path

import pytest

from twinear.acquisition.subsonic import ServerSong
from twinear.base.errors import DataError
from twinear.recommendation.library_table import (
    LibraryItem,
    items_of_folder,
    match_songs,
    read_library_table,
    write_library_table,
)
from twinear.recommendation.playlist import PlaylistEntry

MBID = "aaaaaaaa-0000-4000-8000-000000000000"
MUSIC = Path("/music")


def entry(path: str, title: str = "", album: str = "", seconds: float = 100.0) -> PlaylistEntry:
    return PlaylistEntry(
        file=MUSIC / path, artist=MBID, name="Air", title=title, seconds=seconds, album=album
    )


def song(path: str, title: str = "", album: str = "", seconds: float = 0.0) -> ServerSong:
    return ServerSong(
        id="7", title=title, artist="Air", artist_id="3", album=album, path=path, seconds=seconds
    )


ENTRIES = [
    entry("Air/Moon Safari/01 Femme.flac", "La femme d'argent", "Moon Safari"),
    entry("Air/Live/01 Femme.flac", "La femme d'argent", "Live", seconds=200),
    entry("Air/Jo\N{COMBINING DIAERESIS}.flac", "Jö"),
    entry("a/Twice.flac", "Twice"),
    entry("b/Twice.flac", "Twice"),
]


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        (song("Air/Moon Safari/01 Femme.flac"), 0),
        (song("/srv/Air/Live/01 Femme.flac"), 1),  # the server's folder is above ours
        (song("Live/01 Femme.flac"), 1),  # or below
        (song("Air\\Live\\01 Femme.flac"), 1),
        (song("Air/Jö.flac"), 2),  # composed in another way
        (song("made/up.mp3", "La Femme d'Argent", "moon safari"), 0),
        (song("01 Femme.flac", "La femme d'argent", "Live", 201.0), 1),  # two have that name
        (song("01 Femme.flac", "La femme d'argent", "Live", 240.0), None),
        (song("x.mp3", "Twice"), None),  # two fit
        (song("afar/Air/Live/02 Femme.flac", "Other"), None),
    ],
)
def test_a_song_is_found_by_its_path_or_its_tags(asked: ServerSong, place: int | None) -> None:
    found = match_songs([asked, song(ENTRIES[3].file.as_posix())], ENTRIES, MUSIC)
    files = [item.file for item in found.items]
    assert files == [ENTRIES[each].file for each in (place, 3) if each is not None]
    assert found.missing == ([asked] if place is None else [])
    assert {item.item_id for item in found.items} == {"7"}
    assert {item.artist_id for item in found.items} == {"3"}


def test_a_folder_of_other_music_is_an_error() -> None:
    with pytest.raises(DataError, match=r"music: .* 1 songs"):
        match_songs([song("x", "y")], ENTRIES, MUSIC)


def test_ids_of_a_folder_stay_when_the_tags_or_the_place_of_the_folder_change() -> None:
    ids = [item.item_id for item in items_of_folder(ENTRIES, MUSIC)]
    assert len(set(ids)) == len(ids)
    moved = [entry(f"below/{each.file.relative_to(MUSIC)}", "Other") for each in ENTRIES]
    assert [item.item_id for item in items_of_folder(moved, MUSIC / "below")] == ids
    assert {item.mbid for item in items_of_folder(ENTRIES, MUSIC)} == {MBID}


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    items = [
        LibraryItem(item_id="1", file=tmp_path / 'a "b", c.mp3', artist='Ä,;"', seconds=1.5),
        LibraryItem(item_id="NA", file=tmp_path / "b.mp3", artist_id="3", title="NA", album="null"),
    ]
    write_library_table(items, tmp_path / "library.csv")
    assert read_library_table(tmp_path / "library.csv") == items


def test_a_table_of_ones_own_needs_two_columns_and_names_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "library.csv").write_text("file;item_id\nAir/1.mp3;x\n")
    (item,) = read_library_table(tmp_path / "library.csv")
    assert item == LibraryItem(item_id="x", file=tmp_path / "Air/1.mp3")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("item_id\n1\n", r"csv:1: .*'file'"),
        ("item_id,file\n1,a\n,b\n", r"csv:3: .*no item_id"),
        ("item_id,file\n1,a\n1,b\n", r"csv:3: .*id 1 again"),
        ("item_id,file,seconds\n1,a,long\n", r"csv:2: long seconds"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "library.csv").write_text(text)
    with pytest.raises(DataError, match=place):
        read_library_table(tmp_path / "library.csv")
