"""Artists and clips are found in the table as in the tables of the pipeline, among any number."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.disk import limited_disk
from twinear.artists.identity import find_artist, normalise_name
from twinear.base.errors import DataError
from twinear.base.files import replacing
from twinear.catalogue.lookup import (
    MAX_COMPARED,
    ArtistRecord,
    ArtistTable,
    ClipRecord,
    write_artist_table,
)

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
# (id, name, listeners)
ARTISTS = [
    (A, "Nirvana", 9),
    (B, "nirvana", 3),
    ("rem", "R.E.M.", 5),
    ("acdc", "AC/DC", 8),
    ("beatles", "The Beatles", 20),
    ("rolling stones", "The Rolling Stones", 15),
    ("stone roses", "The Stone Roses", 4),
    ("stone", "Stone", 1),
    ("stone the crows", "Stone the Crows", 2),
    ("сплин", "Сплин", 0),
    ("椎名林檎", "椎名林檎", 0),
    ("hindi", "हिन्दी", 0),
    ("bobby tables", "Robert'); DROP TABLE artists;--", 0),
    ("percent", "100% _ * ?", 0),
    ("quotes", '"OR" NEAR("a" "b")', 0),
    ("zero", "a\0b", 0),
    ("!!!", "!!!", 0),
    ("u2", "U2", 30),
]
FILES = ["clips/a.mp3", "x/clips/b.mp3", "y/b.mp3", "c.mp3", "Bj\udcf6rk/J\udcf3ga.mp3"]


def records(names: list[tuple[str, str, int]]) -> Iterator[ArtistRecord]:
    for row, (artist, name, listeners) in enumerate(names):
        yield ArtistRecord(row=row, artist=artist, name=name, listeners=listeners, clips=row % 3)


def clip_records() -> Iterator[ClipRecord]:
    for row, file in enumerate(FILES):
        yield ClipRecord(
            row=row, file=file, artist_row=row // 2, title=f"T {file}", seconds=row / 2
        )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lookup") / "artists of Björk?#%.sqlite"
    write_artist_table(path, records(ARTISTS), clip_records())
    return path


@pytest.fixture(scope="module")
def table(path: Path) -> ArtistTable:
    return ArtistTable.open(path)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> ArtistTable:
    """More artists than are compared letter by letter."""
    syllables = ["ba", "ko", "ri", "den", "mu", "sla", "vo", "tin", "gre", "po", "hu", "ley"]
    names = [
        f"{a}{b} {c}{d}" for a in syllables for b in syllables for c in syllables for d in "xyz"
    ]
    names[777] = "Tocotronic"
    path = tmp_path_factory.mktemp("many") / "artists.sqlite"
    write_artist_table(path, records([(name, name, 0) for name in names]), [])
    return ArtistTable.open(path)


def test_every_artist_and_clip_comes_back_as_it_was(table: ArtistTable) -> None:
    assert list(table) == list(records(ARTISTS))
    assert len(table) == len(ARTISTS)
    assert [table.clip(row) for row in range(table.n_clips)] == list(clip_records())
    assert [table.record(row) for row in range(len(table))] == list(table)
    assert table.records([3, 0, 3]) == [table.record(row) for row in (3, 0, 3)]
    assert table.records([]) == []
    assert [clip.file for clip in table.clips_of(1)] == FILES[2:4]
    assert table.clips_of(5) == []


def test_a_row_that_is_not_there_is_a_bug_of_the_caller(table: ArtistTable) -> None:
    for ask in (table.record, table.clip):
        for row in (-1, 999):
            with pytest.raises(IndexError, match=str(row)):
                ask(row)


@given(st.lists(st.text(st.characters(), max_size=8), max_size=4, unique=True))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("any") / "artists.sqlite"
    artists = list(records([(text, text[::-1], 1) for text in texts]))
    clips = [ClipRecord(row=i, file=text, artist_row=i, title=text) for i, text in enumerate(texts)]
    write_artist_table(path, artists, clips)
    table = ArtistTable.open(path)
    assert list(table) == artists
    assert [table.find_clip(clip.file) for clip in clips] == clips


def test_a_name_that_no_text_can_hold_is_found(tmp_path: Path) -> None:
    write_artist_table(tmp_path / "t", records([("bj\udcf6rk", "Bj\udcf6rk", 0)]), [])
    table = ArtistTable.open(tmp_path / "t")
    for query in ("bj\udcf6rk", "BJ\udcf6RK"):
        assert table.find(query).name == "Bj\udcf6rk"
    assert table.search("bj\udcf6") == [0]
    with pytest.raises(DataError, match="no artist 'Björk' among 1"):
        table.find("Björk")


QUERIES = [name for artist in ARTISTS for name in artist[:2]]
QUERIES += [A.upper(), f" {A} ", "REM", "r.e.m", "ac dc", "Beatles, The", "NIRVANA", "СПЛИН", "U3"]
QUERIES += [
    "Beatels",
    "Rolling Stone",
    "nobody at all",
    "",
    " ",
    "%",
    "_",
    "'",
    '"',
    "\0",
    "\udcf6",
]
QUERIES += ["' OR 1=1 --", "100%", "stone*", "сплинн"]


@pytest.mark.parametrize("query", QUERIES)
def test_an_artist_is_found_as_in_the_tables_of_the_pipeline(
    table: ArtistTable, query: str
) -> None:
    def ask(dense: bool) -> object:
        try:
            if dense:
                artists = pd.DataFrame(ARTISTS, columns=["artist", "name", "listeners"])
                return find_artist(artists, query, table.path)
            found = table.find(query)
        except DataError as error:
            return str(error)
        return {"artist": found.artist, "name": found.name}

    assert ask(dense=False) == ask(dense=True)


def test_namesakes_are_listed_with_their_ids(table: ArtistTable) -> None:
    with pytest.raises(DataError, match=rf"Nirvana \({A}\), nirvana \({B}\); give the id"):
        table.find("Nirvana")
    assert table.find(B.upper()).name == "nirvana"


def test_many_namesakes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "artists.sqlite"
    write_artist_table(path, records([(f"id{i}", "Unknown", 0) for i in range(50)]), [])
    with pytest.raises(DataError, match=r"Unknown \(id19\) and 30 more; give the id"):
        ArtistTable.open(path).find("unknown")


@pytest.mark.parametrize(
    "query", ["Tocotronik", "tocotrnic", "xxtocotronic", "Toco Tronic", "ocotronic"]
)
def test_a_misspelt_name_is_recognised_among_many(many: ArtistTable, query: str) -> None:
    assert len(many) > MAX_COMPARED
    with pytest.raises(DataError, match=r"no artist '.*' among 5184; did you mean 'Tocotronic'"):
        many.find(query)


@pytest.mark.parametrize("query", ["日本", "q", "qqqqqqqqqq", "", "'\"*"])
def test_nothing_is_suggested_where_nothing_is_near(many: ArtistTable, query: str) -> None:
    with pytest.raises(DataError, match="check the spelling"):
        many.find(query)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sto", ["The Stone Roses", "Stone the Crows", "Stone", "The Rolling Stones"]),
        # the name itself first, then names that begin so, then words, by listeners
        ("stone", ["Stone", "The Stone Roses", "Stone the Crows", "The Rolling Stones"]),
        ("STONE R", ["The Stone Roses"]),
        ("The", ["The Beatles", "The Rolling Stones", "The Stone Roses", "Stone the Crows"]),
        ("beatles, the", ["The Beatles"]),
        ("rolling-stones", ["The Rolling Stones"]),
        ("dc", ["AC/DC"]),
        ("r.e", ["R.E.M."]),
        ("reM", ["R.E.M."]),
        ('"near (Ä', ['"OR" NEAR("a" "b")']),
        ("the st", ["The Stone Roses", "Stone the Crows", "Stone", "The Rolling Stones"]),
        ("crow", ["Stone the Crows"]),
        ("ac/", ["AC/DC"]),
        ("n", ["Nirvana", "nirvana", '"OR" NEAR("a" "b")']),
        ("спл", ["Сплин"]),
        ("椎名", ["椎名林檎"]),
        ("drop t", ["Robert'); DROP TABLE artists;--"]),
        ("", []),
        (" ", []),
        ("%", []),
        ("zzz", []),
    ],
)
def test_artists_are_found_as_somebody_types(
    table: ArtistTable, text: str, names: list[str]
) -> None:
    assert [artist.name for artist in table.records(table.search(text))] == names
    for n in range(len(names) + 1):
        assert [artist.name for artist in table.records(table.search(text, n))] == names[:n]


@pytest.mark.parametrize("change", [str, str.upper, lambda text: f" {text}- "])
def test_a_name_is_found_by_each_of_its_beginnings(
    table: ArtistTable, change: Callable[[str], str]
) -> None:
    for artist in table:
        for n in range(1, len(artist.name) + 1):
            typed = change(artist.name[:n])
            if any(map(str.isalnum, typed)):
                assert artist.row in table.search(typed, len(table)), typed


@pytest.mark.parametrize(
    ("query", "file"),
    [
        *((file, file) for file in FILES),
        ("a.mp3", "clips/a.mp3"),
        ("data/clips/a.mp3", "clips/a.mp3"),
        ("clips/b.mp3", "x/clips/b.mp3"),
        ("/home/me/data/c.mp3", "c.mp3"),
    ],
)
def test_a_clip_is_found_by_its_file(table: ArtistTable, query: str, file: str) -> None:
    assert table.find_clip(query).file == file


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("b.mp3", "several clips 'b.mp3': x/clips/b.mp3, y/b.mp3; give the whole path"),
        ("other/a.mp3", "no clip 'other/a.mp3' among 5; did you mean 'clips/a.mp3'"),
        ("clips/J\udcf3ga.ogg", "did you mean 'Bj.rk/J.ga.mp3'"),
        ("nothing like it", "give a file of the data folder"),
        ("", "no clip ''"),
    ],
)
def test_a_clip_that_is_not_clear_is_refused(table: ArtistTable, query: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        table.find_clip(query)


def test_equal_records_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.sqlite"
    write_artist_table(again, records(ARTISTS), clip_records())
    assert again.read_bytes() == path.read_bytes()


def test_reading_leaves_no_other_file_and_works_in_a_folder_without_write_permission(
    path: Path, table: ArtistTable
) -> None:
    table.find("u2")
    assert list(path.parent.iterdir()) == [path]
    path.parent.chmod(0o500)
    path.chmod(0o400)
    try:
        assert ArtistTable.open(path).find("u2") == table.find("u2")
    finally:
        path.parent.chmod(0o700)


def test_a_table_is_opened_without_the_large_libraries(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from twinear.catalogue.lookup import ArtistTable;"
        "print(ArtistTable.open(Path(sys.argv[1])).find('u2').name);"
        "print({'pandas', 'pyarrow', 'torch', 'numpy', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["U2", "set()"]


def other_database(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE artists (row INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE clips (row INTEGER PRIMARY KEY)")
    connection.close()


def other_layout(path: Path) -> None:
    import sqlite3

    write_artist_table(path, records(ARTISTS), clip_records())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def cut_off(path: Path) -> None:
    write_artist_table(path, records(ARTISTS), clip_records())
    path.write_bytes(path.read_bytes()[:-4096])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: None, "is missing"),
        (Path.touch, "is empty"),
        (Path.mkdir, "cannot be read"),
        (lambda path: path.write_text("artist,name\n" * 999), "cannot be read"),
        (other_database, "another program"),
        (other_layout, "layout 99, expected layout 2"),
        (cut_off, "bytes, expected|malformed"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, spoil: object, message: str) -> None:
    path = tmp_path / "artists.sqlite"
    assert callable(spoil)
    spoil(path)
    with pytest.raises(DataError, match=rf"artists\.sqlite: .*({message}).*; run 'dvc repro"):
        ArtistTable.open(path)


def test_damage_in_the_middle_is_an_error_wherever_it_shows(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    damaged = tmp_path / "artists.sqlite"
    damaged.write_bytes(whole[:8192] + b"\x5a" * (len(whole) - 8192))
    with pytest.raises(DataError, match="cannot be read as a table of artists"):
        ArtistTable.open(damaged).find("u2")


def test_a_full_disk_is_one_line_and_the_last_good_table_stays(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"

    def write() -> None:
        with replacing(folder) as temporary:
            temporary.mkdir()
            write_artist_table(temporary / "artists.sqlite", records(ARTISTS), clip_records())

    write()
    with pytest.raises(DataError, match="catalogue: could not be written"), limited_disk(20_000):
        write()
    assert (folder / "artists.sqlite").read_bytes() == path.read_bytes()


def test_normalised_names_are_those_of_the_project(table: ArtistTable) -> None:
    """What `find` looks up is what identity says, and no second normalisation."""
    for artist, name, _ in ARTISTS[2:]:
        assert table.find(normalise_name(name)).artist == artist
